# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Debian's packages, fetched without being installed.

usage: debian.py SUITE PACKAGE...   fetch them from another suite than this machine's, into this directory
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'


def mirror():
    """The archive of this machine's packages; None if it does not run Debian, or if its apt has no lists."""
    try:
        found = subprocess.run(['apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages',
                                'Origin: Debian'], stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return min((line for line in found.splitlines() if 'security' not in line), default=None)


def apt(verb, *words, directory, options=()):
    """Run apt-get as any user. Raises subprocess.CalledProcessError, whose stderr has the reason."""
    settings = [word for option in ('APT::Sandbox::User=root', *options) for word in ('-o', option)]
    subprocess.run(['apt-get', '-q', *settings, verb, *words], cwd=directory, capture_output=True, text=True,
                   check=True)


def from_suite(suite, packages, directory, also=None):
    """Fetch packages of another suite than this machine's, without changing this machine's apt; as apt().

    Also fetches those of their dependencies whose names match the regular expression ALSO.
    """
    with tempfile.TemporaryDirectory() as name:
        own = Path(name)
        for part in 'lists/partial', 'cache/archives/partial':
            (own / part).mkdir(parents=True)
        (own / 'sources').write_text(f'deb [signed-by={KEYS}] {mirror()} {suite} main\n')
        options = [f'Dir::Etc::SourceList={own}/sources', 'Dir::Etc::SourceParts=/dev/null',
                   f'Dir::State::Lists={own}/lists', f'Dir::Cache={own}/cache', f'APT::Default-Release={suite}',
                   'APT::Update::Error-Mode=any', 'Acquire::Retries=0', 'Acquire::http::Timeout=10']
        apt('update', directory=directory, options=options)
        if also:
            packages = needed(packages, also, options)
        apt('download', *packages, directory=directory, options=options)


def needed(packages, also, options=()):
    """Packages, and those that they depend on, of which the names match the regular expression ALSO"""
    settings = [word for option in options for word in ('-o', option)]
    found = subprocess.run(['apt-cache', *settings, 'depends', '--recurse', '--important', *packages],
                           capture_output=True, text=True, check=True).stdout
    return [*packages, *sorted({name for name in re.findall(r'^\w\S*$', found, re.M) if re.fullmatch(also, name)})]


def unpacked(suite, packages, target, **more):
    """Like from_suite(), and unpack the packages into the directory TARGET. If one fails, TARGET does not exist."""
    with tempfile.TemporaryDirectory(prefix=f'{target.name}.', dir=target.parent) as directory:
        part = Path(directory)
        from_suite(suite, packages, part, **more)
        for package in part.glob('*.deb'):
            subprocess.run(['dpkg-deb', '--extract', package, part / 'root'], capture_output=True, text=True, check=True)
        shutil.rmtree(target, ignore_errors=True)
        (part / 'root').rename(target)


if __name__ == '__main__':
    try:
        from_suite(sys.argv[1], sys.argv[2:], Path.cwd())
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr)
