#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset show and the plugin in the real trace-cmd report agree about each change."""
import json
import os
import re
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, PLUGIN, TOOL, Case, each, main
from readers import environment, must_fail, only, run
from scenario import Scenario

# With the x86-tsc clock there is no space between the CPU and the time. Newer versions put flags there.
LINE = re.compile(r'-(?P<tid>\d+)\s+\[\d+\](?:\s[^\d\s]\S{4,6}?(?=\s|\d))?\s*'
                  r'(?P<time>\d+): kvm_write_tsc_offset:\s*vcpu=(?P<vcpu>\d+) '
                  r'prev=(?P<prev>-?\d+) next=(?P<next>-?\d+) delta=(?P<delta>[-+]\d+)')

SCENARIOS = {
    'many changes': (dict(vms=3, changes=20, direction='both'), {}),
    'zstd': (dict(changes=5), dict(compression='zstd')),
    'version 6': (dict(vms=2, changes=5), dict(version=6)),
    'unlinked': (dict(vms=2, changes=5, linked=False), {}),
    'from boot': (dict(boot=True, changes=5), {}),
    'previous 0': (dict(previous_zero=True, changes=5), {}),
    'numbers of VMs': (dict(vms=2, patched='id', ratio=1.25, changes=5), {}),
    'patched': (dict(vms=2, patched=True, ratio=1.25, changes=5), {}),
    'lost': (dict(changes=9, lose_every=3), {}),
    'in nanoseconds': (dict(changes=5), dict(tsc2nsec=(1717986918, 32, 0))),
}


def reported(path, directory):
    """(time, thread, vCPU, previous, next, delta) of each change, sorted"""
    text, _ = run(['trace-cmd', 'report', '--raw-ts', '-i', path], environment(directory))
    lines = [line for line in text.splitlines() if 'kvm_write_tsc_offset:' in line]
    matches = [LINE.search(line) for line in lines]
    assert all(matches), lines
    return sorted(tuple(map(int, match.group('time', 'tid', 'vcpu', 'prev', 'next', 'delta')))
                  for match in matches)


def show(*arguments):
    done = subprocess.run([TOOL, 'show', *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


def shown_tsv(path):
    rows = [row.split('\t') for row in show('--tsv', path).splitlines()[1:]]
    return sorted((int(tsc), int(thread), int(vcpu), int(previous), int(following), int(delta))
                  for _, vcpu, thread, tsc, _, previous, following, delta, _, _ in rows)


def shown_json(path):
    return sorted((change['host_tsc'], vcpu['thread'], vcpu['vcpu_id'], change['previous'],
                   change['next'], change['delta'])
                  for vm in json.loads(show('--json', path))['vms'] for vcpu in vm['vcpus']
                  for change in vcpu['changes'])


def shown_table(path):
    """The rows of the table; it has the thread above them instead of in each row"""
    rows, threads = [], {}
    for line in show(path).splitlines():
        if match := re.match(r'  vCPU (\d+) +thread (\d+):', line):
            threads[int(match[1])] = int(match[2])
        elif match := re.match(r' +(\d+) +(\d+) +[\d.]+ .*? +(-?\d+) +(-?\d+) +([-+]\d+)', line):
            vcpu, tsc, *numbers = map(int, match.groups())
            rows.append((tsc, threads[vcpu], vcpu, *numbers))
    return sorted(rows)


def check(found, wanted):
    assert found == wanted, f'{found}\ninstead of\n{wanted}'


class Same(Case):
    def compare(self, path, least):
        with only(PLUGIN) as plugins:
            wanted = reported(path, plugins)
        self.assertGreaterEqual(len(wanted), least)
        for shown in shown_tsv, shown_json, shown_table:
            found = shown(path)
            check(found, wanted)
            if not wanted:
                continue
            # The control: each number is compared
            for i in range(len(wanted[0])):
                wrong = [*wanted[:-1], (*wanted[-1][:i], wanted[-1][i] + 1, *wanted[-1][i + 1:])]
                must_fail(check, found, wrong)


@each(SCENARIOS)
class TestMade(Same):
    def one(self, parameters, options):
        Scenario(**parameters).write(self.directory, **options)
        self.compare(self.path('host.dat'), 4)


class TestRecorded(Same):
    def test_moved(self):
        self.compare(os.path.join(DATA, 'agent-moved', 'host.dat'), 2)

    def test_still(self):
        self.compare(os.path.join(DATA, 'agent-still', 'host.dat'), 0)


if __name__ == '__main__':
    main('trace-cmd')
