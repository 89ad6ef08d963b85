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

/* Only KernelShark's window has it, and libkshark can do without one */
void markEntryA(void *ks_ptr, const kshark_entry *e) __attribute__((weak));

namespace {

/* The window, the change that was double-clicked, and the font to say what it is: there is one of each */
void *theWindow;
const kshark_entry *selected;
ksplot_font font;

/* Not those of KernelShark's own markers and of what else it marks */
const Color forwardColor(240, 120, 0);
const Color backwardColor(200, 0, 160);
const Color boxColor(255, 255, 200);

/* A pixel or two beside a line is still on it, for who double-clicks */
constexpr int slack = 3;
constexpr int fontSize = 15;

/* What is last in the list is drawn last; all other plugins put theirs in front */
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

/* To the right as far as the flag is wide, to the left if less than 0 */
int ChangeMark::_flag() const
{
	return _backward ? -_height / 3 : _height / 3;
}

/**
 * ChangeMark::distance - asked by KernelShark for what was double-clicked
 * @x: of the click
 * @y: of the click
 *
 * Returns: less than 0 on the mark, so that what it is drawn upon does not win; else as far as can be.
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

/* Beside the mark, on the side where there is room */
void ChangeMark::_drawText() const
{
	int width, x;

	/* Here and not earlier, because here OpenGL is there */
	if (!ksplot_font_is_loaded(&font) && !ksplot_init_font(&font, fontSize, TT_FONT_FILE))
		return;
	width = font.char_width * static_cast<int>(_text.size()) + font.height;
	x = _x + _height / 2;
	if (x + width > _right)
		x = _x - _height / 2 - width;

	TextBox box(&font, _text, boxColor, Point(x, _base - _height / 2), width, font.height);
	box.draw();
}

/* The table of events goes there, too. Nothing of this mark is used after: the window may draw anew */
void ChangeMark::_doubleClick() const
{
	const kshark_entry *row = _row;

	selected = selected == row ? nullptr : row;
	if (markEntryA && theWindow)
		markEntryA(theWindow, row);
}

/**
 * draw_changes - called by KernelShark for each plot of a stream that has the plugin, whenever it draws
 * @argv: the plot, and where the marks go
 * @sd: stream of the plot
 * @value: its CPU or task
 * @action: which of the two
 */
void draw_changes(kshark_cpp_argv *argv, int sd, int value, int action)
{
	KsCppArgV *plot = KS_ARGV_TO_CPP(argv);
	plot_marks marks;

	/* No exception may get into KernelShark; what does not fit into memory is not drawn */
	try {
		if (!plot_marks_find(&marks, plot->_histo, sd, value, action))
			draw_on_top(*plot->_shapes, *plot->_graph, marks);
	} catch (const std::exception &) {
	}
	plot_marks_release(&marks);
}

/**
 * draw_in_window - say which window draws
 * @window: KernelShark's
 */
void draw_in_window(void *window)
{
	theWindow = window;
}

/**
 * draw_nothing_selected - forget the change that was double-clicked, because its row goes
 */
void draw_nothing_selected(void)
{
	selected = nullptr;
}
