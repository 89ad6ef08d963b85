#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""KernelShark's Info column, for a real host with a stock kernel and for generated files of kernels with our patches.

../lab/patched.py tests a recording of a real kernel with our patches.
"""
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, PLUGIN, Case, built, main
from readers import check_lines, environment, hide_installed, must_fail, only, run
from scenario import Scenario


class TestInfo(Case):
    def rows(self, host):
        """Check the rows with the plugin. Returns those without it."""
        command = [built('tests/files/kshark_info'), host]
        stock, _ = run(command)
        with only(PLUGIN) as plugins:
            shown, errors = run(command, environment(plugins))
        check_lines(stock, shown)
        must_fail(check_lines, stock, stock)
        self.assertEqual(errors, '')
        return stock

    def made(self, **parameters):
        Scenario(**parameters).write(self.directory)
        return self.rows(self.path('host.dat'))

    def test_stock(self):
        self.rows(f'{DATA}/agent-moved/host.dat')

    def test_patched(self):
        rows = self.made(patched=True, vms=2, ratio=1.25, rescale=[1.3], changes=4)
        counts = [sum(f'{event}: ' in line for line in rows.splitlines())
                  for event in ('kvm_write_tsc_offset', 'kvm_write_tsc_multiplier')]
        self.assertEqual(counts, [16, 4])

    def test_protected(self):
        rows = self.made(vms=2, protected=[1], rescale=[1.3], ratio=1)
        self.assertEqual([rows.count(f'protected={value}') for value in (0, 1)], [2, 2], rows)


if __name__ == '__main__':
    hide_installed()
    main()
