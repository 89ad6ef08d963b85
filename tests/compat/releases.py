# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A Debian 13 or sid, with this tree built there. The programs of all Debians have the same files at the same paths."""
import fcntl
import re
import subprocess
import sys
from pathlib import Path

import recording
from clean_root import CACHE, RELEASES, cached, need, skip
from recording import BUILD, TREE

HERE = Path(__file__).resolve().parent
# The environment of a login, without variables of this machine
ENVIRONMENT = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/tmp',
               'LC_ALL': 'C.UTF-8'}
# The names of the releases for scripts/dependencies
NAMES = {'trixie': '13', 'sid': 'sid'}


def finish():
    sys.exit(recording.failures != 0)


class Debian:
    """A release: the words that start its programs, and the directory in which it has built this tree"""

    def __init__(self, name, words, build, environment=None):
        self.name, self.words, self.build = name, words, build
        self.environment = ENVIRONMENT | (environment or {})
        self.tool = build / 'tool/tsc-offset'
        self.plugin = build / 'plugin/plugin_kvm_tsc_offset.so'

    def run(self, *command, must=True):
        done = subprocess.run([*self.words, *command], env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              errors='replace', capture_output=True, check=False)
        if must and done.returncode:
            sys.exit(f'FAILED with {done.returncode}: {" ".join(map(str, command))}\n{done.stdout[-20000:]}'
                     f'{done.stderr[-20000:]}')
        return done

    def version(self):
        # trace-cmd --version also prints its usage, and fails
        return re.search(r'version (\S+)', self.run('trace-cmd', '--version', must=False).stdout)[1]


def here():
    return Debian('Debian 12', [], BUILD)


def other(suite):
    """Another release, with this tree built there. Ends the test if it cannot be had."""
    need('debootstrap', 'unshare', 'dpkg-query')
    names = subprocess.run([TREE / 'scripts/dependencies', '--debian', NAMES[suite], 'list', 'build', 'use',
                            'kernelshark', 'compat'], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    root = cached(suite, names)
    build = BUILD / 'compat' / root.name
    # The cache has objects that the root's compiler made of the same sources in another checkout
    newer = Debian(RELEASES[suite], [HERE / 'in-root', root], build,
                   {'CCACHE_DIR': str(CACHE / f'ccache-{suite}'), 'CCACHE_NOHASHDIR': '1'})
    for path in TREE, BUILD:
        if newer.run('test', '-d', path, must=False).returncode:
            skip(f'{path} is in a directory that the other Debian has of its own')
    build.parent.mkdir(exist_ok=True)
    with open(build.parent / f'lock-{suite}', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (build / 'build.ninja').exists():
            newer.run('meson', 'setup', build, TREE, '-Dtests=enabled', '-Dlab=disabled', '-Dwerror=true')
        newer.run('ninja', '-C', build)
    newer.root = root
    return newer


def both():
    """This machine and a Debian 13. Ends the test if a Debian 13 cannot be had."""
    return here(), other('trixie')
