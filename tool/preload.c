// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * What LD_PRELOAD can do to a program, told from the program's file.
 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"
#include "preload.h"

/*
 * Does the kernel start it with AT_SECURE, in which the dynamic linker ignores paths in LD_PRELOAD?
 * A set bit that changes nothing does not count, and root gains nothing by file capabilities.
 */
static bool runs_secure(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	if (st.st_mode & S_ISUID && st.st_uid != getuid())
		return true;
	/* Without the right of execution for the group, the bit means something else */
	if (st.st_mode & S_ISGID && st.st_mode & S_IXGRP && st.st_gid != getgid())
		return true;
	return getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static void elf_endp(Elf **elf)
{
	elf_end(*elf);
}

static bool has_interpreter(Elf *elf)
{
	size_t nr_headers, i;
	GElf_Phdr header;

	if (elf_getphdrnum(elf, &nr_headers))
		return false;
	for (i = 0; i < nr_headers; i++) {
		if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/*
 * Is @symbol in reach of a preloaded object? Also true if the program takes symbols with @prefix
 * from a library, because then that library may have it.
 */
static bool may_export(Elf *elf, const char *symbol, const char *prefix)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section))) {
		Elf_Data *data;
		GElf_Sym entry;
		int i;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNSYM)
			continue;
		data = elf_getdata(section, NULL);
		for (i = 0; data && gelf_getsym(data, i, &entry); i++) {
			const char *name = elf_strptr(elf, header.sh_link, entry.st_name);

			if (!name)
				continue;
			if (entry.st_shndx == SHN_UNDEF ? !strncmp(name, prefix, strlen(prefix)) :
							  !strcmp(name, symbol))
				return true;
		}
	}
	return false;
}

/**
 * preload_obstacle - why would an object in LD_PRELOAD have no effect on a program?
 * @program: path of its file
 * @symbol: what the object needs of it
 * @prefix: how names of the library begin that may have @symbol instead
 *
 * Returns: the reason, or NULL if none is known; a script, for one, cannot be judged.
 */
const char *preload_obstacle(const char *program, const char *symbol, const char *prefix)
{
	_cleanup_(closep) int fd = open(program, O_RDONLY | O_CLOEXEC);
	_cleanup_(elf_endp) Elf *elf = NULL;

	if (fd < 0)
		return NULL;
	if (runs_secure(fd))
		return "it is set-id or has file capabilities, so LD_PRELOAD is ignored";

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF)
		return NULL;
	if (!has_interpreter(elf))
		return "it is linked statically";
	if (!may_export(elf, symbol, prefix))
		return "it does not export its time synchronisation (Meson builds do not)";
	return NULL;
}

/**
 * preload_add - put an object in front of the environment's LD_PRELOAD
 * @object: absolute path
 *
 * Returns: 0, or a negative errno.
 */
int preload_add(const char *object)
{
	_cleanup_(freep) char *list = NULL;
	const char *present = getenv("LD_PRELOAD");

	if (!present || !*present)
		return setenv("LD_PRELOAD", object, 1) ? -errno : 0;

	if (asprintf(&list, "%s:%s", object, present) < 0) {
		list = NULL;
		return -ENOMEM;
	}
	return setenv("LD_PRELOAD", list, 1) ? -errno : 0;
}
