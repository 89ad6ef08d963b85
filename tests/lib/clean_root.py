# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A clean Debian root: debootstrap makes it once, and each run gets a fresh copy.

A run has its own mount and process namespaces: all its mounts and processes end with it, and are invisible outside.
"""
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from case import TREE, skip
sys.path.append(str(TREE / 'scripts/lab'))
import debian
from kernel import CACHE

RELEASES = {'bookworm': 'Debian 12', 'trixie': 'Debian 13', 'sid': 'Debian sid'}
SCRIPTS = Path('/usr/share/debootstrap/scripts')
# Files in which apt and dpkg record every package that was ever installed; dpkg itself lists installed ones
MEMORY = ['dev', 'proc', 'var/cache', 'var/lib/apt', 'var/lib/dpkg', 'var/log', 'etc/ld.so.cache']
WEEK = 7 * 86400
NAMESPACES = ['unshare', '-m', '-p', '--fork', '--kill-child', '--propagation', 'private']


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def mirror():
    """The source of this machine's packages"""
    return debian.mirror() or skip('apt has no list of Debian\'s packages: apt-get update')


def apt_settings():
    """How this machine's apt reaches its mirror: proxies, dates, keys"""
    return ''.join(line + '\n' for line in output('apt-config', 'dump').splitlines()
                   if line.startswith('Acquire::') and not line.startswith('Acquire::IndexTargets'))


def proxies():
    """The same for debootstrap, which reads the environment"""
    values = output('apt-config', 'shell', 'http_proxy', 'Acquire::http::Proxy',
                    'https_proxy', 'Acquire::https::Proxy')
    return {line.split('=', 1)[0]: line.split('=', 1)[1].strip("'") for line in values.splitlines() if '=' in line}


def made(suite, packages, root):
    """A root from debootstrap with packages; it is complete or missing"""
    if not (SCRIPTS / suite).exists():
        skip(f'this debootstrap does not know {suite}')
    part = root.with_suffix('.part')
    shutil.rmtree(part, ignore_errors=True)
    print(f'debootstrap makes a {RELEASES[suite]} in {root}', flush=True)
    done = subprocess.run(['debootstrap', '--variant=minbase', suite, part, mirror()],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=os.environ | proxies(), check=False)
    if done.returncode:
        print(done.stdout)
        if 'Failed getting release file' in done.stdout:
            skip(f'no {RELEASES[suite]} to be had here')
        sys.exit('debootstrap failed')
    if packages:
        allow_apt(part, suite)
        status, text = run_in(part, 'mount -t proc none /proc && apt-get -q update && '
                              f'apt-get -q -y --no-install-recommends install {" ".join(packages)}',
                              before=NAMESPACES)
        if status:
            sys.exit(f'apt-get failed with {status}:\n{text}')
    # Files that apt fetched
    for name in 'var/cache/apt/archives', 'var/lib/apt/lists':
        shutil.rmtree(part / name)
        (part / name / 'partial').mkdir(parents=True)
    part.rename(root)


def cached(suite, packages=()):
    """The root that runs begin with. Its name depends on its contents."""
    key = hashlib.sha256(' '.join(sorted(packages)).encode()).hexdigest()[:8]
    root = CACHE / (f'root-{suite}-{key}' if packages else f'root-{suite}')
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f'root-{suite}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            made(suite, packages, root)
        os.utime(root)
        for old in CACHE.glob(f'root-{suite}-*'):
            if old.stat().st_mtime < time.time() - WEEK:
                shutil.rmtree(old)
    return root


def need(*programs):
    """Skip the test if a root cannot be made or entered"""
    for program in programs:
        if not shutil.which(program):
            skip(f'no {program}')
    if os.getuid():
        skip('not root')
    if subprocess.run([*NAMESPACES, 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
        skip('no mount namespaces here')


def enter(script, arguments, suite='bookworm', packages=()):
    """Run this script again with CLEAN_ROOT_INSIDE set, in namespaces that end with it, and exit."""
    need('debootstrap', 'unshare', 'dpkg-buildpackage')
    cached(suite, packages)
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([*NAMESPACES, sys.executable, script, *arguments], check=False,
                              env=os.environ | {'CLEAN_ROOT_INSIDE': directory})
    sys.exit(done.returncode)


def mount(*arguments):
    subprocess.run(['mount', *map(str, arguments)], check=True)


def allow_apt(root, suite):
    for name in 'etc/resolv.conf', 'etc/hosts':
        shutil.copy(f'/{name}', root / name)
    (root / 'etc/apt/apt.conf.d/00machine').write_text(apt_settings())
    (root / 'etc/apt/sources.list').write_text(f'deb {mirror()} {suite} main\n')


def run_in(root, command, cwd='/root', user='root', answers='', before=()):
    """Run shell text; return its status, and its output."""
    # The environment of a login, without anything of this machine
    environment = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': cwd,
                   'LC_ALL': 'C.UTF-8', 'DEBIAN_FRONTEND': 'noninteractive'}
    done = subprocess.run([*before, 'chroot', f'--userspec={user}', root, 'bash', '-c',
                           f'cd {cwd} && set -o pipefail && {command}'], env=environment, input=answers,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                          check=False)
    return done.returncode, done.stdout


class CleanRoot:
    """A writable root. Online, it can have more packages."""

    def __init__(self, suite='bookworm', packages=(), online=True):
        directory = Path(os.environ['CLEAN_ROOT_INSIDE'])
        lower = cached(suite, packages)
        mount('-t', 'tmpfs', 'none', directory)
        self.path = directory / 'root'
        for name in 'root', 'upper', 'work':
            (directory / name).mkdir()
        layers = f'lowerdir={lower},upperdir={directory}/upper,workdir={directory}/work'
        if subprocess.run(['mount', '-t', 'overlay', 'none', '-o', layers, self.path], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            subprocess.run(['cp', '-a', f'{lower}/.', self.path], check=True)
            mount('--bind', self.path, self.path)
        mount('-t', 'proc', 'none', self.path / 'proc')
        if not online:
            return
        # Packages and lists are fetched once
        for name in 'var/cache/apt/archives', 'var/lib/apt/lists':
            kept = CACHE / f'apt-{suite}' / Path(name).name
            kept.mkdir(parents=True, exist_ok=True)
            mount('--bind', kept, self.path / name)
        allow_apt(self.path, suite)

    def run(self, command, **more):
        """Run shell text; return its status, and its output."""
        return run_in(self.path, command, **more)

    def must(self, command, **more):
        status, text = self.run(command, **more)
        if status:
            sys.exit(f'FAILED with {status}: {command}\n{text}')
        return text

    def files(self):
        """All files in it: path, and properties that show a change"""
        found = {}
        for directory, names, files in os.walk(self.path):
            inside = os.path.relpath(directory, self.path)
            names[:] = [name for name in names if os.path.normpath(os.path.join(inside, name)) not in MEMORY]
            for name in names + files:
                path = os.path.join(directory, name)
                status = os.lstat(path)
                if os.path.normpath(os.path.join(inside, name)) in MEMORY:
                    continue
                if stat.S_ISLNK(status.st_mode):
                    content = os.readlink(path)
                elif stat.S_ISREG(status.st_mode):
                    content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                else:
                    content = ''
                found[os.path.relpath(path, self.path)] = (status.st_mode, status.st_uid, status.st_gid, content)
        return found

    def packages(self):
        return set(self.must("dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n'").splitlines())
