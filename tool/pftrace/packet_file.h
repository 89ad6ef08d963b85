/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Reads the packets of a Perfetto trace one by one, as they are in the file. */
#ifndef TSC_OFFSET_PACKET_FILE_H
#define TSC_OFFSET_PACKET_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cursor.h"

struct error;

/**
 * struct packet_file - a trace being read
 * @path: its path; not owned
 * @error: reasons of failures; not owned
 * @stream: the open file; owned
 * @size: size of the file, in bytes
 * @offset: place of the next packet
 * @packet: place of the current packet
 * @bytes: the current packet; owned
 * @capacity: bytes allocated at @bytes
 */
struct packet_file {
	const char	*path;
	struct error	*error;
	FILE		*stream;
	uint64_t	size;
	uint64_t	offset;
	uint64_t	packet;
	uint8_t		*bytes;
	size_t		capacity;
};

int packet_file_open(struct packet_file *file, const char *path, struct error *error);
int packet_file_rewind(struct packet_file *file);
int packet_file_next(struct packet_file *file, struct cursor *packet);
int packet_file_fail(struct packet_file *file, int code, const char *text);
void packet_file_close(struct packet_file *file);

#endif /* TSC_OFFSET_PACKET_FILE_H */
