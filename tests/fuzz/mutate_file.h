/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Mutations of a trace.dat that know the places of events, times and options, because a page of random bytes is
 * invalid, and nothing after the first fault is read.
 */
#ifndef FUZZ_MUTATE_FILE_H
#define FUZZ_MUTATE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "prng.h"
#include "trace_dat.h"

#define PAGE_HEADER	16

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* A new number that matters: near the old one, near another number, or random */
static inline uint64_t other_number(uint64_t *random, uint64_t old, uint64_t another)
{
	switch (prng(random) % 5) {
	case 0:
		return old + prng_range(random, 0, 8) - 4;
	case 1:
		return another + prng_range(random, 0, 2) - 1;
	case 2:
		return old + prng_any(random);
	case 3:
		return old - prng_any(random);
	default:
		return prng_any(random);
	}
}

/* Change an aligned number of 4 or 8 bytes, possibly to the value of another number in @data */
static inline void change_number(uint64_t *random, uint8_t *data, size_t size)
{
	size_t width = prng(random) % 2 ? 8 : 4;
	uint64_t old = 0, another = 0;
	uint8_t *at;

	if (size < width)
		return;
	at = data + prng(random) % (size / 4 - width / 4 + 1) * 4;
	memcpy(&old, at, width);
	memcpy(&another, data + prng(random) % (size / 4 - width / 4 + 1) * 4, width);
	old = other_number(random, old, another);
	memcpy(at, &old, width);
}

static inline void change_page(uint64_t *random, uint8_t *page, size_t size, const uint8_t *other)
{
	switch (prng(random) % 8) {
	case 0:
		memcpy(page, other, size);
		break;
	case 1:
		/* The page's time or its committed size */
		change_number(random, page, PAGE_HEADER);
		break;
	case 2:
		LLVMFuzzerMutate(page, size, size);
		break;
	default:
		change_number(random, page + PAGE_HEADER, size - PAGE_HEADER);
	}
}

/* Change a page of some buffer's CPU. Returns: false if there is none */
static inline bool change_pages(uint64_t *random, const struct trace_dat *dat, uint8_t *file)
{
	const struct trace_dat_buffer *buffer;
	const struct trace_dat_cpu *cpu;
	size_t nr;

	if (!dat->nr_buffers)
		return false;
	buffer = &dat->buffers[prng(random) % dat->nr_buffers];
	if (!buffer->nr_cpus || buffer->compressed || buffer->page_size <= PAGE_HEADER)
		return false;
	cpu = &buffer->cpus[prng(random) % buffer->nr_cpus];
	nr = cpu->size / buffer->page_size;
	if (!nr)
		return false;
	file += cpu->offset;
	for (size_t times = 1 + prng(random) % 3; times; times--) {
		size_t page = prng(random) % nr * buffer->page_size, other = prng(random) % nr * buffer->page_size;
		uint8_t *copy = malloc(buffer->page_size);

		if (copy) {
			memcpy(copy, file + other, buffer->page_size);
			change_page(random, file + page, buffer->page_size, copy);
		}
		free(copy);
	}
	return true;
}

static inline void change_option(uint64_t *random, const struct trace_dat *dat, uint8_t *file)
{
	const struct trace_dat_option *option;

	if (!dat->nr_options)
		return;
	option = &dat->options[prng(random) % dat->nr_options];
	if (!option->size)
		return;
	if (prng(random) % 2)
		change_number(random, file + option->offset, option->size);
	else
		LLVMFuzzerMutate(file + option->offset, option->size, option->size);
}

/* Change a page or an option of an open file, whose bytes are at @file */
static inline void mutate_file(uint64_t *random, const struct trace_dat *dat, uint8_t *file)
{
	if (prng(random) % 4 == 0 || !change_pages(random, dat, file))
		change_option(random, dat, file);
}

#endif /* FUZZ_MUTATE_FILE_H */
