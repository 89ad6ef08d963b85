#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""perf script with changes by this machine's KVM"""
import os
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import PLUGIN, Case, main
from readers import check_lines, environment, is_ours, must_fail, only, run

EVENT = 'kvm:kvm_write_tsc_offset'
OFFSETS = [-(1 << 40), -(1 << 40) + 52000000, 5, -(1 << 63), (1 << 63) - 1, 0]


def kvm_offsets():
    return [sys.executable, os.path.join(os.path.dirname(__file__), 'kvm_offsets.py'),
            *map(str, OFFSETS)]


class TestPerf(Case):
    def need(self, command, what):
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            self.skipTest(f'{what}: {done.stderr.decode().strip().splitlines()[-1:]}')

    def test_script(self):
        if not os.access('/dev/kvm', os.R_OK | os.W_OK):
            self.skipTest('no access to /dev/kvm')
        self.need(kvm_offsets(), 'this KVM does not take offsets')
        data = self.path('perf.data')
        self.need(['perf', 'record', '-q', '-e', EVENT, '-o', data, *kvm_offsets()],
                  f'perf cannot record {EVENT} here')
        command = ['perf', 'script', '-i', data]
        with only(PLUGIN) as plugin_dir:
            stock, stock_errors = run(command)
            shown, errors = run(command, environment(plugin_dir))
        ours, _ = check_lines(stock, shown)
        must_fail(check_lines, stock, stock)
        self.assertEqual(errors, stock_errors)
        # The first change is KVM's own when it makes the vCPU
        self.assertEqual(ours, 1 + len(OFFSETS))
        for line, offset in zip(list(filter(is_ours, shown.splitlines()))[1:], OFFSETS):
            self.assertIn(f' next={offset} ', line)


if __name__ == '__main__':
    main('perf')
