# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Programs and kernels of Debian's other suites: packages that are unpacked in the cache, and not installed."""
import fcntl
import subprocess
import sys
import time

from case import TREE
sys.path.append(str(TREE / 'scripts/lab'))
import debian
import kernel
from kernel import CACHE

TRACE_CMD = ['trace-cmd', 'libc6', 'libtraceevent1', 'libtracefs1', 'libzstd1', 'zlib1g']
WEEK = 7 * 86400


class NotToBeHad(Exception):
    """A program or kernel is not available; the text has the reason"""


def root(suite, packages, **more):
    """The directory of unpacked packages; fetched again after a week, if possible"""
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / f'{packages[0]}-{suite}'
    with open(target.with_suffix('.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists() or target.stat().st_ctime < time.time() - WEEK:
            fetch(suite, packages, target, **more)
    return target


def fetch(suite, packages, target, **more):
    if not debian.mirror():
        raise NotToBeHad('apt has no lists of Debian\'s packages: apt-get update')
    try:
        debian.unpacked(suite, packages, target, **more)
    except subprocess.CalledProcessError as error:
        if not target.exists():
            raise NotToBeHad(f'no {packages[0]} of {suite}: {error.stderr.strip()}') from error


def trace_cmd(suite):
    """The words that run a suite's trace-cmd with its own libraries"""
    found = root(suite, TRACE_CMD)
    loader = next(found.glob('usr/lib/*-linux-gnu/ld-linux-*.so.*'))
    return [str(loader), '--library-path', str(loader.parent), str(found / 'usr/bin/trace-cmd')]


def lab_kernel(suite):
    """A suite's kernel, as environment of the lab"""
    found = root(suite, ['linux-image-amd64'], also=kernel.KERNEL_PACKAGES)
    image = next(path for path in sorted(found.rglob('vmlinuz*')) if path.is_file())
    modules = next(path for path in (found / 'usr/lib/modules', found / 'lib/modules') if path.is_dir())
    return {'KERNEL': str(image), 'KERNEL_MODULES': str(modules)}
