// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The hook in a fake trace-cmd that loads its own plugins: a guest's file gets all sync points or none, and a message
 * says why it gets none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/vm_sockets.h>

#include <tracefs.h>

#include "boot_instance.h"
#include "fake_trace_cmd.h"
#include "guest_clock.h"
#include "guest_probe.h"
#include "kvm_debugfs.h"
#include "message.h"
#include "record_instance.h"
#include "time_shift.h"
#include "vm_process.h"

struct trace_plugin_context;
int tracecmd_plugin_loader(struct trace_plugin_context *trace);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *size);
char *__wrap_tracefs_get_clock(struct tracefs_instance *instance);

/* The state of the fake guest, its guest_clock and its host */
static struct {
	int		cid_error;
	bool		other_process;
	const char	*clock;
	int		open_error;
	int		shift_error;
	size_t		nr_points;
	bool		is_open;
	size_t		nr_probes;
	int		closed_with;
	char		said[1024];
} guest;

struct guest_clock {
	int	unused;
};

static struct guest_clock the_clock;

int guest_clock_open(struct guest_clock **result, pid_t pid, size_t nr_cpus, unsigned int number)
{
	assert_int_equal(nr_cpus, FAKE_CPUS);
	*result = &the_clock;
	guest.is_open = !guest.open_error;
	return guest.open_error;
}

void guest_clock_probe(struct guest_clock *clock, size_t cpu, const struct guest_probe *probe)
{
	guest.nr_probes++;
}

static int64_t correction_of(size_t at)
{
	return -1000 - (int64_t)at;
}

int guest_clock_time_shift(struct guest_clock *clock, struct time_shift *shift)
{
	assert_true(guest.is_open);
	*shift = (struct time_shift) { 0 };
	if (guest.shift_error)
		return guest.shift_error;
	shift->nr_vcpus = FAKE_CPUS;
	shift->nr_points = guest.nr_points;
	shift->points = calloc(FAKE_CPUS * guest.nr_points, sizeof(*shift->points));
	for (size_t i = 0; i < FAKE_CPUS * guest.nr_points; i++)
		shift->points[i] = (struct time_shift_point) { .guest_tsc = 1 + i, .correction = correction_of(i) };
	return 0;
}

void guest_clock_forked(struct guest_clock *clock)
{
}

void guest_clock_close(struct guest_clock *clock, int error)
{
	assert_true(guest.is_open);
	guest.is_open = false;
	guest.closed_with = error;
}

void guest_clock_abandon(struct guest_clock *clock)
{
}

void message(const char *format, ...)
{
	size_t used = strlen(guest.said);
	va_list args;

	va_start(args, format);
	vsnprintf(guest.said + used, sizeof(guest.said) - used, format, args);
	va_end(args);
	strncat(guest.said, "\n", sizeof(guest.said) - strlen(guest.said) - 1);
}

bool kvm_debugfs_shows_vm(const char *kvm_dir)
{
	return true;
}

int boot_instance_read(tsc_event_func take, void *context)
{
	return 1;
}

bool tsc_event_available(void)
{
	return true;
}

int record_instance_sweep(void)
{
	return 0;
}

size_t vm_process_nr_vms(pid_t pid)
{
	return 1;
}

pid_t vm_process_of_event(pid_t tid, pid_t vm_pid, int vm_fd)
{
	return tid;
}

bool vm_process_may_have_cid(pid_t pid, unsigned int cid)
{
	return !guest.cid_error && !guest.other_process;
}

int vm_process_by_cid(unsigned int cid, pid_t *pid)
{
	return guest.cid_error;
}

int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *size)
{
	struct sockaddr_vm *vm = (struct sockaddr_vm *)address;

	*vm = (struct sockaddr_vm) { .svm_family = AF_VSOCK, .svm_cid = 3 };
	return 0;
}

char *__wrap_tracefs_get_clock(struct tracefs_instance *instance)
{
	return strdup(guest.clock);
}

static void begin(bool is_guest)
{
	memset(&guest, 0, sizeof(guest));
	guest.nr_points = 4;
	fake_trace_cmd_begin(is_guest);
}

static void check_points(size_t nr_points)
{
	for (size_t cpu = 0; cpu < FAKE_CPUS; cpu++) {
		const struct tsync_samples *samples = &trace_cmd.samples[cpu];

		assert_int_equal(samples->count, nr_points);
		for (size_t i = 0; i < nr_points; i++) {
			assert_int_equal(samples->ts[i], 1 + cpu * nr_points + i);
			assert_int_equal(samples->offsets[i], correction_of(cpu * nr_points + i));
			assert_int_equal(samples->scalings[i], 1);
			assert_int_equal(samples->frac[i], 0);
		}
	}
}

static int load(void **state)
{
	/* The protocol may already be registered, as in a trace-cmd that loads plugins */
	kvm_clock_sync_register();
	return tracecmd_plugin_loader(NULL);
}

static void test_registered(void **state)
{
	assert_string_equal(trace_cmd.proto.name, "kvm");
	assert_int_equal(trace_cmd.proto.builtin.roles, 2 | TSYNC_ROLE_HOST);
	assert_int_equal(trace_cmd.proto.builtin.clocks, TSYNC_CLOCK_X86_TSC);
	assert_int_equal(trace_cmd.proto.builtin.flags, TIME_SHIFT_INTERPOLATE);
}

static void open_served(void)
{
	begin(false);
	assert_int_equal(trace_cmd.proto.builtin.init(trace_cmd.tsync), 0);
	assert_true(guest.is_open);
}

static void close_served(int error)
{
	assert_int_equal(trace_cmd.proto.builtin.free(trace_cmd.tsync), 0);
	assert_false(guest.is_open);
	assert_int_equal(guest.closed_with, error);
	assert_int_equal(trace_cmd.calls, 0);
	fake_trace_cmd_end();
}

/* Each round returns all sync points again, more or fewer than before */
static void test_served(void **state)
{
	static const size_t rounds[] = { 4, 1000, 6 };

	open_served();
	for (size_t i = 0; i < sizeof(rounds) / sizeof(*rounds); i++) {
		guest.nr_points = rounds[i];
		assert_int_equal(fake_trace_cmd_round(), 0);
		check_points(rounds[i]);
	}
	assert_int_equal(trace_cmd.answers, 3 * FAKE_CPUS);
	assert_int_equal(guest.nr_probes, 3 * FAKE_CPUS);
	assert_string_equal(guest.said, "");
	close_served(0);
}

/* The sync points of an earlier round are not the complete history */
static void test_no_points(void **state)
{
	for (int again = 0; again < 2; again++) {
		open_served();
		assert_int_equal(fake_trace_cmd_round(), 0);
		guest.shift_error = -ERANGE;
		assert_int_equal(fake_trace_cmd_round(), 0);
		check_points(0);
		guest.shift_error = 0;
		if (again) {
			assert_int_equal(fake_trace_cmd_round(), 0);
			check_points(guest.nr_points);
		}
		close_served(again ? 0 : -ERANGE);
	}
}

/* If trace-cmd does not find its samples where we expect them, we do not write there */
static void test_moved(void **state)
{
	open_served();
	assert_int_equal(fake_trace_cmd_round(), 0);
	trace_cmd.moved = true;
	guest.nr_points = 2;
	assert_int_equal(fake_trace_cmd_round(), 0);
	check_points(4);
	close_served(-ENOTSUP);
}

static void test_agent_ends(void **state)
{
	open_served();
	trace_cmd.agent_ends = true;
	assert_int_equal(fake_trace_cmd_round(), -1);
	check_points(guest.nr_points);
	assert_non_null(strstr(guest.said, "no longer answers"));
	close_served(0);
}

/* A guest that is not served gets nothing from trace-cmd's own protocol either, and one line says so */
static void test_not_served(void **state)
{
	static const struct {
		int		cid_error, open_error;
		bool		moved;
		const char	*why;
	} guests[] = {
		{ 0, -EACCES, false, "Permission denied; tsc-offset stamp" },
		{ 0, -E2BIG, false, "too many CPUs; tsc-offset stamp" },
		{ 0, -EOPNOTSUPP, false, "its TSC is protected" },
		{ -EEXIST, 0, false, "several processes" },
		{ -ENOENT, 0, false, "was not found" },
		{ 0, 0, true, "not as expected" },
	};

	for (size_t i = 0; i < sizeof(guests) / sizeof(*guests); i++) {
		begin(false);
		guest.cid_error = guests[i].cid_error;
		guest.open_error = guests[i].open_error;
		trace_cmd.moved = guests[i].moved;
		assert_int_equal(trace_cmd.proto.builtin.init(trace_cmd.tsync), -1);
		assert_int_equal(trace_cmd.calls, 0);
		assert_int_equal(strncmp(guest.said, "a guest is not synchronised: ", 29), 0);
		assert_non_null(strstr(guest.said, guests[i].why));
		assert_ptr_equal(strchr(guest.said, '\n'), guest.said + strlen(guest.said) - 1);
		assert_int_equal(!strstr(guest.said, "stamp"), guests[i].open_error == -EOPNOTSUPP);
		check_points(0);
		fake_trace_cmd_end();
	}
}

/* In the guest, trace-cmd's own protocol does everything */
static void test_guest_side(void **state)
{
	begin(true);
	assert_int_equal(trace_cmd.proto.builtin.init(trace_cmd.tsync), 0);
	assert_int_equal(fake_trace_cmd_round(), 0);
	assert_int_equal(trace_cmd.proto.builtin.free(trace_cmd.tsync), 0);
	assert_int_equal(trace_cmd.calls, 2 + FAKE_CPUS);
	assert_false(guest.is_open);
	assert_string_equal(guest.said, "");
	fake_trace_cmd_end();
}

/*
 * A proxy agent that did not find the guest's process leaves the host's clock unchanged: then nothing can be merged.
 * If it found another process than the guest's, it sets the clock.
 */
static void test_proxy(void **state)
{
	static const struct {
		int		pid;
		const char	*clock;
		bool		served;
	} agents[] = {
		{ -1, "local", false },
		{ -1, "x86-tsc", true },
		{ 4711, "local", true },
	};

	for (size_t i = 0; i < sizeof(agents) / sizeof(*agents); i++) {
		begin(false);
		fake_trace_cmd_found(agents[i].pid);
		guest.clock = agents[i].clock;
		guest.other_process = true;
		assert_int_equal(trace_cmd.proto.builtin.init(trace_cmd.tsync), agents[i].served ? 0 : -1);
		assert_int_equal(!!strstr(guest.said, "not synchronised: trace-cmd did not find its process"),
				 !agents[i].served);
		assert_null(strstr(guest.said, "stamp"));
		if (agents[i].served)
			close_served(0);
		else
			fake_trace_cmd_end();
	}
}

/* With the command line of an agent, the test is an agent */
int main(int argc, char **argv)
{
	const struct CMUnitTest proxy_tests[] = {
		cmocka_unit_test(test_registered),
		cmocka_unit_test(test_proxy),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registered),
		cmocka_unit_test(test_served),
		cmocka_unit_test(test_no_points),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_agent_ends),
		cmocka_unit_test(test_not_served),
		cmocka_unit_test(test_guest_side),
	};

	if (argc > 1)
		return cmocka_run_group_tests(proxy_tests, NULL, NULL);
	if (cmocka_run_group_tests(tests, load, NULL))
		return EXIT_FAILURE;
	execl("/proc/self/exe", argv[0], "agent", "-P", "3", NULL);
	return EXIT_FAILURE;
}
