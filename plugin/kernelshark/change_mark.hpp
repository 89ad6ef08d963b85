/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The mark of a change on a plot: a line with a flag, which points in the direction of the jump. */
#ifndef TSC_OFFSET_CHANGE_MARK_HPP
#define TSC_OFFSET_CHANGE_MARK_HPP

#include <string>

#include <KsPlotTools.hpp>

#include "plot_marks.h"

class ChangeMark : public KsPlot::PlotObject {
public:
	ChangeMark(const KsPlot::Graph &graph, const plot_mark &mark);

	double distance(int x, int y) const override;

private:
	int		_x;
	int		_base;
	int		_height;
	int		_right;
	bool		_backward;
	const kshark_entry *_row;
	std::string	_text;

	int _flag() const;
	void _draw(const KsPlot::Color &color, float size) const override;
	void _drawText() const;
	void _doubleClick() const override;
};

#endif /* TSC_OFFSET_CHANGE_MARK_HPP */
