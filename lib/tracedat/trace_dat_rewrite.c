// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "atomic_file.h"
#include "cleanup.h"
#include "cpu_data_writer.h"
#include "file_copy.h"
#include "order.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"
#include "trace_dat_rewrite.h"

/* Version 7: place of the size in a section's header, and its flags */
#define SECTION_SIZE_AT	8
/* trace-cmd writes two sections of options, and each edit adds one */
#define MAX_SECTIONS	(1U << 16)
/* A CPU in the option BUFFER of version 7: u32 number, u64 offset, u64 size */
#define CPU_SIZE_7	20
/* Version 6: size of the tag at the begin of a block, and the two blocks after it */
#define TAG_SIZE	10
#define OPTIONS_TAG	"options  "
#define BUFFER_TAG	"flyrecord"
/* Version 6: offset and size of a CPU's data */
#define CPU_SIZE_6	16
/* Version 6: the text of the file trace_clock */
#define MAX_CLOCK	4096

/* A section of options, version 7 */
struct option_section {
	uint64_t	from;	/* its place in the file */
	uint64_t	to;	/* its place in the copy, 0 if not written yet */
	uint64_t	next;	/* the section that it links to, in the file; 0 for the last */
	uint64_t	link;	/* place of its link in the copy */
	size_t		first;	/* index of its first option */
	size_t		nr;
};

/* An option with the place of a section */
struct reference {
	uint64_t	from;
	uint64_t	to;
	size_t		option;
};

/**
 * struct rewrite - a copy being written
 * @dat: the file
 * @edit: the changes of its options
 * @time: returns the time of each event
 * @context: for @time
 * @fd: the copy
 * @at: place of the next bytes
 * @placed: place of each option's payload in the copy, 0 if it is not there; owned
 * @cpus: places of the data of each buffer's CPUs in the copy; owned
 * @sections: version 7: sections of options, by their offsets; owned
 * @nr_sections: number of @sections
 * @section_capacity: number of sections that fit without growing
 * @references: version 7: by the offsets of the sections; owned
 * @nr_references: number of @references
 */
struct rewrite {
	struct trace_dat		*dat;
	const struct trace_dat_edit	*edit;
	rewrite_time			time;
	void				*context;
	int				fd;
	uint64_t			at;
	uint64_t			*placed;
	struct trace_dat_cpu		**cpus;
	struct option_section		*sections;
	size_t				nr_sections;
	size_t				section_capacity;
	struct reference		*references;
	size_t				nr_references;
};

static int append(struct rewrite *now, const void *data, size_t size)
{
	int ret = file_write(now->fd, data, size, now->at);

	now->at += size;
	return ret;
}

static int append_copy(struct rewrite *now, uint64_t from, uint64_t size)
{
	int ret = file_copy(now->dat, from, size, now->fd, now->at);

	now->at += size;
	return ret;
}

static bool is_retired(const struct trace_dat_edit *edit, uint64_t offset)
{
	for (size_t i = 0; i < edit->nr_retired; i++) {
		if (edit->retired[i] == offset)
			return true;
	}
	return false;
}

/* The options of the file that are kept */
static int append_options(struct rewrite *now, size_t first, size_t nr)
{
	int ret = 0;

	for (size_t i = first; i < first + nr && !ret; i++) {
		const struct trace_dat_option *option = &now->dat->options[i];

		if (is_retired(now->edit, option->offset))
			continue;
		ret = append(now, &option->id, sizeof(option->id));
		if (!ret)
			ret = append(now, &option->size, sizeof(option->size));
		now->placed[i] = now->at;
		if (!ret)
			ret = append(now, option->data, option->size);
	}
	return ret;
}

/* The data of a buffer's CPUs; their places are recorded */
static int append_buffer(struct rewrite *now, size_t number)
{
	const struct trace_dat_buffer *buffer = &now->dat->buffers[number];
	_cleanup_(cpu_data_writer_close) struct cpu_data_writer out = { .fd = -1 };
	int ret = 0;

	now->cpus[number] = calloc(buffer->nr_cpus + 1, sizeof(*now->cpus[number]));
	if (!now->cpus[number])
		return -ENOMEM;
	/* A buffer without CPUs may have no page size */
	if (buffer->nr_cpus)
		ret = cpu_data_writer_open(&out, now->fd, buffer->page_size,
					   buffer->compressed ? now->dat->compression : COMPRESSION_NONE);
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		cpu_data_writer_begin(&out, now->at);
		ret = cpu_rewrite(now->dat, number, i, &out, now->time, now->context);
		if (!ret)
			ret = cpu_data_writer_end(&out);
		now->cpus[number][i] = (struct trace_dat_cpu) {
			.cpu = buffer->cpus[i].cpu, .offset = out.start, .size = out.at - out.start,
		};
		now->at = out.at;
	}
	return ret;
}

static ORDER_BY(compare_sections, struct option_section, from)
static ORDER_BY(compare_references, struct reference, from)

static struct option_section *find_section(const struct rewrite *now, uint64_t from)
{
	size_t first = first_where(i, now->nr_sections, now->sections[i].from >= from);

	return first < now->nr_sections && now->sections[first].from == from ? &now->sections[first] : NULL;
}

/* One section of options: its options, and its link */
static int read_option_section(struct rewrite *now, uint64_t from, size_t *option)
{
	struct trace_dat *dat = now->dat;
	uint64_t at = from + TRACE_DAT_SECTION_HEADER;
	struct option_section section = { .from = from, .first = *option };
	uint8_t head[TRACE_DAT_OPTION_HEADER];
	uint16_t id = TRACE_DAT_DONE;
	int ret = 0;

	for (; !ret; section.nr++) {
		ret = trace_dat_read(dat, at, head, sizeof(head));
		memcpy(&id, head, sizeof(id));
		at += sizeof(head);
		if (ret || id == TRACE_DAT_DONE)
			break;
		if (*option == dat->nr_options || dat->options[*option].offset != at)
			return trace_dat_fail(dat, -EBADMSG, at, "the file changed while it was read");
		at += dat->options[(*option)++].size;
	}
	if (!ret)
		ret = trace_dat_read(dat, at, &section.next, sizeof(section.next));
	if (!ret && now->nr_sections == MAX_SECTIONS)
		ret = trace_dat_fail(dat, -ENOTSUP, from, "more than %u sections of options", MAX_SECTIONS);
	if (!ret)
		ret = array_reserve(now->sections, now->nr_sections, now->section_capacity);
	if (!ret)
		now->sections[now->nr_sections++] = section;
	return ret;
}

static int read_option_sections(struct rewrite *now)
{
	size_t option = 0;
	uint64_t from;
	int ret = trace_dat_read(now->dat, now->dat->head_size, &from, sizeof(from));

	while (!ret && from) {
		ret = read_option_section(now, from, &option);
		if (!ret)
			from = now->sections[now->nr_sections - 1].next;
	}
	if (!ret && !now->nr_sections)
		ret = trace_dat_refuse(now->dat, -ENOTSUP, "it has no options");
	if (!ret)
		array_sort(now->sections, now->nr_sections, compare_sections);
	return ret;
}

/*
 * Options of future versions may also refer to a section, if they have the size of an offset. They do if there is a
 * section at that offset.
 */
static bool may_refer(const struct trace_dat_option *option)
{
	return option->size >= sizeof(uint64_t) &&
	       (option->id == TRACE_DAT_BUFFER || option->id == TRACE_DAT_BUFFER_TEXT ||
		(option->id >= TRACE_DAT_HEADER_INFO && option->size == sizeof(uint64_t)));
}

static int read_references(struct rewrite *now)
{
	const struct trace_dat *dat = now->dat;

	now->references = calloc(dat->nr_options + 1, sizeof(*now->references));
	if (!now->references)
		return -ENOMEM;
	for (size_t i = 0; i < dat->nr_options; i++) {
		struct reference *reference = &now->references[now->nr_references];

		if (!may_refer(&dat->options[i]) || is_retired(now->edit, dat->options[i].offset))
			continue;
		memcpy(&reference->from, dat->options[i].data, sizeof(reference->from));
		reference->option = i;
		now->nr_references++;
	}
	array_sort(now->references, now->nr_references, compare_references);
	return 0;
}

/* Returns: index of the buffer that an option describes, or the number of buffers */
static size_t buffer_of_option(const struct trace_dat *dat, size_t option)
{
	size_t number = 0;

	while (number < dat->nr_buffers && dat->buffers[number].option != option)
		number++;
	return number;
}

static int append_option_section(struct rewrite *now, struct option_section *section, uint8_t *header)
{
	const struct {
		uint16_t id;
		uint32_t size;
		uint64_t link;
	} __attribute__((packed)) done = { .id = TRACE_DAT_DONE, .size = sizeof(done.link) };
	uint64_t content;
	int ret;

	section->to = now->at;
	now->at += TRACE_DAT_SECTION_HEADER;
	ret = append_options(now, section->first, section->nr);
	/* No section is added: a text to the end of the file may follow this one */
	if (!ret && !section->next)
		ret = append(now, now->edit->options, now->edit->size);
	section->link = now->at + TRACE_DAT_OPTION_HEADER;
	if (!ret)
		ret = append(now, &done, sizeof(done));
	content = now->at - section->to - TRACE_DAT_SECTION_HEADER;
	memcpy(header + SECTION_SIZE_AT, &content, sizeof(content));
	return ret ? ret : file_write(now->fd, header, TRACE_DAT_SECTION_HEADER, section->to);
}

static int append_buffer_section(struct rewrite *now, struct reference *reference, uint8_t *header)
{
	size_t number = buffer_of_option(now->dat, reference->option);
	uint64_t content;
	int ret;

	if (number == now->dat->nr_buffers)
		return trace_dat_fail(now->dat, -ENOTSUP, reference->from,
				      "cannot rewrite a file with more than one top buffer");
	reference->to = now->at;
	now->at += TRACE_DAT_SECTION_HEADER;
	ret = append_buffer(now, number);
	content = now->at - reference->to - TRACE_DAT_SECTION_HEADER;
	memcpy(header + SECTION_SIZE_AT, &content, sizeof(content));
	return ret ? ret : file_write(now->fd, header, TRACE_DAT_SECTION_HEADER, reference->to);
}

/*
 * Copy the section at an offset. Unreferenced sections of options and of data are skipped: readers do not see them.
 * They come from an interrupted edit, or fill space.
 */
static int append_section(struct rewrite *now, uint64_t from, uint8_t *header, uint64_t size, size_t *reference)
{
	struct option_section *section = find_section(now, from);
	uint64_t to = now->at;
	bool found = false;
	uint16_t id;
	int ret = 0;

	memcpy(&id, header, sizeof(id));
	if (id == TRACE_DAT_DONE)
		return section ? append_option_section(now, section, header) : 0;
	while (*reference < now->nr_references && now->references[*reference].from < from)
		(*reference)++;
	for (; *reference < now->nr_references && now->references[*reference].from == from; (*reference)++) {
		struct reference *here = &now->references[*reference];

		if (now->dat->options[here->option].id != id)
			continue;
		if (id == TRACE_DAT_BUFFER && found)
			return trace_dat_fail(now->dat, -ENOTSUP, from, "two buffers have the same data");
		if (id == TRACE_DAT_BUFFER)
			ret = append_buffer_section(now, here, header);
		here->to = to;
		found = true;
		if (ret)
			return ret;
	}
	return id == TRACE_DAT_BUFFER ? 0 : append_copy(now, from, TRACE_DAT_SECTION_HEADER + size);
}

/* Readers search section after section; this does the same, and finds all */
static int append_sections(struct rewrite *now)
{
	uint64_t from = now->dat->head_size + sizeof(uint64_t), size;
	uint8_t header[TRACE_DAT_SECTION_HEADER];
	size_t reference = 0;
	uint16_t id;
	int ret = 0;

	while (!ret && now->dat->size - from >= sizeof(header)) {
		ret = trace_dat_read(now->dat, from, header, sizeof(header));
		if (ret)
			break;
		memcpy(&id, header, sizeof(id));
		memcpy(&size, header + SECTION_SIZE_AT, sizeof(size));
		/* Bytes after the last section: from an interrupted edit, or a hole of up to terabytes */
		if (size > now->dat->size - from - sizeof(header) || (id == TRACE_DAT_DONE && !size))
			break;
		ret = append_section(now, from, header, size, &reference);
		from += sizeof(header) + size;
	}
	return ret;
}

/* The CPUs in an option BUFFER: they follow offset, name, clock, page size and the number of CPUs */
static int patch_cpus(const struct rewrite *now, size_t number)
{
	const struct trace_dat_buffer *buffer = &now->dat->buffers[number];
	size_t size = buffer->nr_cpus * CPU_SIZE_7;
	_cleanup_(freep) uint8_t *bytes = malloc(size + 1);
	uint8_t *to = bytes;

	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < buffer->nr_cpus; i++, to += CPU_SIZE_7) {
		const struct trace_dat_cpu *cpu = &now->cpus[number][i];

		memcpy(to, &cpu->cpu, sizeof(cpu->cpu));
		memcpy(to + sizeof(cpu->cpu), &cpu->offset, sizeof(cpu->offset));
		memcpy(to + sizeof(cpu->cpu) + sizeof(cpu->offset), &cpu->size, sizeof(cpu->size));
	}
	return file_write(now->fd, bytes, size,
			  now->placed[buffer->option] + sizeof(uint64_t) + strlen(buffer->name) + 1 +
			  strlen(buffer->clock) + 1 + 2 * sizeof(uint32_t));
}

/*
 * There is no section at an option's offset: do readers need it? Otherwise they do not follow it, or it is not an
 * offset.
 */
static bool is_needed(const struct rewrite *now, const struct reference *reference)
{
	const struct trace_dat_option *option = &now->dat->options[reference->option];
	size_t buffer;

	if (option->id == TRACE_DAT_BUFFER) {
		buffer = buffer_of_option(now->dat, reference->option);
		return buffer == now->dat->nr_buffers || now->dat->buffers[buffer].nr_cpus;
	}
	return option->id <= TRACE_DAT_BTF || option->id == TRACE_DAT_MODULES;
}

static int patch_references(const struct rewrite *now)
{
	int ret = 0;

	for (size_t i = 0; i < now->nr_references && !ret; i++) {
		const struct reference *reference = &now->references[i];
		size_t buffer = buffer_of_option(now->dat, reference->option);

		if (!reference->to && is_needed(now, reference))
			return trace_dat_fail(now->dat, -ENOTSUP, reference->from,
					      "section %u is not at a section boundary",
					      now->dat->options[reference->option].id);
		if (reference->to)
			ret = file_write(now->fd, &reference->to, sizeof(reference->to),
					 now->placed[reference->option]);
		if (!ret && reference->to && buffer < now->dat->nr_buffers)
			ret = patch_cpus(now, buffer);
	}
	return ret;
}

static int patch_link(const struct rewrite *now, uint64_t at, uint64_t from)
{
	const struct option_section *section = find_section(now, from);

	if (!section->to)
		return trace_dat_fail(now->dat, -ENOTSUP, from, "a section of options is not at a section boundary");
	return file_write(now->fd, &section->to, sizeof(section->to), at);
}

static int patch_links(const struct rewrite *now)
{
	uint64_t first;
	int ret = trace_dat_read(now->dat, now->dat->head_size, &first, sizeof(first));

	if (!ret && !find_section(now, first))
		ret = trace_dat_fail(now->dat, -EBADMSG, now->dat->head_size, "the file changed while it was read");
	if (!ret)
		ret = patch_link(now, now->dat->head_size, first);
	for (size_t i = 0; i < now->nr_sections && !ret; i++) {
		if (now->sections[i].next)
			ret = patch_link(now, now->sections[i].link, now->sections[i].next);
	}
	return ret;
}

static int rewrite_7(struct rewrite *now)
{
	int ret;

	ret = read_option_sections(now);
	if (!ret)
		ret = read_references(now);
	if (!ret)
		ret = append_copy(now, 0, now->dat->head_size + sizeof(uint64_t));
	if (!ret)
		ret = append_sections(now);
	if (!ret)
		ret = patch_links(now);
	return ret ? ret : patch_references(now);
}

/*
 * The text of the file trace_clock follows the CPUs, with its size: from some versions of trace-cmd, or with an option
 */
static int append_clock_6(struct rewrite *now, uint64_t from)
{
	bool needed = trace_dat_option(now->dat, TRACE_DAT_TRACECLOCK);
	uint64_t size;
	int ret;

	if (!needed && now->dat->size - from < sizeof(size))
		return 0;
	ret = trace_dat_read(now->dat, from, &size, sizeof(size));
	if (!ret && (size > MAX_CLOCK || size > now->dat->size - from - sizeof(size)))
		return needed ? trace_dat_fail(now->dat, -EBADMSG, from, "invalid size of the clock's text: %llu bytes",
					       (unsigned long long)size) : 0;
	return ret ? ret : append_copy(now, from, sizeof(size) + size);
}

/* A buffer whose tag is at @from. If @number is the number of buffers, it has no data. */
static int append_buffer_6(struct rewrite *now, size_t number, uint64_t from)
{
	size_t size = now->dat->nr_cpus * (size_t)CPU_SIZE_6;
	_cleanup_(freep) uint8_t *table = calloc(1, size);
	uint64_t at = now->at + TAG_SIZE;
	int ret;

	if (!table)
		return -ENOMEM;
	ret = append(now, BUFFER_TAG, TAG_SIZE);
	if (!ret)
		ret = append(now, table, size);
	if (!ret)
		ret = append_clock_6(now, from + TAG_SIZE + size);
	if (ret || number == now->dat->nr_buffers)
		return ret;
	ret = append_buffer(now, number);
	for (size_t i = 0; i < now->dat->nr_cpus && !ret; i++) {
		const struct trace_dat_cpu *cpu = &now->cpus[number][i];

		memcpy(table + i * CPU_SIZE_6, &cpu->offset, sizeof(cpu->offset));
		memcpy(table + i * CPU_SIZE_6 + sizeof(cpu->offset), &cpu->size, sizeof(cpu->size));
	}
	return ret ? ret : file_write(now->fd, table, size, at);
}

static uint64_t option_offset_6(const struct trace_dat_option *option)
{
	uint64_t offset;

	memcpy(&offset, option->data, sizeof(offset));
	return offset;
}

/* Options BUFFER refer to the buffers. Some versions of trace-cmd also write one for the top buffer. */
static int append_instances_6(struct rewrite *now, uint64_t top_from, uint64_t top_to)
{
	struct trace_dat *dat = now->dat;
	int ret = 0;

	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		const struct trace_dat_option *option = &dat->options[i];
		size_t number = buffer_of_option(dat, i);
		uint64_t from, to = top_to;

		if (option->id != TRACE_DAT_BUFFER || !now->placed[i])
			continue;
		from = option_offset_6(option);
		if (from != top_from) {
			to = now->at;
			if (number == dat->nr_buffers || !*dat->buffers[number].name)
				return trace_dat_fail(dat, -ENOTSUP, option->offset,
						      "cannot rewrite a buffer of text or a second top buffer");
			ret = append_buffer_6(now, number, from);
		}
		if (!ret)
			ret = file_write(now->fd, &to, sizeof(to), now->placed[i]);
	}
	return ret;
}

/* The top buffer, with or without an option that describes it */
static size_t top_buffer_6(const struct trace_dat *dat, uint64_t from)
{
	size_t number = 0;

	for (; number < dat->nr_buffers; number++) {
		size_t option = dat->buffers[number].option;

		if (option == dat->nr_options || option_offset_6(&dat->options[option]) == from)
			break;
	}
	return number;
}

/* Text, up to the end of the file */
static int append_text_6(struct rewrite *now, uint64_t from)
{
	if (trace_dat_option(now->dat, TRACE_DAT_BUFFER))
		return trace_dat_fail(now->dat, -ENOTSUP, from, "cannot rewrite text with instances");
	return append_copy(now, from, now->dat->size - from);
}

static int rewrite_6(struct rewrite *now)
{
	struct trace_dat *dat = now->dat;
	const uint16_t done = TRACE_DAT_DONE;
	uint64_t from = dat->head_size, top;
	char tag[TAG_SIZE];
	int ret;

	ret = append_copy(now, 0, from);
	if (!ret)
		ret = trace_dat_read(dat, from, tag, sizeof(tag));
	if (!ret && !strncmp(tag, "options", strlen("options"))) {
		from += sizeof(tag);
		for (size_t i = 0; i < dat->nr_options; i++)
			from += TRACE_DAT_OPTION_HEADER + dat->options[i].size;
		from += sizeof(done);
	}
	if (!ret)
		ret = append(now, OPTIONS_TAG, TAG_SIZE);
	if (!ret)
		ret = append_options(now, 0, dat->nr_options);
	if (!ret)
		ret = append(now, now->edit->options, now->edit->size);
	if (!ret)
		ret = append(now, &done, sizeof(done));
	if (!ret)
		ret = trace_dat_read(dat, from, tag, sizeof(tag));
	if (ret)
		return ret;
	if (memcmp(tag, BUFFER_TAG, sizeof(tag)))
		return append_text_6(now, from);
	top = now->at;
	ret = append_buffer_6(now, top_buffer_6(dat, from), from);
	return ret ? ret : append_instances_6(now, from, top);
}

static void release(struct rewrite *now)
{
	for (size_t i = 0; now->cpus && i < now->dat->nr_buffers; i++)
		free(now->cpus[i]);
	free(now->cpus);
	free(now->placed);
	free(now->sections);
	free(now->references);
}

static int write_copy(struct rewrite *now)
{
	const struct trace_dat *dat = now->dat;
	int ret;

	now->placed = calloc(dat->nr_options + 1, sizeof(*now->placed));
	now->cpus = calloc(dat->nr_buffers + 1, sizeof(*now->cpus));
	if (!now->placed || !now->cpus)
		return -ENOMEM;
	ret = dat->version == 7 ? rewrite_7(now) : rewrite_6(now);
	/* The last bytes may be a hole */
	if (!ret && ftruncate(now->fd, (off_t)now->at))
		ret = -errno;
	return ret;
}

static int rewrite(struct rewrite *now, const char *path, int *unsynced)
{
	_cleanup_(atomic_file_close) struct atomic_file copy = { .fd = -1 };
	struct stat stat;
	int ret;

	ret = atomic_file_open(&copy, path);
	now->fd = copy.fd;
	if (!ret)
		ret = write_copy(now);
	if (!ret && fstat(now->dat->fd, &stat))
		ret = -errno;
	if (!ret)
		ret = atomic_file_rename(&copy, stat.st_mode & 07777);
	if (!ret)
		*unsynced = -atomic_file_sync_directory(&copy);
	return ret;
}

/**
 * trace_dat_rewrite - write a copy of a file with another time for each event
 * @dat: the open file, version 6 or 7
 * @edit: the options to add and retire; no BUFFER, and in version 6 no TRACECLOCK
 * @time: called once for each event; see rewrite_time. Times may go back.
 * @context: for @time
 * @path: path of the copy; an existing file is replaced atomically
 * @unsynced: result: 0, or an errno if syncing the directory of the copy failed; the copy may be lost in a crash then
 *
 * Everything else is kept: version, compression, sections, options, buffers, page sizes and losses. Events that the
 * kernel discarded, pages without events, and bytes that no reader uses are left out. Memory does not depend on the
 * size of the buffers.
 *
 * Returns: 0 or a negative errno with the reason in @dat->error, which may concern the copy; -ENOTSUP if the file has
 * parts that cannot be moved.
 */
int trace_dat_rewrite(struct trace_dat *dat, const struct trace_dat_edit *edit, rewrite_time time, void *context,
		      const char *path, int *unsynced)
{
	struct rewrite now = { .dat = dat, .edit = edit, .time = time, .context = context };
	int ret;

	*dat->error = (struct error) { 0 };
	*unsynced = 0;
	ret = rewrite(&now, path, unsynced);
	release(&now);
	if (ret && !dat->error->code)
		error_set(dat->error, ret, path, "cannot be written: %s", strerror(-ret));
	return ret;
}
