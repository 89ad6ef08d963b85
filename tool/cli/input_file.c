// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "input_file.h"
#include "message.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "tsc_clock.h"

/**
 * input_file_fail - print the reason of a failure
 * @error: an error that is set
 *
 * Returns: its code
 */
int input_file_fail(const struct error *error)
{
	char line[2 * ERROR_TEXT_SIZE];

	message("%s", error_line(error, line, sizeof(line)));
	return error->code;
}

/**
 * input_file_is_recording - does a file begin like a trace.dat?
 * @path: path of the file
 *
 * Returns: true if so; false also if it cannot be read.
 */
bool input_file_is_recording(const char *path)
{
	static const char begin[] = { 0x17, 0x08, 0x44, 't', 'r', 'a', 'c', 'i', 'n', 'g' };
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char found[sizeof(begin)];

	return fd >= 0 && read(fd, found, sizeof(found)) == sizeof(found) && !memcmp(found, begin, sizeof(begin));
}

/**
 * input_file_same - do two paths name the same file?
 * @a: a path
 * @b: another path
 *
 * Returns: true if so; false also if one does not exist.
 */
bool input_file_same(const char *a, const char *b)
{
	struct stat a_stat, b_stat;

	return !stat(a, &a_stat) && !stat(b, &b_stat) && a_stat.st_dev == b_stat.st_dev &&
	       a_stat.st_ino == b_stat.st_ino;
}

/**
 * input_file_check_other - check that a guest's file is not its host's
 * @host: path of the host's file
 * @guest: path of the guest's file
 * @error: result after an error
 *
 * Returns: 0 or -EINVAL.
 */
int input_file_check_other(const char *host, const char *guest, struct error *error)
{
	if (!input_file_same(host, guest))
		return 0;
	return error_set(error, -EINVAL, NULL, "%s and %s are the same file; HOST.dat and GUEST.dat have to differ",
			 host, guest);
}

/**
 * input_file_check_guests - make sure that the files of a host and of its guests are different ones
 * @host: name of the host's file
 * @guests: names of the guests'
 * @nr: how many
 * @error: result after an error
 *
 * Returns: 0 or -EINVAL.
 */
int input_file_check_guests(const char *host, char *const *guests, size_t nr, struct error *error)
{
	int ret = 0;

	for (size_t i = 0; i < nr && !ret; i++) {
		ret = input_file_check_other(host, guests[i], error);
		for (size_t j = 0; j < i && !ret; j++) {
			if (input_file_same(guests[j], guests[i]))
				ret = error_set(error, -EINVAL, NULL, "%s and %s are the same file; give each GUEST.dat once",
						guests[j], guests[i]);
		}
	}
	return ret;
}

/**
 * input_file_check_clock - make sure that a buffer's times are TSC values
 * @dat: open
 * @buffer: one of it
 *
 * Returns: 0, or -EINVAL with the reason in @dat->error.
 */
int input_file_check_clock(struct trace_dat *dat, const struct trace_dat_buffer *buffer)
{
	char clock[64];

	if (trace_clock_is_tsc(dat, buffer, clock, sizeof(clock)))
		return 0;
	return trace_dat_refuse(dat, -EINVAL, "its clock is \"%s\", not " TSC_CLOCK ": record with -C " TSC_CLOCK,
				clock);
}
