// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <cstdio>
#include <exception>
#include <iterator>
#include <limits>

#include <libkshark.h>
#include <KsCmakeDef.hpp>
#include <KsPlotTools.hpp>
#include <KsPlugins.hpp>
#include <KsPluginsGUI.hpp>

#include "change_mark.hpp"
#include "kernelshark_plugin.h"
#include "plot_marks.h"

using namespace KsPlot;

/* Only KernelShark's window has it; libkshark works without one */
void markEntryA(void *ks_ptr, const kshark_entry *e) __attribute__((weak));

namespace {

/* The window, the change that was double-clicked, and the font of its text: one of each */
void *theWindow;
const kshark_entry *selected;
ksplot_font font;

/* Different from the colors of KernelShark's own markers */
const Color forwardColor(240, 120, 0);
const Color backwardColor(200, 0, 160);
const Color boxColor(255, 255, 200);

/* A pixel or two next to a line still belong to it, for double-clicks */
constexpr int slack = 3;
constexpr int fontSize = 15;

/* The last of the list is drawn last; all other plugins add theirs at the front */
void draw_on_top(PlotObjList &shapes, const Graph &graph, const plot_marks &marks)
{
	auto last = shapes.before_begin();

	if (!marks.nr_marks)
		return;
	while (std::next(last) != shapes.end())
		++last;
	for (size_t i = 0; i < marks.nr_marks; i++)
		last = shapes.insert_after(last, new ChangeMark(graph, marks.marks[i]));
}

} /* namespace */

ChangeMark::ChangeMark(const Graph &graph, const plot_mark &mark)
: _x(graph.bin(mark.bin)._base.x()),
  _base(graph.bin(mark.bin)._base.y()),
  _height(graph.height()),
  _right(graph.bin(graph.size() - 1)._base.x()),
  _backward(mark.backward),
  _row(mark.row)
{
	struct stream_change_text text;

	_text = stream_change_text(&mark.change, mark.row->ts, &text);
	if (mark.more) {
		char more[40];

		snprintf(more, sizeof(more), ", and %zu more", mark.more);
		_text += more;
	}
	_color = _backward ? backwardColor : forwardColor;
	/* KernelShark's default */
	_size = -1;
}

/* To the right by the width of the flag, to the left if less than 0 */
int ChangeMark::_flag() const
{
	return _backward ? -_height / 3 : _height / 3;
}

/**
 * ChangeMark::distance - called by KernelShark to find what was double-clicked
 * @x: place of the click
 * @y: place of the click
 *
 * Returns: less than 0 on the mark, so that objects under it do not win; else the largest distance.
 */
double ChangeMark::distance(int x, int y) const
{
	int dx = x - _x, flag = _flag();
	int left = flag < 0 ? flag : -slack, right = flag < 0 ? slack : flag;
	bool inFlag = y <= _base - _height + _height / 3;

	if (y < _base - _height || y > _base || dx < (inFlag ? left : -slack) || dx > (inFlag ? right : slack))
		return std::numeric_limits<double>::max();
	return -1;
}

void ChangeMark::_draw(const Color &color, float size) const
{
	int top = _base - _height;
	Triangle flag;

	drawLine(Point(_x, _base), Point(_x, top), color, size);
	flag.setPoint(0, _x, top);
	flag.setPoint(1, _x, top + _height / 3);
	flag.setPoint(2, _x + _flag(), top + _height / 6);
	flag.setFill(true);
	flag._color = color;
	flag.draw();
	if (_row == selected)
		_drawText();
}

/* Next to the mark, on the side with more space */
void ChangeMark::_drawText() const
{
	int width, x;

	/* Here and not earlier, because OpenGL is available here */
	if (!ksplot_font_is_loaded(&font) && !ksplot_init_font(&font, fontSize, TT_FONT_FILE))
		return;
	width = font.char_width * static_cast<int>(_text.size()) + font.height;
	x = _x + _height / 2;
	if (x + width > _right)
		x = _x - _height / 2 - width;

	TextBox box(&font, _text, boxColor, Point(x, _base - _height / 2), width, font.height);
	box.draw();
}

/* The table of events moves there too. This mark is not used afterwards: the window may redraw */
void ChangeMark::_doubleClick() const
{
	const kshark_entry *row = _row;

	selected = selected == row ? nullptr : row;
	if (markEntryA && theWindow)
		markEntryA(theWindow, row);
}

/**
 * draw_changes - called by KernelShark at each drawing of each plot of a stream with the plugin
 * @argv: the plot, and the list for the marks
 * @sd: stream of the plot
 * @value: its CPU or task
 * @action: KSHARK_CPU_DRAW or KSHARK_TASK_DRAW
 */
void draw_changes(kshark_cpp_argv *argv, int sd, int value, int action)
{
	KsCppArgV *plot = KS_ARGV_TO_CPP(argv);
	plot_marks marks;

	/* Exceptions must not get into KernelShark; without memory, nothing is drawn */
	try {
		if (!plot_marks_find(&marks, plot->_histo, sd, value, action))
			draw_on_top(*plot->_shapes, *plot->_graph, marks);
	} catch (const std::exception &) {
	}
	plot_marks_release(&marks);
}

/**
 * draw_in_window - set the window that draws
 * @window: KernelShark's window
 */
void draw_in_window(void *window)
{
	theWindow = window;
}

/**
 * draw_nothing_selected - forget the change that was double-clicked, because its row is removed
 */
void draw_nothing_selected(void)
{
	selected = nullptr;
}
