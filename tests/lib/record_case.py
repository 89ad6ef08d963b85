# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Cases of record with a trace-cmd that is a script, which creates recordings with known truth."""
import json
import os
import shutil
import subprocess
import time

from case import DONE, TOOL, Case
from scenario import Scenario

DEADLINE = 30
# Messages that any run can print, because of the machine or of other users
REMOVED = 'removed leftovers of a killed recording from tracefs'
OF_THE_MACHINE = 'no probes on KVM: ', REMOVED

# The script copies the recordings from $MADE and then runs $LEFT
SCRIPT = '''#!/bin/bash
shift
while [ $# -gt 0 ] && [ "$1" != -o ]; do shift; done
[ -z "$MADE" ] || cp "$MADE"/host.dat "${2:-trace.dat}"
for guest in g1 g2; do
	[ ! -e "$MADE/$guest.dat" ] || cp "$MADE/$guest.dat" "${NAMED:-trace}-$guest.dat"
done
eval "$LEFT"
'''
# A trace-cmd that writes a byte for each SIGINT and ends on SIGUSR1
TAKE = '''
import signal
both = signal.SIGINT, signal.SIGUSR1
signal.pthread_sigmask(signal.SIG_BLOCK, both)
with open("ints", "wb", buffering=0) as ints, open("ready", "w"):
    while signal.sigwaitinfo(both).si_signo == signal.SIGINT:
        ints.write(b"x")
'''
ALL_FIT = r'([0-9,]+) of \1 sampled events in guest mode, error at most [0-9,]+ cycles$'


class RecordCase(Case):
    def setUp(self):
        super().setUp()
        self.script = self.path('trace-cmd')
        with open(self.script, 'w', encoding='utf-8') as file:
            file.write(SCRIPT)
        os.chmod(self.script, 0o755)
        os.mkdir(self.path('out'))

    def make(self, write=None, **parameters):
        """A recording in the folder "made"; its guests' files have the samples of trace-cmd's own protocol"""
        shutil.rmtree(self.path('made'), ignore_errors=True)
        os.mkdir(self.path('made'))
        Scenario(**parameters).write(self.path('made'), **{'time_shift': 'stock', **(write or {})})

    def environment(self, **more):
        return os.environ | {'TRACE_CMD': self.script, 'MADE': self.path('made'), 'LEFT': ''} | more

    def record(self, *arguments, tool=TOOL, run=None, **more):
        return subprocess.run([tool, 'record', *arguments], cwd=self.path('out'), env=self.environment(**more),
                              capture_output=True, text=True, check=False, **(run or {}))

    def said(self, done):
        """Our lines, without those about the machine"""
        lines = done.stderr.splitlines()
        self.assertTrue(all(line.startswith('tsc-offset: ') for line in lines), done.stderr)
        lines = [line.removeprefix('tsc-offset: ') for line in lines]
        return [line for line in lines if not line.startswith(OF_THE_MACHINE)]

    def fits(self, name='trace-g1.dat', host='trace.dat', expected=True):
        """Check whether all events of a file are at times at which its vCPUs ran"""
        done = self.run_tool('check', '--json', host, name, cwd=self.path('out'))
        guest, = json.loads(done.stdout)['guests']
        self.assertEqual(done.returncode == DONE and not guest['violations'], expected, done.stderr)

    def unchanged(self, name='g1'):
        """A guest's file is as trace-cmd wrote it"""
        with open(self.path('made', f'{name}.dat'), 'rb') as made, \
                open(self.path('out', f'trace-{name}.dat'), 'rb') as out:
            self.assertEqual(made.read(), out.read())

    def wait_for(self, name):
        """Until a file is there"""
        end = time.monotonic() + DEADLINE
        while not os.path.exists(self.path('out', name)):
            self.assertLess(time.monotonic(), end, name)
            time.sleep(0.01)
