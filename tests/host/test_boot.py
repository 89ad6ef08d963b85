#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What starts the instance, as systemd and udev understand it.

usage: test_boot.py systemd-analyze|udevadm FILE INSTALLED-TOOL TOOL
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
from kvm_tracing import INSTANCE, read, skip, write

PROGRAM, FILE, INSTALLED = sys.argv[1:4]
TOOL = os.path.abspath(sys.argv[4])


def must(condition, what):
    if not condition:
        sys.exit(f'FAILED: {what}')


def text_for(tool):
    """The file, as if the tool were installed elsewhere"""
    text = read(FILE)
    must(text.count(f'{INSTALLED} instance ') >= 1, f'{FILE} does not run {INSTALLED}')
    return text.replace(INSTALLED, tool)


def verify(directory, text, *units):
    """What systemd has to say of the unit when it is enabled, in a machine with this one's units"""
    unit = os.path.join(directory, 'tsc-offset-instance.service')
    write(unit, text)
    wanted = re.search(r'^WantedBy=(\S+)$', text, re.M)[1]
    os.makedirs(f'{directory}/{wanted}.wants', exist_ok=True)
    link = f'{directory}/{wanted}.wants/tsc-offset-instance.service'
    if not os.path.islink(link):
        os.symlink(unit, link)
    # The colon at the end: and all directories that there are
    # The page that the unit names need not be installed
    done = subprocess.run(['systemd-analyze', '--man=no', 'verify', *units],
                          env={**os.environ, 'SYSTEMD_UNIT_PATH': f'{directory}:'},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return ''.join(line + '\n' for line in done.stdout.splitlines() if 'tsc-offset' in line)


def test_systemd(directory):
    text, unit = text_for(TOOL), 'tsc-offset-instance.service'
    must(verify(directory, text, unit) == '', verify(directory, text, unit))
    must(verify(directory, text, 'multi-user.target') == '', 'the boot has a cycle')
    must(is_confined(directory, text), 'systemd-analyze security: the unit may do too much')
    # The boot waits for it, and would for ever
    timeout = re.search(r'^TimeoutStartSec=(\d+)$', text, re.M)
    must(timeout and int(timeout[1]) <= 60, 'no timeout of the start')

    # The control: what is wrong is seen
    for wrong, target, part in (
            (text_for('/nonexistent/tool'), unit, 'not executable'),
            (text.replace('RemainAfterExit', 'RemainAfterwards'), unit, 'RemainAfterwards'),
            (text.replace('\nAfter=', '\nAfter=multi-user.target '), 'multi-user.target', 'cycle')):
        must(wrong != text, f'nothing is wrong in the control for {part}')
        must(part in verify(directory, wrong, target), f'no complaint about {part}')
    wrong = text.replace('NoNewPrivileges=yes', '').replace('CapabilityBoundingSet=', 'Environment=X=')
    wrong = wrong.replace('SystemCallFilter=', 'Environment=Y=')
    must(not is_confined(directory, wrong) or is_confined(directory, '[Service]\nExecStart=/bin/true\n'),
         'no complaint about a unit that may do anything')


def is_confined(directory, text):
    """Is it below 4 of 10 by systemd's own measure, which is 9.5 for a unit that may do anything?"""
    unit = os.path.join(directory, 'tsc-offset-instance.service')
    write(unit, text)
    known = subprocess.run(['systemd-analyze', 'security', '--help'], stdout=subprocess.PIPE, text=True, check=False)
    if '--offline' not in known.stdout:
        print('systemd-analyze is too old to judge a file')
        return True
    return not subprocess.run(['systemd-analyze', 'security', '--offline=yes', '--threshold=40', unit],
                              stdout=subprocess.DEVNULL, check=False).returncode


def run_by(rules, action, device):
    """The programs that udev would run"""
    script = 'mount -t tmpfs none /run; for dir in /lib/udev /usr/lib/udev /etc/udev; do ' \
             'if [ -d $dir ]; then mount -t tmpfs none $dir; fi; done; ' \
             'mkdir -p /etc/udev/rules.d; cp "$1" /etc/udev/rules.d/; ' \
             'exec udevadm test --action="$2" "$3"'
    done = subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-euc', script, 'sh',
                           rules, action, device], capture_output=True, text=True, check=False)
    if 'ACTION=' not in done.stdout:
        skip(f'udevadm test does not work here: {done.stderr.strip()[-300:]}')
    must('90-tsc-offset.rules' in done.stderr, 'the rules were not read')
    must(not re.search(r'90-tsc-offset.rules:\d+ (?!RUN)', done.stderr), done.stderr)
    return re.findall(r"^run: '(.*)'$", done.stdout, re.M)


def test_udev(directory):
    kvm, other = '/sys/module/kvm', '/sys/module/printk'
    if os.getuid():
        skip('not root')
    for module in kvm, other:
        if not os.path.isdir(module):
            skip(f'no {module}')
    rules = os.path.join(directory, '90-tsc-offset.rules')
    text = text_for(TOOL)
    must(text.count(f'"{INSTANCE}"') == 1, f'the rules do not ask for {INSTANCE}')
    # Whether there is an instance on this machine must not matter
    write(rules, text.replace(INSTANCE, directory))
    must(run_by(rules, 'add', kvm) == [f'{TOOL} instance start'], 'nothing is run for the module')
    must(run_by(rules, 'remove', kvm) == [], 'something is run when the module goes')
    must(run_by(rules, 'add', other) == [], 'something is run for another module')
    write(rules, text.replace(INSTANCE, f'{directory}/none'))
    must(run_by(rules, 'add', kvm) == [], 'something is run where there is no instance')


if not shutil.which(PROGRAM):
    skip(f'no program {PROGRAM}')
with tempfile.TemporaryDirectory() as temporary:
    {'systemd-analyze': test_systemd, 'udevadm': test_udev}[PROGRAM](temporary)
