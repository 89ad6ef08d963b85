/* SPDX-License-Identifier: GPL-2.0 */
/* How trace-cmd compresses parts of its files: each with zstd or zlib, as one block. */
#ifndef TSC_OFFSET_COMPRESSION_H
#define TSC_OFFSET_COMPRESSION_H

#include <stddef.h>

enum compression {
	COMPRESSION_NONE,
	COMPRESSION_ZLIB,
	COMPRESSION_ZSTD,
};

int compression_by_name(const char *name);
int decompress(enum compression compression, const void *in, size_t in_size, void *out,
	       size_t out_size);

#endif /* TSC_OFFSET_COMPRESSION_H */
