# SPDX-License-Identifier: GPL-2.0
"""Debian's packages, fetched without being installed."""
import subprocess


def mirror():
    """Where this machine's packages come from, or None: it is no Debian, or its apt has no lists."""
    try:
        found = subprocess.run(['apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages',
                                'Origin: Debian'], stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return min((line for line in found.splitlines() if 'security' not in line), default=None)


def apt(verb, *words, directory, options=()):
    """apt-get, as any user. Raises subprocess.CalledProcessError, whose stderr says why."""
    settings = [word for option in ('APT::Sandbox::User=root', *options) for word in ('-o', option)]
    subprocess.run(['apt-get', '-q', *settings, verb, *words], cwd=directory, capture_output=True, text=True,
                   check=True)


def backports(release, packages, directory):
    """Fetch the newer ones that Debian has for a release; this machine's apt does not come to know of it."""
    for name in 'lists/partial', 'cache/archives/partial':
        (directory / name).mkdir(parents=True)
    suite = f'{release}-backports'
    (directory / 'sources').write_text(f'deb {mirror()} {suite} main\n')
    options = [f'Dir::Etc::SourceList={directory}/sources', 'Dir::Etc::SourceParts=/dev/null',
               f'Dir::State::Lists={directory}/lists', f'Dir::Cache={directory}/cache',
               f'APT::Default-Release={suite}', 'APT::Update::Error-Mode=any']
    apt('update', directory=directory, options=options)
    apt('download', *packages, directory=directory, options=options)
