# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The QEMU that emulates the AMD host: this machine's, or a newer one of Debian if this machine's has a race.

Guests always run in this machine's QEMU: they use KVM of the emulated host, and are not emulated themselves.
"""
import fcntl
import platform
import re
import subprocess
from pathlib import Path

import debian
from initramfs import program
from kernel import CACHE

# From this version on, a CPU may translate code while another one patches it (see README.md)
WITHOUT_RACE = (8, 1)
PACKAGES = ['qemu-system-x86', 'qemu-system-common', 'qemu-system-data']


def version(qemu):
    """The version of a QEMU: (major, minor), or (0, 0) if it does not run"""
    try:
        said = subprocess.run([qemu, '--version'], capture_output=True, text=True).stdout
    except OSError:
        said = ''
    found = re.search(r'version (\d+)\.(\d+)', said)
    return tuple(map(int, found.groups())) if found else (0, 0)


def find():
    """The path of a QEMU. If no QEMU without the race was available, also the reason."""
    own = program('qemu-system-x86_64', 'qemu-system-x86')
    if version(own) >= WITHOUT_RACE:
        return own, None
    newer = CACHE / 'qemu/usr/bin/qemu-system-x86_64'
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / 'qemu.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        why = None if newer.exists() else fetch(CACHE / 'qemu')
    if not why and version(newer) < WITHOUT_RACE:
        why = f'{newer} does not run'
    return (own, why) if why else (str(newer), None)


def fetch(target):
    """Get it from the backports of this machine's Debian; return what went wrong, or None"""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if release.get('ID') != 'debian' or not debian.mirror():
        return 'apt has no lists of Debian\'s packages'
    try:
        debian.unpacked(f'{release["VERSION_CODENAME"]}-backports', PACKAGES, target)
    except subprocess.CalledProcessError as error:
        # The first message has the cause, later ones the consequences
        return next((line for line in error.stderr.splitlines() if line.startswith('E:')), str(error))
    return None
