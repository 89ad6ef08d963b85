/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The container trace.dat, versions 6 and 7: where a file has options, buffers and event formats. See
 * trace-cmd.dat.v6(5) and trace-cmd.dat.v7(5). Only two kinds of options are interpreted here: those with places in the
 * file, and TRACEID, which identifies the file.
 *
 * Files are not trusted: every length is checked before it is used, and a wrong one is an error with its place.
 */
#ifndef TSC_OFFSET_TRACE_DAT_H
#define TSC_OFFSET_TRACE_DAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compression.h"
#include "error.h"

/* Size of a section header of version 7: u16 id, u16 flags, u32 description, u64 size */
#define TRACE_DAT_SECTION_HEADER 16
/* Size of an option header: u16 id, u32 size */
#define TRACE_DAT_OPTION_HEADER	 6

/* Options that this project reads or writes, with the names of the man pages */
enum trace_dat_option_id {
	TRACE_DAT_DONE		= 0,
	TRACE_DAT_DATE		= 1,
	TRACE_DAT_CPUSTAT	= 2,
	TRACE_DAT_BUFFER	= 3,
	TRACE_DAT_TRACECLOCK	= 4,
	TRACE_DAT_UNAME		= 5,
	TRACE_DAT_OFFSET	= 7,
	TRACE_DAT_CPUCOUNT	= 8,
	TRACE_DAT_VERSION	= 9,
	TRACE_DAT_TRACEID	= 11,
	TRACE_DAT_TIME_SHIFT	= 12,
	TRACE_DAT_GUEST		= 13,
	TRACE_DAT_TSC2NSEC	= 14,
	TRACE_DAT_HEADER_INFO	= 16,
	TRACE_DAT_FTRACE_FORMATS = 17,
	TRACE_DAT_EVENT_FORMATS	= 18,
	TRACE_DAT_KALLSYMS	= 19,
	TRACE_DAT_PRINTK	= 20,
	TRACE_DAT_CMDLINES	= 21,
	TRACE_DAT_BUFFER_TEXT	= 22,
	TRACE_DAT_BTF		= 23,
	TRACE_DAT_MODULES	= 25,
};

/*
 * Parts that have the same form in both versions: version 7 names them by options from FTRACE_FORMATS on, version 6 has
 * them in a row
 */
#define TRACE_DAT_NR_PARTS	(TRACE_DAT_CMDLINES - TRACE_DAT_FTRACE_FORMATS + 1)

/**
 * struct trace_dat_part - place of a part in the file
 * @offset: version 6: place of the part, version 7: of its section; 0 if absent
 * @size: version 6: size in bytes
 * @counted: its unpacked size is known
 */
struct trace_dat_part {
	uint64_t	offset;
	uint64_t	size;
	bool		counted;
};

/**
 * struct trace_dat_option - an option
 * @id: its number
 * @size: size of its payload in bytes
 * @data: the payload; owned
 * @offset: place of the payload in the file
 */
struct trace_dat_option {
	uint16_t	id;
	uint32_t	size;
	uint8_t		*data;
	uint64_t	offset;
};

/**
 * struct trace_dat_cpu - the data of one CPU in one buffer
 * @cpu: number of the CPU
 * @offset: place of its data in the file
 * @size: size of its data in bytes
 * @packed: with compression: how far any caller has read it
 */
struct trace_dat_cpu {
	uint32_t	cpu;
	uint64_t	offset;
	uint64_t	size;
	uint64_t	packed;
};

/**
 * struct trace_dat_buffer - the top buffer, or that of an instance
 * @name: name of the instance, "" for the top buffer; owned
 * @clock: its trace clock as the file names it, "" without; owned
 * @option: index of the option that describes it, or the number of options without one
 * @page_size: page size of its ring buffer, in bytes
 * @compressed: its data is in chunks
 * @cpus: its CPUs, with or without data; owned
 * @nr_cpus: number of @cpus
 */
struct trace_dat_buffer {
	char			*name;
	char			*clock;
	size_t			option;
	uint32_t		page_size;
	bool			compressed;
	struct trace_dat_cpu	*cpus;
	size_t			nr_cpus;
};

/**
 * struct trace_dat - an open file
 * @path: as given; not owned
 * @fd: open for reading
 * @size: size of the file in bytes
 * @version: 6 or 7
 * @long_size: size of a long in the kernel that wrote the buffers
 * @page_size: page size of the recorded machine
 * @nr_cpus: number of CPUs of the machine as the file has it, 0 if it does not
 * @compression: compression of sections and buffers
 * @zstd: contexts of decompress(); owned
 * @head_size: version 7: bytes before the link to the first section of options; version 6: bytes before the options
 * @options: options in the order of the file, without DONE; owned
 * @nr_options: number of @options
 * @option_capacity: number of options that fit without growing
 * @option_bytes: total size of their payloads
 * @last_link: version 7: place of the link that ends the list of sections of options, 8 bytes of 0
 * @buffers: the buffers; owned
 * @nr_buffers: number of @buffers
 * @parts: the parts FTRACE_FORMATS to CMDLINES
 * @stream_bytes: memory that the streams of its CPUs use
 * @packed: compressed bytes that were read, each counted once
 * @unpacked: their unpacked size
 * @error: filled by functions that fail to read the file; not owned
 */
struct trace_dat {
	const char		*path;
	int			fd;
	uint64_t		size;
	int			version;
	size_t			long_size;
	uint32_t		page_size;
	uint32_t		nr_cpus;
	enum compression	compression;
	struct ZSTD_DCtx_s	*zstd;
	uint64_t		head_size;
	struct trace_dat_option	*options;
	size_t			nr_options;
	size_t			option_capacity;
	size_t			option_bytes;
	uint64_t		last_link;
	struct trace_dat_buffer	*buffers;
	size_t			nr_buffers;
	struct trace_dat_part	parts[TRACE_DAT_NR_PARTS];
	uint64_t		stream_bytes;
	uint64_t		packed;
	uint64_t		unpacked;
	struct error		*error;
};

int trace_dat_open(struct trace_dat *dat, const char *path, struct error *error);
void trace_dat_close(struct trace_dat *dat);
const struct trace_dat_option *trace_dat_option(const struct trace_dat *dat, int id);
uint64_t trace_dat_trace_id(const struct trace_dat *dat);
const struct trace_dat_buffer *trace_dat_buffer_by_name(const struct trace_dat *dat,
							const char *name);
bool trace_dat_buffer_has_data(const struct trace_dat_buffer *buffer);
int trace_dat_part(struct trace_dat *dat, enum trace_dat_option_id id, uint8_t **bytes, size_t *size);
uint64_t trace_dat_part_offset(const struct trace_dat *dat, enum trace_dat_option_id id);
int trace_dat_event_format(struct trace_dat *dat, const char *system, const char *event,
			   char **text, size_t *size);
int trace_dat_read(struct trace_dat *dat, uint64_t offset, void *data, size_t size);
int trace_dat_count(struct trace_dat *dat, uint64_t offset, uint64_t packed, uint64_t unpacked);
int trace_dat_fail(struct trace_dat *dat, int error, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int trace_dat_refuse(struct trace_dat *dat, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* TSC_OFFSET_TRACE_DAT_H */
