#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""trace-cmd report with the plugin, on a real host's file"""
import os
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, PLUGIN, Case, configured, main
from readers import check_lines, environment, hide_installed, is_ours, must_fail, only, run

HOST = f'{DATA}/agent-moved/host.dat'
OPTION = 'kvm_tsc_offset:tsc_khz='


def report(*arguments, plugin_dir=None):
    return run(['trace-cmd', 'report', '-i', HOST, *arguments], environment(plugin_dir))


class TestReport(Case):
    def setUp(self):
        super().setUp()
        # The system's own plugins are loaded in both, so plugin_kvm.so is beside ours
        self.stock, self.stock_errors = report()
        self.plugins = self.enterContext(only(PLUGIN))

    def test_lines(self):
        shown, errors = report(plugin_dir=self.plugins)
        ours, others = check_lines(self.stock, shown)
        self.assertEqual(errors, self.stock_errors)
        must_fail(check_lines, self.stock, self.stock)
        must_fail(check_lines, self.stock, shown.replace('delta=+', 'delta=-'))
        print(f'{ours} lines with the signed delta, {others} others byte for byte as without')

    def test_frequency(self):
        for khz in 2596100, 1, 5000000, 3000001:
            shown, errors = report('-O', f'{OPTION}{khz}', plugin_dir=self.plugins)
            check_lines(self.stock, shown, khz)
            must_fail(check_lines, self.stock, shown, khz + khz // 2 + 1)
            self.assertEqual(errors, self.stock_errors)

    def test_wrong_frequency(self):
        """An invalid frequency is reported once and ignored"""
        shown, errors = report('-O', f'{OPTION}fast', plugin_dir=self.plugins)
        check_lines(self.stock, shown)
        added = errors.replace(self.stock_errors, '')
        self.assertEqual(added.count('\n'), 1, errors)
        self.assertIn('fast', added)

    def test_alone(self):
        """Our plugin without the system's plugins"""
        check_lines(report('-L')[0], report('-L', plugin_dir=self.plugins)[0])

    def test_bypassed(self):
        """With options that bypass all handlers, our text does not appear"""
        for bypass in '-N', '-R':
            bypassed, _ = report(bypass, plugin_dir=self.plugins)
            self.assertEqual(bypassed, report(bypass)[0])
            self.assertNotIn('delta=', ''.join(filter(is_ours, bypassed.splitlines())))

    def test_beside_plugin_kvm(self):
        """In one directory with plugin_kvm.so, without the system's other plugins"""
        plugin_kvm = os.path.join(configured('plugin_dir'), 'plugin_kvm.so')
        if not os.path.exists(plugin_kvm):
            self.skipTest('plugin_kvm.so is not installed')
        with only(PLUGIN, plugin_kvm) as directory:
            shown, _ = report('-L', plugin_dir=directory)
        check_lines(self.stock, shown)
        alone, _ = report('-L')
        handled = sum(a != b for a, b in zip(self.stock.splitlines(), alone.splitlines()))
        self.assertTrue(handled, 'plugin_kvm.so changes no line of this file: nothing is shown by it')


if __name__ == '__main__':
    hide_installed()
    main('trace-cmd')
