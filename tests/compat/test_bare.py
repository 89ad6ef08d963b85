#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""In a Debian 12 with only the packages for the build, the tree builds, and all tests that can run there pass."""
import json
import os
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import TREE
from clean_root import CleanRoot, enter
from recording import check

PACKAGES = subprocess.run([TREE / 'scripts/dependencies', 'list', 'build'], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.split()
# The directory in the clean root that has the tree
WORK = '/tmp/tsc-offset'
# These tests need no other packages
MUST_RUN = ['show.', 'mistakes.', 'hostile.']


def files():
    """The files of the tree, without those of a build. The tree of a release has no git."""
    if (TREE / '.git').exists():
        found = subprocess.run(['git', '-C', TREE, 'ls-files', '-z'], stdout=subprocess.PIPE, check=True).stdout
    else:
        found = subprocess.run(['find', '.', '-path', './build*', '-prune', '-o', '!', '-type', 'd', '-print0'],
                               cwd=TREE, stdout=subprocess.PIPE, check=True).stdout
    return filter(None, os.fsdecode(found).split('\0'))


def main():
    root = CleanRoot(packages=PACKAGES, online=False)
    tree = root.path / WORK.lstrip('/')
    for name in files():
        if (TREE / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TREE / name, tree / name, follow_symlinks=False)
    # Without optimisation, which takes most of the time and is the same in the other builds of this compiler
    said = root.must('meson setup -Doptimization=0 build && ninja -C build', cwd=WORK)
    print('\n'.join(line for line in said.splitlines() if 'tests' in line or 'left out' in line))
    begin = time.monotonic()
    status, said = root.run('meson test -C build --print-errorlogs', cwd=WORK)
    print(f'{time.monotonic() - begin:.1f} s')
    results = [json.loads(line) for line in (tree / 'build/meson-logs/testlog.json').read_text().splitlines()]
    passed = [test['name'] for test in results if test['result'] == 'OK']
    skipped = [test['name'].split(' / ')[-1] for test in results if test['result'] == 'SKIP']
    check(status == 0 and len(passed) + len(skipped) == len(results), f'{len(passed)} tests passed') or print(said)
    print('skipped there:', ', '.join(skipped))
    for name in MUST_RUN:
        check(any(f'/ {name}' in test for test in passed), f'{name[:-1]} is among them')


if 'CLEAN_ROOT_INSIDE' not in os.environ:
    enter(sys.argv[0], sys.argv[1:], packages=PACKAGES)
main()
