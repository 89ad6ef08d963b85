/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The functions of libtraceevent that the shared object uses, as weak references.
 *
 * The object is loaded into programs that have no libtraceevent (LD_PRELOAD), or that have their own copy and export a
 * part of it: perf exports what libtraceevent's own plugins need. With a strong reference, such a program would not
 * start or not load the object. Every source of the shared object is compiled with this header (-include), because a
 * single strong reference makes the symbol strong.
 *
 * The object must not be linked with libtraceevent either, because handles belong to the program's copy.
 */
#ifndef TSC_OFFSET_WEAK_TEP_H
#define TSC_OFFSET_WEAK_TEP_H

/* clang wants a declaration before the pragma */
#include <event-parse.h>

#define TSC_OFFSET_PRAGMA(text)	_Pragma(#text)
#define TSC_OFFSET_WEAK(symbol)	TSC_OFFSET_PRAGMA(weak symbol)

/* Each of them is tested before the formatter is registered; keep the list short */
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
