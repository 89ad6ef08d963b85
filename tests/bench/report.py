#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The cost of the plugin in trace-cmd report: report.py PLUGIN [DIRECTORY].

It measures the CPU time of report in turn with its own plugins only, and with ours in addition. The recording has few
offset events, as is usual.
"""
import os
import subprocess
import sys
from pathlib import Path

sys.path.append(sys.path[0] + '/../lib')
from benchmark import claim, claims_fail, cpu_time, on_disk
from scenario import Scenario

PLUGIN = Path(sys.argv[1]).resolve()
EVENTS, ROUNDS = 1_000_000, 9
# Claim
RATIO = 1.05


def stock_plugins():
    libdir = subprocess.run(['pkg-config', '--variable=libdir', 'libtraceevent'], stdout=subprocess.PIPE,
                            text=True, check=True).stdout.strip()
    return [path for path in (Path(libdir) / 'traceevent/plugins').glob('*.so') if path.name != PLUGIN.name]


def plugin_directory(path, plugins):
    path.mkdir()
    for plugin in plugins:
        (path / plugin.name).symlink_to(plugin)
    return os.environ | {'TRACEEVENT_PLUGIN_DIR': str(path)}


def main():
    with on_disk(*sys.argv[2:]) as name:
        directory = Path(name)
        stock = stock_plugins()
        environments = [plugin_directory(directory / 'stock', stock),
                        plugin_directory(directory / 'ours', [*stock, PLUGIN])]
        Scenario(events=EVENTS, bulk=True, stays=200, idle=0, vcpus=4, changes=EVENTS // 40000,
                 guest_events=0).write(str(directory))
        report = ['trace-cmd', 'report', '-i', str(directory / 'host.dat')]
        times = [[cpu_time(*report, env=environment) for environment in environments] for _ in range(ROUNDS)]
        before, after = (min(column) for column in zip(*times))
        claim(after <= RATIO * before, f'trace-cmd report of {EVENTS} events, one in 10000 of them an offset event: '
              f'{after:.2f} s with the plugin, {before:.2f} s without: ratio {after / before:.3f}')
    return claims_fail()


if __name__ == '__main__':
    sys.exit(main())
