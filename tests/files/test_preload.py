#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Programs of all kinds with the plugin preloaded"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, PLUGIN, Case, each, main
from readers import environment, hide_installed, is_ours, run


def outcomes(command):
    """Output, messages and exit status without the plugin and with it"""
    for preload in None, PLUGIN:
        env = environment(LD_BIND_NOW='1')
        if preload:
            env['LD_PRELOAD'] = preload
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        yield done.returncode, done.stdout, done.stderr


def loaded(command, plugin):
    """The control: whether the plugin is in the process and its constructors ran"""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(command, env=environment(LD_PRELOAD=plugin, LD_DEBUG='files',
                                                LD_DEBUG_OUTPUT=os.path.join(directory, 'debug')),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        text = ''
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), errors='replace') as file:
                text += file.read()
    return f'calling init: {plugin}' in text


def strong_references(plugin):
    """Undefined symbols of trace-cmd's libraries that would keep a program from starting"""
    symbols, _ = run(['nm', '-D', '--undefined-only', plugin])
    return re.findall(r' U ((?:tep_|trace_seq_|tracecmd_|tracefs_|kbuffer_)\w+)', symbols)


HOST = f'{DATA}/agent-moved/host.dat'
COMMANDS = {
    '/bin/true': ['/bin/true'],
    'trace-cmd list': ['trace-cmd', 'list', '-p'],
    'trace-cmd --help': ['trace-cmd', '--help'],
    'trace-cmd report': ['trace-cmd', 'report', '-i', HOST],
    'perf --version': ['perf', '--version'],
    'python3': [sys.executable, '-c', 'print(1)'],
}


@each({name: (command,) for name, command in COMMANDS.items()})
class TestPrograms(Case):
    def one(self, command):
        if not shutil.which(command[0]):
            self.skipTest(f'no program {command[0]}')
        self.assertEqual(*outcomes(command))
        self.assertTrue(loaded(command, PLUGIN))

    def test_control(self):
        self.assertFalse(loaded(['/bin/true'], '/nonexistent.so'))


class TestSymbols(Case):
    def test_needed(self):
        self.assertEqual(strong_references(PLUGIN), [])
        needed, _ = run(['readelf', '-d', PLUGIN])
        self.assertNotRegex(needed, r'NEEDED.*(trace|perf)')

    def test_exported(self):
        exported, _ = run(['nm', '-D', '--defined-only', PLUGIN])
        exported = {line.split()[-1] for line in exported.splitlines()}
        loaders = {f'{reader}_plugin_{verb}' for reader in ('tep', 'tracecmd') for verb in ('loader', 'unloader')}
        self.assertLessEqual({'tep_plugin_loader', 'tep_plugin_unloader'}, exported)
        self.assertLessEqual(exported, loaders)

    def test_preloaded_is_not_a_plugin(self):
        """Preloading does not register the plugin with a reader, which needs a directory or an option"""
        if not shutil.which('trace-cmd'):
            self.skipTest('no trace-cmd')
        shown, _ = run(['trace-cmd', 'report', '-i', HOST], environment(LD_PRELOAD=PLUGIN))
        ours = ''.join(filter(is_ours, shown.splitlines()))
        self.assertTrue(ours)
        self.assertNotIn('delta=', ours)


if __name__ == '__main__':
    hide_installed()
    main()
