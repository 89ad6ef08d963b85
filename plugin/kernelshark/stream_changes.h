/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The jumps of vCPUs' TSCs in one stream of KernelShark, which is a file or one of its buffers: their rows, their
 * vCPUs, and their distances. Drawing is elsewhere.
 */
#ifndef TSC_OFFSET_STREAM_CHANGES_H
#define TSC_OFFSET_STREAM_CHANGES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kshark_data_stream;
struct kshark_entry;
struct stream_changes;

/**
 * struct stream_change - a jump
 * @row: index of its row in all loaded rows
 * @position: place of its record in the file
 * @thread: the host thread that runs the vCPU
 * @vcpu_id: KVM's vcpu_id
 * @jump: its distance in guest cycles, less than 0 if backward; never 0
 * @khz: frequency of the guest's TSC, 0 if the file does not have it
 */
struct stream_change {
	size_t		row;
	int64_t		position;
	int		thread;
	uint32_t	vcpu_id;
	int64_t		jump;
	uint32_t	khz;
};

/* struct stream_change_text - room for the longest text that stream_change_text() makes */
struct stream_change_text {
	char	text[160];
};

int stream_changes_init(struct stream_changes **changes, struct kshark_data_stream *stream);
void stream_changes_free(struct stream_changes *changes);
size_t stream_changes_find(struct stream_changes *changes, struct kshark_entry **rows, size_t nr_rows,
			   const struct stream_change **first);
const char *stream_change_text(const struct stream_change *change, int64_t time,
			       struct stream_change_text *text);

#ifdef __cplusplus
}
#endif

#endif /* TSC_OFFSET_STREAM_CHANGES_H */
