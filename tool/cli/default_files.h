/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The files that a verb uses if none is named: trace.dat of the current directory and the files of its guests there, as
 * trace-cmd record -A names them. Without trace.dat, these are host.dat, guest.dat and guest-*.dat, as the manuals name
 * files that were recorded separately.
 *
 * The names are those that the directory has, never those in a file: a recording cannot lead to another directory.
 */
#ifndef TSC_OFFSET_DEFAULT_FILES_H
#define TSC_OFFSET_DEFAULT_FILES_H

#include <stddef.h>

struct error;

/* In the name of a copy that stamp writes, before the last dot */
#define SYNCED_INFIX	".synced"
/* For messages if no host's file has one of the names */
#define DEFAULT_HOSTS	"trace.dat or host.dat"

/**
 * struct default_files - the files; all zeros before they are looked for
 * @guests: the names of guests' files, for messages
 * @paths: the host's, those of its guests, and a NULL; owned
 * @nr: how many, without the NULL; 0 if there is no file of a host
 * @left_out: files with the name of a guest's that are of other recordings, as a text; "" without; owned
 */
struct default_files {
	const char	*guests;
	char		**paths;
	size_t		nr;
	char		*left_out;
};

const char *default_files_host(void);
int default_files_find(struct default_files *files, struct error *error);
void default_files_print(const struct default_files *files);
void default_files_release(struct default_files *files);

#endif /* TSC_OFFSET_DEFAULT_FILES_H */
