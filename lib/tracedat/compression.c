// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "compression.h"

/**
 * compression_by_name - what a file's header means
 * @name: as trace-cmd writes it
 *
 * Returns: an enum compression, or -ENOTSUP.
 */
int compression_by_name(const char *name)
{
	static const char *const names[] = {
		[COMPRESSION_NONE] = "none", [COMPRESSION_ZLIB] = "zlib", [COMPRESSION_ZSTD] = "zstd",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(name, names[i]))
			return i;
	}
	return -ENOTSUP;
}

static int decompress_zstd(ZSTD_DCtx **zstd, const void *in, size_t in_size, void *out, size_t out_size)
{
	if (!*zstd)
		*zstd = ZSTD_createDCtx();
	if (!*zstd)
		return -ENOMEM;
	return ZSTD_decompressDCtx(*zstd, out, out_size, in, in_size) != out_size ? -EBADMSG : 0;
}

/**
 * decompress - restore one block
 * @compression: how it is compressed
 * @zstd: what libzstd works with, kept from block to block as it is large; NULL at first, to be released
 *	with decompress_release()
 * @in: the block
 * @in_size: its size in bytes
 * @out: result
 * @out_size: what the file says about the size of the result; it must be so
 *
 * Returns: 0 or a negative errno, -EBADMSG if the block is damaged.
 */
int decompress(enum compression compression, ZSTD_DCtx **zstd, const void *in, size_t in_size, void *out,
	       size_t out_size)
{
	uLongf size = out_size;

	switch (compression) {
	case COMPRESSION_ZLIB:
		return uncompress(out, &size, in, in_size) != Z_OK || size != out_size ?
			-EBADMSG : 0;
	case COMPRESSION_ZSTD:
		return decompress_zstd(zstd, in, in_size, out, out_size);
	case COMPRESSION_NONE:
		break;
	}
	return -EBADMSG;
}

/**
 * decompress_release - free what decompress() keeps
 * @zstd: as for decompress()
 */
void decompress_release(ZSTD_DCtx **zstd)
{
	ZSTD_freeDCtx(*zstd);
	*zstd = NULL;
}
