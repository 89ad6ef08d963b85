#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The speed of our readers compared with trace-cmd report: reading.py READ-EVENTS [DIRECTORY].

It prints ratios of CPU times that were measured in turn for the same file. Each is the minimum of several runs.
"""
import os
import sys

sys.path.append(sys.path[0] + '/../lib')
from benchmark import QUICK, claim, claims_fail, cpu_time, on_disk
from scenario import Scenario

EVENTS, FASTER = 2_000_000 if QUICK else 10_000_000, 10
HOSTS = [(8, 'none'), (8, 'zstd'), (64, 'none')]


def main():
    with on_disk(*sys.argv[2:]) as directory:
        host = os.path.join(directory, 'host.dat')
        for cpus, compression in HOSTS[:1] if QUICK else HOSTS:
            scenario = Scenario(events=EVENTS, bulk=True, stays=1000, idle=0, guest_events=0, vms=cpus // 4,
                                vcpus=4)
            scenario.write(directory, compression=compression)
            ours = min(cpu_time(sys.argv[1], host) for _ in range(5))
            report = min(cpu_time('trace-cmd', 'report', '-i', host) for _ in range(2))
            claim(report >= FASTER * ours, f'{cpus} CPUs, compression {compression}: '
                  f'{EVENTS / ours / 1e6:.1f} million events/s, {report / ours:.0f} times as fast as '
                  'trace-cmd report')
    return claims_fail()


if __name__ == '__main__':
    sys.exit(main())
