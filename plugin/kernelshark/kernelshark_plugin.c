// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * KernelShark plugin: marks where a vCPU's TSC jumps, on the plots of the host's CPUs, on those of the vCPUs'
 * threads and, if the guest's file is open beside the host's, on those of the guest's CPUs.
 */
#include <stdlib.h>

#include <libkshark.h>
#include <libkshark-model.h>
#include <libkshark-plugin.h>
#include <libkshark-tepdata.h>

#include "cleanup.h"
#include "kernelshark_plugin.h"
#include "stream_changes.h"

#define EXPORT	__attribute__((visibility("default")))

/* A stream that has the plugin; one without changes is a guest's, perhaps */
struct plugin_stream {
	struct stream_changes	*changes;
};

KS_DECLARE_PLUGIN_CONTEXT_METHODS(struct plugin_stream)

static void release_stream(struct plugin_stream *stream)
{
	stream_changes_free(stream->changes);
	free(stream);
}

KS_DEFINE_PLUGIN_CONTEXT(struct plugin_stream, release_stream)

/* What was loaded when the plugin last looked, and which of the streams then were whose guest's */
static struct {
	struct kshark_entry		**rows;
	size_t				nr_rows;
	struct kshark_host_guest_map	*guests;
	int				nr_guests;
} session;

static void forget_session(void)
{
	if (session.nr_guests > 0)
		kshark_tracecmd_free_hostguest_map(session.guests, session.nr_guests);
	session.rows = NULL;
	session.nr_rows = 0;
	session.guests = NULL;
	session.nr_guests = 0;
}

static int init_stream(struct kshark_data_stream *stream)
{
	struct plugin_stream *ours;

	if (!kshark_is_tep(stream))
		return 0;
	ours = __init(stream->stream_id);
	if (!ours)
		return 0;
	if (stream_changes_init(&ours->changes, stream)) {
		__close(stream->stream_id);
		return 0;
	}
	kshark_register_draw_handler(stream, draw_changes);
	return 1;
}

static int close_stream(struct kshark_data_stream *stream)
{
	int handlers = 0;

	forget_session();
	draw_nothing_selected();
	if (__get_context(stream->stream_id)) {
		kshark_unregister_draw_handler(stream, draw_changes);
		handlers = 1;
	}
	__close(stream->stream_id);
	return handlers;
}

static void *menu_of_window(void *window)
{
	draw_in_window(window);
	return NULL;
}

/*
 * KernelShark finds these by name in each plugin, with all symbols global: to us the names mean those of the
 * plugin that was loaded first. The first is called for each stream that is to have the plugin, before its rows
 * are loaded; the second before the stream is closed, and once with a stream that has the number
 * KS_PLUGIN_CONTEXT_FREE and nothing else; both return how many handlers it has or had. The third is called by
 * the window, if there is one, and returns a dialog; we have none.
 */
EXPORT int KSHARK_PLOT_PLUGIN_INITIALIZER(struct kshark_data_stream *stream)
	__attribute__((alias("init_stream")));
EXPORT int KSHARK_PLOT_PLUGIN_DEINITIALIZER(struct kshark_data_stream *stream)
	__attribute__((alias("close_stream")));
EXPORT void *KSHARK_MENU_PLUGIN_INITIALIZER(void *window)
	__attribute__((alias("menu_of_window")));

static struct kshark_dpi *own_interface(const struct kshark_context *context)
{
	for (struct kshark_plugin_list *plugin = context->plugins; plugin; plugin = plugin->next) {
		if (plugin->process_interface && plugin->process_interface->init == init_stream)
			return plugin->process_interface;
	}
	return NULL;
}

/* One that has the plugin, though it may be switched off for it, is left alone */
static void join_stream(struct kshark_data_stream *stream, struct kshark_dpi *interface)
{
	struct kshark_dpi_list *plugin;

	for (plugin = stream->plugins; plugin; plugin = plugin->next) {
		if (plugin->interface == interface)
			return;
	}
	plugin = kshark_register_plugin_to_stream(stream, interface, true);
	if (plugin)
		kshark_handle_dpi(stream, plugin, KSHARK_PLUGIN_INIT);
}

/**
 * plugin_join_streams - see to it that all streams that are loaded have the plugin
 * @histo: with the rows that are loaded
 *
 * KernelShark gives a user's plugin to the first file only, not to those that are opened beside it. Streams of
 * which no row is here are being loaded, perhaps, by another thread: they are not looked at.
 *
 * As good as free if nothing was loaded since the last time.
 */
void plugin_join_streams(const struct kshark_trace_histo *histo)
{
	struct kshark_context *context = NULL;
	_cleanup_(freep) bool *loaded = NULL;
	struct kshark_dpi *interface;
	int last;

	if ((session.rows == histo->data && session.nr_rows == histo->data_size) || !kshark_instance(&context))
		return;
	interface = own_interface(context);
	last = context->stream_info.max_stream_id;
	loaded = calloc((size_t)last + 1, sizeof(*loaded));
	if (!loaded)
		return;
	for (size_t i = 0; i < histo->data_size; i++) {
		int sd = histo->data[i]->stream_id;

		if (sd >= 0 && sd <= last)
			loaded[sd] = true;
	}
	for (int sd = 0; sd <= last && interface; sd++) {
		struct kshark_data_stream *stream = loaded[sd] ? kshark_get_data_stream(context, sd) : NULL;

		if (stream && kshark_is_tep(stream))
			join_stream(stream, interface);
	}

	forget_session();
	session.nr_guests = kshark_tracecmd_get_hostguest_mapping(&session.guests);
	session.rows = histo->data;
	session.nr_rows = histo->data_size;
}

/**
 * plugin_guests - which streams are whose guest's
 * @guests: result: as many as returned
 *
 * Returns: how many, less than 0 if KernelShark could not say.
 */
int plugin_guests(const struct kshark_host_guest_map **guests)
{
	*guests = session.guests;
	return session.nr_guests;
}

/**
 * plugin_stream_changes - the changes of a stream
 * @sd: its number
 *
 * Returns: NULL if it does not have the plugin or cannot have changes.
 */
struct stream_changes *plugin_stream_changes(int sd)
{
	struct plugin_stream *stream = __get_context(sd);

	return stream ? stream->changes : NULL;
}
