/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Compression as trace-cmd does it: each part of a file is one block of zstd or zlib. */
#ifndef TSC_OFFSET_COMPRESSION_H
#define TSC_OFFSET_COMPRESSION_H

#include <stddef.h>

enum compression {
	COMPRESSION_NONE,
	COMPRESSION_ZLIB,
	COMPRESSION_ZSTD,
};

/* libzstd's contexts */
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

int compression_by_name(const char *name);
int decompress(enum compression compression, struct ZSTD_DCtx_s **zstd, const void *in, size_t in_size,
	       void *out, size_t out_size);
void decompress_release(struct ZSTD_DCtx_s **zstd);
size_t compress_bound(enum compression compression, size_t size);
int compress_block(enum compression compression, struct ZSTD_CCtx_s **zstd, const void *in, size_t in_size,
		   void *out, size_t *out_size);
void compress_release(struct ZSTD_CCtx_s **zstd);

#endif /* TSC_OFFSET_COMPRESSION_H */
