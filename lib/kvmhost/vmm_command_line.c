// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "vmm_command_line.h"

/* The rest of a longer command line is ignored */
#define MAX_SIZE	(1UL << 20)

/* CIDs of guests; lower ones are reserved */
#define MIN_CID		3
#define MAX_CID		(UINT32_MAX - 1)

enum fact { NAME, CID, SOCKET, API_SOCKET, CONFIG_FILE };

/**
 * struct vmm_option - an option with information
 * @option: its name without dashes
 * @key: the part of "key=value,key=value" with the information; NULL for the whole value
 * @implied: the first part may be the value without the key
 * @driver: only for devices whose driver begins with this; NULL for all
 * @fact: the information
 */
struct vmm_option {
	const char	*option;
	const char	*key;
	bool		implied;
	const char	*driver;
	enum fact	fact;
};

/**
 * struct vmm - a VMM
 * @name: its name
 * @programs: patterns for fnmatch(3) of the file name of its program
 * @hybrid: its vsock is a UNIX socket on the host
 * @names_socket: its VMs have no names, but the file of its API socket usually has one
 * @api_socket: default path of its API socket
 * @options: options with information
 */
struct vmm {
	const char		*name;
	const char		*programs[4];
	bool			hybrid;
	bool			names_socket;
	const char		*api_socket;
	struct vmm_option	options[6];
};

static const struct vmm vmms[] = {
	{
		.name = "QEMU", .programs = { "qemu-system-*", "qemu-kvm*", "kvm" },
		.options = {
			{ "name", "guest", .implied = true, .fact = NAME },
			{ "device", "guest-cid", .driver = "vhost-vsock-", .fact = CID },
		},
	}, {
		.name = "Firecracker", .programs = { "firecracker*" }, .hybrid = true,
		.api_socket = "/run/firecracker.socket",
		.options = {
			{ "id", .fact = NAME },
			{ "api-sock", .fact = API_SOCKET },
			{ "config-file", .fact = CONFIG_FILE },
		},
	}, {
		.name = "Cloud Hypervisor", .programs = { "cloud-hypervisor*" }, .hybrid = true, .names_socket = true,
		.options = {
			{ "platform", "serial_number", .fact = NAME },
			{ "vsock", "cid", .fact = CID },
			{ "vsock", "socket", .fact = SOCKET },
			{ "api-socket", "path", .implied = true, .fact = API_SOCKET },
		},
	}, {
		.name = "crosvm", .programs = { "crosvm*" },
		.options = {
			{ "name", .fact = NAME },
			{ "cid", .fact = CID },
			{ "vsock", "cid", .implied = true, .fact = CID },
		},
	}, {
		.name = "kvmtool", .programs = { "lkvm*", "kvmtool" },
		.options = {
			{ "name", .fact = NAME },
			{ "n", .fact = NAME },
			{ "vsock", .fact = CID },
		},
	},
};

#define NR_VMMS		(sizeof(vmms) / sizeof(vmms[0]))

static const struct vmm *find_vmm(const char *program)
{
	for (size_t i = 0; i < NR_VMMS; i++) {
		for (const char *const *pattern = vmms[i].programs; *pattern; pattern++) {
			if (!fnmatch(*pattern, program, 0))
				return &vmms[i];
		}
	}
	return NULL;
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Returns: the closing quotation mark, or the end of the text */
static const char *string_end(const char *text)
{
	while (*text && *text != '"')
		text += *text == '\\' && text[1] ? 2 : 1;
	return text;
}

#define BLANKS	" \t\r\n"

/*
 * Finds a member of an object of numbers and strings, as libvirt describes devices. Escapes are not decoded, because
 * drivers and numbers have none.
 */
static char *json_member(const char *text, const char *key)
{
	while ((text = strchr(text, '"'))) {
		const char *name = text + 1, *name_end = string_end(name), *value, *end;

		if (!*name_end)
			return NULL;
		text = name_end + 1;
		text += strspn(text, BLANKS);
		if (*text != ':')
			continue;
		value = text + 1;
		value += strspn(value, BLANKS);
		if (*value == '"') {
			end = string_end(++value);
			if (!*end)
				return NULL;
			text = end + 1;
		} else {
			text = end = value + strcspn(value, BLANKS ",}");
		}
		if ((size_t)(name_end - name) == strlen(key) && !strncmp(name, key, strlen(key)))
			return strndup(value, (size_t)(end - value));
	}
	return NULL;
}

/* Takes the next part up to a comma. A doubled comma is a comma of the value, as in QEMU */
static char *take_part(const char **text)
{
	const char *end = *text;
	char *part, *to;

	while (*end && (*end != ',' || *++end == ','))
		end++;
	/* Not the size of the rest: a value of 1 MiB may have any number of parts */
	part = malloc((size_t)(end - *text) + 1);
	if (!part)
		return NULL;
	for (to = part; *text < end; ++*text) {
		if (**text == ',' && *++*text != ',')
			break;
		*to++ = **text;
	}
	*to = '\0';
	return part;
}

/* Returns: the information in a value, to be freed; NULL without, or without memory */
static char *take_value(const struct vmm_option *option, const char *value)
{
	size_t length = option->key ? strlen(option->key) : 0;
	bool first = true;

	if (!option->key)
		return strdup(value);
	while (*value) {
		char *part = take_part(&value);

		if (!part)
			return NULL;
		if (!strncmp(part, option->key, length) && part[length] == '=') {
			memmove(part, part + length + 1, strlen(part + length));
			return part;
		}
		if (first && option->implied && !strchr(part, '='))
			return part;
		free(part);
		first = false;
	}
	return NULL;
}

/* The information of a device, in either form */
static char *take_device(const struct vmm_option *option, const char *value)
{
	const struct vmm_option driver = { .key = "driver", .implied = true };
	bool is_json = value[strspn(value, BLANKS)] == '{';
	_cleanup_(freep) char *name = is_json ? json_member(value, "driver") : take_value(&driver, value);

	if (!name || strncmp(name, option->driver, strlen(option->driver)))
		return NULL;
	return is_json ? json_member(value, option->key) : take_value(option, value);
}

/* Takes ownership of @text */
static void take_text(char **member, char *text)
{
	free(*member);
	*member = *text ? text : NULL;
	if (!*text)
		free(text);
}

static void take_cid(struct vmm_command_line *line, const char *text)
{
	char *end;
	unsigned long long cid = strtoull(text, &end, 0);

	if (end == text || *end || cid < MIN_CID || cid > MAX_CID)
		return;
	line->has_cid = true;
	line->cid = (uint32_t)cid;
}

static void take_option(struct vmm_command_line *line, const struct vmm_option *option, const char *value)
{
	char *text = option->driver ? take_device(option, value) : take_value(option, value);

	if (!text)
		return;
	switch (option->fact) {
	case NAME:
		return take_text(&line->name, text);
	case SOCKET:
		return take_text(&line->socket, text);
	case API_SOCKET:
		return take_text(&line->api_socket, text);
	case CONFIG_FILE:
		return take_text(&line->config_file, text);
	case CID:
		take_cid(line, text);
		free(text);
	}
}

/* Returns: the word's value, if it is this option with a value; @next: the word after it, NULL without */
static const char *value_of(const struct vmm_option *option, const char *word, const char *next)
{
	size_t length = strlen(option->option);

	if (*word++ != '-')
		return NULL;
	word += *word == '-';
	if (strncmp(word, option->option, length))
		return NULL;
	return word[length] == '=' ? word + length + 1 : word[length] ? NULL : next;
}

/* In any VMM's option, QEMU's property of the device is recognised */
static void search_cid(struct vmm_command_line *line, const char *word)
{
	static const char property[] = "guest-cid";
	const char *found = strstr(word, property);
	_cleanup_(freep) char *number = NULL;

	if (!found || line->has_cid)
		return;
	found += strlen(property);
	found += strspn(found, "\"=: ");
	number = strndup(found, strspn(found, "0123456789abcdefABCDEFxX"));
	if (number)
		take_cid(line, number);
}

static void take_word(struct vmm_command_line *line, const struct vmm *vmm, const char *word, const char *next)
{
	if (!vmm)
		return search_cid(line, word);
	for (const struct vmm_option *option = vmm->options; option->option; option++) {
		const char *value = value_of(option, word, next);

		if (value)
			take_option(line, option, value);
	}
}

/* "/run/web1.sock" gives web1 */
static char *name_of_socket(const char *path)
{
	static const char *const endings[] = { ".sock", ".socket", "-socket" };
	const char *name = file_name(path);
	size_t length = strlen(name);

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t ending = strlen(endings[i]);

		if (length > ending && !strcmp(name + length - ending, endings[i])) {
			length -= ending;
			break;
		}
	}
	return length ? strndup(name, length) : NULL;
}

static int take_defaults(struct vmm_command_line *line, const struct vmm *vmm)
{
	if (!line->name && line->api_socket && vmm->names_socket)
		line->name = name_of_socket(line->api_socket);
	if (!line->api_socket && vmm->api_socket) {
		line->api_socket = strdup(vmm->api_socket);
		if (!line->api_socket)
			return -ENOMEM;
	}
	line->vmm = vmm->name;
	line->hybrid = vmm->hybrid;
	return 0;
}

/**
 * vmm_command_line_parse - parse a command line
 * @line: result; must be released in any case
 * @text: the words, each NUL-terminated, except possibly the last
 * @size: length in bytes
 *
 * The first word identifies the VMM, which defines the options. For unknown VMMs, all words are searched for QEMU's
 * property guest-cid only. If an option is given several times, the last one is used.
 *
 * Returns: 0 or -ENOMEM.
 */
int vmm_command_line_parse(struct vmm_command_line *line, const char *text, size_t size)
{
	_cleanup_(freep) char *copy = calloc(size + 1, 1);
	const struct vmm *vmm;

	*line = (struct vmm_command_line) { 0 };
	if (!copy)
		return -ENOMEM;
	if (!size)
		return 0;
	memcpy(copy, text, size);
	line->program = strdup(file_name(copy));
	if (!line->program)
		return -ENOMEM;
	vmm = find_vmm(line->program);
	for (const char *word = copy + strlen(copy) + 1, *next; word < copy + size; word = next) {
		next = word + strlen(word) + 1;
		take_word(line, vmm, word, next < copy + size ? next : NULL);
	}
	return vmm ? take_defaults(line, vmm) : 0;
}

/* Returns: 0 or a negative errno */
static int read_bounded(int fd, char *text, size_t *size)
{
	*size = 0;
	while (*size < MAX_SIZE) {
		ssize_t got = read(fd, text + *size, MAX_SIZE - *size);

		if (got < 0)
			return -errno;
		if (!got)
			break;
		*size += (size_t)got;
	}
	return 0;
}

/**
 * vmm_command_line_read - read the command line of a process
 * @line: result; must be released in any case
 * @pid: the process
 *
 * Returns: 0, -ENOENT if the process has ended, or another negative errno.
 */
int vmm_command_line_read(struct vmm_command_line *line, pid_t pid)
{
	_cleanup_(freep) char *text = malloc(MAX_SIZE);
	_cleanup_(closep) int fd = -1;
	char path[64];
	size_t size;
	int ret;

	*line = (struct vmm_command_line) { 0 };
	if (!text)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = read_bounded(fd, text, &size);
	return ret ? ret : vmm_command_line_parse(line, text, size);
}

/**
 * vmm_command_line_release - free a command line
 * @line: a command line, also after a failed read
 */
void vmm_command_line_release(struct vmm_command_line *line)
{
	free(line->program);
	free(line->name);
	free(line->socket);
	free(line->api_socket);
	free(line->config_file);
	*line = (struct vmm_command_line) { 0 };
}
