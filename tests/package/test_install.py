#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""meson install puts each file where programs search for it, and uninstall removes everything."""
import os
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import BUILD, Case, configured, main
import manual

PREFIX, PLUGINS, UNITS, RULES = map(configured, ('prefix', 'plugin_dir', 'systemd_unit_dir', 'udev_rules_dir'))

# KernelShark's directory of plugins. It gets a plugin only if this is built.
OPTIONAL = re.compile(r'.*/kernelshark/plugins/[^/]*\.so')


def run(*command, **kwargs):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          **kwargs)
    assert done.returncode == 0, f'{command}: {done.stdout}'
    return done.stdout


def files(directory):
    return {f'/{path.relative_to(directory)}' for path in Path(directory).rglob('*') if not path.is_dir()}


def libtraceevent_plugins():
    """The directory in which libtraceevent searches, which is next to the library"""
    libdir = run('pkg-config', '--variable=libdir', 'libtraceevent').strip()
    return f'{libdir}/traceevent/plugins'


def expected():
    share = f'{PREFIX}/share'
    paths = {f'{PREFIX}/bin/tsc-offset', f'{PLUGINS}/plugin_kvm_tsc_offset.so',
             f'{share}/bash-completion/completions/tsc-offset', f'{share}/zsh/site-functions/_tsc-offset',
             f'{share}/fish/vendor_completions.d/tsc-offset.fish',
             f'{share}/doc/tsc-offset/examples/host.dat', f'{share}/doc/tsc-offset/examples/guest.dat',
             f'{share}/tsc-offset/perfetto-sql/tsc_offset/vm.sql'}
    paths |= {f'{share}/doc/tsc-offset/examples/perfetto-fleet/{name}' for name in ('batch.py', 'bigtrace.py', 'vcpus.sql')}
    paths |= {f'{share}/man/man{page.suffix[1:]}/{page.name}' for page in manual.pages()}
    if UNITS:
        paths.add(f'{UNITS}/tsc-offset-instance.service')
    if RULES:
        paths.add(f'{RULES}/90-tsc-offset.rules')
    return paths


class TestInstall(Case):
    def test_plugin_directory(self):
        if not os.path.isdir(libtraceevent_plugins()):
            self.skipTest('libtraceevent has no directory of plugins')
        self.assertEqual(PLUGINS, libtraceevent_plugins())

    def test_install(self):
        """The commands of README.md install into a separate directory. The build exists already."""
        run('meson', 'install', '-C', BUILD, '--no-rebuild', env=os.environ | {'DESTDIR': str(self.directory)})
        self.assertEqual({path for path in files(self.directory) if not OPTIONAL.fullmatch(path)}, expected())
        self.assertTrue(run(f'{self.directory}{PREFIX}/bin/tsc-offset', '--version').startswith('tsc-offset '))
        if UNITS:
            unit = Path(f'{self.directory}{UNITS}/tsc-offset-instance.service')
            self.assertIn(f'ExecStart={PREFIX}/bin/tsc-offset ', unit.read_text())
        self.assertEqual(list(self.directory.rglob('*.wants')), [], 'the installation enables units')
        run('ninja', '-C', BUILD, 'uninstall')
        self.assertEqual(list(self.directory.rglob('*')), [], 'left by uninstall')


if __name__ == '__main__':
    main()
