#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The Debian package in a clean Debian 12: built, installed, used as the tutorial says, and removed.

Of the tutorial this runs all that needs no KVM, as it is written; the rest is tests/lab/tutorial.py's. What
it installs for its windows is only asked for: there is no display here, and tests/docs opens them.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import BUILD
import manual
from clean_root import CleanRoot, enter

OUT = BUILD / 'package'
WORK = '/tmp/try'
NAME = 'tsc-offset'
UNIT = 'tsc-offset-instance.service'

# apt plans it, and does nothing
PLANNED = {'apt-get install kernelshark': 'apt-get --simulate install kernelshark'}

failures = 0


def check(holds, what):
    global failures
    print(('ok: ' if holds else 'NOT OK: ') + what, flush=True)
    failures += not holds
    return holds


def changes(before, after):
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def build():
    done = subprocess.run([manual.TREE / 'scripts/package', OUT], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit('scripts/package failed')
    package, = done.stdout.split()
    print(f'built {Path(package).name}, {os.path.getsize(package)} bytes')
    version = re.search(r"version: '(.*?)'", (manual.TREE / 'meson.build').read_text())[1]
    check(Path(package).name.split('_')[1] == version, f'its version is that of meson.build, {version}')
    lint = subprocess.run(['lintian', '--allow-root', '--fail-on', 'error,warning', *OUT.glob('*.changes')],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    check(lint.returncode == 0 and not lint.stdout, f'lintian: no errors, no warnings {lint.stdout}')
    return package


def tutorial(root, examples):
    """The examples as written; a program that comes with another package is left to other tests."""
    ran = []
    for example in examples:
        if example.prompt == '$' and root.run(f'command -v {example.command.split()[0]}')[0]:
            print(f'not here: {example}')
            continue
        if example.prompt == '#':
            status, text = root.run(PLANNED.get(example.command, example.command), cwd=WORK, answers='y\n')
        else:
            status, text = root.run(example.command, cwd=WORK, user='nobody:nogroup')
        missing = example.missing(text)
        if not check(status == 0 and missing is None, str(example)):
            print(f'status {status}, missing: {missing}\n{text}')
        ran.append(example)
    return ran


def wanted_at_boot(root):
    """The unit's name in what systemd starts"""
    return [path for path in root.files() if '.wants/' in path and UNIT in path]


def use(package):
    root = CleanRoot()
    root.must('apt-get -q update')
    (root.path / WORK[1:]).mkdir(mode=0o777)
    (root.path / WORK[1:]).chmod(0o777)
    shutil.copy(package, root.path / WORK[1:])
    files, packages = root.files(), root.packages()
    check(not any(line.startswith(f'{NAME} ') for line in packages), 'the root does not have it')

    examples = [example for example in manual.examples(manual.TUTORIAL) if example.prompt in ('#', '$')]
    check(set(PLANNED) <= {example.command for example in examples}, 'what is only planned is in the tutorial')
    install, remove = examples[0], examples[-1]
    check('install' in install.command and 'purge' in remove.command and install.prompt == remove.prompt == '#',
          'the tutorial begins with the installation and ends with the removal')

    tutorial(root, [install])
    installed = root.must(f'dpkg -L {NAME}').split()
    for page in manual.pages():
        check(f'/usr/share/man/man{page.suffix[1:]}/{page.name}.gz' in installed, f'installed: {page.name}')
    # Does debootstrap's root have what apt says, and the right modes?
    check(root.run('dpkg --verify')[1] == '', 'dpkg --verify: as packed')
    check(f'/lib/systemd/system/{UNIT}' in installed and not wanted_at_boot(root),
          'the unit is there, and not enabled')
    check(len(tutorial(root, examples[1:-1])) >= 8, 'the tutorial was run by a user without rights')
    check(changes(files, root.files()) != [], 'control: files of the package are seen')

    # Whatever its user did with it
    wanted = '/etc/systemd/system/basic.target.wants'
    root.must(f'mkdir -p {wanted} && ln -s /lib/systemd/system/{UNIT} {wanted}')
    check(wanted_at_boot(root) != [], 'control: enabled, the unit is seen as such')
    root.must(f'rm -f {WORK}/*.dat {WORK}/*.txt')
    tutorial(root, [remove])
    stayed = changes(files, root.files())
    check(not stayed, f'no file stays behind {stayed or ""}')
    check(root.packages() == packages, f'no package stays behind {sorted(root.packages() ^ packages) or ""}')


if 'CLEAN_ROOT_INSIDE' not in os.environ:
    enter(__file__, sys.argv[1:])
if not shutil.which('lintian'):
    sys.exit('no lintian: scripts/dependencies install package')
use(build())
sys.exit(failures != 0)
