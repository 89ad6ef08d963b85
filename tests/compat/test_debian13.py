#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""This tree in a Debian 13: built with its compiler and libraries, and the tests that need no virtual machine."""
import json
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from debian13 import both, finish
from recording import check

# Slow cases are run on Debian 12
SUITES = ['--suite=unit', '--suite=files', '--suite=host', '--no-suite=slow']
LIBRARIES = ['libtraceevent', 'libtracefs', 'libtracecmd', 'libkshark']


def main():
    here, newer = both()
    check(newer.version() != here.version(), f'trace-cmd {newer.version()} there, {here.version()} here')
    versions = {debian.name: [debian.run('pkg-config', '--modversion', name, must=False).stdout.strip()
                              for name in LIBRARIES] for debian in (here, newer)}
    for name, found in versions.items():
        print(f'{name}:', ', '.join(map(' '.join, zip(LIBRARIES, found))))
    done = newer.run('meson', 'test', '-C', newer.build, '--print-errorlogs', *SUITES, must=False)
    results = {'OK': [], 'SKIP': [], 'FAIL': []}
    for line in (newer.build / 'meson-logs/testlog.json').read_text().splitlines():
        result = json.loads(line)
        results.setdefault(result['result'], []).append(result['name'].split(' / ')[-1])
    passed, skipped = results.pop('OK'), results.pop('SKIP')
    check(done.returncode == 0 and not any(results.values()), f'{len(passed)} tests passed')
    print('skipped there:', ', '.join(skipped))
    scripts = {name.split('.')[0] for name in passed}
    for name in 'kshark', 'kshark_marks', 'report', 'scenario', 'stamp':
        check(name in scripts, f'{name} is among them')
    if any(results.values()):
        print(done.stdout)


main()
finish()
