// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Where the shared object with the hook lies, and whether this machine can load it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "plugin_file.h"

#define PLUGIN_NAME	"plugin_kvm_tsc_offset.so"

/* The caller's from now on, not the scope's */
static char *steal(char **text)
{
	char *taken = *text;

	*text = NULL;
	return taken;
}

/* The absolute path of a regular file, or NULL. The dynamic linker would search for a bare name. */
static char *regular_file(const char *path)
{
	_cleanup_(freep) char *absolute = realpath(path, NULL);
	struct stat st;

	if (!absolute || stat(absolute, &st) || !S_ISREG(st.st_mode))
		return NULL;
	return steal(&absolute);
}

/*
 * Of the build tree that this program was made in, and only if it is run from there: the directories beside an
 * installed program may not belong to the installation.
 */
static char *built_plugin(void)
{
	char exe[sizeof(BUILD_DIR "/tool/tsc-offset")];
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe));

	if (length != sizeof(exe) - 1 || memcmp(exe, BUILD_DIR "/tool/tsc-offset", length))
		return NULL;
	return regular_file(BUILD_DIR "/plugin/" PLUGIN_NAME);
}

static char *find(const char **why)
{
	const char *wanted = getenv("TSC_OFFSET_PLUGIN");
	char *path;

	/* Who names one wants no other */
	if (wanted && *wanted) {
		path = regular_file(wanted);
		*why = "TSC_OFFSET_PLUGIN does not name a file";
		return path;
	}

	path = built_plugin();
	if (!path)
		path = regular_file(INSTALLED_PLUGIN_DIR "/" PLUGIN_NAME);
	*why = PLUGIN_NAME " is not in " INSTALLED_PLUGIN_DIR;
	return path;
}

/**
 * plugin_file_find - find the plugin in a form that LD_PRELOAD takes
 * @why: set to the reason where there is none; valid until the next dlopen()
 *
 * In this order: the environment's TSC_OFFSET_PLUGIN, the build tree if this program is run from the one that it
 * was made in, the directory that it was configured for.
 *
 * Returns: the absolute path, to be freed; NULL if there is none, or none that can be loaded.
 */
char *plugin_file_find(const char **why)
{
	_cleanup_(freep) char *path = find(why);
	void *object;

	if (!path)
		return NULL;

	/* The dynamic linker splits LD_PRELOAD at these and knows no way to quote them */
	if (strpbrk(path, " :")) {
		*why = "its path has a space or a colon";
		return NULL;
	}

	/* Else only the dynamic linker would complain, and the recording would go on unhooked */
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!object) {
		*why = dlerror();
		return NULL;
	}
	dlclose(object);
	*why = NULL;
	return steal(&path);
}
