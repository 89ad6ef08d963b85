#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset merge with traces that Perfetto of Debian unstable recorded.

Two sessions record this machine at the same time, and one is treated as the guest. Their TSC and their clock are the
same, so the guest's times must not change, within the precision of Perfetto's readings.
"""
import json
import os
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import DONE, INCOMPLETE, Case, main
import debian_suite
from perfetto_recording import History, only, packets, snapshot_json
import trace_processor

CONFIG = '''
buffers { size_kb: 4096 }
builtin_data_sources { snapshot_interval_ms: 500 }
data_sources { config { name: "linux.process_stats"
    process_stats_config { scan_all_processes_on_start: true proc_stats_poll_ms: 100 record_process_age: true } } }
data_sources { config { name: "linux.sys_stats"
    sys_stats_config { meminfo_period_ms: 50 meminfo_counters: MEMINFO_MEM_FREE } } }
data_sources { config { name: "linux.system_info" } }
duration_ms: 5000
'''
PACKAGES = ['perfetto', 'libc6', 'libgcc-s1', 'libstdc++6', 'zlib1g']
# Even a busy machine hardly reads clocks later than ERROR, in ns
ERROR, WRONG = 100_000, 1_000_000
ATTEMPTS, ENOUGH = 3, 10


class TestRecorded(Case):
    def setUp(self):
        super().setUp()
        try:
            root = debian_suite.root('sid', PACKAGES)
        except debian_suite.NotToBeHad as error:
            raise unittest.SkipTest(str(error)) from error
        libraries = next(root.glob('usr/lib/*-linux-gnu'))
        self.loader = [next(libraries.glob('ld-linux-*.so.*')), '--library-path', f'{libraries}:{root}/usr/lib/perfetto']
        self.root = root
        self.environment = os.environ | {'PERFETTO_PRODUCER_SOCK_NAME': self.path('producers'),
                                         'PERFETTO_CONSUMER_SOCK_NAME': self.path('consumers')}
        (self.directory / 'config').write_text(CONFIG)

    def start(self, program, *arguments):
        with open(self.path(os.path.basename(program) + '.log'), 'ab') as log:
            process = subprocess.Popen([*self.loader, self.root / 'usr' / program, *arguments], cwd=self.directory,
                                       env=self.environment, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def until(self, name):
        """Wait until the service listens at this socket"""
        deadline = time.monotonic() + 30
        while not os.path.exists(self.path(name)):
            self.assertLess(time.monotonic(), deadline, name)

    def record(self):
        self.start('sbin/traced')
        self.until('producers')
        self.until('consumers')
        self.start('sbin/traced_probes')
        # On a busy machine a session may have too few events
        for _ in range(ATTEMPTS):
            sessions = [self.start('bin/perfetto', '--txt', '-c', 'config', '-o', f'{name}.pftrace')
                        for name in ('host', 'guest')]
            self.assertEqual([session.wait(60) for session in sessions], [0, 0])
            if len(self.times('guest.pftrace', 0)) > ENOUGH:
                return
        self.skipTest('the machine is too busy')

    def merge(self, *histories):
        with open(self.path('history.json'), 'w', encoding='ascii') as file:
            json.dump(snapshot_json((1 << 62) - 1, histories), file)
        done = self.run_tool('merge', '--history', 'history.json', '-o', 'out.pftrace', 'host.pftrace', 'guest.pftrace')
        self.assertIn(done.returncode, (DONE, INCOMPLETE), done.stderr)
        return done.stderr

    def times(self, name, machine):
        """The times of the packets with statistics or processes"""
        return [only(packet, 8) for of, packet in packets(self.path(name)) if of == machine and
                any(only(packet, kind) is not None for kind in (2, 7, 9))]

    def furthest(self):
        pairs = list(zip(self.times('guest.pftrace', 0), self.times('out.pftrace', 1), strict=True))
        self.assertGreater(len(pairs), ENOUGH)
        return max(abs(a - b) for a, b in pairs)

    def test_this_machine(self):
        self.record()
        print(self.merge(History(0)))
        off = self.furthest()
        print(f'off by up to {off} ns')
        self.assertLess(off, ERROR)
        try:
            problems, machines = trace_processor.query(
                self.path('out.pftrace'),
                "select name, value from stats where value > 0 and severity in ('error', 'data_loss')",
                'select raw_id, count(distinct upid) > 10 from machine m join process p on p.machine_id = m.id group by m.id')
            self.assertEqual((problems, machines), ([], [['0', '1'], ['1', '1']]))
        except trace_processor.NotHere as error:
            print(error)
        # Control: with another offset, the times differ
        self.merge(History(-10**7))
        self.assertGreater(self.furthest(), WRONG)


if __name__ == '__main__':
    main()
