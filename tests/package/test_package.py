#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The Debian package in a clean Debian 12: built, installed, used as in the tutorial, and removed.

This runs all parts of the tutorial that do not need KVM, as written; tests/lab/tutorial.py runs the rest. It does not
install programs with windows, because there is no display. It only checks that apt could install them; tests/docs
opens their windows.
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
from clean_root import CleanRoot, enter, need

OUT = BUILD / 'package'
WORK = '/tmp/try'
NAME = 'tsc-offset'
UNIT = 'tsc-offset-instance.service'
PLOTS = 'plugin-kvm_tsc_jumps.so'

# apt only plans this installation
PLANNED = {'apt-get install kernelshark': 'apt-get --simulate install kernelshark'}

failures = 0


def check(holds, what):
    global failures
    print(('ok: ' if holds else 'NOT OK: ') + what, flush=True)
    failures += not holds
    return holds


def changes(before, after):
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def contents(package):
    return subprocess.run(['dpkg', '--contents', package], stdout=subprocess.PIPE, text=True, check=True).stdout


def build():
    done = subprocess.run([manual.TREE / 'scripts/package', OUT], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit('scripts/package failed')
    packages = done.stdout.split()
    version = re.search(r"version: '(.*?)'", (manual.TREE / 'meson.build').read_text())[1]
    for package in packages:
        print(f'built {Path(package).name}, {os.path.getsize(package)} bytes')
        check(Path(package).name.split('_')[1] == f'{version}-1', f'its version is that of meson.build, {version}')
    check([Path(package).name.split('_')[0] for package in packages] == [f'{NAME}-kernelshark', NAME],
          'a package for the command and one for KernelShark')
    check('kernelshark' not in contents(packages[1]) and PLOTS in contents(packages[0]), 'each has its own')
    # Later releases of lintian do not expect init scripts, and do not know this tag
    lint = subprocess.run(['lintian', '--allow-root', '--display-info', '--pedantic', '--suppress-tags',
                           'package-supports-alternative-init-but-no-init.d-script', *OUT.glob('*.changes')],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    check(lint.returncode == 0 and not lint.stdout, f'lintian, pedantic: no finding {lint.stdout}')
    # With DEB_BUILD_OPTIONS=nocheck, the log has no tests
    ran = re.search(r'^Ok: +(\d+)', (OUT / 'log').read_text(), re.M)
    check(ran and int(ran[1]) > 50, f'{ran and ran[1]} unit tests ran while it was built')
    return packages[1]


def tutorial(root, examples):
    """Run the examples as written, except for programs of other packages, which other tests run."""
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
    """The links that make systemd start the unit at boot"""
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
    # The root has all files of the package, with the right modes
    check(root.run('dpkg --verify')[1] == '', 'dpkg --verify: as packed')
    check(f'/lib/systemd/system/{UNIT}' in installed and not wanted_at_boot(root),
          'the unit is there, and not enabled')
    check(len(tutorial(root, examples[1:-1])) >= 8, 'the tutorial was run by a user without rights')
    check(changes(files, root.files()) != [], 'control: files of the package are seen')

    # The test that Debian runs with the installed package
    shutil.copy(manual.TREE / 'debian/tests/shipped-recording', root.path / WORK[1:])
    status, text = root.run(f'AUTOPKGTEST_TMP=$(mktemp -d -p {WORK}) {WORK}/shipped-recording', cwd=WORK)
    check(status == 0 and 'fits' in text, 'debian/tests/shipped-recording') or print(text)
    root.must(f'mkdir {WORK}/nothing && ln -s /bin/true {WORK}/nothing/{NAME}')
    status, text = root.run(f'AUTOPKGTEST_TMP=$(mktemp -d -p {WORK}) PATH={WORK}/nothing:$PATH {WORK}/shipped-recording')
    check(status != 0, 'control: it fails with a command that does nothing')
    root.must(f'rm -r {WORK}/tmp.* {WORK}/nothing {WORK}/shipped-recording')

    # The removal must also work if the unit is enabled
    wanted = '/etc/systemd/system/basic.target.wants'
    root.must(f'mkdir -p {wanted} && ln -s /lib/systemd/system/{UNIT} {wanted}')
    check(wanted_at_boot(root) != [], 'control: enabled, the unit is seen as such')
    root.must(f'rm -f {WORK}/*.dat {WORK}/*.txt')
    tutorial(root, [remove])
    stayed = changes(files, root.files())
    check(not stayed, f'no file stays behind {stayed or ""}')
    check(root.packages() == packages, f'no package stays behind {sorted(root.packages() ^ packages) or ""}')


if 'CLEAN_ROOT_INSIDE' not in os.environ:
    if not shutil.which('lintian'):
        sys.exit('no lintian: scripts/dependencies install package')
    need('debootstrap', 'unshare', 'dpkg-buildpackage')
    # The package is built outside of the root, because tests of the build need /proc
    built = build()
    if failures:
        sys.exit(1)
    enter(__file__, [built])
use(sys.argv[1])
sys.exit(failures != 0)
