// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Firecracker's configuration files, and other things that can be at their path. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "firecracker_config.h"

#define FILE_NAME	"/tmp/firecracker_config.XXXXXX"

static const struct {
	const char	*text;
	int		ret;
	uint32_t	cid;
	const char	*socket;
} files[] = {
	{ "{\"boot-source\":{\"kernel_image_path\":\"k\"},\"vsock\":{\"guest_cid\":3,\"uds_path\":\"./v.sock\"}}", 0, 3,
	  "./v.sock" },
	{ "{ \"vsock\" : { \"vsock_id\": \"1\", \"uds_path\": \"/run/v\" } }", 0, 0, "/run/v" },
	{ "{\"vsock\":{\"guest_cid\":-1,\"uds_path\":7}}", 0, 0, NULL },
	{ "{\"vsock\":{\"guest_cid\":4294967296}}", 0, 0, NULL },
	{ "{\"vsock\":{\"guest_cid\":\"3\"}}", 0, 0, NULL },
	{ "{\"vsock\":null}", -EBADMSG, 0, NULL },
	{ "{\"vsock\":[3]}", -EBADMSG, 0, NULL },
	{ "{}", -EBADMSG, 0, NULL },
	{ "[1]", -EBADMSG, 0, NULL },
	{ "3", -EBADMSG, 0, NULL },
	{ "", -EBADMSG, 0, NULL },
	{ "{\"vsock\":{\"guest_cid\":3", -EBADMSG, 0, NULL },
	{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", -EBADMSG, 0, NULL },
};

static void write_file(char *path, const char *text, size_t size)
{
	int fd;

	strcpy(path, FILE_NAME);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	close(fd);
}

static void test_files(void **state)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct firecracker_vsock vsock;
		char path[sizeof(FILE_NAME)];

		print_message("%s\n", files[i].text);
		write_file(path, files[i].text, strlen(files[i].text));
		assert_int_equal(firecracker_config_read(&vsock, path), files[i].ret);
		assert_int_equal(vsock.has_cid, files[i].cid != 0);
		assert_int_equal(vsock.cid, files[i].cid);
		if (files[i].socket)
			assert_string_equal(vsock.socket, files[i].socket);
		else
			assert_null(vsock.socket);
		free(vsock.socket);
		unlink(path);
	}
}

/* Reading neither blocks nor runs forever */
static void test_no_files(void **state)
{
	struct firecracker_vsock vsock;
	char path[sizeof(FILE_NAME)], *much = calloc(1, 1 << 20);

	assert_int_equal(firecracker_config_read(&vsock, "/dev/zero"), -EINVAL);
	assert_int_equal(firecracker_config_read(&vsock, "/tmp"), -EINVAL);
	assert_int_equal(firecracker_config_read(&vsock, "/no/such/file"), -ENOENT);
	write_file(path, "", 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(firecracker_config_read(&vsock, path), -EINVAL);
	unlink(path);
	memset(much, ' ', 1 << 20);
	memcpy(much, files[0].text, strlen(files[0].text));
	write_file(path, much, 1 << 20);
	assert_int_equal(firecracker_config_read(&vsock, path), -EBADMSG);
	assert_null(vsock.socket);
	unlink(path);
	free(much);
}

/* The holder of a lease is notified and lets the lease time out. Waiting for it would exceed meson's time limit. */
static void test_lease(void **state)
{
	struct firecracker_vsock vsock;
	char path[sizeof(FILE_NAME)];
	int fd;

	signal(SIGIO, SIG_IGN);
	write_file(path, files[0].text, strlen(files[0].text));
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (!fcntl(fd, F_SETLEASE, F_WRLCK))
		assert_int_equal(firecracker_config_read(&vsock, path), -EAGAIN);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_files),
		cmocka_unit_test(test_lease),
	};

	return cmocka_run_group_tests_name("firecracker_config", tests, NULL, NULL);
}
