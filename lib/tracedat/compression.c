// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "compression.h"

/* Much faster than trace-cmd's levels, for a few percent more bytes */
#define LEVEL	1

/**
 * compression_by_name - find a compression by its name in a file's header
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
 * decompress - decompress one block
 * @compression: its compression
 * @zstd: libzstd's context, which is large and is kept from block to block; NULL at first, released with
 *	decompress_release()
 * @in: the block
 * @in_size: its size in bytes
 * @out: result
 * @out_size: the size of the result by the file; other sizes are errors
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
 * decompress_release - free the context of decompress()
 * @zstd: as for decompress()
 */
void decompress_release(ZSTD_DCtx **zstd)
{
	ZSTD_freeDCtx(*zstd);
	*zstd = NULL;
}

/**
 * compress_bound - get the largest size of a compressed block
 * @compression: its compression
 * @size: size of the block in bytes
 *
 * Returns: bytes; 0 for no compression.
 */
size_t compress_bound(enum compression compression, size_t size)
{
	switch (compression) {
	case COMPRESSION_ZLIB:
		return compressBound(size);
	case COMPRESSION_ZSTD:
		return ZSTD_compressBound(size);
	case COMPRESSION_NONE:
		break;
	}
	return 0;
}

static int compress_zstd(ZSTD_CCtx **zstd, const void *in, size_t in_size, void *out, size_t *out_size)
{
	size_t size;

	if (!*zstd)
		*zstd = ZSTD_createCCtx();
	if (!*zstd)
		return -ENOMEM;
	size = ZSTD_compressCCtx(*zstd, out, *out_size, in, in_size, LEVEL);
	if (ZSTD_isError(size))
		return ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation ? -ENOMEM : -EINVAL;
	*out_size = size;
	return 0;
}

/**
 * compress_block - compress one block
 * @compression: its compression
 * @zstd: libzstd's context, which is large and is kept from block to block; NULL at first, released with
 *	compress_release()
 * @in: the block
 * @in_size: its size in bytes
 * @out: result
 * @out_size: size of @out, at least compress_bound() of @in_size; result: size of the compressed block
 *
 * Returns: 0, -ENOMEM, or -EINVAL for no compression or if @out is too small.
 */
int compress_block(enum compression compression, ZSTD_CCtx **zstd, const void *in, size_t in_size, void *out,
		   size_t *out_size)
{
	uLongf size = *out_size;
	int ret;

	switch (compression) {
	case COMPRESSION_ZLIB:
		ret = compress2(out, &size, in, in_size, LEVEL);
		*out_size = size;
		return ret == Z_MEM_ERROR ? -ENOMEM : ret == Z_OK ? 0 : -EINVAL;
	case COMPRESSION_ZSTD:
		return compress_zstd(zstd, in, in_size, out, out_size);
	case COMPRESSION_NONE:
		break;
	}
	return -EINVAL;
}

/**
 * compress_release - free the context of compress_block()
 * @zstd: as for compress_block()
 */
void compress_release(ZSTD_CCtx **zstd)
{
	ZSTD_freeCCtx(*zstd);
	*zstd = NULL;
}
