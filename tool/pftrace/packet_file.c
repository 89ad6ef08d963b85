// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "packet_file.h"
#include "wire_reader.h"

/* A trace is a message that consists of packets */
#define FIELD_PACKET	1

/* Perfetto's own limit of a packet is lower; only a packet of compressed packets comes close */
#define MAX_PACKET	(64UL << 20)

/**
 * packet_file_fail - set the error that a packet is unusable
 * @file: the trace, at that packet
 * @code: a negative errno
 * @text: what is wrong
 *
 * Returns: @code.
 */
int packet_file_fail(struct packet_file *file, int code, const char *text)
{
	error_set(file->error, code, file->path, "%s", text);
	error_set_offset(file->error, file->packet);
	return code;
}

/**
 * packet_file_open - open a Perfetto trace
 * @file: result; must be closed in any case
 * @path: its path; must be valid until then
 * @error: receives the reasons of failures
 *
 * Returns: 0 or a negative errno.
 */
int packet_file_open(struct packet_file *file, const char *path, struct error *error)
{
	/* Opening a FIFO without O_NONBLOCK could block forever */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat stat;

	*file = (struct packet_file) { .path = path, .error = error };
	if (fd < 0)
		return error_set_code(error, -errno, path);
	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode)) {
		close(fd);
		return error_set(error, -EINVAL, path, "not a regular file");
	}
	file->size = (uint64_t)stat.st_size;
	file->stream = fdopen(fd, "r");
	if (!file->stream) {
		close(fd);
		return error_set_code(error, -ENOMEM, path);
	}
	return 0;
}

/**
 * packet_file_rewind - go back to the first packet
 * @file: the trace
 *
 * Returns: 0 or a negative errno.
 */
int packet_file_rewind(struct packet_file *file)
{
	file->offset = 0;
	return fseeko(file->stream, 0, SEEK_SET) ? error_set_code(file->error, -errno, file->path) : 0;
}

/* The tag and the length of a packet. Returns: 1, 0 at the end of the file, or a negative errno. */
static int take_head(struct packet_file *file, uint64_t *size)
{
	uint8_t head[1 + WIRE_NUMBER_SIZE];
	struct cursor bytes = { head, 0 };
	uint64_t tag;

	do {
		int byte = getc(file->stream);

		if (byte == EOF)
			break;
		head[bytes.left++] = (uint8_t)byte;
	} while (bytes.left < 2 || (head[bytes.left - 1] & 0x80 && bytes.left < sizeof(head)));
	if (ferror(file->stream))
		return packet_file_fail(file, -EIO, "cannot be read");
	if (!bytes.left)
		return 0;
	file->offset += bytes.left;
	if (head[0] != (FIELD_PACKET << 3 | WIRE_BYTES))
		return packet_file_fail(file, -EBADMSG, file->packet ? "not a packet of a Perfetto trace" :
				      "not a Perfetto trace");
	if (!wire_take_number(&bytes, &tag) || !wire_take_number(&bytes, size))
		return packet_file_fail(file, -EBADMSG, "the file ends in the middle of a packet");
	return 1;
}

/**
 * packet_file_next - read the next packet
 * @file: the trace
 * @packet: result, valid until the next call
 *
 * Returns: 1, 0 at the end of the file, or a negative errno.
 */
int packet_file_next(struct packet_file *file, struct cursor *packet)
{
	uint64_t size;
	int ret;

	file->packet = file->offset;
	ret = take_head(file, &size);
	if (ret <= 0)
		return ret;
	if (size > file->size || file->offset > file->size - size)
		return packet_file_fail(file, -EBADMSG, "the file ends in the middle of a packet");
	if (size > MAX_PACKET)
		return packet_file_fail(file, -EFBIG, "a packet of more than 64 MiB");
	if (size > file->capacity) {
		free(file->bytes);
		file->bytes = malloc(size);
		file->capacity = file->bytes ? size : 0;
		if (!file->bytes)
			return packet_file_fail(file, -ENOMEM, "no memory");
	}
	if (fread(file->bytes, 1, size, file->stream) != size)
		return packet_file_fail(file, ferror(file->stream) ? -EIO : -EBADMSG,
				     ferror(file->stream) ? "cannot be read" : "the file was cut while it was read");
	file->offset += size;
	*packet = (struct cursor) { file->bytes, size };
	return 1;
}

/**
 * packet_file_close - close a trace
 * @file: the trace, also after a failed open
 */
void packet_file_close(struct packet_file *file)
{
	if (file->stream)
		fclose(file->stream);
	free(file->bytes);
	*file = (struct packet_file) { 0 };
}
