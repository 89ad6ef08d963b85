/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The functions of libtracefs and libtraceevent that the hook uses, as weak references: see weak_tep.h. trace-cmd, the
 * only program in which the hook is active, has all of them, unless its libraries are older than ours.
 */
#ifndef TSC_OFFSET_WEAK_TRACEFS_H
#define TSC_OFFSET_WEAK_TRACEFS_H

/* clang wants a declaration before the pragma */
#include <event-parse.h>
#include <kbuffer.h>
#include <tracefs.h>

/* Each of them is tested before the hook takes over */
#define TSC_OFFSET_TRACEFS_SYMBOLS(symbol)	\
	symbol(kbuffer_alloc)			\
	symbol(kbuffer_event_size)		\
	symbol(kbuffer_free)			\
	symbol(kbuffer_load_subbuffer)		\
	symbol(kbuffer_missed_events)		\
	symbol(kbuffer_next_event)		\
	symbol(kbuffer_read_event)		\
	symbol(tep_alloc)			\
	symbol(tep_data_type)			\
	symbol(tep_find_event_by_name)		\
	symbol(tep_free)			\
	symbol(tep_get_sub_buffer_size)		\
	symbol(tep_parse_event)			\
	symbol(tep_parse_header_page)		\
	symbol(tep_set_long_size)		\
	symbol(tep_set_page_size)		\
	symbol(tracefs_debug_dir)		\
	symbol(tracefs_event_enable)		\
	symbol(tracefs_event_file_read)		\
	symbol(tracefs_get_clock)		\
	symbol(tracefs_get_tracing_file)	\
	symbol(tracefs_instance_alloc)		\
	symbol(tracefs_instance_create)		\
	symbol(tracefs_instance_file_read)	\
	symbol(tracefs_instance_file_write)	\
	symbol(tracefs_instance_free)		\
	symbol(tracefs_instance_get_dir)	\
	symbol(tracefs_instance_get_file)	\
	symbol(tracefs_instance_is_new)		\
	symbol(tracefs_instance_set_buffer_size)	\
	symbol(tracefs_instances_walk)		\
	symbol(tracefs_put_tracing_file)	\
	symbol(tracefs_trace_off)		\
	symbol(tracefs_trace_on)		\
	symbol(tracefs_tracing_dir)

TSC_OFFSET_TRACEFS_SYMBOLS(TSC_OFFSET_WEAK)

#endif /* TSC_OFFSET_WEAK_TRACEFS_H */
