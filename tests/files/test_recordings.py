#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Real recordings, merged by the real trace-cmd report, with and without the core's correction by the host's
kvm_write_tsc_offset events.
"""
import os
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, Case, built, main
import trace_dat


def merged(host, guest):
    return trace_dat.probes(trace_dat.report('-i', host, '-i', guest))


class TestRecordings(Case):
    """(probes, how many of them are out of order)"""
    def files(self, name):
        return [os.path.join(DATA, name, file) for file in ('host.dat', 'guest.dat')]

    def test_as_recorded(self):
        self.assertEqual(merged(*self.files('agent-still')), (40, 0))
        self.assertEqual(merged(*self.files('agent-moved')), (200, 120))

    def test_by_events(self):
        host, guest = self.files('agent-moved')
        payload = subprocess.run([built('tests/files/encode_events'), host], check=True,
                                 stdout=subprocess.PIPE).stdout
        trace_dat.with_time_shift(guest, self.path('guest.dat'), payload)
        self.assertEqual(merged(host, self.path('guest.dat')), (200, 0))


if __name__ == '__main__':
    main('trace-cmd')
