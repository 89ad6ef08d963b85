/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What the shared object uses of libtraceevent, as weak references.
 *
 * The object is loaded into programs that have no libtraceevent at all (LD_PRELOAD), or that carry
 * a copy of their own and export a part of it: perf exports what libtraceevent's own plugins need.
 * With a strong reference such a program would not start, or not load the object. Every source of
 * the shared object is compiled with this header (-include), because a single strong reference
 * makes the symbol a strong one.
 *
 * The object must not be linked with libtraceevent either: handles belong to the copy that the
 * program has.
 */
#ifndef TSC_OFFSET_WEAK_TEP_H
#define TSC_OFFSET_WEAK_TEP_H

/* clang wants a declaration before the pragma */
#include <event-parse.h>

#define TSC_OFFSET_PRAGMA(text)	_Pragma(#text)
#define TSC_OFFSET_WEAK(symbol)	TSC_OFFSET_PRAGMA(weak symbol)

/* Each of them is asked for before the formatter is registered; keep the list as short as it is */
#define TSC_OFFSET_TEP_SYMBOLS(symbol)		\
	symbol(tep_find_any_field)		\
	symbol(tep_find_field)			\
	symbol(tep_plugin_add_options)		\
	symbol(tep_plugin_remove_options)	\
	symbol(tep_read_number_field)		\
	symbol(tep_register_event_handler)	\
	symbol(tep_unregister_event_handler)	\
	symbol(trace_seq_printf)

TSC_OFFSET_TEP_SYMBOLS(TSC_OFFSET_WEAK)

#endif /* TSC_OFFSET_WEAK_TEP_H */
