#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The start of the instance, as systemd and udev interpret it"""
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import TOOL, Case, built, configured, main
from kvm_tracing import INSTANCE, read, write

UNIT, RULES = 'tsc-offset-instance.service', '90-tsc-offset.rules'


def text_for(name, tool):
    """The file with this name, as if the tool were installed elsewhere"""
    text, installed = read(built(f'systemd/{name}')), configured('installed_tool')
    assert text.count(f'{installed} instance ') >= 1, f'{name} does not run {installed}'
    return text.replace(installed, tool)


def verify(directory, text, *units):
    """systemd's messages about the unit if it is enabled, together with the units of this machine"""
    unit = os.path.join(directory, UNIT)
    write(unit, text)
    wanted = re.search(r'^WantedBy=(\S+)$', text, re.M)[1]
    os.makedirs(f'{directory}/{wanted}.wants', exist_ok=True)
    link = f'{directory}/{wanted}.wants/{UNIT}'
    if not os.path.islink(link):
        os.symlink(unit, link)
    # The colon at the end adds all existing directories. The manual page that the unit names may be missing.
    done = subprocess.run(['systemd-analyze', '--man=no', 'verify', *units],
                          env={**os.environ, 'SYSTEMD_UNIT_PATH': f'{directory}:'},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return ''.join(line + '\n' for line in done.stdout.splitlines() if 'tsc-offset' in line)


def is_confined(directory, text):
    """Whether systemd's own exposure level of the unit is below 4 of 10; an unconfined unit has 9.5"""
    unit = os.path.join(directory, UNIT)
    write(unit, text)
    known = subprocess.run(['systemd-analyze', 'security', '--help'], stdout=subprocess.PIPE, text=True, check=False)
    if '--offline' not in known.stdout:
        print('systemd-analyze is too old to judge a file')
        return True
    return not subprocess.run(['systemd-analyze', 'security', '--offline=yes', '--threshold=40', unit],
                              stdout=subprocess.DEVNULL, check=False).returncode


class TestSystemd(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which('systemd-analyze'):
            self.skipTest('no program systemd-analyze')
        self.text = text_for(UNIT, TOOL)

    def test_unit(self):
        self.assertEqual(verify(self.directory, self.text, UNIT), '')
        # The unit causes no ordering cycle at boot
        self.assertEqual(verify(self.directory, self.text, 'multi-user.target'), '')
        self.assertTrue(is_confined(self.directory, self.text))
        # The boot waits for the unit, so its time must be limited
        timeout = re.search(r'^TimeoutStartSec=(\d+)$', self.text, re.M)
        self.assertLessEqual(int(timeout[1]), 60)

    def test_control(self):
        """Errors are detected"""
        for wrong, target, part in (
                (text_for(UNIT, '/nonexistent/tool'), UNIT, 'not executable'),
                (self.text.replace('RemainAfterExit', 'RemainAfterwards'), UNIT, 'RemainAfterwards'),
                (self.text.replace('\nAfter=', '\nAfter=multi-user.target '), 'multi-user.target', 'cycle')):
            self.assertNotEqual(wrong, self.text, part)
            self.assertIn(part, verify(self.directory, wrong, target))
        wrong = self.text.replace('NoNewPrivileges=yes', '').replace('CapabilityBoundingSet=', 'Environment=X=')
        wrong = wrong.replace('SystemCallFilter=', 'Environment=Y=')
        # An unconfined unit is detected, unless this systemd-analyze cannot evaluate files
        self.assertTrue(not is_confined(self.directory, wrong)
                        or is_confined(self.directory, '[Service]\nExecStart=/bin/true\n'))


@unittest.skipIf(os.getuid(), 'needs root')
@unittest.skipUnless(shutil.which('udevadm'), 'no program udevadm')
class TestUdev(Case):
    def run_by(self, action, device):
        """The programs that udev would run for an event"""
        script = 'mount -t tmpfs none /run; for dir in /lib/udev /usr/lib/udev /etc/udev; do ' \
                 'if [ -d $dir ]; then mount -t tmpfs none $dir; fi; done; ' \
                 'mkdir -p /etc/udev/rules.d; cp "$1" /etc/udev/rules.d/; ' \
                 'exec udevadm test --action="$2" "$3"'
        done = subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-euc', script, 'sh',
                               self.path(RULES), action, device], capture_output=True, text=True, check=False)
        if 'ACTION=' not in done.stdout:
            self.skipTest(f'udevadm test does not work here: {done.stderr.strip()[-300:]}')
        self.assertIn(RULES, done.stderr, 'the rules were not read')
        self.assertNotRegex(done.stderr, RULES + r':\d+ (?!RUN)')
        return re.findall(r"^run: '(.*)'$", done.stdout, re.M)

    def test_rules(self):
        kvm, other = '/sys/module/kvm', '/sys/module/printk'
        for module in kvm, other:
            if not os.path.isdir(module):
                self.skipTest(f'no {module}')
        text = text_for(RULES, TOOL)
        self.assertEqual(text.count(f'"{INSTANCE}"'), 1)
        # The result must not depend on an instance on this machine
        write(self.path(RULES), text.replace(INSTANCE, str(self.directory)))
        self.assertEqual(self.run_by('add', kvm), [f'{TOOL} instance start'])
        self.assertEqual(self.run_by('remove', kvm), [])
        self.assertEqual(self.run_by('add', other), [])
        write(self.path(RULES), text.replace(INSTANCE, self.path('none')))
        self.assertEqual(self.run_by('add', kvm), [], 'something is run where there is no instance')


if __name__ == '__main__':
    main()
