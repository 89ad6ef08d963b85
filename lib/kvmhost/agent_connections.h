/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Tests whether the trace-cmd agents of guests accept connections. */
#ifndef TSC_OFFSET_AGENT_CONNECTIONS_H
#define TSC_OFFSET_AGENT_CONNECTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Default port of trace-cmd's agent */
#define AGENT_PORT	823U

/**
 * enum agent_answer - the state of an agent
 * @AGENT_UNKNOWN: no connection was tried, or none could be tried
 * @AGENT_SILENT: no program listens at the port, or the guest did not answer in time
 * @AGENT_ANSWERS: a program accepts connections at the port
 */
enum agent_answer { AGENT_UNKNOWN, AGENT_SILENT, AGENT_ANSWERS };

/**
 * struct agent_question - a guest whose agent is tested
 * @socket: path of the host's UNIX socket that is the guest's vsock, as its process names it; NULL if it has a CID
 * @pid: with @socket: the process; sockets of other processes are not used
 * @cid: without @socket: the guest's CID
 * @answer: result
 */
struct agent_question {
	const char		*socket;
	pid_t			pid;
	uint32_t		cid;
	enum agent_answer	answer;
};

int agent_connections_try(struct agent_question *questions, size_t nr, unsigned int port, unsigned int timeout_ms);

#endif /* TSC_OFFSET_AGENT_CONNECTIONS_H */
