// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset merge: merge Perfetto's traces of a host and a guest into one, by the history of the guest's TSC offset.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock_rows.h"
#include "error.h"
#include "findings.h"
#include "guest_places.h"
#include "guest_times.h"
#include "history_source.h"
#include "input_file.h"
#include "merge.h"
#include "message.h"
#include "options.h"
#include "output_file.h"
#include "packet.h"
#include "packet_file.h"
#include "packet_rewrite.h"
#include "progress.h"
#include "wire_reader.h"

/* Perfetto reads the clocks every ten seconds: times that are further outside of its snapshots are a doubt */
#define MAX_OUTSIDE_NS	15000000000ULL

/* Clocks whose rate deviates by more were slewed, or read late */
#define MAX_BEND_NS	10000

/* If wall clocks differ by more, they are not synchronised, or the VM is the wrong one: NTP keeps them much closer */
#define MAX_WALL_NS	100000000ULL

/* Another VM fits equally well if its wall clock differs by at most this much more */
#define WALL_RESOLUTION_NS	5000000ULL

/* The command line */
struct request {
	const char	*out;
	const char	*history;
	const char	*vm;
	const char	*host_path;
	const char	*guest_path;
};

/* The data of one run */
struct ctx {
	const struct request	*request;
	struct error		error;
	struct findings		findings;
	struct history_source	history;
	struct packet_file	host;
	struct packet_file	guest;
	struct clock_rows	host_rows;
	struct clock_rows	guest_rows;
	struct clock_rate	rate;
	struct guest_places	places;
	struct guest_times	times;
	uint64_t		late[2];	/* greatest delay of the TSC reads, in host cycles: host, guest */
	struct packet_rewrite	rewrite;
	struct wire	copy;
	struct progress		progress;
	uint64_t		nr_packets;
};

static void print_help(void)
{
	printf("Usage: tsc-offset merge [OPTIONS] --history FILE -o OUT HOST.pftrace\n"
	       "                        GUEST.pftrace\n"
	       "\n"
	       "Merge two traces that Perfetto recorded, one on a host and one in one of its\n"
	       "guests. In the merged trace the guest is a separate machine, with its events at\n"
	       "the host's times. Both traces need snapshots of BOOTTIME and of the TSC, which\n"
	       "Perfetto records on x86. The history of the guest's TSC offset relates them, so\n"
	       "that times are right even after the TSC jumped. A merged trace can be the\n"
	       "HOST.pftrace for another guest.\n"
	       "\n"
	       "  -o, --output OUT      write the merged trace to OUT\n"
	       "      --history FILE    read the history from FILE: the host's trace.dat,\n"
	       "                        recorded at the same time with -C x86-tsc\n"
	       "                        -e kvm:kvm_write_tsc_offset, or what show --json printed\n"
	       "                        on the host afterwards\n"
	       "      --vm ID           use this VM of the history, if there are several: its\n"
	       "                        name as show lists it\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but something was left\n"
	       "out or is in doubt\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static int read_clocks(struct ctx *ctx, struct packet_file *file, const char *path, struct clock_rows *rows)
{
	int ret;

	if (input_file_is_recording(path))
		return error_set(&ctx->error, -EINVAL, path,
				 "a recording of trace-cmd and not of Perfetto; use tsc-offset export");
	ret = packet_file_open(file, path, &ctx->error);
	if (!ret)
		ret = clock_rows_read(rows, file);
	if (ret)
		return ret;
	if (rows->trace_clock)
		return error_set(&ctx->error, -EOPNOTSUPP, path,
				 "its times are by clock %" PRIu64 " (primary_trace_clock) and not by BOOTTIME",
				 rows->trace_clock);
	if (!rows->nr)
		return error_set(&ctx->error, -ENODATA, path, rows->without_tsc ?
				 "its snapshots of clocks lack the TSC: its times cannot be made exact; record with a newer Perfetto on x86" :
				 "there are no snapshots of clocks in it: its times cannot be made exact; record without disable_clock_snapshotting");
	if (rows->nr < 2)
		return error_set(&ctx->error, -ENODATA, path,
				 "there is only one snapshot of clocks in it, which does not show how fast they run; record for longer");
	return packet_file_rewind(file);
}

static int take_rate(struct ctx *ctx)
{
	uint64_t late = clock_rows_correct(&ctx->host_rows);
	const struct clock_row *first = &ctx->host_rows.rows[0], *last = &ctx->host_rows.rows[ctx->host_rows.nr - 1];

	if (last->values[CLOCK_ID_TSC] <= first->values[CLOCK_ID_TSC] || last->values[CLOCK_ID_TSC] > INT64_MAX >> 1)
		return error_set(&ctx->error, -EINVAL, ctx->request->host_path, "the host's TSC went back: it slept");
	ctx->late[0] = late;
	ctx->rate = (struct clock_rate) {
		.ns = last->values[CLOCK_ID_BOOTTIME] - first->values[CLOCK_ID_BOOTTIME],
		.cycles = last->values[CLOCK_ID_TSC] - first->values[CLOCK_ID_TSC],
	};
	return 0;
}

static uint64_t cycles_ns(const struct ctx *ctx, uint64_t cycles)
{
	unsigned __int128 ns = (unsigned __int128)cycles * ctx->rate.ns / ctx->rate.cycles;

	return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

static int find_places(struct ctx *ctx)
{
	const char *path = ctx->request->guest_path;
	int ret = guest_places_find(&ctx->places, &ctx->guest_rows, ctx->history.vm, &ctx->rate);

	if (ret == -ENOENT)
		return error_set(&ctx->error, ret, path,
				 "its clocks do not fit the history of VM %s in %s: %zu of %zu snapshots have a TSC that this VM never had, and the others are not as far apart as on the host's clock; is it of another VM?",
				 ctx->history.name, ctx->request->history, ctx->places.nr_impossible,
				 ctx->guest_rows.nr);
	if (ret == -E2BIG)
		return error_set(&ctx->error, ret, path,
				 "the TSC of VM %s jumped backward too often to decide what its values mean",
				 ctx->history.name);
	if (ret)
		return error_set_code(&ctx->error, ret, path);
	ctx->late[1] = guest_places_correct(&ctx->places);
	ret = guest_times_make(&ctx->times, &ctx->places, &ctx->host_rows);
	if (ret == -ERANGE)
		return error_set(&ctx->error, ret, path, "its clocks, or those of the host, went back");
	return ret ? error_set_code(&ctx->error, ret, path) : 0;
}

static void review_places(struct ctx *ctx)
{
	const struct guest_places *places = &ctx->places;
	const char *path = ctx->request->guest_path;

	if (places->nr_impossible)
		findings_doubt(&ctx->findings, FINDING_VM,
			       "%s: %zu of %zu snapshots of clocks have a TSC that VM %s never had", path,
			       places->nr_impossible, ctx->guest_rows.nr, ctx->history.name);
	if (places->nr_broken)
		findings_doubt(&ctx->findings, FINDING_CLOCK,
			       "%s: in %zu places between snapshots its clocks did not run evenly: was the VM paused, or did its TSC jump backward? What was recorded there is left out",
			       path, places->nr_broken);
	if (places->unclear)
		findings_doubt(&ctx->findings, FINDING_CLOCK,
			       "%s: it is uncertain whether its clocks moved with its TSC: host times near the jumps may be wrong by up to %" PRIu64 " ns",
			       path, cycles_ns(ctx, places->unclear));
	if (places->rivals)
		findings_doubt(&ctx->findings, FINDING_VCPU,
			       "%s: some snapshots may have clocks of different moments, because TSC offsets of vCPUs differ or a TSC jumped backward: host times may be wrong by up to %" PRIu64 " ns",
			       path, cycles_ns(ctx, places->rivals));
	if (places->nr_jumps)
		findings_note(&ctx->findings, FINDING_CLOCK,
			      "%s: the TSC jumped between %zu pair%s of snapshots; its clocks %s", path,
			      places->nr_jumps, places->nr_jumps == 1 ? "" : "s",
			      places->model == CLOCK_RUNS_ON ? "ran on, as kvm-clock does" : "jumped with it");
}

/* Does the history cover the guest's whole recording? */
static void review_history(struct ctx *ctx)
{
	const struct history_source *history = &ctx->history;
	const struct guest_place *first = &ctx->places.places[0], *last = &ctx->places.places[ctx->places.nr - 1];

	if (first->host_tsc < history->from)
		findings_doubt(&ctx->findings, FINDING_HISTORY,
			       "%s: begins %" PRIu64 " ms after %s: earlier changes of TSC offsets are unknown",
			       ctx->request->history, cycles_ns(ctx, history->from - first->host_tsc) / 1000000,
			       ctx->request->guest_path);
	if (last->host_tsc > history->to)
		findings_doubt(&ctx->findings, FINDING_HISTORY,
			       "%s: ends %" PRIu64 " ms before %s: later changes of TSC offsets are unknown",
			       ctx->request->history, cycles_ns(ctx, last->host_tsc - history->to) / 1000000,
			       ctx->request->guest_path);
}

static void review_bend(struct ctx *ctx, const char *path, const struct clock_line *line, bool cycles, uint64_t late)
{
	uint64_t bend;

	if (late)
		findings_note(&ctx->findings, FINDING_CLOCK,
			      "%s: its TSC was read up to %" PRIu64 " ns late in snapshots of clocks; this is corrected", path,
			      cycles_ns(ctx, late));

	if (!clock_line_bend(line, &bend)) {
		findings_note(&ctx->findings, FINDING_CLOCK,
			      "%s: too few snapshots of clocks to show how evenly its clock runs between them", path);
		return;
	}
	if (cycles)
		bend = cycles_ns(ctx, bend);
	findings_add(&ctx->findings, FINDING_CLOCK, bend > MAX_BEND_NS,
		     "%s: between snapshots its clock is even within %" PRIu64 " ns", path, bend);
}

/*
 * By how much the wall clocks of host and guest differ at the guest's first place
 *
 * Returns: 1, 0 if that is unknown, or -ENOMEM.
 */
static int wall_clocks_differ(const struct ctx *ctx, const struct guest_places *places, uint64_t *ns)
{
	const struct guest_place *place = &places->places[0];
	const struct clock_row *row = &ctx->guest_rows.rows[place->row];
	struct clock_line line = { 0 };
	line_time wall;
	int ret = 0;

	for (size_t i = 0; i < ctx->host_rows.nr && !ret; i++) {
		const struct clock_row *host = &ctx->host_rows.rows[i];

		if (clock_row_has(host, CLOCK_ID_REALTIME))
			ret = clock_line_add(&line, host->values[CLOCK_ID_TSC], host->values[CLOCK_ID_REALTIME], false);
	}
	if (!ret && clock_row_has(row, CLOCK_ID_REALTIME) && clock_line_usable(&line) &&
	    clock_line_at(&line, line_time_of(place->host_tsc), &wall)) {
		wall -= line_time_of(row->values[CLOCK_ID_REALTIME]);
		*ns = (uint64_t)((wall < 0 ? -wall : wall) >> CLOCK_LINE_BITS);
		ret = 1;
	}
	clock_line_release(&line);
	return ret;
}

/* Does another VM of the history fit the guest's clocks, and its wall clock as well as the chosen one does? */
static int review_other(struct ctx *ctx, const struct vm_history *vm, const char *name, uint64_t off)
{
	struct guest_places places = { 0 };
	uint64_t other = 0;
	int ret = guest_places_find(&places, &ctx->guest_rows, vm, &ctx->rate);

	if (!ret)
		ret = wall_clocks_differ(ctx, &places, &other);
	if (ret > 0 && other / 2 <= off + WALL_RESOLUTION_NS)
		findings_doubt(&ctx->findings, FINDING_VM,
			       "%s: is it of VM %s? By that VM's history, its wall clock differs from the host's by %" PRIu64 ".%06" PRIu64 " s",
			       ctx->request->guest_path, name, other / 1000000000, other % 1000000000 / 1000);
	guest_places_release(&places);
	return ret == -ENOMEM ? ret : 0;
}

/* Nothing in Perfetto's traces proves which VM it is; the wall clocks are a hint */
static int review_wall_clock(struct ctx *ctx)
{
	uint64_t off;
	int ret = wall_clocks_differ(ctx, &ctx->places, &off);

	if (ret <= 0) {
		findings_doubt(&ctx->findings, FINDING_VM, "%s: nothing shows that it is of VM %s",
			       ctx->request->guest_path, ctx->history.name);
		return ret;
	}
	findings_add(&ctx->findings, FINDING_VM, off > MAX_WALL_NS,
		     "%s: its wall clock differs from the host's by %" PRIu64 ".%06" PRIu64 " s by this history; nothing else shows that it is of VM %s",
		     ctx->request->guest_path, off / 1000000000, off % 1000000000 / 1000, ctx->history.name);
	ret = 1;
	for (size_t i = 0; ret > 0; i++) {
		const struct vm_history *vm;
		struct vm_history own;
		const char *name;

		ret = history_source_other(&ctx->history, i, &vm, &name, &own);
		if (ret > 0 && vm && review_other(ctx, vm, name, off))
			ret = -ENOMEM;
		vm_history_release(&own);
	}
	return ret;
}

static int write_bytes(struct ctx *ctx, FILE *stream, const struct wire *bytes)
{
	errno = EIO;
	if (fwrite(bytes->bytes, 1, bytes->size, stream) != bytes->size)
		return error_set(&ctx->error, -errno, ctx->request->out, "cannot be written: %s", strerror(errno));
	return 0;
}

static int copy_host(struct ctx *ctx, FILE *stream)
{
	struct cursor packet;
	int ret;

	while ((ret = packet_file_next(&ctx->host, &packet)) > 0) {
		ret = packet_copy_host(&ctx->copy, packet);
		if (ret)
			return packet_file_fail(&ctx->host, ret,
						ret == -ENOMEM ? "no memory" : "an invalid packet");
		ret = write_bytes(ctx, stream, &ctx->copy);
		if (ret)
			return ret;
		progress_at(&ctx->progress, ctx->host.offset);
	}
	return ret;
}

static void put_clocks(struct wire *out, uint32_t whose, uint64_t ns)
{
	size_t clocks = wire_put_begin(out, whose), clock = wire_put_begin(out, SNAPSHOT_CLOCKS);

	wire_put_field(out, CLOCK_ID, CLOCK_ID_BOOTTIME);
	wire_put_field(out, CLOCK_TIMESTAMP, ns);
	wire_put_end(out, clock);
	wire_put_end(out, clocks);
}

/*
 * State that the guest's clock is the host's. Without this packet, Perfetto's trace processor assumes the same, but
 * only if it does not know the wall clocks.
 */
static int write_sync(struct ctx *ctx, FILE *stream)
{
	uint64_t ns = ctx->host_rows.rows[0].values[CLOCK_ID_BOOTTIME];
	struct wire *out = &ctx->copy;
	size_t packet, sync;

	out->size = 0;
	packet = wire_put_begin(out, 1);
	wire_put_field(out, PACKET_MACHINE_ID, ctx->rewrite.machine_id);
	sync = wire_put_begin(out, PACKET_CLOCK_SYNC);
	for (int i = 0; i < 2; i++) {
		size_t round = wire_put_begin(out, SYNC_CLOCKS);

		put_clocks(out, SYNC_CLIENT, ns);
		put_clocks(out, SYNC_HOST, ns);
		wire_put_end(out, round);
	}
	wire_put_end(out, sync);
	wire_put_end(out, packet);
	return out->failed ? error_set_code(&ctx->error, -ENOMEM, ctx->request->out) : write_bytes(ctx, stream, out);
}

static int write_guest(struct ctx *ctx, FILE *stream)
{
	struct cursor packet;
	int ret = write_sync(ctx, stream);

	while (!ret && (ret = packet_file_next(&ctx->guest, &packet)) > 0) {
		ret = packet_rewrite(&ctx->rewrite, packet);
		if (ret)
			return packet_file_fail(&ctx->guest, ret, ret == -ENOMEM ? "no memory" :
						ret == -E2BIG ? "too many sequences" : "an invalid packet");
		ret = write_bytes(ctx, stream, &ctx->rewrite.out);
		ctx->nr_packets++;
		progress_at(&ctx->progress, ctx->host.size + ctx->guest.offset);
	}
	return ret;
}

static void review_left_out(struct ctx *ctx)
{
	const struct packet_rewrite *rewrite = &ctx->rewrite;
	const char *path = ctx->request->guest_path;

	for (size_t i = 0; i < PACKET_KINDS; i++) {
		if (rewrite->kinds[i])
			findings_doubt(&ctx->findings, FINDING_TEXT,
				       "%s: %" PRIu64 " packets of kind %zu are left out: it is unknown which of their fields are times",
				       path, rewrite->kinds[i], i);
	}
	if (rewrite->left_out[LEFT_OUT_CLOCK])
		findings_doubt(&ctx->findings, FINDING_CLOCK,
			       "%s: %" PRIu64 " packets are left out: their times cannot be converted to the host's",
			       path, rewrite->left_out[LEFT_OUT_CLOCK]);
	if (rewrite->left_out[LEFT_OUT_EVENT])
		findings_doubt(&ctx->findings, FINDING_CLOCK,
			       "%s: %" PRIu64 " ftrace events are left out: their times, or times in them, cannot be converted to the host's",
			       path, rewrite->left_out[LEFT_OUT_EVENT]);
	if (rewrite->left_out[LEFT_OUT_MACHINE])
		findings_doubt(&ctx->findings, FINDING_VM,
			       "%s: %" PRIu64 " packets of other machines are left out", path,
			       rewrite->left_out[LEFT_OUT_MACHINE]);
	if (ctx->times.nr_outside)
		findings_add(&ctx->findings, FINDING_CLOCK, ctx->times.furthest > MAX_OUTSIDE_NS,
			     "%s: %" PRIu64 " of %" PRIu64 " times are up to %" PRIu64 " us outside of the snapshots of clocks, where clocks are assumed to keep their rate",
			     path, ctx->times.nr_outside, ctx->times.nr, ctx->times.furthest / 1000);
}

static int write_out(struct ctx *ctx)
{
	_cleanup_(output_file_close) struct output_file output;
	int ret = output_file_open(&output, ctx->request->out);

	if (ret)
		return ret;
	/* Users without access to all inputs must not get access to the output */
	output_file_restrict(&output, fileno(ctx->host.stream));
	output_file_restrict(&output, fileno(ctx->guest.stream));
	findings_print(&ctx->findings);
	ctx->rewrite.times = &ctx->times;
	ctx->rewrite.machine_id = ctx->host_rows.highest_machine + 1;
	progress_begin(&ctx->progress, ctx->request->out, ctx->host.size + ctx->guest.size);
	ret = copy_host(ctx, output.stream);
	if (!ret)
		ret = write_guest(ctx, output.stream);
	progress_end(&ctx->progress);
	if (!ret)
		ret = output_file_finish(&output);
	if (ret)
		return ret;
	message("%s: %" PRIu64 " packets of %s are machine %" PRIu32 ", with %" PRIu64 " times", ctx->request->out,
		ctx->nr_packets, ctx->request->guest_path, ctx->rewrite.machine_id, ctx->times.nr);
	review_left_out(ctx);
	return 0;
}

static int merge(struct ctx *ctx)
{
	const struct request *request = ctx->request;
	int ret;

	if (input_file_same(request->out, request->host_path) || input_file_same(request->out, request->guest_path) ||
	    input_file_same(request->out, request->history))
		return error_set(&ctx->error, -EEXIST, request->out, "is one of the inputs and is not replaced");
	if (input_file_same(request->host_path, request->guest_path))
		return error_set(&ctx->error, -EINVAL, request->guest_path, "is given as the host's trace and as the guest's");
	ret = read_clocks(ctx, &ctx->host, request->host_path, &ctx->host_rows);
	if (!ret)
		ret = read_clocks(ctx, &ctx->guest, request->guest_path, &ctx->guest_rows);
	if (!ret && ctx->host_rows.highest_machine == UINT32_MAX)
		ret = error_set(&ctx->error, -EOVERFLOW, request->host_path,
				"there is no number left for another machine");
	if (!ret)
		ret = take_rate(ctx);
	if (!ret)
		ret = history_source_read(&ctx->history, request->history, request->vm, &ctx->findings, &ctx->error);
	if (!ret)
		ret = find_places(ctx);
	if (ret)
		return ret;
	review_places(ctx);
	review_history(ctx);
	review_bend(ctx, request->host_path, &ctx->times.host, false, ctx->late[0]);
	review_bend(ctx, request->guest_path, &ctx->times.clocks[CLOCK_ID_BOOTTIME], true, ctx->late[1]);
	if (review_wall_clock(ctx))
		return error_set_code(&ctx->error, -ENOMEM, request->guest_path);
	return write_out(ctx);
}

static enum exit_status merge_files(const struct request *request)
{
	struct ctx ctx = { .request = request, .history.dat.fd = -1 };
	enum exit_status status;
	int ret = merge(&ctx);

	status = verb_end(ret, &ctx.error, &ctx.findings);
	packet_rewrite_release(&ctx.rewrite);
	wire_release(&ctx.copy);
	guest_times_release(&ctx.times);
	guest_places_release(&ctx.places);
	clock_rows_release(&ctx.host_rows);
	clock_rows_release(&ctx.guest_rows);
	history_source_release(&ctx.history);
	packet_file_close(&ctx.host);
	packet_file_close(&ctx.guest);
	return status;
}

static enum exit_status run(int argc, char **argv)
{
	struct request request = { 0 };
	const struct verb_options options = {
		.verb = "merge", .operands = { "HOST.pftrace", "GUEST.pftrace" }, .min_operands = 2,
		.options = {
			{ "output", 'o', .string = &request.out, .needed = "OUT" },
			{ "history", .string = &request.history, .needed = "FILE" },
			{ "vm", .string = &request.vm },
			{ "help", 'h', .print = print_help },
		},
	};
	enum exit_status status;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	request.host_path = argv[0];
	request.guest_path = argv[1];
	return merge_files(&request);
}

const struct verb merge_verb = {
	.name		= "merge",
	.summary	= "merge Perfetto's traces of a host and a guest into one",
	.run		= run,
};
