/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What the files of the instance tsc_offset have to say for its history to be right. The clock is
 * not among them: it cannot be changed without losing the events.
 */
#ifndef TSC_OFFSET_INSTANCE_SETTINGS_H
#define TSC_OFFSET_INSTANCE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct tracefs_instance;

/* The first is the event itself; the others are its companions, which only some kernels have */
extern const char *const instance_events[];
extern const size_t nr_instance_events;

/**
 * struct instance_setting - one of them that is not as it has to be
 * @file: its path in the instance
 * @is: what it says; NULL if it is not there
 * @wanted: what it should say
 * @to_write: what has to be written for that
 * @gap: changes of offsets have not been recorded while it was as it is
 */
struct instance_setting {
	const char	*file;
	const char	*is;
	const char	*wanted;
	const char	*to_write;
	bool		gap;
};

/**
 * typedef instance_setting_func - takes up one setting that is wrong
 * @instance: the instance
 * @setting: valid until it returns
 * @context: the caller's
 *
 * Returns: 0 to go on, anything else to stop with it.
 */
typedef int (*instance_setting_func)(struct tracefs_instance *instance,
				     const struct instance_setting *setting, void *context);

int instance_settings_check(struct tracefs_instance *instance, instance_setting_func wrong,
			    void *context);
int instance_setting_set(struct tracefs_instance *instance, const struct instance_setting *setting);
int instance_event_enabled(struct tracefs_instance *instance, const char *event);

#endif /* TSC_OFFSET_INSTANCE_SETTINGS_H */
