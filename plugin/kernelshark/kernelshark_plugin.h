/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The interfaces between the parts of the plugin: a stream's changes, the drawing, the window. */
#ifndef TSC_OFFSET_KERNELSHARK_PLUGIN_H
#define TSC_OFFSET_KERNELSHARK_PLUGIN_H

#ifdef __cplusplus
extern "C" {
#endif

struct kshark_cpp_argv;
struct kshark_host_guest_map;
struct kshark_trace_histo;
struct stream_changes;

void plugin_join_streams(const struct kshark_trace_histo *histo);
struct stream_changes *plugin_stream_changes(int sd);
int plugin_guests(const struct kshark_host_guest_map **guests);

void draw_changes(struct kshark_cpp_argv *argv, int sd, int value, int action);
void draw_in_window(void *window);
void draw_nothing_selected(void);

#ifdef __cplusplus
}
#endif

#endif /* TSC_OFFSET_KERNELSHARK_PLUGIN_H */
