/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The values that files of the instance tsc_offset must have for a correct history. The clock is not checked, because
 * changing it loses the events.
 */
#ifndef TSC_OFFSET_INSTANCE_SETTINGS_H
#define TSC_OFFSET_INSTANCE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct tracefs_instance;

/* The first is the event itself; the others exist only in some kernels */
extern const char *const instance_events[];
extern const size_t nr_instance_events;

/**
 * struct instance_setting - a setting with a wrong value
 * @file: its path in the instance
 * @is: its value; NULL if the file does not exist
 * @wanted: the correct value
 * @to_write: what to write to get it
 * @gap: changes of offsets were not recorded meanwhile
 */
struct instance_setting {
	const char	*file;
	const char	*is;
	const char	*wanted;
	const char	*to_write;
	bool		gap;
};

/**
 * typedef instance_setting_func - handles a wrong setting
 * @instance: the instance
 * @setting: valid until the function returns
 * @context: the caller's
 *
 * Returns: 0 to continue; any other value stops and is returned.
 */
typedef int (*instance_setting_func)(struct tracefs_instance *instance,
				     const struct instance_setting *setting, void *context);

int instance_settings_check(struct tracefs_instance *instance, instance_setting_func wrong,
			    void *context);
int instance_setting_set(struct tracefs_instance *instance, const struct instance_setting *setting);
int instance_event_enabled(struct tracefs_instance *instance, const char *event);

#endif /* TSC_OFFSET_INSTANCE_SETTINGS_H */
