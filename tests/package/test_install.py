#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""meson install puts each file where its reader looks, and uninstall takes all away again.

usage: test_install.py BUILD PREFIX PLUGIN-DIR UNIT-DIR RULES-DIR    (the last two may be empty)
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
import manual

BUILD, PREFIX, PLUGINS, UNITS, RULES = sys.argv[1:6]

# KernelShark's own directory, where its plugin goes if there is one
OPTIONAL = re.compile(r'.*/kernelshark/plugins/[^/]*\.so')


def must(condition, what):
    if not condition:
        sys.exit(f'FAILED: {what}')


def run(*command, **kwargs):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          **kwargs)
    must(done.returncode == 0, f'{command}: {done.stdout}')
    return done.stdout


def files(directory):
    return {f'/{path.relative_to(directory)}' for path in Path(directory).rglob('*') if not path.is_dir()}


def libtraceevent_plugins():
    """Where libtraceevent itself looks: the directory of that name beside the library"""
    libdir = run('pkg-config', '--variable=libdir', 'libtraceevent').strip()
    return f'{libdir}/traceevent/plugins'


share = f'{PREFIX}/share'
expected = {f'{PREFIX}/bin/tsc-offset', f'{PLUGINS}/plugin_kvm_tsc_offset.so',
            f'{share}/bash-completion/completions/tsc-offset',
            f'{share}/doc/tsc-offset/examples/host.dat', f'{share}/doc/tsc-offset/examples/guest.dat'}
expected |= {f'{share}/man/man{page.suffix[1:]}/{page.name}' for page in manual.pages()}
if UNITS:
    expected.add(f'{UNITS}/tsc-offset-instance.service')
if RULES:
    expected.add(f'{RULES}/90-tsc-offset.rules')

if os.path.isdir(libtraceevent_plugins()):
    must(PLUGINS == libtraceevent_plugins(), f'the plugin goes to {PLUGINS}, others are in {libtraceevent_plugins()}')
with tempfile.TemporaryDirectory() as directory:
    # The commands of README.md, but that nothing is built, and into a directory of its own
    run('meson', 'install', '-C', BUILD, '--no-rebuild', env=os.environ | {'DESTDIR': directory})
    installed = {path for path in files(directory) if not OPTIONAL.fullmatch(path)}
    must(installed == expected, f'not where it should be: {sorted(installed ^ expected)}')
    must(run(f'{directory}{PREFIX}/bin/tsc-offset', '--version').startswith('tsc-offset '), 'it does not run')
    unit = Path(f'{directory}{UNITS}/tsc-offset-instance.service')
    must(not UNITS or f'ExecStart={PREFIX}/bin/tsc-offset ' in unit.read_text(), 'the unit runs another file')
    must(not list(Path(directory).rglob('*.wants')), 'the installation enables units')
    run('ninja', '-C', BUILD, 'uninstall')
    must(not list(Path(directory).iterdir()), f'left by uninstall: {sorted(map(str, Path(directory).rglob("*")))}')
print(f'{len(installed)} files')
