// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "firecracker_config.h"

#define MAX_SIZE	(256UL << 10)
#define MAX_DEPTH	16

static void putp(struct json_object **object)
{
	json_object_put(*object);
}

/*
 * The path is a claim of the process. Opening a device can have side effects, and opening a pipe can block: accept only
 * regular files.
 */
static int open_file(const char *path)
{
	_cleanup_(closep) int place = open(path, O_PATH | O_CLOEXEC);
	struct stat stat;
	char link[64];
	int fd;

	if (place < 0 || fstat(place, &stat))
		return -errno;
	if (!S_ISREG(stat.st_mode))
		return -EINVAL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
	/* The owner of a lease could block us until the kernel revokes it, by default for 45 seconds */
	fd = open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Returns: the text with a terminator; NULL if it cannot be read, is too long, or without memory */
static char *read_text(int fd)
{
	char *text = malloc(MAX_SIZE + 1);
	size_t size = 0;
	ssize_t got = 1;

	while (text && got > 0 && size < MAX_SIZE) {
		got = read(fd, text + size, MAX_SIZE - size);
		size += got > 0 ? (size_t)got : 0;
	}
	if (!text || got) {
		free(text);
		return NULL;
	}
	text[size] = '\0';
	return text;
}

static int take(struct firecracker_vsock *vsock, struct json_object *object)
{
	struct json_object *value;

	if (json_object_object_get_ex(object, "guest_cid", &value) && json_object_is_type(value, json_type_int)) {
		int64_t cid = json_object_get_int64(value);

		vsock->has_cid = cid > 0 && cid < UINT32_MAX;
		vsock->cid = vsock->has_cid ? (uint32_t)cid : 0;
	}
	if (json_object_object_get_ex(object, "uds_path", &value) && json_object_is_type(value, json_type_string)) {
		vsock->socket = strdup(json_object_get_string(value));
		return vsock->socket ? 0 : -ENOMEM;
	}
	return 0;
}

/**
 * firecracker_config_read - read the vsock from a configuration
 * @vsock: result; the socket is to be freed
 * @path: the file; not trusted, and read only if it is a regular file
 *
 * Returns: 0, -EBADMSG if it is not a configuration with a vsock, or another negative errno.
 */
int firecracker_config_read(struct firecracker_vsock *vsock, const char *path)
{
	_cleanup_(putp) struct json_object *root = NULL;
	_cleanup_(freep) char *text = NULL;
	_cleanup_(closep) int fd = open_file(path);
	struct json_tokener *tokener;
	struct json_object *object;

	*vsock = (struct firecracker_vsock) { 0 };
	if (fd < 0)
		return fd;
	text = read_text(fd);
	if (!text)
		return -EBADMSG;
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (!tokener)
		return -ENOMEM;
	root = json_tokener_parse_ex(tokener, text, (int)strlen(text));
	json_tokener_free(tokener);
	if (!json_object_object_get_ex(root, "vsock", &object) || !json_object_is_type(object, json_type_object))
		return -EBADMSG;
	return take(vsock, object);
}
