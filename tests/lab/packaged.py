#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The Debian package on a host with systemd: what it starts, what an upgrade keeps, what removal stops."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import TREE, check, main

UNIT = 'tsc-offset-instance'
INSTANCE = '/sys/kernel/tracing/instances/tsc_offset'
# Triggers of other packages, such as the index of manual pages, take long here
DPKG = 'dpkg --no-triggers'


def build(lab):
    if not shutil.which('dpkg-buildpackage'):
        print('skipped: no dpkg-buildpackage')
        sys.exit(77)
    # Without optimisation, which takes long: this is about the package's scripts
    options = os.environ | {'DEB_BUILD_OPTIONS': 'nocheck noopt optimize=-lto'}
    packages = subprocess.run([TREE / 'scripts/package', lab.directory / 'package'], stdout=subprocess.PIPE, text=True,
                              check=True, env=options).stdout.split()
    lab.package, = (package for package in packages if '/tsc-offset_' in package)
    # Only the package
    files = lab.directory / 'files'
    files.mkdir()
    return '--systemd', files


def state(lab):
    """Whether the unit is enabled and running, and whether the instance exists with its earlier contents"""
    return lab.run(f'systemctl is-enabled {UNIT}; systemctl is-active {UNIT}; [ -d {INSTANCE} ] && echo there; '
                   f'grep -o "a history" {INSTANCE}/trace').out.split('\n')[:-1]


def packaged(lab):
    # In containers policy-rc.d can forbid packages to stop what they started
    lab.call('run', 'rm -f /usr/sbin/policy-rc.d')
    lab.call('copy-in', lab.package)
    install = f'{DPKG} -i {lab.package.rsplit("/", 1)[1]}'
    lab.call('run', install)
    check(state(lab) == ['disabled', 'inactive'], f'installed: {state(lab)}')
    lab.call('run', f'systemctl --quiet enable --now {UNIT} && echo a history > {INSTANCE}/trace_marker')
    running = ['enabled', 'active', 'there', 'a history']
    check(state(lab) == running, f'control: by its user: {state(lab)}')
    lab.call('run', install)
    check(state(lab) == running, f'installed again, as upgrades are: {state(lab)}')
    lab.call('run', f'{DPKG} -r tsc-offset')
    check(lab.run(f'[ -e {INSTANCE} ]').status == 1, 'removed: the instance is gone')
    lab.call('run', f'{DPKG} --purge tsc-offset')
    left = lab.run(f'find /etc /var/lib/systemd -name "*{UNIT}*"').out.split()
    check(not left, f'purged: nothing of the unit is left {left or ""}')


main(packaged, prepare=build)
