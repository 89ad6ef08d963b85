#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Builds this tree with the compilers and libraries of Debian 13 and sid, and runs tests there.

These are tests that need no virtual machine. The argument is a suite of Debian. Without an argument, both are tested.
"""
import json
import re
import sys
import time

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from releases import NAMES, finish, here, other
from recording import check

LIBRARIES = ['libtraceevent', 'libtracefs', 'libtracecmd', 'libkshark']
# Tests whose results depend mostly on the system's trace-cmd and KernelShark
READERS = ['kshark', 'kshark_marks', 'report', 'scenario', 'stamp']
# The arguments of meson test, in one call for each entry. Slow cases run on Debian 12 only.
RUNS = {
    'trixie': [['--suite=unit', '--suite=files', '--suite=host', '--no-suite=slow']],
    'sid': [['--suite=unit', '--suite=docs', '--no-suite=slow'], [f'{name}.*' for name in READERS]],
}


def tested(debian, words):
    """{result: names} of one call of meson test"""
    done = debian.run('meson', 'test', '-C', debian.build, '--no-rebuild', '--print-errorlogs', *words, must=False)
    results = {}
    for line in (debian.build / 'meson-logs/testlog.json').read_text().splitlines():
        test = json.loads(line)
        # meson prints PROJECT:SUITE / NAME, and a newer meson SUITE - PROJECT:NAME
        results.setdefault(test['result'], []).append(re.split(' / |:', test['name'])[-1])
    failed = set(results) - {'OK', 'SKIP'}
    passed = results.get('OK', [])
    if not check(done.returncode == 0 and not failed, f'{debian.name}, {" ".join(words)}: {len(passed)} tests passed'):
        print(done.stdout, done.stderr)
    return results


def one(suite):
    begin = time.monotonic()
    debian = other(suite)
    print(f'{debian.name}: there and built after {time.monotonic() - begin:.0f} s')
    check(debian.version() != here().version(),
          f'{debian.name}: trace-cmd {debian.version()} there, {here().version()} here')
    for system in debian, here():
        found = [system.run('pkg-config', '--modversion', name, must=False).stdout.strip() for name in LIBRARIES]
        print(f'{system.name}:', ', '.join(map(' '.join, zip(LIBRARIES, found))))
    all_results = [tested(debian, words) for words in RUNS[suite]]
    print('skipped there:', *(name for results in all_results for name in results.get('SKIP', [])))
    scripts = {name.split('.')[0] for results in all_results for name in results.get('OK', [])}
    for name in READERS:
        check(name in scripts, f'{debian.name}: {name} is among them')
    print(f'{debian.name}: done after {time.monotonic() - begin:.0f} s')


for argument in sys.argv[1:] or NAMES:
    one(argument)
finish()
