#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset instance: usage, and messages if it cannot work"""
import os
import shutil
import subprocess
import sys
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, NOBODY, USAGE, Case, main
from kvm_tracing import INSTANCE, TRACING, Tool

TOOL = Tool()


class TestUsage(Case):
    def test_help(self):
        for arguments in ['-h'], ['--help'], ['status', '-h'], ['-h', 'nonsense']:
            done = TOOL(*arguments)
            self.assertEqual((done.returncode, done.stderr), (DONE, ''), arguments)
            for word in 'start', 'stop', 'status', '--buffer-size', '--json', 'Exit status':
                self.assertIn(word, done.stdout)
        of_all = subprocess.run([TOOL.path, '-h'], capture_output=True, text=True, check=False)
        self.assertRegex(of_all.stdout, r'\n  instance +\S')

    def test_all_options_are_in_the_help(self):
        options = {word.strip('[],') for word in TOOL('-h').stdout.split() if word.startswith(('--', '[--'))}
        self.assertEqual(options, {'--buffer-size', '--probes', '--json', '--help'})
        for option in options:
            # The control below: an option that does not exist is refused as such
            self.assertNotIn('unknown option', TOOL(option).stderr)
        self.assertIn('unknown option', TOOL('--nonsense').stderr)

    def test_wrong_usage(self):
        for arguments, part in (
                ([], 'start, stop or status'), ([''], "''"), (['nonsense'], "'nonsense'"),
                (['star'], "'star'"), (['start', 'now'], "'now'"), (['status', 'stop'], "'stop'"),
                (['-x'], "'-x'"), (['status', '-xh'], "'-x'"), (['--nonsense', 'start'], "'--nonsense'"),
                (['status', '--json=3'], "'--json' takes no value"), (['--help=3'], "'--help' takes no value"),
                (['start', '--buffer-size'], "'--buffer-size'"),
                (['start', '--json'], '--json'), (['stop', '--json'], '--json'),
                (['stop', '--buffer-size', '64'], '--buffer-size'), (['status', '--probes'], '--probes'),
                (['--buffer-size', '64', 'status'], '--buffer-size')):
            self.one_line(TOOL(*arguments), USAGE, part, 'see')

    def test_wrong_sizes(self):
        for size in '', '0', '-1', '+64', ' 64', '64k', '6 4', 'x', '0x40', '1e3', '2147483648', '9' * 30:
            self.one_line(TOOL('start', '--buffer-size', size), USAGE, f"'{size}'")


class TestNoRight(Case):
    """As user nobody; test_instance.py is the control, as root"""
    def setUp(self):
        super().setUp()
        if not os.path.isdir(TRACING):
            self.skipTest(f'no {TRACING}')
        os.chmod(self.directory, 0o755)
        self.tool = Tool(path=shutil.copy(TOOL.path, self.directory))
        self.who = {'user': NOBODY, 'group': NOBODY, 'cwd': '/'} if not os.getuid() else {}
        can_look = subprocess.run(['test', '-r', TRACING], check=False, **self.who)
        if not can_look.returncode:
            self.skipTest(f'{TRACING} is open to everybody, or not mounted')

    def test_tracefs_is_closed(self):
        for action in 'start', 'stop', 'status':
            self.one_line(self.tool(action, **self.who), FAILED, 'root')
        self.one_line(self.tool('status', '--json', **self.who), FAILED, 'root')


@unittest.skipIf(os.getuid(), 'needs root')
class TestNoTracefs(Case):
    """Without a mounted tracefs, and without a way to mount it"""
    HIDE = f'''
        for dir in {TRACING} /sys/kernel/debug/tracing /sys/kernel/debug; do
            while mountpoint -q $dir; do umount -l $dir; done
        done
        mount -t tmpfs -o ro none /sys/kernel'''

    def setUp(self):
        super().setUp()
        done = subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-euc', self.HIDE],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            self.skipTest(f'no mount namespace: {done.stderr.strip()}')

    def test_no_tracefs(self):
        before = os.path.exists(INSTANCE)
        for action in 'start', 'stop', 'status':
            self.one_line(TOOL.hidden(self.HIDE, action), FAILED, 'tracefs is not mounted')
        self.assertEqual(os.path.exists(INSTANCE), before)


if __name__ == '__main__':
    main()
