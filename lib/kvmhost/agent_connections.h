/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Whether trace-cmd agents of guests accept connections. */
#ifndef TSC_OFFSET_AGENT_CONNECTIONS_H
#define TSC_OFFSET_AGENT_CONNECTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where trace-cmd's agent listens by default */
#define AGENT_PORT	823U

/**
 * enum agent_answer - what is known of an agent
 * @AGENT_UNKNOWN: no connection was tried, or none could be
 * @AGENT_SILENT: there is none at the port, or the guest did not answer in time
 * @AGENT_ANSWERS: something accepts connections at the port
 */
enum agent_answer { AGENT_UNKNOWN, AGENT_SILENT, AGENT_ANSWERS };

/**
 * struct agent_question - a guest whose agent is looked for
 * @socket: path of the UNIX socket on the host that is its vsock, as its process names it; NULL: it has an address
 * @pid: with @socket: the process; a socket at which another one listens is not used
 * @cid: without @socket: its address
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
