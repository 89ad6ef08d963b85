// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The output of tsc-offset show --json is read back unchanged. Other input is refused: every part missing, of another
 * type, or out of range.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "error.h"
#include "findings.h"
#include "host_file.h"
#include "show_report.h"
#include "snapshot.h"

void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);

static bool without_memory;

void *__wrap_calloc(size_t nr, size_t size)
{
	return without_memory ? NULL : __real_calloc(nr, size);
}

/* A file in memory with a path */
static int open_text(const char *text, size_t size, char *path)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	sprintf(path, "/proc/self/fd/%d", fd);
	return fd;
}

static int read_text(struct snapshot *snapshot, const char *text, size_t size)
{
	char path[32];
	int fd = open_text(text, size, path), ret;
	struct error error = { 0 };

	ret = snapshot_read(snapshot, path, &error);
	close(fd);
	assert_int_equal(ret, error.code);
	assert_int_equal(!ret, !*error.text);
	return ret;
}

#define VCPU(id, current)									\
	"{\"vcpu_id\":" id ",\"thread\":11,\"initial\":null,\"current\":" current ",\"changes\":[]}"
#define CURRENT(host_tsc, offset, ratio, frac_bits)						\
	"{\"host_tsc\":" host_tsc ",\"offset\":" offset ",\"ratio\":" ratio			\
	",\"frac_bits\":" frac_bits "}"
#define ESTIMATE(estimate)									\
	"{\"host_tsc\":1,\"offset\":1,\"ratio\":0,\"frac_bits\":0,\"estimate\":" estimate "}"
#define VM(id, trace_id, threads, vcpus)							\
	"{\"id\":" id ",\"evidence\":\"process\",\"guest\":null,\"guest_trace_id\":" trace_id	\
	",\"threads\":[" threads "],\"vcpus\":[" vcpus "]}"
#define ROOT(clock, complete, vms)								\
	"{\"source\":\"live\",\"clock\":" clock ",\"tsc_hz\":null,\"complete\":" complete	\
	",\"lost\":[],\"vms\":" vms "}"
#define SCHEMA(schema)	"{\"schema\":" schema ",\"clock\":\"x86-tsc\",\"complete\":true,\"vms\":[]}"
#define ONE(vm)	ROOT("\"x86-tsc\"", "true", "[" vm "]")
#define GOOD_VCPU VCPU("0", CURRENT("5", "-6", "0", "0"))
#define WITH(vcpu) ONE(VM("10", "null", "{\"tid\":11,\"vcpu_id\":0}", vcpu))

static void test_good(void **state)
{
	static const char text[] = ROOT("\"x86-tsc\"", "false", "["
		VM("10", "18446744073709551615", "{\"tid\":11,\"vcpu_id\":0},{\"tid\":2147483647,\"vcpu_id\":7}",
		   VCPU("7", CURRENT("18446744073709551615", "-9223372036854775808", "18446744073709551615", "63"))
		   "," VCPU("0", "null"))
		"," VM("20", "null", "", VCPU("4294967295", CURRENT("0", "9223372036854775807", "0", "0"))) "]");
	struct snapshot snapshot;
	struct snapshot_vm *vm;

	assert_int_equal(read_text(&snapshot, text, strlen(text)), 0);
	assert_false(snapshot.complete);
	assert_int_equal(snapshot.nr_vms, 2);
	vm = &snapshot.vms[0];
	assert_int_equal(vm->id, 10);
	assert_true(vm->guest_trace_id == UINT64_MAX);
	assert_int_equal(vm->nr_threads, 2);
	assert_int_equal(vm->threads[1].tid, INT32_MAX);
	assert_int_equal(vm->threads[1].vcpu_id, 7);
	assert_int_equal(vm->nr_vcpus, 2);
	assert_int_equal(vm->vcpus[0].vcpu_id, 0);
	assert_false(vm->vcpus[0].known);
	assert_int_equal(vm->vcpus[1].vcpu_id, 7);
	assert_true(vm->vcpus[1].known);
	assert_true(vm->vcpus[1].host_tsc == UINT64_MAX);
	assert_true(vm->vcpus[1].map.offset == INT64_MIN);
	assert_true(vm->vcpus[1].map.ratio == UINT64_MAX);
	assert_int_equal(vm->vcpus[1].map.frac_bits, 63);
	vm = &snapshot.vms[1];
	assert_int_equal(vm->id, 20);
	assert_true(vm->guest_trace_id == 0);
	assert_int_equal(vm->nr_threads, 0);
	assert_true(vm->vcpus[0].vcpu_id == UINT32_MAX);
	assert_true(vm->vcpus[0].map.offset == INT64_MAX);
	snapshot_release(&snapshot);
	assert_null(snapshot.vms);
	snapshot_release(&snapshot);
}

static void test_bad(void **state)
{
	static const char *const texts[] = {
		/* No JSON, or not one object */
		"", " ", "{", "[]", "null", "5", "\"x\"", "nonsense", "{}", "{}{}", "\xff", "{\"\xff\":1}",
		WITH(GOOD_VCPU) "x", WITH(GOOD_VCPU) WITH(GOOD_VCPU),
		/* The object's own members */
		ROOT("\"local\"", "true", "[]"), ROOT("null", "true", "[]"), ROOT("7", "true", "[]"),
		ROOT("\"x86-tsc\"", "null", "[]"), ROOT("\"x86-tsc\"", "1", "[]"),
		ROOT("\"x86-tsc\"", "true", "null"), ROOT("\"x86-tsc\"", "true", "{}"),
		ROOT("\"x86-tsc\"", "true", "\"vms\""),
		"{\"clock\":\"x86-tsc\",\"complete\":true}", "{\"clock\":\"x86-tsc\",\"vms\":[]}",
		"{\"complete\":true,\"vms\":[]}",
		SCHEMA("2"), SCHEMA("-1"), SCHEMA("null"), SCHEMA("\"1\""),
		/* VMs */
		ONE("null"), ONE("5"), ONE("[]"), ONE("{}"),
		ONE(VM("null", "null", "", "")), ONE(VM("\"10\"", "null", "", "")), ONE(VM("-1", "null", "", "")),
		ONE(VM("2147483648", "null", "", "")), ONE(VM("1.5", "null", "", "")),
		ONE(VM("10", "\"1\"", "", "")), ONE(VM("10", "-1", "", "")), ONE(VM("10", "1e3", "", "")),
		ONE(VM("10", "18446744073709551616", "", "")),
		ONE("{\"id\":1,\"threads\":[],\"vcpus\":[]}"),
		ONE("{\"id\":1,\"guest_trace_id\":null,\"vcpus\":[]}"),
		ONE("{\"id\":1,\"guest_trace_id\":null,\"threads\":[]}"),
		ONE("{\"id\":1,\"guest_trace_id\":null,\"threads\":{},\"vcpus\":[]}"),
		/* Threads */
		ONE(VM("10", "null", "null", "")), ONE(VM("10", "null", "{\"tid\":1}", "")),
		ONE(VM("10", "null", "{\"vcpu_id\":1}", "")),
		ONE(VM("10", "null", "{\"tid\":-1,\"vcpu_id\":0}", "")),
		ONE(VM("10", "null", "{\"tid\":2147483648,\"vcpu_id\":0}", "")),
		ONE(VM("10", "null", "{\"tid\":1,\"vcpu_id\":4294967296}", "")),
		/* vCPUs */
		WITH("null"), WITH("[]"), WITH("{}"), WITH(VCPU("null", "null")), WITH(VCPU("-1", "null")),
		WITH(VCPU("4294967296", "null")), WITH(VCPU("\"0\"", "null")), WITH(VCPU("0.0", "null")),
		WITH("{\"vcpu_id\":0}"), WITH(VCPU("0", "[]")), WITH(VCPU("0", "5")), WITH(VCPU("0", "{}")),
		WITH(GOOD_VCPU "," GOOD_VCPU), WITH(GOOD_VCPU "," VCPU("1", "null") "," VCPU("0", "null")),
		/* The current values */
		WITH(VCPU("0", "{\"offset\":1,\"ratio\":0,\"frac_bits\":0}")),
		WITH(VCPU("0", "{\"host_tsc\":1,\"ratio\":0,\"frac_bits\":0}")),
		WITH(VCPU("0", "{\"host_tsc\":1,\"offset\":1,\"frac_bits\":0}")),
		WITH(VCPU("0", "{\"host_tsc\":1,\"offset\":1,\"ratio\":0}")),
		WITH(VCPU("0", ESTIMATE("5"))), WITH(VCPU("0", ESTIMATE("{}"))),
		WITH(VCPU("0", ESTIMATE("{\"max_error\":1}"))), WITH(VCPU("0", ESTIMATE("{\"violations\":1}"))),
		WITH(VCPU("0", ESTIMATE("{\"max_error\":-1,\"violations\":0}"))),
		WITH(VCPU("0", CURRENT("-1", "0", "0", "0"))),
		WITH(VCPU("0", CURRENT("18446744073709551616", "0", "0", "0"))),
		WITH(VCPU("0", CURRENT("null", "0", "0", "0"))),
		WITH(VCPU("0", CURRENT("1", "9223372036854775808", "0", "0"))),
		WITH(VCPU("0", CURRENT("1", "-9223372036854775809", "0", "0"))),
		WITH(VCPU("0", CURRENT("1", "18446744073709551615", "0", "0"))),
		WITH(VCPU("0", CURRENT("1", "0.5", "0", "0"))), WITH(VCPU("0", CURRENT("1", "\"0\"", "0", "0"))),
		WITH(VCPU("0", CURRENT("1", "true", "0", "0"))), WITH(VCPU("0", CURRENT("1", "0", "-1", "0"))),
		WITH(VCPU("0", CURRENT("1", "0", "18446744073709551616", "0"))),
		WITH(VCPU("0", CURRENT("1", "0", "1", "64"))), WITH(VCPU("0", CURRENT("1", "0", "1", "-1"))),
		WITH(VCPU("0", CURRENT("1", "0", "1", "null"))),
	};
	static const char named[] =
		"{\"x\":\"\\\"99999999999999999999\",\"clock\":\"x86-tsc\",\"complete\":true,\"vms\":[]}";
	size_t nr = sizeof(texts) / sizeof(*texts);
	struct snapshot snapshot;

	for (size_t i = 0; i < nr; i++) {
		if (!read_text(&snapshot, texts[i], strlen(texts[i])))
			fail_msg("taken as good: %s", texts[i]);
		snapshot_release(&snapshot);
	}
	/* The digits after an escaped quote are a part of the string, not a number */
	assert_int_equal(read_text(&snapshot, named, strlen(named)), 0);
	snapshot_release(&snapshot);
	/* The controls: the same frames with valid contents */
	assert_int_equal(read_text(&snapshot, WITH(VCPU("0", ESTIMATE("{\"max_error\":1,\"violations\":0}"))),
				   strlen(WITH(VCPU("0", ESTIMATE("{\"max_error\":1,\"violations\":0}"))))), 0);
	snapshot_release(&snapshot);
	assert_int_equal(read_text(&snapshot, WITH(GOOD_VCPU), strlen(WITH(GOOD_VCPU))), 0);
	snapshot_release(&snapshot);
	assert_int_equal(read_text(&snapshot, SCHEMA("1"), strlen(SCHEMA("1"))), 0);
	snapshot_release(&snapshot);
	print_message("%zu texts refused\n", nr);
}

/* Every truncation of a valid text is invalid */
static void test_cut_off(void **state)
{
	static const char text[] = WITH(GOOD_VCPU "," VCPU("1", "null"));
	struct snapshot snapshot;

	for (size_t size = 0; size < strlen(text); size++) {
		assert_int_equal(read_text(&snapshot, text, size), -EBADMSG);
		snapshot_release(&snapshot);
	}
	assert_int_equal(read_text(&snapshot, text, strlen(text)), 0);
	snapshot_release(&snapshot);
	/* A NUL does not end the text */
	assert_int_equal(read_text(&snapshot, text, sizeof(text)), -EBADMSG);
	snapshot_release(&snapshot);
}

static void test_file_errors(void **state)
{
	struct error error = { 0 };
	struct snapshot snapshot;

	assert_int_equal(snapshot_read(&snapshot, "/nonexistent/file", &error), -ENOENT);
	assert_non_null(strstr(error.text, "No such file"));
	snapshot_release(&snapshot);
	assert_int_equal(snapshot_read(&snapshot, "/", &error), -EINVAL);
	snapshot_release(&snapshot);
}

/* Memory is bounded: by the size, by the depth, and by the number of objects, which are large */
static void test_too_large(void **state)
{
	size_t size = 17UL << 20;
	char *text = malloc(size);
	struct snapshot snapshot;

	assert_non_null(text);
	memset(text, ' ', size);
	assert_int_equal(read_text(&snapshot, text, size), -EFBIG);
	snapshot_release(&snapshot);
	/* Much white space is harmless */
	memcpy(text, WITH(GOOD_VCPU), strlen(WITH(GOOD_VCPU)));
	assert_int_equal(read_text(&snapshot, text, 16UL << 20), 0);
	snapshot_release(&snapshot);

	memset(text, '[', size);
	assert_int_equal(read_text(&snapshot, text, 1000), -EBADMSG);
	snapshot_release(&snapshot);
	text[0] = '[';
	for (size_t i = 1; i + 3 <= 1 << 20; i += 3)
		memcpy(text + i, "{},", 3);
	assert_int_equal(read_text(&snapshot, text, 1 << 20), -EFBIG);
	snapshot_release(&snapshot);
	free(text);
}

/* Two VMs: one is scaled and named; nothing is known of the other */
static void fill(struct host *host, struct host_vm *vms)
{
	static const int64_t offsets[] = { -9, INT64_MAX, INT64_MIN, -5000000000 };
	static struct host_thread threads[] = {
		{ .tid = 11, .vcpu_id = 3, .vm_fd = -1, .entries = 5 },
		{ .tid = 12, .vcpu_id = 3, .vm_fd = -1, .entries = 9 },
	};
	const struct tsc_mapping initial = { .offset = -9, .ratio = 5ULL << 46, .frac_bits = 48 };
	struct vcpu_history *vcpu;

	vms[0] = (struct host_vm) {
		.id = 10, .evidence = VM_BY_EVENT, .guest_name = (char *)"a \"guest\"\x1b\xff",
		.vm_id = UINT64_MAX - 2, .guest_trace_id = UINT64_MAX - 1, .threads = threads, .nr_threads = 2
	};
	vms[1] = (struct host_vm) { .id = 20, .evidence = VM_BY_THREADS };
	vcpu = vm_history_vcpu(&vms[0].history, 3);
	vcpu_history_set_initial(vcpu, &initial);
	for (size_t i = 1; i < sizeof(offsets) / sizeof(*offsets); i++) {
		struct tsc_mapping map = initial, previous = initial;

		map.offset = offsets[i];
		previous.offset = offsets[i - 1];
		assert_int_equal(vcpu_history_add(vcpu, UINT64_MAX - 100 + i, &map, &previous), 0);
	}
	assert_non_null(vm_history_vcpu(&vms[1].history, 0));
	*host = (struct host) { .vms = vms, .nr_vms = 2 };
}

static char *written(const struct show_report *report)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	assert_int_equal(snapshot_write(report, file), 0);
	fclose(file);
	assert_int_equal(strlen(text), size);
	return text;
}

static void test_round_trip(void **state)
{
	struct host_vm vms[2];
	struct host host;
	struct findings findings = { 0 };
	struct show_report report = { .source = "new\nline", .host = &host, .complete = true, .findings = &findings };
	struct snapshot snapshot;
	char *text;

	fill(&host, vms);
	assert_true(tsc_frequency_set(&report.frequency, 1 << 30, 30));
	show_report_complete(&report);
	assert_true(report.complete);
	assert_true(report.scaled);
	text = written(&report);
	assert_null(strchr(text, 0x1b));
	assert_non_null(strstr(text, "\"guest\": \"a \\\"guest\\\"\?\?\""));
	assert_non_null(strstr(text, "\"source\": \"new?line\""));
	assert_non_null(strstr(text, "\"tsc_hz\": 1000000000"));
	assert_non_null(strstr(text, "\"thread\": 12"));
	assert_non_null(strstr(text, "\"initial\": { \"offset\": -9, \"ratio\": 351843720888320, "
				     "\"frac_bits\": 48 }"));
	assert_non_null(strstr(text, "\"delta\": -9223372036854775800"));
	/* From the largest to the smallest offset is one cycle forward, modulo 2^64 */
	assert_non_null(strstr(text, "\"previous\": 9223372036854775807, \"next\": -9223372036854775808, "
				     "\"delta\": 1,"));

	assert_int_equal(read_text(&snapshot, text, strlen(text)), 0);
	assert_true(snapshot.complete);
	assert_int_equal(snapshot.nr_vms, 2);
	assert_int_equal(snapshot.vms[0].id, 10);
	assert_true(snapshot.vms[0].guest_trace_id == UINT64_MAX - 1);
	assert_true(snapshot.vms[0].kvm_id == UINT64_MAX - 2);
	assert_non_null(strstr(text, "\"kvm_id\": null"));
	assert_true(snapshot.vms[1].kvm_id == 0);
	assert_int_equal(snapshot.vms[0].nr_threads, 2);
	assert_int_equal(snapshot.vms[0].threads[1].tid, 12);
	assert_int_equal(snapshot.vms[0].nr_vcpus, 1);
	assert_int_equal(snapshot.vms[0].vcpus[0].vcpu_id, 3);
	assert_true(snapshot.vms[0].vcpus[0].known);
	assert_true(snapshot.vms[0].vcpus[0].host_tsc == UINT64_MAX - 97);
	assert_int_equal(snapshot.vms[0].vcpus[0].map.offset, -5000000000);
	assert_true(snapshot.vms[0].vcpus[0].map.ratio == 5ULL << 46);
	assert_false(snapshot.vms[1].vcpus[0].known);
	snapshot_release(&snapshot);
	free(text);

	/* Only one VM, with a loss at the end: then the current value is unknown */
	report.only = &vms[0];
	vms[0].history.vcpus[0].lost_after = true;
	show_report_complete(&report);
	assert_false(report.complete);
	text = written(&report);
	assert_int_equal(read_text(&snapshot, text, strlen(text)), 0);
	assert_false(snapshot.complete);
	assert_int_equal(snapshot.nr_vms, 1);
	assert_false(snapshot.vms[0].vcpus[0].known);
	snapshot_release(&snapshot);
	free(text);

	/* A value that was read from a live host is still known */
	vms[0].now = &(struct vcpu_now) { .known = true, .host_tsc = 77, .map.offset = -1 };
	text = written(&report);
	assert_int_equal(read_text(&snapshot, text, strlen(text)), 0);
	assert_true(snapshot.vms[0].vcpus[0].known);
	assert_int_equal(snapshot.vms[0].vcpus[0].host_tsc, 77);
	assert_int_equal(snapshot.vms[0].vcpus[0].map.offset, -1);
	assert_false(snapshot.vms[0].vcpus[0].bound.estimated);
	snapshot_release(&snapshot);
	free(text);

	/* An estimate is marked as one */
	vms[0].now->bound = (struct estimate_bound) { true, 38351, 2 };
	text = written(&report);
	assert_int_equal(read_text(&snapshot, text, strlen(text)), 0);
	assert_true(snapshot.vms[0].vcpus[0].bound.estimated);
	assert_int_equal(snapshot.vms[0].vcpus[0].bound.max_error, 38351);
	assert_int_equal(snapshot.vms[0].vcpus[0].bound.violations, 2);
	snapshot_release(&snapshot);
	free(text);
	vm_history_release(&vms[0].history);
	vm_history_release(&vms[1].history);
}

/* Writing fails: without memory, also during computation, and on a full disk */
static void test_write_fails(void **state)
{
	struct host_vm vms[2];
	struct host host;
	struct findings findings = { 0 };
	struct show_report report = { .source = "host.dat", .host = &host, .findings = &findings };
	FILE *file = fopen("/dev/full", "w"), *null = fopen("/dev/null", "w");

	assert_true(file && null);
	fill(&host, vms);
	assert_int_equal(snapshot_write(&report, file), -ENOSPC);
	without_memory = true;
	assert_int_equal(snapshot_write(&report, null), -ENOMEM);
	without_memory = false;
	assert_int_equal(snapshot_write(&report, null), 0);
	fclose(null);
	fclose(file);
	vm_history_release(&vms[0].history);
	vm_history_release(&vms[1].history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_file_errors),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_write_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
