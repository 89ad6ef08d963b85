// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "any.h"
#include "cleanup.h"
#include "default_files.h"
#include "error.h"
#include "guest_option.h"
#include "input_file.h"
#include "message.h"
#include "trace_dat.h"

#define SYNCED		SYNCED_INFIX ".dat"

/**
 * struct names - names of files that belong together
 * @host: the host's file
 * @guests: those of its guests, for glob()
 * @guests_text: those of its guests, for messages
 */
struct names {
	const char	*host;
	const char	*guests;
	const char	*guests_text;
};

/* The first whose host's file exists is used */
static const struct names names[] = {
	{ "trace.dat", "trace-*.dat", "trace-*.dat" },
	{ "host.dat", "guest{,-*," SYNCED_INFIX "}.dat", "guest.dat or guest-*.dat" },
};

/**
 * struct candidate - a file that has the name of a guest's
 * @path: its name
 * @readable: false: nothing else is known of it
 * @trace_id: its TRACEID; stamp's copies keep that of their original
 * @is_of_host: the host's file does not deny that it was recorded together with it
 */
struct candidate {
	char		*path;
	bool		readable;
	uint64_t	trace_id;
	bool		is_of_host;
};

static bool is_file(const char *path)
{
	struct stat stat_of;

	return !stat(path, &stat_of) && S_ISREG(stat_of.st_mode);
}

/* One that cannot be read stays: the verb says why, where to leave it out would hide that it is there */
static struct candidate look_at(char *path, const struct trace_dat *host)
{
	struct candidate candidate = { .path = path };
	struct error error = { 0 };
	struct trace_dat dat;

	candidate.readable = !trace_dat_open(&dat, path, &error);
	if (candidate.readable) {
		candidate.trace_id = trace_dat_trace_id(&dat);
		/* Without a TRACEID, a file has 0 */
		candidate.is_of_host = guest_option_knows(host, candidate.trace_id) &&
				       (!candidate.trace_id || candidate.trace_id != trace_dat_trace_id(host));
	}
	trace_dat_close(&dat);
	return candidate;
}

/* "x.dat" of "x.synced.dat" */
static bool is_copy_of(const struct candidate *copy, const struct candidate *original)
{
	size_t length = strlen(copy->path);

	if (length <= strlen(SYNCED) || strcmp(copy->path + length - strlen(SYNCED), SYNCED))
		return false;
	length -= strlen(SYNCED);
	return strlen(original->path) == length + strlen(".dat") && !strncmp(copy->path, original->path, length);
}

/* Of a recording and its synchronised copy, the copy has the right times */
static bool has_copy(const struct candidate *candidates, size_t nr, const struct candidate *original)
{
	return any_of(i, nr, candidates[i].readable && is_copy_of(&candidates[i], original) &&
			     candidates[i].trace_id == original->trace_id);
}

/* A copy that stayed when its original was recorded anew */
static bool is_old_copy(const struct candidate *candidates, size_t nr, const struct candidate *copy)
{
	return any_of(i, nr, candidates[i].readable && is_copy_of(copy, &candidates[i]) &&
			     candidates[i].trace_id != copy->trace_id);
}

static int add_path(struct default_files *files, const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	files->paths[files->nr++] = copy;
	return 0;
}

static void leave_out(FILE *left_out, const struct candidate *candidate, const char *reason, const char *of)
{
	fprintf(left_out, "%s%s (%s%s)", ftell(left_out) ? ", " : "", candidate->path, reason, of);
}

static int choose(struct default_files *files, const struct candidate *candidates, size_t nr)
{
	size_t size;
	FILE *left_out = open_memstream(&files->left_out, &size);
	int ret = left_out ? 0 : -ENOMEM;

	for (size_t i = 0; i < nr && !ret; i++) {
		const struct candidate *candidate = &candidates[i];

		if (candidate->readable && !candidate->is_of_host)
			leave_out(left_out, candidate, "not a guest of ", files->paths[0]);
		else if (candidate->readable && is_old_copy(candidates, nr, candidate))
			leave_out(left_out, candidate, "a copy of another recording", "");
		else if (!candidate->readable || !has_copy(candidates, nr, candidate))
			ret = add_path(files, candidate->path);
	}
	return left_out && fclose(left_out) ? -ENOMEM : ret;
}

/* What begins as a recording or cannot be read may be a guest's file */
static bool may_be_recording(const char *path)
{
	return is_file(path) && (input_file_is_recording(path) || eaccess(path, R_OK));
}

static int find_guests(struct default_files *files, const struct names *of, const struct trace_dat *host)
{
	_cleanup_(globfree) glob_t found = { 0 };
	_cleanup_(freep) struct candidate *candidates = NULL;
	int ret = glob(of->guests, GLOB_BRACE, NULL, &found);
	size_t nr = 0;

	if (ret && ret != GLOB_NOMATCH)
		return ret == GLOB_NOSPACE ? -ENOMEM : -EIO;
	candidates = calloc(found.gl_pathc + 1, sizeof(*candidates));
	files->paths = calloc(found.gl_pathc + 2, sizeof(*files->paths));
	if (!candidates || !files->paths)
		return -ENOMEM;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (may_be_recording(found.gl_pathv[i]))
			candidates[nr++] = look_at(found.gl_pathv[i], host);
	}
	ret = add_path(files, of->host);
	return ret ? ret : choose(files, candidates, nr);
}

static const struct names *find_host(void)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (is_file(names[i].host))
			return &names[i];
	}
	return NULL;
}

/**
 * default_files_host - find a recording of a host that may be meant
 *
 * Returns: its name, NULL without one.
 */
const char *default_files_host(void)
{
	const struct names *of = find_host();

	return of ? of->host : NULL;
}

/**
 * default_files_find - look for the files that are meant if none is named
 * @files: result; to be released in any case
 * @error: result after an error
 *
 * If the host's file names guests (option GUEST), the others are not its guests. Of a recording and its synchronised
 * copy, the copy is used. A file that cannot be read is used, so that the verb reports it.
 *
 * Returns: 0, also if there is none, or a negative errno with the reason in @error.
 */
int default_files_find(struct default_files *files, struct error *error)
{
	const struct names *of = find_host();
	struct trace_dat host;
	int ret;

	*files = (struct default_files) { 0 };
	if (!of)
		return 0;
	files->guests = of->guests_text;
	ret = trace_dat_open(&host, of->host, error);
	if (!ret) {
		ret = find_guests(files, of, &host);
		if (ret)
			error_set(error, ret, NULL, "cannot look for the files of guests: %s", strerror(-ret));
	}
	trace_dat_close(&host);
	return ret;
}

/**
 * default_files_print - print which files are used
 * @files: found, at least one
 */
void default_files_print(const struct default_files *files)
{
	_cleanup_(freep) char *list = NULL;
	size_t size;
	FILE *stream = open_memstream(&list, &size);

	for (size_t i = 0; stream && i < files->nr; i++)
		fprintf(stream, "%s%s", !i ? "" : i + 1 < files->nr ? ", " : " and ", files->paths[i]);
	if (!stream || fclose(stream))
		return;
	if (*files->left_out)
		message("using %s; left out: %s", list, files->left_out);
	else
		message("using %s", list);
}

/**
 * default_files_release - free what was found
 * @files: looked for, or all zeros
 */
void default_files_release(struct default_files *files)
{
	for (size_t i = 0; i < files->nr; i++)
		free(files->paths[i]);
	free(files->paths);
	free(files->left_out);
	*files = (struct default_files) { 0 };
}
