// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "compression.h"

/* Far less time than with the levels that trace-cmd has, for a few percent more bytes */
#define LEVEL	1

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

/**
 * compress_bound - how much room a block needs at most when it is compressed
 * @compression: how
 * @size: of the block in bytes
 *
 * Returns: bytes; 0 if @compression is none.
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
 * @compression: how
 * @zstd: what libzstd works with, kept from block to block as it is large; NULL at first, to be released
 *	with compress_release()
 * @in: the block
 * @in_size: its size in bytes
 * @out: result
 * @out_size: room at @out, at least compress_bound() of @in_size; then the size of the result
 *
 * Returns: 0, -ENOMEM, or -EINVAL if @compression is none or there is too little room.
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
 * compress_release - free what compress_block() keeps
 * @zstd: as for compress_block()
 */
void compress_release(ZSTD_CCtx **zstd)
{
	ZSTD_freeCCtx(*zstd);
	*zstd = NULL;
}
