// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tracefs.h>

#include "cleanup.h"
#include "event.h"
#include "instance_settings.h"

const char *const instance_events[] = {
	TSC_OFFSET_EVENT,
	/* Changes of the TSC's scaling ratio, in a kernel with our patches */
	TSC_MULTIPLIER_EVENT,
};

const size_t nr_instance_events = sizeof(instance_events) / sizeof(instance_events[0]);

/*
 * A new instance inherits the current options of the top instance. No kernel has all of these options.
 */
static const struct instance_setting options[] = {
	/* A full buffer must drop the oldest events, because the newest have the current values */
	{ "options/overwrite",		NULL, "1", "1", false },
	/* Reading the trace must not stop it */
	{ "options/pause-on-trace",	NULL, "0", "0", true },
	/* These fill the buffer */
	{ "options/stacktrace",		NULL, "0", "0", false },
	{ "options/userstacktrace",	NULL, "0", "0", false },
	/* The trace is read as text */
	{ "options/context-info",	NULL, "1", "1", false },
	{ "options/latency-format",	NULL, "0", "0", false },
	{ "options/fields",		NULL, "0", "0", false },
	{ "options/raw",		NULL, "0", "0", false },
	{ "options/hex",		NULL, "0", "0", false },
	{ "options/bin",		NULL, "0", "0", false },
};

/* Set after all others */
static const struct instance_setting tracing_on = { "tracing_on", NULL, "1", "1", true };

/* A kernel may print more than the word: "1*" for an event that also has a trigger */
static bool says(const char *text, const char *word)
{
	size_t length = strlen(word);

	return !strncmp(text, word, length) && !isalnum((unsigned char)text[length]);
}

static int check(struct tracefs_instance *instance, const struct instance_setting *setting,
		 bool required, instance_setting_func wrong, void *context)
{
	struct instance_setting found = *setting;
	_cleanup_(freep) char *text = NULL;

	if (!tracefs_file_exists(instance, setting->file))
		return required ? wrong(instance, &found, context) : 0;
	text = tracefs_instance_file_read(instance, setting->file, NULL);
	if (!text)
		return errno ? -errno : -EIO;
	text[strcspn(text, "\n")] = '\0';
	if (says(text, setting->wanted))
		return 0;
	found.is = text;
	return wrong(instance, &found, context);
}

static int check_event(struct tracefs_instance *instance, const char *event, bool required,
		       instance_setting_func wrong, void *context)
{
	_cleanup_(freep) char *enable = NULL, *filter = NULL;
	int ret;

	if (asprintf(&filter, "events/" TSC_OFFSET_SYSTEM "/%s/filter", event) < 0) {
		filter = NULL;
		return -ENOMEM;
	}
	if (asprintf(&enable, "events/" TSC_OFFSET_SYSTEM "/%s/enable", event) < 0) {
		enable = NULL;
		return -ENOMEM;
	}
	ret = check(instance, &(struct instance_setting) { filter, NULL, "none", "0", true }, false,
		    wrong, context);
	if (!ret)
		ret = check(instance, &(struct instance_setting) { enable, NULL, "1", "1", true },
			    required, wrong, context);
	return ret;
}

/**
 * instance_settings_check - find all wrong settings
 * @instance: the instance
 * @wrong: called for each, in an order in which they can be set
 * @context: for @wrong
 *
 * Returns: 0, what @wrong returned, or a negative errno.
 */
int instance_settings_check(struct tracefs_instance *instance, instance_setting_func wrong,
			    void *context)
{
	int ret = 0;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) && !ret; i++)
		ret = check(instance, &options[i], false, wrong, context);
	for (size_t i = 0; i < nr_instance_events && !ret; i++)
		ret = check_event(instance, instance_events[i], !i, wrong, context);
	return ret ? ret : check(instance, &tracing_on, true, wrong, context);
}

/**
 * instance_setting_set - correct a setting
 * @instance: the instance
 * @setting: a setting from instance_settings_check()
 *
 * Returns: 0 or a negative errno.
 */
int instance_setting_set(struct tracefs_instance *instance, const struct instance_setting *setting)
{
	errno = 0;
	if (tracefs_instance_file_write(instance, setting->file, setting->to_write) > 0)
		return 0;
	return errno ? -errno : -EIO;
}

/**
 * instance_event_enabled - does the instance record an event?
 * @instance: the instance
 * @event: one of instance_events
 *
 * Returns: 1 if so, 0 if not, or -ENOENT if the kernel does not have the event now.
 */
int instance_event_enabled(struct tracefs_instance *instance, const char *event)
{
	_cleanup_(freep) char *enable = NULL, *text = NULL;

	if (asprintf(&enable, "events/" TSC_OFFSET_SYSTEM "/%s/enable", event) < 0) {
		enable = NULL;
		return -ENOMEM;
	}
	if (!tracefs_file_exists(instance, enable))
		return -ENOENT;
	text = tracefs_instance_file_read(instance, enable, NULL);
	return text && says(text, "1");
}
