// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * KernelShark plugin: marks jumps of vCPUs' TSCs on the plots of the host's CPUs and of the vCPUs' threads, and, if the
 * guest's file is open as well, on those of the guest's CPUs.
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

/* A stream with the plugin; without changes it may be a guest's */
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

/* The state at the plugin's last look: what was loaded, and the guests of each host's stream */
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
 * KernelShark finds these by name in each plugin, with global symbols: here the names resolve to those of the plugin
 * that was loaded first. The first is called for each stream that gets the plugin, before its rows are loaded. The
 * second is called before the stream is closed, and once with a stream that has only the number KS_PLUGIN_CONTEXT_FREE.
 * Both return the number of handlers. The window, if there is one, calls the third, which returns a dialog; here none.
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

/* A stream that has the plugin is skipped, even if it is switched off there */
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
 * plugin_join_streams - give the plugin to all loaded streams
 * @histo: has the loaded rows
 *
 * KernelShark gives a user's plugin only to the first file, not to further ones. Streams without rows are skipped,
 * because another thread may be loading them.
 *
 * Costs nearly nothing if nothing was loaded since the last call.
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
 * plugin_guests - get the guests of each host's stream
 * @guests: result: an array
 *
 * Returns: its length, less than 0 if KernelShark failed.
 */
int plugin_guests(const struct kshark_host_guest_map **guests)
{
	*guests = session.guests;
	return session.nr_guests;
}

/**
 * plugin_stream_changes - get the changes of a stream
 * @sd: its number
 *
 * Returns: NULL if it does not have the plugin or cannot have changes.
 */
struct stream_changes *plugin_stream_changes(int sd)
{
	struct plugin_stream *stream = __get_context(sd);

	return stream ? stream->changes : NULL;
}
