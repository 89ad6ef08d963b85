// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The plugin as libtraceevent loads it, with formats and records that the test makes.
 *
 * PLUGIN_FILE names the shared object. It is copied into its own directory, because libtraceevent loads all files of
 * a directory. Each text is also compared with the text of a handle without plugins, to show that the check detects a
 * difference.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <traceevent/event-parse.h>
#include <traceevent/trace-seq.h>

#define EVENT_ID	1899
#define OPTION		"kvm_tsc_offset:tsc_khz"
#define TEXT_SIZE	256

typedef unsigned __int128 u128;

#define COMMON_FIELDS	"name: kvm_write_tsc_offset\n" COMMON_FIELDS_OF("1899")
#define COMMON_FIELDS_OF(id)							\
	"ID: " id "\n"								\
	"format:\n"								\
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"	\
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"	\
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"

#define FIELD_VCPU	"\tfield:unsigned int vcpu_id;\toffset:8;\tsize:4;\tsigned:0;\n"
#define FIELD_PREV	"\tfield:__u64 previous_tsc_offset;\toffset:16;\tsize:8;\tsigned:0;\n"
#define FIELD_NEXT	"\tfield:__u64 next_tsc_offset;\toffset:24;\tsize:8;\tsigned:0;\n"
#define FIELDS_ADDED								\
	"\tfield:__u64 tsc_scaling_ratio;\toffset:32;\tsize:8;\tsigned:0;\n"	\
	"\tfield:__u8 tsc_scaling_ratio_frac_bits;\toffset:40;\tsize:1;\tsigned:0;\n" \
	"\tfield:pid_t vm_pid;\toffset:44;\tsize:4;\tsigned:1;\n"		\
	"\tfield:int vm_fd;\toffset:48;\tsize:4;\tsigned:1;\n"

#define STOCK_PRINT	"\nprint fmt: \"vcpu=%u prev=%llu next=%llu\", REC->vcpu_id, " \
			"REC->previous_tsc_offset, REC->next_tsc_offset\n"

static const char stock_format[] = COMMON_FIELDS FIELD_VCPU FIELD_PREV FIELD_NEXT STOCK_PRINT;
static const char patched_format[] =
	COMMON_FIELDS FIELD_VCPU FIELD_PREV FIELD_NEXT FIELDS_ADDED STOCK_PRINT;

struct record_data {
	uint16_t	type;
	uint8_t		flags;
	uint8_t		preempt_count;
	int32_t		pid;
	uint32_t	vcpu_id;
	uint32_t	hole;
	int64_t		previous;
	int64_t		next;
	uint64_t	ratio;
	uint8_t		frac_bits;
	uint8_t		hole2[3];
	int32_t		vm_pid;
	int32_t		vm_fd;
	uint32_t	hole3;
};

#define STOCK_SIZE	((int)offsetof(struct record_data, ratio))
#define PATCHED_SIZE	((int)offsetof(struct record_data, hole3))

struct reader {
	struct tep_handle	*tep;
	struct tep_plugin_list	*plugins;
};

static void reader_open(struct reader *reader, const char *format, bool with_plugin)
{
	reader->tep = tep_alloc();
	assert_non_null(reader->tep);
	tep_set_flag(reader->tep, TEP_DISABLE_SYS_PLUGINS);
	tep_set_long_size(reader->tep, 8);
	reader->plugins = with_plugin ? tep_load_plugins(reader->tep) : NULL;
	assert_int_equal(with_plugin, !!reader->plugins);
	assert_int_equal(tep_parse_event(reader->tep, format, strlen(format), "kvm"), 0);
}

static void reader_close(struct reader *reader)
{
	tep_unload_plugins(reader->plugins, reader->tep);
	tep_free(reader->tep);
}

static void reader_print(struct reader *reader, const struct record_data *data, int size,
			 char text[TEXT_SIZE])
{
	struct tep_record record = { .ts = 1000, .size = size, .data = (void *)data };
	struct trace_seq s;

	trace_seq_init(&s);
	tep_print_event(reader->tep, &s, &record, "%s", TEP_PRINT_INFO);
	trace_seq_terminate(&s);
	assert_true(s.len < TEXT_SIZE);
	memcpy(text, s.buffer, s.len + 1);
	trace_seq_destroy(&s);
}

static struct record_data change(int64_t previous, int64_t next)
{
	return (struct record_data) {
		.type = EVENT_ID, .pid = 42, .vcpu_id = 3, .previous = previous, .next = next,
	};
}

static void set_khz(const char *khz)
{
	assert_int_equal(tep_plugin_add_option(OPTION, khz), 0);
}

/* Print the same bytes without the plugin and with it */
static void print_both(const char *format, const struct record_data *data, int size,
		       char without[TEXT_SIZE], char with[TEXT_SIZE])
{
	struct reader reader;

	reader_open(&reader, format, false);
	reader_print(&reader, data, size, without);
	reader_close(&reader);

	reader_open(&reader, format, true);
	reader_print(&reader, data, size, with);
	reader_close(&reader);
}

static void expect_text(const char *format, const struct record_data *data, int size,
			const char *expected)
{
	char without[TEXT_SIZE], with[TEXT_SIZE], stock[TEXT_SIZE];

	print_both(format, data, size, without, with);
	snprintf(stock, sizeof(stock), "vcpu=%u prev=%" PRIu64 " next=%" PRIu64, data->vcpu_id,
		 (uint64_t)data->previous, (uint64_t)data->next);
	assert_string_equal(without, stock);
	assert_string_not_equal(without, expected);
	assert_string_equal(with, expected);
	print_message("  %s\n", with);
}

static void signed_deltas(void **state)
{
	static const struct {
		int64_t		previous, next;
		const char	*text;
	} cases[] = {
		{ -19918635167, -19866635167,
		  "vcpu=3 prev=-19918635167 next=-19866635167 delta=+52000000" },
		{ -19866635167, -19918635167,
		  "vcpu=3 prev=-19866635167 next=-19918635167 delta=-52000000" },
		{ 0, 0, "vcpu=3 prev=0 next=0 delta=+0" },
		{ -7, -7, "vcpu=3 prev=-7 next=-7 delta=+0" },
		{ -5, 6, "vcpu=3 prev=-5 next=6 delta=+11" },
		{ 6, -5, "vcpu=3 prev=6 next=-5 delta=-11" },
		{ INT64_MAX - 5, INT64_MIN + 5,
		  "vcpu=3 prev=9223372036854775802 next=-9223372036854775803 delta=+11" },
		{ INT64_MIN + 5, INT64_MAX - 5,
		  "vcpu=3 prev=-9223372036854775803 next=9223372036854775802 delta=-11" },
		{ 0, INT64_MIN,
		  "vcpu=3 prev=0 next=-9223372036854775808 delta=-9223372036854775808" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_data data = change(cases[i].previous, cases[i].next);

		expect_text(stock_format, &data, STOCK_SIZE, cases[i].text);
	}
}

static void every_vcpu_id(void **state)
{
	struct record_data data = change(1, 2);

	data.vcpu_id = UINT32_MAX;
	expect_text(stock_format, &data, STOCK_SIZE, "vcpu=4294967295 prev=1 next=2 delta=+1");
}

static void patched_kernel(void **state)
{
	static const struct {
		uint64_t	ratio;
		uint8_t		frac_bits;
		int32_t		vm_pid;
		int32_t		vm_fd;
		const char	*tail;
	} cases[] = {
		{ 0, 0, 0, 0, "" },
		{ 0, 48, 1234, 12, " vm=1234-12" },
		{ 1ULL << 48, 48, 1234, 12, " vm=1234-12" },
		{ 1ULL << 32, 32, 0, 0, "" },
		{ 5ULL << 46, 48, 1234, 12, " ratio=1.250000000 vm=1234-12" },
		{ 5ULL << 30, 32, 1234, 12, " ratio=1.250000000 vm=1234-12" },
		{ 5ULL << 30, 32, 0, 0, " ratio=1.250000000" },
		{ (1ULL << 48) - 1, 48, 0, 0, " ratio=1.000000000" },
		{ (1ULL << 48) / 3, 48, 0, 0, " ratio=0.333333333" },
		{ (1ULL << 49) / 3, 48, 0, 0, " ratio=0.666666667" },
		{ UINT64_MAX, 48, 0, 0, " ratio=65536.000000000" },
		{ UINT64_MAX, 0, 0, 0, " ratio=18446744073709551615.000000000" },
		{ 3, 63, 0, 0, " ratio=0.000000000" },
	};
	char text[TEXT_SIZE];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_data data = change(-100, 100);

		data.ratio = cases[i].ratio;
		data.frac_bits = cases[i].frac_bits;
		data.vm_pid = cases[i].vm_pid;
		data.vm_fd = cases[i].vm_fd;
		snprintf(text, sizeof(text), "vcpu=3 prev=-100 next=100 delta=+200%s",
			 cases[i].tail);
		expect_text(patched_format, &data, PATCHED_SIZE, text);
	}
}

static void expect_default(const char *format, const struct record_data *data, int size)
{
	char without[TEXT_SIZE], with[TEXT_SIZE];

	print_both(format, data, size, without, with);
	assert_string_equal(with, without);
	assert_null(strstr(with, "delta="));
}

/* The other event of a patched kernel. It does not change the offset. */
static void multiplier(void **state)
{
	static const char format[] =
		"name: kvm_write_tsc_multiplier\n" COMMON_FIELDS_OF("1900") FIELD_VCPU
		"\tfield:__u64 previous_tsc_scaling_ratio;\toffset:16;\tsize:8;\tsigned:0;\n"
		"\tfield:__u64 next_tsc_scaling_ratio;\toffset:24;\tsize:8;\tsigned:0;\n"
		"\tfield:__u64 tsc_offset;\toffset:32;\tsize:8;\tsigned:0;\n"
		"\tfield:__u8 tsc_scaling_ratio_frac_bits;\toffset:40;\tsize:1;\tsigned:0;\n"
		"\tfield:pid_t vm_pid;\toffset:44;\tsize:4;\tsigned:1;\n"
		"\tfield:int vm_fd;\toffset:48;\tsize:4;\tsigned:1;\n"
		"\nprint fmt: \"vcpu=%u\", REC->vcpu_id\n";
	struct record_data data = change(1LL << 48, 5LL << 46);
	char without[TEXT_SIZE], with[TEXT_SIZE];
	int size;

	data.type = 1900;
	data.ratio = (uint64_t)-100;
	data.frac_bits = 48;
	data.vm_pid = 1234;
	data.vm_fd = 12;
	print_both(format, &data, PATCHED_SIZE, without, with);
	assert_string_equal(without, "vcpu=3");
	assert_string_equal(with, "vcpu=3 prev=1.000000000 next=1.250000000 offset=-100 vm=1234-12");
	print_message("  %s\n", with);
	for (size = 2; size < PATCHED_SIZE; size++) {
		print_both(format, &data, size, without, with);
		assert_string_equal(with, without);
	}
}

/* Formats without a field that every kernel has: this is not the event that the plugin knows */
static void missing_field(void **state)
{
	static const char *const formats[] = {
		COMMON_FIELDS FIELD_PREV FIELD_NEXT
		"\nprint fmt: \"prev=%llu next=%llu\", "
		"REC->previous_tsc_offset, REC->next_tsc_offset\n",
		COMMON_FIELDS FIELD_VCPU FIELD_NEXT
		"\nprint fmt: \"vcpu=%u next=%llu\", REC->vcpu_id, REC->next_tsc_offset\n",
		COMMON_FIELDS FIELD_VCPU FIELD_PREV
		"\nprint fmt: \"vcpu=%u prev=%llu\", REC->vcpu_id, REC->previous_tsc_offset\n",
	};
	struct record_data data = change(-100, 100);
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		expect_default(formats[i], &data, STOCK_SIZE);
	/* The plugin formats the same bytes if the format has all fields */
	expect_text(stock_format, &data, STOCK_SIZE, "vcpu=3 prev=-100 next=100 delta=+200");
}

/* The bytes after the end are valid memory: libtraceevent's own formatting ignores the size */
static void short_record(void **state)
{
	struct record_data data = change(-100, 100);
	int size;

	for (size = 2; size < STOCK_SIZE; size++)
		expect_default(stock_format, &data, size);
	for (size = 2; size < PATCHED_SIZE; size++)
		expect_default(patched_format, &data, size);
	print_message("  default text for every size up to %d and %d bytes\n", STOCK_SIZE - 1,
		      PATCHED_SIZE - 1);
	expect_text(stock_format, &data, STOCK_SIZE, "vcpu=3 prev=-100 next=100 delta=+200");
	expect_text(patched_format, &data, PATCHED_SIZE, "vcpu=3 prev=-100 next=100 delta=+200");
}

static void senseless_fraction(void **state)
{
	struct record_data data = change(-100, 100);

	data.ratio = 1;
	data.frac_bits = 64;
	expect_default(patched_format, &data, PATCHED_SIZE);
	data.frac_bits = 63;
	expect_text(patched_format, &data, PATCHED_SIZE,
		    "vcpu=3 prev=-100 next=100 delta=+200 ratio=0.000000000");
}

static void big_endian_file(void **state)
{
	struct record_data data = change((int64_t)__builtin_bswap64((uint64_t)-100),
					 (int64_t)__builtin_bswap64(100));
	char text[TEXT_SIZE];
	struct reader reader;

	data.type = __builtin_bswap16(EVENT_ID);
	data.vcpu_id = __builtin_bswap32(3);
	reader_open(&reader, stock_format, true);
	tep_set_file_bigendian(reader.tep, TEP_BIG_ENDIAN);
	reader_print(&reader, &data, STOCK_SIZE, text);
	reader_close(&reader);
	assert_string_equal(text, "vcpu=3 prev=-100 next=100 delta=+200");
}

static void durations(void **state)
{
	static const struct {
		const char	*khz;
		int64_t		delta;
		const char	*tail;
	} cases[] = {
		{ "2596100", 52000000, "delta=+52000000 (+20.030 ms)" },
		{ "2596100", -52000000, "delta=-52000000 (-20.030 ms)" },
		{ "2596100", 0, "delta=+0 (+0.000 ns)" },
		{ "2596100", 1, "delta=+1 (+0.385 ns)" },
		{ "5000000", 1, "delta=+1 (+0.200 ns)" },
		{ "5000000", 4999, "delta=+4999 (+999.800 ns)" },
		{ "5000000", 5000, "delta=+5000 (+1.000 us)" },
		{ "1", 1, "delta=+1 (+1.000 ms)" },
		{ "1", -1, "delta=-1 (-1.000 ms)" },
		{ "1", 999, "delta=+999 (+999.000 ms)" },
		{ "1", 1000, "delta=+1000 (+1.000 s)" },
		{ "1", INT64_MIN, "delta=-9223372036854775808 (-9223372036854775.808 s)" },
		{ "4294967295", INT64_MAX, "delta=+9223372036854775807 (+2147483.648 s)" },
		/* Half of the last digit is rounded away from zero */
		{ "2000000", 20000001, "delta=+20000001 (+10.000 ms)" },
		{ "2000000", 1000001, "delta=+1000001 (+500.001 us)" },
		{ "2000000", -1000001, "delta=-1000001 (-500.001 us)" },
		{ "4000000", 4000001, "delta=+4000001 (+1.000 ms)" },
		{ "4000000", 40001, "delta=+40001 (+10.000 us)" },
		{ "4000000", 40002, "delta=+40002 (+10.001 us)" },
		/* A value that rounds up to 1000 of a unit is printed as 1 of the next unit */
		{ "3000000", 2999999, "delta=+2999999 (+1.000 ms)" },
		{ "3000000", 2999998, "delta=+2999998 (+999.999 us)" },
		{ "3000000000", 2999999998, "delta=+2999999998 (+1.000 ms)" },
	};
	char text[TEXT_SIZE];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_data data = change(0, cases[i].delta);

		set_khz(cases[i].khz);
		snprintf(text, sizeof(text), "vcpu=3 prev=0 next=%lld %s",
			 (long long)cases[i].delta, cases[i].tail);
		expect_text(stock_format, &data, STOCK_SIZE, text);
	}
	set_khz("");
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* A printed value differs from the exact one by at most half of its last digit */
static void durations_are_nearest(void **state)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	uint64_t seed = 88172645463325252ULL;
	unsigned int unit_seen[4] = { 0 };
	struct reader reader;
	int round;

	reader_open(&reader, stock_format, true);
	for (round = 0; round < 200000; round++) {
		uint64_t khz = 1 + next_random(&seed) % 5000000;
		int64_t delta = (int64_t)(next_random(&seed) >> next_random(&seed) % 63);
		uint64_t magnitude = delta < 0 ? -(uint64_t)delta : (uint64_t)delta;
		unsigned long long whole, thousandths, value;
		struct record_data data = change(0, delta);
		char text[TEXT_SIZE], khz_text[32], unit[4], sign;
		u128 exact, printed, half;
		size_t u;

		snprintf(khz_text, sizeof(khz_text), "%" PRIu64, khz);
		set_khz(khz_text);
		reader_print(&reader, &data, STOCK_SIZE, text);
		assert_int_equal(sscanf(strchr(text, '('), "(%c%llu.%3llu %3[a-z])", &sign, &whole,
					&thousandths, unit), 4);
		assert_int_equal(sign, delta < 0 ? '-' : '+');
		for (u = 0; u < 4 && strcmp(unit, units[u]); u++)
			;
		assert_true(u < 4);
		unit_seen[u]++;

		/* Both in thousandths of a nanosecond, times kHz */
		value = whole * 1000 + thousandths;
		exact = (u128)magnitude * 1000000000;
		half = khz;
		for (size_t i = 0; i < u; i++)
			half *= 1000;
		printed = half * value;
		assert_true(2 * (printed > exact ? printed - exact : exact - printed) <= half);
		/* At most three digits before the point, and not 0.xxx where a smaller unit fits */
		assert_true(u == 3 || whole < 1000);
		assert_true(!u || whole);
	}
	reader_close(&reader);
	set_khz("");
	for (size_t i = 0; i < 4; i++)
		assert_true(unit_seen[i] > 1000);
	print_message("  %d random values, %u ns, %u us, %u ms, %u s\n", round, unit_seen[0],
		      unit_seen[1], unit_seen[2], unit_seen[3]);
}

/* The output to a file descriptor between capture_start() and capture_end() */
struct capture {
	FILE	*file;
	int	fd;
	int	saved;
};

static void capture_start(struct capture *capture, int fd)
{
	fflush(NULL);
	capture->file = tmpfile();
	assert_non_null(capture->file);
	capture->fd = fd;
	capture->saved = dup(fd);
	assert_true(dup2(fileno(capture->file), fd) == fd);
}

static size_t capture_end(struct capture *capture, char *text, size_t size)
{
	size_t length;

	fflush(NULL);
	dup2(capture->saved, capture->fd);
	close(capture->saved);
	rewind(capture->file);
	length = fread(text, 1, size - 1, capture->file);
	text[length] = '\0';
	fclose(capture->file);
	return length;
}

static void invalid_option(void **state)
{
	static const char *const values[] = {
		"0", "-1", "+1", " 1", "1 ", "2596100x", "0x10", "1e6", "4294967296",
		"99999999999999999999999", "2.5",
	};
	struct record_data data = change(-100, 100);
	char text[TEXT_SIZE], errors[512], output[512];
	struct capture err, out;
	struct reader reader;
	size_t i, j;

	reader_open(&reader, stock_format, true);
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		set_khz(values[i]);
		capture_start(&err, STDERR_FILENO);
		capture_start(&out, STDOUT_FILENO);
		for (j = 0; j < 100; j++)
			reader_print(&reader, &data, STOCK_SIZE, text);
		capture_end(&out, output, sizeof(output));
		capture_end(&err, errors, sizeof(errors));
		assert_string_equal(text, "vcpu=3 prev=-100 next=100 delta=+200");
		assert_string_equal(output, "");
		assert_non_null(strstr(errors, values[i]));
		assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
		print_message("  100 records, once: %s", errors);
	}

	set_khz("1000");
	capture_start(&err, STDERR_FILENO);
	reader_print(&reader, &data, STOCK_SIZE, text);
	capture_end(&err, errors, sizeof(errors));
	assert_string_equal(errors, "");
	assert_string_equal(text, "vcpu=3 prev=-100 next=100 delta=+200 (+200.000 us)");
	set_khz("");
	reader_close(&reader);
}

/* tep_plugin_list_options() is not used: in 1.7.1 and 1.8.4 it writes beyond the list that it allocates */
static int times_listed(void)
{
	struct trace_seq s;
	const char *at;
	int count = 0;

	trace_seq_init(&s);
	tep_plugin_print_options(&s);
	trace_seq_terminate(&s);
	for (at = s.buffer; (at = strstr(at, "kvm_tsc_offset\n")); at++)
		count++;
	trace_seq_destroy(&s);
	return count;
}

/* Several handles, opened and closed in any order, as KernelShark's streams do */
static void several_handles(void **state)
{
	struct record_data data = change(-100, 100);
	struct reader readers[3];
	char text[TEXT_SIZE];
	size_t i;

	assert_int_equal(times_listed(), 0);
	for (i = 0; i < 3; i++) {
		reader_open(&readers[i], stock_format, true);
		assert_int_equal(times_listed(), 1);
	}
	reader_close(&readers[0]);
	reader_close(&readers[2]);
	assert_int_equal(times_listed(), 1);
	/* The remaining handle takes options and shows them */
	set_khz("1000");
	reader_print(&readers[1], &data, STOCK_SIZE, text);
	assert_string_equal(text, "vcpu=3 prev=-100 next=100 delta=+200 (+200.000 us)");
	reader_close(&readers[1]);
	assert_int_equal(times_listed(), 0);

	/* When loaded again, the plugin finds the option that was set before */
	reader_open(&readers[0], stock_format, true);
	assert_int_equal(times_listed(), 1);
	reader_print(&readers[0], &data, STOCK_SIZE, text);
	assert_string_equal(text, "vcpu=3 prev=-100 next=100 delta=+200 (+200.000 us)");
	reader_close(&readers[0]);
	set_khz("");
}

/* The plugin is unloaded while the handle exists: no pointer into the object may remain */
static void unloaded(void **state)
{
	struct record_data data = change(-100, 100);
	struct reader reader;
	char text[TEXT_SIZE];

	reader_open(&reader, stock_format, true);
	tep_unload_plugins(reader.plugins, reader.tep);
	reader.plugins = NULL;
	reader_print(&reader, &data, STOCK_SIZE, text);
	assert_string_equal(text, "vcpu=3 prev=18446744073709551516 next=100");
	reader_close(&reader);
}

enum { NR_THREADS = 4, NR_ROWS = 20000 };

struct rows {
	struct tep_event	*event;
	unsigned int		stride;
	unsigned int		wrong;
};

/* Call only the handler: tep_print_event() has a cache in the handle without a lock */
static void *print_rows(void *arg)
{
	struct rows *rows = arg;
	unsigned int i;

	for (i = 0; i < NR_ROWS; i++) {
		int64_t row = (int64_t)i * rows->stride % NR_ROWS;
		struct record_data data = change(-row, row);
		struct tep_record record = { .size = STOCK_SIZE, .data = &data };
		char expected[TEXT_SIZE];
		struct trace_seq s;

		snprintf(expected, sizeof(expected), "vcpu=3 prev=%lld next=%lld delta=+%lld",
			 -(long long)row, (long long)row, 2 * (long long)row);
		trace_seq_init(&s);
		if (rows->event->handler(&s, &record, rows->event, rows->event->context))
			rows->wrong++;
		trace_seq_terminate(&s);
		rows->wrong += !!strcmp(s.buffer, expected);
		trace_seq_destroy(&s);
	}
	return NULL;
}

static void threads(void **state)
{
	static const unsigned int strides[NR_THREADS] = { 1, NR_ROWS - 1, 7, 7919 };
	struct rows rows[NR_THREADS];
	pthread_t ids[NR_THREADS];
	char errors[512];
	struct capture err;
	struct reader reader;
	size_t i;

	reader_open(&reader, stock_format, true);
	/* All threads find the invalid value */
	set_khz("threads");
	capture_start(&err, STDERR_FILENO);
	for (i = 0; i < NR_THREADS; i++) {
		rows[i] = (struct rows) {
			.event = tep_find_event(reader.tep, EVENT_ID),
			.stride = strides[i],
		};
		assert_int_equal(pthread_create(&ids[i], NULL, print_rows, &rows[i]), 0);
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(ids[i], NULL);
	capture_end(&err, errors, sizeof(errors));
	for (i = 0; i < NR_THREADS; i++)
		assert_int_equal(rows[i].wrong, 0);
	assert_non_null(strstr(errors, "threads"));
	assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
	set_khz("");
	reader_close(&reader);
	print_message("  %d threads, %d rows each in their own order; the complaint came once\n",
		      NR_THREADS, NR_ROWS);
}

static char plugin_dir[] = "/tmp/tsc-offset-XXXXXX";
static char plugin_link[sizeof(plugin_dir) + 64];

static int program_argc;
static char **program_argv;

/*
 * The dynamic linker passes the program's arguments to constructors, as they are at that time. perf, for example, has
 * reordered them and set some to NULL before it loads its plugins.
 */
static void rewritten_arguments(void **state)
{
	int i, status;
	pid_t child;

	/* Without its arguments: run by hand */
	if (program_argc < 3)
		skip();
	for (i = 0; i < program_argc; i++) {
		child = fork();
		assert_true(child >= 0);
		if (!child) {
			program_argv[i] = NULL;
			/* cmocka's handler would continue with the tests in this child */
			signal(SIGSEGV, SIG_DFL);
			_exit(dlopen(plugin_link, RTLD_NOW) ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

static int make_plugin_dir(void **state)
{
	const char *plugin = getenv("PLUGIN_FILE");

	if (!plugin || !mkdtemp(plugin_dir))
		return -1;
	snprintf(plugin_link, sizeof(plugin_link), "%s/plugin_kvm_tsc_offset.so", plugin_dir);
	if (symlink(plugin, plugin_link))
		return -1;
	/* The user's own plugins must not be loaded */
	return setenv("HOME", plugin_dir, 1) || setenv("TRACEEVENT_PLUGIN_DIR", plugin_dir, 1);
}

static int remove_plugin_dir(void **state)
{
	return unlink(plugin_link) || rmdir(plugin_dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signed_deltas),
		cmocka_unit_test(every_vcpu_id),
		cmocka_unit_test(patched_kernel),
		cmocka_unit_test(multiplier),
		cmocka_unit_test(missing_field),
		cmocka_unit_test(short_record),
		cmocka_unit_test(senseless_fraction),
		cmocka_unit_test(big_endian_file),
		cmocka_unit_test(durations),
		cmocka_unit_test(durations_are_nearest),
		cmocka_unit_test(invalid_option),
		cmocka_unit_test(several_handles),
		cmocka_unit_test(unloaded),
		cmocka_unit_test(threads),
		cmocka_unit_test(rewritten_arguments),
	};

	program_argc = argc;
	program_argv = argv;
	return cmocka_run_group_tests(tests, make_plugin_dir, remove_plugin_dir);
}
