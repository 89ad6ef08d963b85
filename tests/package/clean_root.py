# SPDX-License-Identifier: GPL-2.0
"""A clean Debian 12 to install packages in: made once by debootstrap, fresh for each run.

A run is in mount and process namespaces of its own: all it mounts and starts ends with it, and nothing of
it is seen outside.
"""
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get('TSC_OFFSET_CACHE') or
             Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'tsc-offset')
SUITE = 'bookworm'
# What apt and dpkg remember of all that ever was installed; what is installed dpkg itself is asked
MEMORY = ['dev', 'proc', 'var/cache', 'var/lib/apt', 'var/lib/dpkg', 'var/log', 'etc/ld.so.cache']
SKIPPED = 77


def skip(why):
    print(f'skipped: {why}')
    sys.exit(SKIPPED)


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def mirror():
    """Where this machine's packages come from"""
    targets = output('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages',
                     'Origin: Debian')
    uris = sorted({line for line in targets.splitlines() if 'security' not in line})
    if not uris:
        skip('apt has no list of Debian\'s packages: apt-get update')
    return uris[0]


def apt_settings():
    """How this machine's apt gets there: proxies, dates, keys"""
    return ''.join(line + '\n' for line in output('apt-config', 'dump').splitlines()
                   if line.startswith('Acquire::') and not line.startswith('Acquire::IndexTargets'))


def proxies():
    """The same for debootstrap, which asks the environment"""
    values = output('apt-config', 'shell', 'http_proxy', 'Acquire::http::Proxy',
                    'https_proxy', 'Acquire::https::Proxy')
    return {line.split('=', 1)[0]: line.split('=', 1)[1].strip("'") for line in values.splitlines() if '=' in line}


def cached():
    """The root that runs begin with"""
    root = CACHE / f'root-{SUITE}'
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / 'root.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.exists():
            return root
        part = CACHE / f'root-{SUITE}.part'
        shutil.rmtree(part, ignore_errors=True)
        print(f'debootstrap makes a Debian 12 in {root}', flush=True)
        done = subprocess.run(['debootstrap', '--variant=minbase', SUITE, part, mirror()],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=os.environ | proxies(), check=False)
        if done.returncode:
            print(done.stdout)
            sys.exit('debootstrap failed')
        shutil.rmtree(part / 'var/cache/apt/archives', ignore_errors=True)
        (part / 'var/cache/apt/archives/partial').mkdir(parents=True)
        part.rename(root)
    return root


def enter(script, arguments):
    """Run this script again, with CLEAN_ROOT_INSIDE set, in namespaces that end with it; exits."""
    for program in 'debootstrap', 'unshare', 'dpkg-buildpackage':
        if not shutil.which(program):
            skip(f'no {program}')
    if os.getuid():
        skip('not root')
    if subprocess.run(['unshare', '-m', '-p', '--fork', 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
        skip('no mount namespaces here')
    cached()
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(['unshare', '-m', '-p', '--fork', '--kill-child', '--propagation', 'private',
                               sys.executable, script, *arguments], check=False,
                              env=os.environ | {'CLEAN_ROOT_INSIDE': directory})
    sys.exit(done.returncode)


def mount(*arguments):
    subprocess.run(['mount', *map(str, arguments)], check=True)


class CleanRoot:
    def __init__(self):
        directory = Path(os.environ['CLEAN_ROOT_INSIDE'])
        mount('-t', 'tmpfs', 'none', directory)
        self.path = directory / 'root'
        for name in 'root', 'upper', 'work':
            (directory / name).mkdir()
        layers = f'lowerdir={cached()},upperdir={directory}/upper,workdir={directory}/work'
        if subprocess.run(['mount', '-t', 'overlay', 'none', '-o', layers, self.path], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            subprocess.run(['cp', '-a', f'{cached()}/.', self.path], check=True)
            mount('--bind', self.path, self.path)
        mount('-t', 'proc', 'none', self.path / 'proc')
        # Packages and lists are fetched once
        for name in 'var/cache/apt/archives', 'var/lib/apt/lists':
            kept = CACHE / f'apt-{SUITE}' / Path(name).name
            kept.mkdir(parents=True, exist_ok=True)
            mount('--bind', kept, self.path / name)
        for name in 'etc/resolv.conf', 'etc/hosts':
            shutil.copy(f'/{name}', self.path / name)
        (self.path / 'etc/apt/apt.conf.d/00machine').write_text(apt_settings())
        (self.path / 'etc/apt/sources.list').write_text(f'deb {mirror()} {SUITE} main\n')

    def run(self, command, cwd='/root', user='root', answers=''):
        """Shell text; its status, and what it printed."""
        # A login's environment and nothing of this machine's
        environment = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': cwd,
                       'LC_ALL': 'C.UTF-8', 'DEBIAN_FRONTEND': 'noninteractive'}
        done = subprocess.run(['chroot', f'--userspec={user}', self.path, 'bash', '-c',
                               f'cd {cwd} && set -o pipefail && {command}'], env=environment, input=answers,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                              check=False)
        return done.returncode, done.stdout

    def must(self, command, **more):
        status, text = self.run(command, **more)
        if status:
            sys.exit(f'FAILED with {status}: {command}\n{text}')
        return text

    def files(self):
        """All that is in it: path, and what would tell a change"""
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
