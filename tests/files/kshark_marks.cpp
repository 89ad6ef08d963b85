// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * What KernelShark draws on its plots because of the plugin, without a window: libkshark loads the files and the
 * plugin, and its drawing functions are replaced by recording ones.
 *
 * usage: kshark_marks PLUGIN [--moved] [--reload|--update|--append] [--replace FILE] BINS:MIN:MAX... -- FILE...
 *
 * Only the first file gets the plugin, as in KernelShark. Each of BINS:MIN:MAX is a view of a window; MAX of 0 is
 * everything. For each it prints KernelShark's model of it
 *
 *	model BINS MIN BIN-SIZE
 *
 * and for each plot, of each CPU and each task of each file, each mark on it:
 *
 *	cpu|task|guest STREAM NUMBER BIN COLOR right|left TIME TEXT
 *
 * "guest" are CPU plots of kvm_combo. A double-click goes to the row of TIME and shows TEXT. --moved makes KernelShark
 * move everything by one bin: the control. --reload frees all rows and loads them again after plots were drawn;
 * --update closes the plugin and initializes it again; --append loads the files after the first only then. --replace
 * gives FILE the name of the last file before plots are drawn.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <unistd.h>

#include <libkshark.h>
#include <libkshark-model.h>
#include <libkshark-plot.h>
#include <libkshark-tepdata.h>
#include <KsPlotTools.hpp>
#include <KsPlugins.hpp>
#include <KsPluginsGUI.hpp>

namespace {

struct Notes {
	std::vector<ksplot_point>	line;
	std::vector<ksplot_point>	flag;
	ksplot_color			color;
	std::string			text;
	const kshark_entry		*clicked;
};

const int height = 30;
const int base = 200;

Notes notes;
bool moved;

[[noreturn]] void fail(const std::string &what)
{
	fprintf(stderr, "%s\n", what.c_str());
	exit(1);
}

} /* namespace */

extern "C" void ksplot_draw_line(const ksplot_point *a, const ksplot_point *b, const ksplot_color *color,
				 float)
{
	notes.line = { *a, *b };
	notes.color = *color;
}

extern "C" void ksplot_draw_polygon(const ksplot_point *points, size_t n, const ksplot_color *, float)
{
	if (n == 3)
		notes.flag.assign(points, points + n);
}

extern "C" bool ksplot_init_font(ksplot_font *font, float, const char *)
{
	font->texture_id = 2;
	font->char_width = 8;
	font->height = 15;
	font->base = 3;
	return true;
}

extern "C" void ksplot_print_text(const ksplot_font *, const ksplot_color *, float, float, const char *text)
{
	notes.text = text;
}

extern "C" int ksmodel_get_bin(kshark_trace_histo *histo, const kshark_entry *entry)
{
	static auto real = reinterpret_cast<decltype(&ksmodel_get_bin)>(dlsym(RTLD_NEXT, "ksmodel_get_bin"));
	int bin = real(histo, entry);

	return moved && bin >= 0 && bin < histo->n_bins - 1 ? bin + 1 : bin;
}

/* The window's */
void markEntryA(void *, const kshark_entry *entry)
{
	notes.clicked = entry;
}

namespace {

void draw(const KsPlot::PlotObject &shape)
{
	notes = Notes();
	shape.draw();
}

/* The mark must be one line with a flag on its top, and at the same place for clicks */
void print_mark(const KsPlot::PlotObject &shape, const KsPlot::Graph &graph, const char *kind, int sd,
		int value)
{
	const int first = graph.bin(0)._base.x();
	int x, tip;

	draw(shape);
	if (notes.line.size() != 2 || notes.flag.size() != 3 || !notes.text.empty())
		fail("not a line with a flag and no text");
	x = notes.line[0].x;
	if (notes.line[1].x != x || notes.line[0].y != base || notes.line[1].y != base - height)
		fail("the line does not stand on the plot");
	if (notes.flag[0].x != x || notes.flag[1].x != x || notes.flag[0].y != base - height)
		fail("the flag is elsewhere");
	tip = notes.flag[2].x;
	if (shape.distance(x, base - 1) > 0 || shape.distance((x + tip) / 2, base - height + 1) > 0 ||
	    shape.distance(x + 50, base - 1) < 50 || shape.distance(x, base + 20) < 20 ||
	    shape.distance(2 * x - tip, base - height + 1) < 10)
		fail("who clicks does not hit the mark, or hits it beside");

	shape.doubleClick();
	if (!notes.clicked)
		fail("the window was not asked to go to the row");
	const kshark_entry *clicked = notes.clicked;
	draw(shape);
	std::string text = notes.text;
	shape.doubleClick();
	draw(shape);
	if (text.empty() || !notes.text.empty())
		fail("a double-click does not show the text, or a second one does not take it away");
	printf("%s %d %d %d #%02x%02x%02x %s %lld %s\n", kind, sd, value, x - first, notes.color.red,
	       notes.color.green, notes.color.blue, tip > x ? "right" : "left",
	       static_cast<long long>(clicked->ts), text.c_str());
}

void print_plot(kshark_trace_histo *histo, const char *kind, int sd, int value, int action)
{
	KsPlot::ColorTable colors;
	KsPlot::Graph graph(histo, &colors, &colors);
	KsPlot::PlotObjList shapes;
	kshark_context *context = nullptr;
	KsCppArgV argv;

	graph.setHeight(height);
	graph.setLabelAppearance(nullptr, KsPlot::Color(), 100, 15);
	graph.setBase(base);
	argv._histo = histo;
	argv._graph = &graph;
	argv._shapes = &shapes;
	kshark_instance(&context);
	auto *handler = kshark_get_data_stream(context, sd)->draw_handlers;
	for (; handler; handler = handler->next)
		handler->draw_func(argv.toC(), sd, value, action);
	for (auto *shape : shapes) {
		print_mark(*shape, graph, kind, sd, value);
		delete shape;
	}
}

void print_window(kshark_trace_histo *histo, kshark_entry **rows, ssize_t nr_rows, const std::string &window)
{
	kshark_context *context = nullptr;
	unsigned long long bins, min, max;

	if (sscanf(window.c_str(), "%llu:%llu:%llu", &bins, &min, &max) != 3)
		fail("not a window: " + window);
	if (!max) {
		min = static_cast<unsigned long long>(rows[0]->ts);
		max = static_cast<unsigned long long>(rows[nr_rows - 1]->ts);
	}
	ksmodel_set_bining(histo, bins, static_cast<int64_t>(min), static_cast<int64_t>(max));
	ksmodel_fill(histo, rows, static_cast<size_t>(nr_rows));
	printf("model %d %lld %lld\n", histo->n_bins, static_cast<long long>(histo->min),
	       static_cast<long long>(histo->bin_size));

	kshark_instance(&context);
	for (int sd = 0; sd < context->n_streams; sd++) {
		int *tasks = nullptr;
		ssize_t nr_tasks = kshark_get_task_pids(context, sd, &tasks);

		for (int cpu = 0; cpu < kshark_get_data_stream(context, sd)->n_cpus; cpu++) {
			print_plot(histo, "cpu", sd, cpu, KSHARK_CPU_DRAW);
			print_plot(histo, "guest", sd, cpu, KSHARK_CPU_DRAW | KSHARK_GUEST_DRAW);
		}
		for (ssize_t i = 0; i < nr_tasks; i++)
			print_plot(histo, "task", sd, tasks[i], KSHARK_TASK_DRAW);
		free(tasks);
	}
}

void open_files(kshark_context *context, char **files)
{
	for (; *files; files++) {
		int sd = kshark_open(context, *files);

		if (sd < 0 || kshark_tep_init_all_buffers(context, sd) < 0)
			fail("cannot open the other files");
	}
}

void free_rows(kshark_entry **rows, ssize_t nr_rows)
{
	for (ssize_t i = 0; i < nr_rows; i++)
		free(rows[i]);
	free(rows);
}

} /* namespace */

int main(int argc, char **argv)
{
	std::vector<std::string> windows;
	kshark_context *context = nullptr;
	kshark_entry **rows = nullptr;
	kshark_trace_histo histo;
	const char *replacement = nullptr;
	bool reload = false, update = false, append = false;
	ssize_t nr_rows;
	int i = 2;

	for (; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--moved"))
			moved = true;
		else if (!strcmp(argv[i], "--reload"))
			reload = true;
		else if (!strcmp(argv[i], "--update"))
			update = true;
		else if (!strcmp(argv[i], "--append"))
			append = true;
		else if (!strcmp(argv[i], "--replace"))
			replacement = argv[++i];
		else
			windows.push_back(argv[i]);
	}
	if (i + 1 >= argc || windows.empty() || !kshark_instance(&context))
		return 2;

	/* It says on stdout what it loads */
	int out = dup(STDOUT_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	auto *plugin = kshark_register_plugin(context, "kvm_tsc_offset", argv[1]);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	if (!plugin || !plugin->process_interface || !plugin->ctrl_interface)
		fail("KernelShark does not take the plugin");
	plugin->ctrl_interface(&notes);

	int first = kshark_open(context, argv[i + 1]);
	if (first != 0 || kshark_tep_init_all_buffers(context, first) < 0)
		fail("cannot open the first file");
	for (int sd = 0; sd < context->n_streams; sd++) {
		auto *stream = kshark_get_data_stream(context, sd);

		auto *of_stream = kshark_register_plugin_to_stream(stream, plugin->process_interface, true);

		kshark_handle_dpi(stream, of_stream, KSHARK_PLUGIN_INIT);
	}
	const int nr_first = context->n_streams;
	if (!append)
		open_files(context, argv + i + 2);
	nr_rows = kshark_load_all_entries(context, &rows);
	if (nr_rows <= 0)
		fail("no rows");

	if (replacement && rename(replacement, argv[argc - 1]))
		fail("cannot replace the last file");
	ksmodel_init(&histo);
	if (reload || update || append)
		print_window(&histo, rows, nr_rows, windows[0]);
	for (int sd = 0; sd < context->n_streams && update; sd++)
		kshark_handle_all_dpis(kshark_get_data_stream(context, sd), KSHARK_PLUGIN_UPDATE);
	if (reload) {
		free_rows(rows, nr_rows);
		rows = nullptr;
		nr_rows = kshark_load_all_entries(context, &rows);
	}
	if (append) {
		kshark_entry **merged = nullptr;

		open_files(context, argv + i + 2);
		nr_rows = kshark_append_all_entries(context, rows, nr_rows, nr_first, &merged);
		rows = merged;
	}
	for (const auto &window : windows)
		print_window(&histo, rows, nr_rows, window);

	ksmodel_clear(&histo);
	kshark_close_all(context);
	free_rows(rows, nr_rows);
	kshark_free(context);
	return 0;
}
