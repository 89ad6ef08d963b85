// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The history of offsets as a picture in SVG: a panel for each VM, or for each vCPU of a VM that has many.
 *
 * A unit of the picture is a tenth of a pixel, so that coordinates are integers. There is no background and all colours
 * have medium lightness: the picture is legible on white and on black, also in programs that do not know their
 * background.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "cleanup.h"
#include "history_svg.h"
#include "host.h"
#include "plot_axis.h"
#include "sanitize.h"
#include "show_report.h"
#include "xml_text.h"

#define UNITS_OF_PIXEL	10
#define WIDTH		10000
#define LEFT		1900
#define RIGHT		9800
#define HEADER		600
#define FOOTER		100
/* Above the plot of a panel, and below it with the ticks and their title */
#define PANEL_HEAD	460
#define PANEL_FOOT	520
#define VM_PLOT		2200
#define VCPU_PLOT	900
#define LEGEND_WIDTH	900

/* More lines than this in a panel cannot be distinguished */
#define MAX_TOGETHER	8

#define NS_DIGITS	9

static const char *const style =
	"svg { font: 110px sans-serif; fill: #767676; }\n"
	".title { font-size: 140px; font-weight: bold; }\n"
	".frame { fill: none; stroke: #868686; stroke-width: 8; }\n"
	".grid { stroke: #868686; stroke-opacity: .25; stroke-width: 6; }\n"
	".line, .unsure { fill: none; stroke-width: 16; stroke-linejoin: round; }\n"
	".unsure { stroke-dasharray: 50 40; }\n"
	".step { stroke-width: 14; }\n"
	".gap { fill-opacity: .16; }\n"
	".lost { fill: #d05050; fill-opacity: .3; }\n"
	".y { text-anchor: end; }\n"
	".x { text-anchor: middle; }\n"
	".c0 { stroke: #3987cf; } .f0 { fill: #3987cf; }\n"
	".c1 { stroke: #dd6f1c; } .f1 { fill: #dd6f1c; }\n"
	".c2 { stroke: #209a68; } .f2 { fill: #209a68; }\n"
	".c3 { stroke: #c05c9c; } .f3 { fill: #c05c9c; }\n"
	".c4 { stroke: #8f78dd; } .f4 { fill: #8f78dd; }\n"
	".c5 { stroke: #ab8a18; } .f5 { fill: #ab8a18; }\n"
	".c6 { stroke: #229bab; } .f6 { fill: #229bab; }\n"
	".c7 { stroke: #d65454; } .f7 { fill: #d65454; }\n"
	/* Jumps backward are hollow */
	".backward { fill: none; }\n"
	"@media (prefers-color-scheme: dark) { svg { fill: #a8a8a8; } }\n"
	"@media (prefers-color-scheme: light) { svg { fill: #555; } }\n";

/**
 * struct picture - a picture being written
 * @report: the report
 * @file: the output
 * @begin: host TSC at the left
 * @end: host TSC at the right
 * @time: the time axis, in nanoseconds since @begin, or in cycles if the frequency is unknown
 * @y: top of the next panel
 */
struct picture {
	const struct show_report	*report;
	FILE			*file;
	uint64_t		begin;
	uint64_t		end;
	struct plot_axis	time;
	int64_t			y;
};

/**
 * struct panel - a part of a picture
 * @vm: the VM
 * @first, @nr: its vCPUs in the panel
 * @top, @bottom: limits of the plot
 * @offsets: the axis of offsets, in cycles
 * @known: is any of its offsets?
 */
struct panel {
	const struct host_vm	*vm;
	size_t			first;
	size_t			nr;
	int64_t			top;
	int64_t			bottom;
	struct plot_axis	offsets;
	bool			known;
};

/**
 * struct stretch - a time with one offset
 * @begin, @end: host TSC
 * @offset: the offset
 * @unsure: it may have been another one for a part of the time
 */
struct stretch {
	uint64_t	begin;
	uint64_t	end;
	int64_t		offset;
	bool		unsure;
};

/*
 * The offset before segment i and after the one before it; i may be the number of segments.
 *
 * Returns: false if it is unknown, or if the vCPU did not exist.
 */
static bool stretch_before(const struct picture *picture, const struct host_vm *vm, size_t number, size_t i,
			   struct stretch *stretch)
{
	const struct vcpu_history *vcpu = &vm->history.vcpus[number];
	struct vcpu_now now = show_report_current(vm, number);
	struct tsc_mapping map;
	bool known = vcpu_history_before(vcpu, i, &map);

	/* Only the end is known */
	if (!known && !vcpu->nr_segments && now.known) {
		map = now.map;
		known = true;
	}
	*stretch = (struct stretch) {
		.begin	= i ? vcpu->segments[i - 1].host_tsc : picture->begin,
		.end	= i < vcpu->nr_segments ? vcpu->segments[i].host_tsc : picture->end,
		.offset	= known ? map.offset : 0,
		.unsure	= vcpu_history_gap(vcpu, i),
	};
	return known && (i || !vcpu_history_begins_with_creation(vcpu));
}

static int64_t place_time(const struct picture *picture, uint64_t host_tsc)
{
	uint64_t cycles = host_tsc - picture->begin;

	return plot_axis_place(&picture->time, picture->report->frequency.mult ?
			       (plot_value)tsc_frequency_ns(&picture->report->frequency, cycles) : cycles);
}

static void widen(plot_value *low, plot_value *high, int64_t value)
{
	if (value < *low)
		*low = value;
	if (value > *high)
		*high = value;
}

static void make_offsets_axis(const struct picture *picture, struct panel *panel)
{
	plot_value low = INT64_MAX, high = INT64_MIN, margin;
	struct stretch stretch;

	for (size_t v = panel->first; v < panel->first + panel->nr; v++) {
		const struct vcpu_history *vcpu = &panel->vm->history.vcpus[v];

		for (size_t i = 0; i <= vcpu->nr_segments; i++) {
			if (stretch_before(picture, panel->vm, v, i, &stretch))
				widen(&low, &high, stretch.offset);
		}
	}
	panel->known = low <= high;
	if (!panel->known)
		low = high = 0;
	margin = (high - low) / 12 + 2;
	plot_axis_init(&panel->offsets, low - margin, high + margin, panel->bottom, panel->top,
		       panel->nr > 1 || panel->vm->history.nr_vcpus <= MAX_TOGETHER ? 8 : 4);
}

static void write_time_ticks(const struct picture *picture, const struct panel *panel)
{
	const struct plot_axis *axis = &picture->time;
	bool seconds = picture->report->frequency.mult;
	char text[PLOT_TEXT_SIZE];

	for (plot_value tick = plot_axis_first_tick(axis); tick <= axis->high; tick += axis->step) {
		int64_t x = plot_axis_place(axis, tick);

		if (seconds)
			plot_format_decimal(tick, NS_DIGITS, axis->step, text);
		else
			plot_format_number(tick, text);
		fprintf(picture->file, "<path class=\"grid\" d=\"M%" PRId64 " %" PRId64 "V%" PRId64 "\"/>"
			"<text class=\"x\" x=\"%" PRId64 "\" y=\"%" PRId64 "\">%s</text>\n", x, panel->top,
			panel->bottom, x, panel->bottom + 160, text);
	}
	fprintf(picture->file, "<text class=\"x\" x=\"%d\" y=\"%" PRId64 "\">%s since the first event</text>\n",
		(LEFT + RIGHT) / 2, panel->bottom + 330, seconds ? "seconds" : "host cycles");
}

static void write_offset_ticks(const struct picture *picture, const struct panel *panel)
{
	const struct plot_axis *axis = &panel->offsets;
	char text[PLOT_TEXT_SIZE];

	if (!panel->known) {
		fprintf(picture->file, "<text class=\"x unknown\" x=\"%d\" y=\"%" PRId64 "\">no changes: offset unknown</text>\n",
			(LEFT + RIGHT) / 2, (panel->top + panel->bottom) / 2);
		return;
	}
	for (plot_value tick = plot_axis_first_tick(axis); tick <= axis->high; tick += axis->step) {
		int64_t y = plot_axis_place(axis, tick);

		plot_format_number(tick, text);
		fprintf(picture->file, "<path class=\"grid\" d=\"M%d %" PRId64 "H%d\"/>"
			"<text class=\"y\" x=\"%d\" y=\"%" PRId64 "\">%s</text>\n", LEFT, y, RIGHT,
			LEFT - 80, y + 38, text);
	}
	fprintf(picture->file, "<text class=\"x\" transform=\"translate(130 %" PRId64 ") rotate(-90)\">"
		"offset%s</text>\n", (panel->top + panel->bottom) / 2,
		panel->bottom - panel->top >= VM_PLOT ? " in cycles" : "");
}

static void write_band(const struct picture *picture, const struct panel *panel, uint64_t begin, uint64_t end,
		       const char *class, const char *title)
{
	int64_t x = place_time(picture, begin), width = place_time(picture, end) - x;

	/* Short stretches must be visible too */
	if (width < UNITS_OF_PIXEL)
		width = UNITS_OF_PIXEL;
	fprintf(picture->file, "<rect class=\"%s\" x=\"%" PRId64 "\" y=\"%" PRId64 "\" width=\"%" PRId64
		"\" height=\"%" PRId64 "\"><title>%s</title></rect>\n", class, x, panel->top, width,
		panel->bottom - panel->top, title);
}

static void write_losses(const struct picture *picture, const struct panel *panel)
{
	const struct host *host = picture->report->host;

	for (size_t i = 0; i < host->nr_lost; i++) {
		uint64_t begin = host->lost[i].from, end = host->lost[i].to;

		if (begin < picture->begin)
			begin = picture->begin;
		if (end > picture->end)
			end = picture->end;
		if (begin <= end)
			write_band(picture, panel, begin, end, "lost", "the ring buffer lost events");
	}
}

static void write_gaps(const struct picture *picture, const struct panel *panel, size_t number)
{
	const struct vcpu_history *vcpu = &panel->vm->history.vcpus[number];
	char class[16], title[64];
	struct stretch stretch;

	snprintf(class, sizeof(class), "gap f%zu", (number - panel->first) % MAX_TOGETHER);
	snprintf(title, sizeof(title), "vCPU %" PRIu32 ": changes may be missing", vcpu->vcpu_id);
	for (size_t i = 0; i <= vcpu->nr_segments; i++) {
		if (!vcpu_history_gap(vcpu, i))
			continue;
		stretch_before(picture, panel->vm, number, i, &stretch);
		write_band(picture, panel, stretch.begin, stretch.end, class, title);
	}
}

/* The certain stretches, or the uncertain ones, as one path */
static void write_line(const struct picture *picture, const struct panel *panel, size_t number, bool unsure)
{
	const struct vcpu_history *vcpu = &panel->vm->history.vcpus[number];
	bool drawing = false;

	for (size_t i = 0; i <= vcpu->nr_segments; i++) {
		struct stretch stretch;
		int64_t x, y;

		if (!stretch_before(picture, panel->vm, number, i, &stretch) || stretch.unsure != unsure)
			continue;
		if (!drawing)
			fprintf(picture->file, "<path class=\"%s c%zu\" d=\"", unsure ? "unsure" : "line",
				(number - panel->first) % MAX_TOGETHER);
		drawing = true;
		x = place_time(picture, stretch.begin);
		y = plot_axis_place(&panel->offsets, stretch.offset);
		fprintf(picture->file, "M%" PRId64 " %" PRId64 "H%" PRId64, x, y,
			place_time(picture, stretch.end));
		/* To the value after the change */
		if (i < vcpu->nr_segments)
			fprintf(picture->file, "V%" PRId64,
				plot_axis_place(&panel->offsets, vcpu->segments[i].map.offset));
	}
	if (drawing)
		fprintf(picture->file, "\"/>\n");
}

static void write_step(const struct picture *picture, const struct panel *panel, size_t number, size_t i)
{
	const struct vcpu_history *vcpu = &panel->vm->history.vcpus[number];
	const struct tsc_segment *segment = &vcpu->segments[i];
	uint64_t since = segment->host_tsc - picture->begin, from, to;
	size_t colour = (number - panel->first) % MAX_TOGETHER;
	bool backward = vcpu_history_backward(vcpu, i, &from, &to);
	char next[PLOT_TEXT_SIZE], delta[PLOT_TEXT_SIZE], seconds[TSC_SECONDS_SIZE] = "";

	plot_format_number(segment->map.offset, next);
	plot_format_number(show_report_delta(segment), delta);
	tsc_frequency_seconds(&picture->report->frequency, since, seconds);
	fprintf(picture->file, "<circle class=\"step c%zu %s%zu\" cx=\"%" PRId64 "\" cy=\"%" PRId64
		"\" r=\"26\"><title>vCPU %" PRIu32 ": %s%s to %s%s\nhost TSC %" PRIu64 "%s%s%s</title>"
		"</circle>\n", colour, backward ? "backward f" : "f", colour,
		place_time(picture, segment->host_tsc),
		plot_axis_place(&panel->offsets, segment->map.offset), vcpu->vcpu_id,
		show_report_delta(segment) < 0 ? "" : "+", delta, next, backward ? ", backward" : "",
		segment->host_tsc, *seconds ? ", " : "", seconds, *seconds ? " s" : "");
}

static void write_legend(const struct picture *picture, const struct panel *panel)
{
	int64_t y = panel->top - 80;

	for (size_t i = 0; i < panel->nr; i++) {
		const struct vcpu_history *vcpu = &panel->vm->history.vcpus[panel->first + i];
		int64_t x = LEFT + (int64_t)i * LEGEND_WIDTH;

		fprintf(picture->file, "<path class=\"line c%zu\" d=\"M%" PRId64 " %" PRId64 "h200\"/>"
			"<text x=\"%" PRId64 "\" y=\"%" PRId64 "\">vCPU %" PRIu32 "</text>\n",
			i % MAX_TOGETHER, x, y - 38, x + 260, y, vcpu->vcpu_id);
	}
}

static int write_panel_title(const struct picture *picture, const struct panel *panel)
{
	const struct host_vm *vm = panel->vm;
	_cleanup_(freep) char *guest = sanitized(vm->guest_name ? vm->guest_name : "");
	size_t changes = 0, gaps = 0;

	if (!guest)
		return -ENOMEM;
	for (size_t v = panel->first; v < panel->first + panel->nr; v++) {
		changes += vm->history.vcpus[v].nr_segments;
		gaps += show_report_gaps(&vm->history.vcpus[v]);
	}
	fprintf(picture->file, "<text class=\"title\" x=\"%d\" y=\"%" PRId64 "\">VM ", LEFT, panel->top - 270);
	xml_text_write(vm->name, picture->file);
	if (*guest) {
		fprintf(picture->file, ", guest ");
		xml_text_write(guest, picture->file);
	}
	fprintf(picture->file, ": %zu %s%s</text>\n", changes, changes == 1 ? "change" : "changes",
		gaps ? ", and others may be missing" : "");
	return 0;
}

static int write_panel(struct picture *picture, const struct host_vm *vm, size_t first, size_t nr,
		       int64_t height)
{
	struct panel panel = {
		.vm = vm, .first = first, .nr = nr,
		.top = picture->y + PANEL_HEAD, .bottom = picture->y + PANEL_HEAD + height,
	};

	make_offsets_axis(picture, &panel);
	fprintf(picture->file, "<g class=\"panel\">\n");
	if (write_panel_title(picture, &panel))
		return -ENOMEM;
	write_legend(picture, &panel);
	write_losses(picture, &panel);
	for (size_t v = first; v < first + nr; v++)
		write_gaps(picture, &panel, v);
	write_time_ticks(picture, &panel);
	write_offset_ticks(picture, &panel);
	fprintf(picture->file, "<rect class=\"frame\" x=\"%d\" y=\"%" PRId64 "\" width=\"%d\" height=\"%" PRId64
		"\"/>\n", LEFT, panel.top, RIGHT - LEFT, height);
	for (size_t v = first; v < first + nr; v++) {
		write_line(picture, &panel, v, false);
		write_line(picture, &panel, v, true);
		for (size_t i = 0; i < vm->history.vcpus[v].nr_segments; i++)
			write_step(picture, &panel, v, i);
	}
	fprintf(picture->file, "</g>\n");
	picture->y = panel.bottom + PANEL_FOOT;
	return 0;
}

static int write_vm(struct picture *picture, const struct host_vm *vm)
{
	size_t nr = vm->history.nr_vcpus;
	int ret = 0;

	if (nr <= MAX_TOGETHER)
		return write_panel(picture, vm, 0, nr, VM_PLOT);
	for (size_t i = 0; i < nr && !ret; i++)
		ret = write_panel(picture, vm, i, 1, VCPU_PLOT);
	return ret;
}

static int64_t height_of(const struct show_report *report)
{
	const struct host_vm *vm = NULL;
	int64_t height = HEADER + FOOTER;

	while ((vm = show_report_next_vm(report, vm))) {
		int64_t nr = vm->history.nr_vcpus;

		height += nr <= MAX_TOGETHER ? PANEL_HEAD + VM_PLOT + PANEL_FOOT :
			  nr * (PANEL_HEAD + VCPU_PLOT + PANEL_FOOT);
	}
	return height;
}

/* The range of all VMs, even if only one is shown, so that pictures of several VMs are comparable */
static void make_time_axis(struct picture *picture)
{
	const struct show_report *report = picture->report;
	const struct host *host = report->host;
	bool has_events = !show_report_is_live(report) || host->nr_offset_events;
	uint64_t cycles;

	picture->begin = has_events ? host->first : UINT64_MAX;
	picture->end = has_events ? host->last : 0;
	for (size_t i = 0; i < host->nr_vms; i++) {
		for (size_t v = 0; v < host->vms[i].history.nr_vcpus; v++) {
			const struct vcpu_history *vcpu = &host->vms[i].history.vcpus[v];
			struct vcpu_now now = show_report_current(&host->vms[i], v);

			if (vcpu->nr_segments && vcpu->segments[0].host_tsc < picture->begin)
				picture->begin = vcpu->segments[0].host_tsc;
			if (now.known && now.host_tsc < picture->begin && !has_events)
				picture->begin = now.host_tsc;
			if (now.known && now.host_tsc > picture->end)
				picture->end = now.host_tsc;
			if (vcpu->nr_segments && vcpu->segments[vcpu->nr_segments - 1].host_tsc > picture->end)
				picture->end = vcpu->segments[vcpu->nr_segments - 1].host_tsc;
		}
	}
	if (picture->end < picture->begin)
		picture->begin = picture->end;
	cycles = picture->end - picture->begin;
	plot_axis_init(&picture->time, 0, report->frequency.mult ?
		       (plot_value)tsc_frequency_ns(&report->frequency, cycles) : cycles, LEFT, RIGHT,
		       report->frequency.mult ? 11 : 6);
}

static int write_head(const struct picture *picture)
{
	const struct show_report *report = picture->report;
	_cleanup_(freep) char *source = sanitized(report->source);
	uint64_t khz = (tsc_frequency_hz(&report->frequency) + 500) / 1000;
	int64_t height = height_of(report);
	FILE *file = picture->file;

	if (!source)
		return -ENOMEM;
	fprintf(file, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%" PRId64 "\" "
		"viewBox=\"0 0 %d %" PRId64 "\">\n<title>TSC offsets of ", WIDTH / UNITS_OF_PIXEL,
		height / UNITS_OF_PIXEL, WIDTH, height);
	xml_text_write(source, file);
	fprintf(file, "</title>\n<style>\n%s</style>\n<text class=\"title\" x=\"%d\" y=\"220\">TSC offsets, ", style,
		LEFT);
	xml_text_write(show_report_is_live(report) ? "this machine" : source, file);
	fprintf(file, "</text>\n<text x=\"%d\" y=\"400\">", LEFT);
	if (khz)
		fprintf(file, "TSC at %" PRIu64 ".%03" PRIu64 " MHz", khz / 1000, khz % 1000);
	else
		fprintf(file, "the TSC's frequency is not known");
	fprintf(file, "; the time begins at host TSC %" PRIu64 "%s</text>\n", picture->begin,
		report->complete ? "" : "; shaded: changes may be missing, red: events were lost");
	return 0;
}

/**
 * history_svg_write - write all changes as a picture
 * @report: the report
 * @file: the output
 *
 * A change is an element of the class "step", a time in which changes may be missing one of the class "gap", and a time
 * in which the ring buffer lost events one of the class "lost".
 *
 * Returns: 0 or -ENOMEM.
 */
int history_svg_write(const struct show_report *report, FILE *file)
{
	struct picture picture = { .report = report, .file = file, .y = HEADER };
	const struct host_vm *vm = NULL;
	int ret;

	make_time_axis(&picture);
	ret = write_head(&picture);
	while (!ret && (vm = show_report_next_vm(report, vm)))
		ret = write_vm(&picture, vm);
	fprintf(file, "</svg>\n");
	return ret;
}
