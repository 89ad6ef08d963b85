// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Decoding kvm_write_tsc_offset: formats as stock and patched kernels print them, and records with and without the
 * right size and content.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <traceevent/event-parse.h>

#include "event.h"
#include "mapping.h"

#define COMMON "name: kvm_write_tsc_offset\n" COMMON_FIELDS
#define COMMON_FIELDS							\
	"ID: 83\n"							\
	"format:\n"							\
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"	\
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"	\
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
#define VCPU "\tfield:unsigned int vcpu_id;\toffset:8;\tsize:4;\tsigned:0;\n"
#define PREVIOUS "\tfield:__u64 previous_tsc_offset;\toffset:16;\tsize:8;\tsigned:0;\n"
#define NEXT "\tfield:__u64 next_tsc_offset;\toffset:24;\tsize:8;\tsigned:0;\n"
#define PRINT "\nprint fmt: \"vcpu=%u\", REC->vcpu_id\n"

/* Linux 3.11 to at least 6.18 */
static const char stock_format[] =
	COMMON VCPU PREVIOUS NEXT
	"\nprint fmt: \"vcpu=%u prev=%llu next=%llu\", REC->vcpu_id, REC->previous_tsc_offset, "
	"REC->next_tsc_offset\n";

/* Our fields follow the stock ones; the fraction bits are as narrow as possible */
static const char patched_format[] =
	COMMON VCPU PREVIOUS NEXT
	"\tfield:__u64 tsc_scaling_ratio;\toffset:32;\tsize:8;\tsigned:0;\n"
	"\tfield:__u8 tsc_scaling_ratio_frac_bits;\toffset:40;\tsize:1;\tsigned:0;\n"
	"\tfield:pid_t vm_pid;\toffset:44;\tsize:4;\tsigned:1;\n"
	"\tfield:int vm_fd;\toffset:48;\tsize:4;\tsigned:1;\n" PRINT;

/* As in our patches: the fraction bits are in the padding, and the event has the VM's number */
static const char numbered_format[] =
	COMMON VCPU
	"\tfield:unsigned int tsc_scaling_ratio_frac_bits;\toffset:12;\tsize:4;\tsigned:0;\n"
	PREVIOUS NEXT
	"\tfield:__u64 tsc_scaling_ratio;\toffset:32;\tsize:8;\tsigned:0;\n"
	"\tfield:__u64 vm_id;\toffset:40;\tsize:8;\tsigned:0;\n" PRINT;

/* The same names in another order and at other offsets; the fraction bits have 32 bits */
static const char shuffled_format[] =
	COMMON
	"\tfield:__u64 next_tsc_offset;\toffset:8;\tsize:8;\tsigned:0;\n"
	"\tfield:pid_t vm_pid;\toffset:16;\tsize:4;\tsigned:1;\n"
	"\tfield:u32 tsc_scaling_ratio_frac_bits;\toffset:20;\tsize:4;\tsigned:0;\n"
	"\tfield:__u64 tsc_scaling_ratio;\toffset:24;\tsize:8;\tsigned:0;\n"
	"\tfield:__u64 previous_tsc_offset;\toffset:32;\tsize:8;\tsigned:0;\n"
	"\tfield:unsigned int vcpu_id;\toffset:40;\tsize:4;\tsigned:0;\n" PRINT;

/* The other event of a patched kernel */
static const char multiplier_format[] =
	"name: kvm_write_tsc_multiplier\n" COMMON_FIELDS VCPU
	"\tfield:__u64 previous_tsc_scaling_ratio;\toffset:16;\tsize:8;\tsigned:0;\n"
	"\tfield:__u64 next_tsc_scaling_ratio;\toffset:24;\tsize:8;\tsigned:0;\n"
	"\tfield:__u8 tsc_scaling_ratio_frac_bits;\toffset:32;\tsize:1;\tsigned:0;\n"
	"\tfield:__u64 tsc_offset;\toffset:40;\tsize:8;\tsigned:0;\n"
	"\tfield:pid_t vm_pid;\toffset:48;\tsize:4;\tsigned:1;\n"
	"\tfield:int vm_fd;\toffset:52;\tsize:4;\tsigned:1;\n" PRINT;

/* The patches for Linux 7.x, which report protected TSCs */
static const char protected_format[] =
	"name: kvm_write_tsc_multiplier\n" COMMON_FIELDS VCPU
	"\tfield:__u64 previous_tsc_scaling_ratio;\toffset:16;\tsize:8;\tsigned:0;\n"
	"\tfield:__u64 next_tsc_scaling_ratio;\toffset:24;\tsize:8;\tsigned:0;\n"
	"\tfield:__u64 tsc_offset;\toffset:32;\tsize:8;\tsigned:0;\n"
	"\tfield:pid_t vm_pid;\toffset:40;\tsize:4;\tsigned:1;\n"
	"\tfield:int vm_fd;\toffset:44;\tsize:4;\tsigned:1;\n"
	"\tfield:__u8 tsc_scaling_ratio_frac_bits;\toffset:48;\tsize:1;\tsigned:0;\n"
	"\tfield:__u8 tsc_protected;\toffset:49;\tsize:1;\tsigned:0;\n" PRINT;

struct fixture {
	struct tep_handle		*tep;
	struct tep_event		*event;
	struct tsc_offset_format	format;
};

static int open_format(struct fixture *f, const char *text)
{
	f->tep = tep_alloc();
	assert_non_null(f->tep);
	tep_set_file_bigendian(f->tep, TEP_LITTLE_ENDIAN);
	tep_set_local_bigendian(f->tep, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ?
				TEP_BIG_ENDIAN : TEP_LITTLE_ENDIAN);
	assert_int_equal(tep_parse_event(f->tep, text, strlen(text), TSC_OFFSET_SYSTEM), 0);
	f->event = tep_find_event_by_name(f->tep, TSC_OFFSET_SYSTEM, TSC_MULTIPLIER_EVENT);
	if (f->event)
		return tsc_offset_format_init(&f->format, f->event);
	f->event = tep_find_event_by_name(f->tep, TSC_OFFSET_SYSTEM, TSC_OFFSET_EVENT);
	assert_non_null(f->event);
	return tsc_offset_format_init(&f->format, f->event);
}

static void close_format(struct fixture *f)
{
	tep_free(f->tep);
}

/* The file's byte order is little endian, on any machine */
static void put(unsigned char *record, size_t at, size_t size, uint64_t value)
{
	for (size_t i = 0; i < size; i++)
		record[at + i] = value >> (8 * i);
}

/* Decode from an allocation that ends with the record, so that a sanitizer detects any read after it */
static int decode(const struct fixture *f, const unsigned char *record, size_t size,
		  struct tsc_offset_event *event)
{
	unsigned char *exact = malloc(size ? size : 1);
	int ret;

	assert_non_null(exact);
	memcpy(exact, record, size);
	ret = tsc_offset_event_decode(&f->format, 12345, exact, size, event);
	free(exact);
	return ret;
}

static void test_stock(void **state)
{
	static const int64_t values[] = { 0, 1, -1, -19918635167, INT64_MIN, INT64_MAX };
	size_t n = sizeof(values) / sizeof(*values), i, j;
	unsigned char record[32] = { 83 };
	struct tsc_offset_event event;
	struct fixture f;

	assert_int_equal(open_format(&f, stock_format), 0);
	assert_null(f.format.ratio);
	assert_null(f.format.frac_bits);
	assert_null(f.format.vm_pid);
	assert_null(f.format.vm_fd);

	put(record, 4, 4, 4711);
	put(record, 8, 4, 0xfffffffe);
	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++) {
			put(record, 16, 8, (uint64_t)values[i]);
			put(record, 24, 8, (uint64_t)values[j]);
			memset(&event, 0xa5, sizeof(event));
			assert_int_equal(decode(&f, record, sizeof(record), &event), 0);
			assert_int_equal(event.host_tsc, 12345);
			assert_int_equal(event.tid, 4711);
			assert_int_equal(event.vcpu_id, 0xfffffffe);
			assert_true(event.previous == values[i]);
			assert_true(event.next == values[j]);
			assert_int_equal(event.ratio, 0);
			assert_int_equal(event.previous_ratio, 0);
			assert_int_equal(event.frac_bits, 0);
			assert_int_equal(event.vm_pid, 0);
			assert_int_equal(event.vm_fd, -1);
		}
	}
	close_format(&f);
	print_message(
		"stock format: %zu pairs of offsets, negative ones and both ends of 64 bits\n",
		n * n);
}

static void test_patched(void **state)
{
	unsigned char record[52 + 16] = { 83 };
	struct tsc_offset_event event;
	struct fixture f;

	assert_int_equal(open_format(&f, patched_format), 0);
	put(record, 4, 4, 100);
	put(record, 8, 4, 3);
	put(record, 16, 8, (uint64_t)-5);
	put(record, 24, 8, (uint64_t)INT64_MIN);
	put(record, 32, 8, 0x0001400000000000);
	put(record, 40, 1, 48);
	put(record, 41, 3, 0xffffff);	/* padding: must not be read as part of the narrow field */
	put(record, 44, 4, 99);
	put(record, 48, 4, 12);
	assert_int_equal(decode(&f, record, 52, &event), 0);
	assert_int_equal(event.vcpu_id, 3);
	assert_true(event.previous == -5);
	assert_true(event.next == INT64_MIN);
	assert_true(event.ratio == 0x0001400000000000);
	assert_int_equal(event.frac_bits, 48);
	assert_int_equal(event.vm_pid, 99);
	assert_int_equal(event.vm_fd, 12);
	/* This event does not change the ratio */
	assert_true(event.previous_ratio == event.ratio);
	assert_int_equal(event.tid, 100);

	/* A longer record is from a later kernel with more fields */
	assert_int_equal(decode(&f, record, sizeof(record), &event), 0);

	put(record, 40, 1, 63);
	assert_int_equal(decode(&f, record, sizeof(record), &event), 0);
	assert_int_equal(event.frac_bits, 63);
	put(record, 40, 1, 64);
	assert_int_equal(decode(&f, record, sizeof(record), &event), -EBADMSG);
	put(record, 40, 1, 255);
	assert_int_equal(decode(&f, record, sizeof(record), &event), -EBADMSG);
	close_format(&f);
	print_message("patched format: ratio, fraction bits and VM; more than 63 bits refused\n");
}

static void test_numbered(void **state)
{
	unsigned char record[48] = { 83 };
	struct tsc_offset_event event;
	struct fixture f;

	assert_int_equal(open_format(&f, numbered_format), 0);
	put(record, 8, 4, 3);
	put(record, 12, 4, 48);
	put(record, 24, 8, (uint64_t)-5);
	put(record, 32, 8, 0x0001400000000000);
	put(record, 40, 8, UINT64_MAX - 1);
	assert_int_equal(decode(&f, record, sizeof(record), &event), 0);
	assert_int_equal(event.vcpu_id, 3);
	assert_true(event.next == -5);
	assert_true(event.ratio == 0x0001400000000000);
	assert_int_equal(event.frac_bits, 48);
	assert_true(event.vm_id == UINT64_MAX - 1);
	assert_int_equal(event.vm_pid, 0);
	assert_int_equal(event.vm_fd, -1);
	assert_int_equal(decode(&f, record, sizeof(record) - 1, &event), -EBADMSG);
	close_format(&f);

	/* Other formats have no VM number */
	assert_int_equal(open_format(&f, patched_format), 0);
	assert_null(f.format.vm_id);
	close_format(&f);
}

static void test_multiplier(void **state)
{
	unsigned char record[56] = { 83 };
	struct tsc_offset_event event;
	struct fixture f;

	assert_int_equal(open_format(&f, multiplier_format), 0);
	put(record, 4, 4, 100);
	put(record, 8, 4, 3);
	put(record, 16, 8, 1ULL << 48);
	put(record, 24, 8, 5ULL << 46);
	put(record, 32, 1, 48);
	put(record, 40, 8, (uint64_t)-5);
	put(record, 48, 4, 99);
	put(record, 52, 4, 12);
	assert_int_equal(decode(&f, record, sizeof(record), &event), 0);
	assert_int_equal(event.vcpu_id, 3);
	assert_true(event.previous == -5);
	assert_true(event.next == -5);
	assert_true(event.previous_ratio == 1ULL << 48);
	assert_true(event.ratio == 5ULL << 46);
	assert_int_equal(event.frac_bits, 48);
	assert_int_equal(event.vm_pid, 99);
	assert_int_equal(event.vm_fd, 12);
	assert_false(event.tsc_protected);
	put(record, 32, 1, 64);
	assert_int_equal(decode(&f, record, sizeof(record), &event), -EBADMSG);
	close_format(&f);
	print_message("a change of the ratio leaves the offset as it is\n");
}

static void test_protected(void **state)
{
	unsigned char record[56] = { 83 };
	struct tsc_offset_event event;
	struct fixture f;

	assert_int_equal(open_format(&f, protected_format), 0);
	put(record, 24, 8, 1ULL << 48);
	put(record, 48, 1, 48);
	assert_int_equal(decode(&f, record, sizeof(record), &event), 0);
	assert_false(event.tsc_protected);
	put(record, 49, 1, 1);
	assert_int_equal(decode(&f, record, sizeof(record), &event), 0);
	assert_true(event.tsc_protected);
	assert_int_equal(event.frac_bits, 48);
	assert_int_equal(event.vcpu_id, 0);
	close_format(&f);
	print_message("a kernel that tells protected TSCs\n");
}

/* A record is recognised by its event's number, which each kernel assigns anew */
static void test_both(void **state)
{
	struct tsc_event_formats formats;
	struct fixture b;

	assert_int_equal(open_format(&b, multiplier_format), 0);
	b.event->id = 84;
	assert_int_equal(tsc_event_formats_init(&formats, b.tep, NULL), 0);
	assert_null(tsc_event_format(&formats, 83));
	assert_ptr_equal(tsc_event_format(&formats, 84), &formats.formats[1]);
	assert_int_equal(tep_parse_event(b.tep, patched_format, strlen(patched_format), TSC_OFFSET_SYSTEM), 0);
	assert_int_equal(tsc_event_formats_init(&formats, b.tep, NULL), 0);
	assert_ptr_equal(tsc_event_format(&formats, 83), &formats.formats[0]);
	assert_ptr_equal(tsc_event_format(&formats, 84), &formats.formats[1]);
	assert_null(tsc_event_format(&formats, 85));
	assert_null(tsc_event_format(&formats, TSC_EVENT_NONE));
	close_format(&b);
}

/* The probe on kvm_arch_vcpu_load(), as Linux 6.1 prints its format */
static const char probe_format[] =
	"name: vcpu_load\nID: 1477\nformat:\n"
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
	"\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;\n"
	"\tfield:u64 vm;\toffset:16;\tsize:8;\tsigned:0;\n"
	"\tfield:s32 vm_pid;\toffset:24;\tsize:4;\tsigned:1;\n"
	"\tfield:__data_loc char[] vm_name;\toffset:28;\tsize:4;\tsigned:1;\n"
	"\tfield:u32 vcpu_id;\toffset:32;\tsize:4;\tsigned:0;\n"
	"\tfield:s64 l1_offset;\toffset:36;\tsize:8;\tsigned:1;\n"
	"\tfield:s64 offset;\toffset:44;\tsize:8;\tsigned:1;\n"
	"\tfield:u64 l1_ratio;\toffset:52;\tsize:8;\tsigned:0;\n"
	"\tfield:u8 frac_bits;\toffset:60;\tsize:1;\tsigned:0;\n"
	"\tfield:u8 tsc_protected;\toffset:61;\tsize:1;\tsigned:0;\n\n"
	"print fmt: \"\"\n";

static void test_probe(void **state)
{
	unsigned char record[69] = { 0xc5, 5 };
	struct tsc_event_formats formats;
	const struct tsc_offset_format *format;
	struct tsc_offset_event event;
	struct tep_handle *tep = tep_alloc();

	tep_set_file_bigendian(tep, TEP_LITTLE_ENDIAN);
	assert_int_equal(tep_parse_event(tep, probe_format, strlen(probe_format), TSC_PROBE_SYSTEM), 0);
	assert_int_equal(tsc_event_formats_init(&formats, tep, NULL), 0);
	format = tsc_event_format(&formats, 1477);
	assert_non_null(format);
	put(record, 4, 4, 191);
	put(record, 16, 8, 0x3ffff);
	put(record, 24, 4, 188);
	put(record, 28, 4, 62 | 7 << 16);
	put(record, 32, 4, 5);
	put(record, 36, 8, (uint64_t)-49487170434);
	put(record, 44, 8, 17);
	put(record, 52, 8, 1ULL << 32);
	put(record, 60, 1, TSC_SVM_FRAC_BITS);
	memcpy(record + 62, "189-11", 7);
	assert_int_equal(tsc_offset_event_decode(format, 1, record, sizeof(record), &event), 0);
	assert_int_equal(event.kind, TSC_EVENT_STATE);
	assert_int_equal(event.tid, 191);
	assert_int_equal(event.vm, 0x3ffff);
	assert_int_equal(event.vm_pid, 189);
	assert_int_equal(event.vm_fd, 11);
	assert_int_equal(event.vcpu_id, 5);
	assert_true(event.next == -49487170434);
	assert_true(event.ratio == 1ULL << 32);
	assert_int_equal(event.frac_bits, TSC_SVM_FRAC_BITS);
	assert_false(event.tsc_protected);
	/* KVM does not know the TSC of an SEV-SNP guest. It does know that of a TDX guest. */
	put(record, 61, 1, 1);
	assert_int_equal(tsc_offset_event_decode(format, 1, record, sizeof(record), &event), 0);
	assert_true(event.tsc_protected);
	put(record, 60, 1, TSC_VMX_FRAC_BITS);
	assert_int_equal(tsc_offset_event_decode(format, 1, record, sizeof(record), &event), 0);
	assert_false(event.tsc_protected);
	/* Without a directory in debugfs, or if the string is elsewhere, only the thread identifies the VM */
	for (int i = 0; i < 8; i++) {
		static const char *const names[] = {
			"(fault", "189-1x", "-89-11", " 89-11", "189-+1", "0-1111", "189-\0", "189-11",
		};

		memcpy(record + 62, names[i], 6);
		put(record, 28, 4, i == 7 ? 63 | 7 << 16 : 62 | 7 << 16);
		assert_int_equal(tsc_offset_event_decode(format, 1, record, sizeof(record), &event), 0);
		assert_int_equal(event.vm_pid, 188);
		assert_int_equal(event.vm_fd, -1);
	}
	/* A VM can have the number 0 */
	put(record, 16, 8, 0);
	assert_int_equal(tsc_offset_event_decode(format, 1, record, sizeof(record), &event), 0);
	assert_int_not_equal(event.vm, 0);
	assert_int_equal(tsc_offset_event_decode(format, 1, record, 60, &event), -EBADMSG);
	tep_free(tep);
}

static void test_shuffled(void **state)
{
	unsigned char record[44] = { 83 };
	struct tsc_offset_event event;
	struct fixture f;

	assert_int_equal(open_format(&f, shuffled_format), 0);
	put(record, 4, 4, 7);
	put(record, 8, 8, (uint64_t)-1);
	put(record, 16, 4, 70);
	put(record, 20, 4, 32);
	put(record, 24, 8, UINT64_MAX);
	put(record, 32, 8, 1ULL << 62);
	put(record, 40, 4, 15);
	assert_int_equal(decode(&f, record, sizeof(record), &event), 0);
	assert_true(event.next == -1);
	assert_int_equal(event.vm_pid, 70);
	assert_int_equal(event.vm_fd, -1);
	assert_int_equal(event.frac_bits, 32);
	assert_true(event.ratio == UINT64_MAX);
	assert_true(event.previous == 1LL << 62);
	assert_int_equal(event.vcpu_id, 15);
	assert_int_equal(event.tid, 7);

	/* Its low byte alone would be valid */
	put(record, 20, 4, 0x120);
	assert_int_equal(decode(&f, record, sizeof(record), &event), -EBADMSG);
	close_format(&f);
	print_message("fields are found by name: other order, other offsets, other widths\n");
}

static void test_missing(void **state)
{
	static const char *const texts[] = {
		COMMON PREVIOUS NEXT "\nprint fmt: \"%llu\", REC->next_tsc_offset\n",
		COMMON VCPU NEXT PRINT,
		COMMON VCPU PREVIOUS PRINT,
	};
	struct fixture f;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(open_format(&f, texts[i]), -ENOENT);
		close_format(&f);
	}
	print_message(
		"a format without vcpu_id, previous_tsc_offset or next_tsc_offset is refused\n");
}

/* Every length from 0 to one byte too few, for every format */
static void test_too_short(void **state)
{
	static const struct { const char *text; size_t size; } formats[] = {
		{ stock_format, 32 }, { patched_format, 52 }, { shuffled_format, 44 },
		{ multiplier_format, 56 }, { protected_format, 50 },
	};
	unsigned char record[56] = { 83 };
	struct tsc_offset_event event;
	size_t tried = 0;
	struct fixture f;

	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		assert_int_equal(open_format(&f, formats[i].text), 0);
		for (size_t size = 0; size < formats[i].size; size++, tried++)
			assert_int_equal(decode(&f, record, size, &event), -EBADMSG);
		assert_int_equal(decode(&f, record, formats[i].size, &event), 0);
		close_format(&f);
	}
	print_message("%zu records that are too short refused\n", tried);
}

/* Formats come from files: offsets and sizes that no record can have */
static void test_absurd_places(void **state)
{
	static const char *const fields[] = {
		"\tfield:__u64 next_tsc_offset;\toffset:2147483647;\tsize:8;\tsigned:0;\n",
		"\tfield:__u64 next_tsc_offset;\toffset:4294967288;\tsize:8;\tsigned:0;\n",
		"\tfield:__u64 next_tsc_offset;\toffset:24;\tsize:2147483647;\tsigned:0;\n",
		"\tfield:__u64 next_tsc_offset;\toffset:24;\tsize:3;\tsigned:0;\n",
		"\tfield:__u64 next_tsc_offset;\toffset:24;\tsize:0;\tsigned:0;\n",
	};
	unsigned char record[32] = { 83 };
	struct tsc_offset_event event;
	char text[2048];
	struct fixture f;

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		snprintf(text, sizeof(text), "%s%s%s", COMMON VCPU PREVIOUS, fields[i], PRINT);
		if (!open_format(&f, text))
			assert_int_equal(decode(&f, record, sizeof(record), &event), -EBADMSG);
		close_format(&f);
	}
	print_message("fields outside of any record, or of no number's size, refused\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_patched),
		cmocka_unit_test(test_numbered),
		cmocka_unit_test(test_multiplier),
		cmocka_unit_test(test_protected),
		cmocka_unit_test(test_both),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_shuffled),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_too_short),
		cmocka_unit_test(test_absurd_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
