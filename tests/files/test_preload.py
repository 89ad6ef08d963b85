#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Programs of all kinds with the plugin preloaded: usage: test_preload.py PLUGIN HOST.DAT"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
from readers import environment, is_ours, run


def compare(name, command, plugin):
    """Nothing but the plugin's being there may differ: output, messages, exit status"""
    results = []
    for preload in None, plugin:
        env = environment(LD_BIND_NOW='1')
        if preload:
            env['LD_PRELOAD'] = preload
        results.append(subprocess.run(command, env=env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False))
    before, after = results
    assert (before.returncode, before.stdout, before.stderr) == \
        (after.returncode, after.stdout, after.stderr), \
        f'{name}: {after.returncode} {after.stderr.decode()}'
    print(f'{name}: the same {len(after.stdout)} + {len(after.stderr)} bytes, '
          f'exit status {after.returncode}')


def loaded(command, plugin):
    """The control: is it really in the process, with its constructors run?"""
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


def main():
    plugin, host = os.path.abspath(sys.argv[1]), sys.argv[2]
    commands = {
        '/bin/true': ['/bin/true'],
        'trace-cmd list': ['trace-cmd', 'list', '-p'],
        'trace-cmd --help': ['trace-cmd', '--help'],
        'perf --version': ['perf', '--version'],
        'python3': [sys.executable, '-c', 'print(1)'],
    }
    if os.path.exists(host):
        commands['trace-cmd report'] = ['trace-cmd', 'report', '-i', host]
    for name, command in commands.items():
        if not shutil.which(command[0]):
            print(f'{name}: not installed, not tried')
            continue
        compare(name, command, plugin)
        assert loaded(command, plugin), f'{name}: the plugin was not loaded'
    assert not loaded(['/bin/true'], '/nonexistent.so')

    strong = strong_references(plugin)
    assert not strong, f'strong references: {strong}'
    needed, _ = run(['readelf', '-d', plugin])
    assert not re.search(r'NEEDED.*(trace|perf)', needed), needed
    exported, _ = run(['nm', '-D', '--defined-only', plugin])
    exported = {line.split()[-1] for line in exported.splitlines()}
    loaders = {f'{reader}_plugin_{verb}' for reader in ('tep', 'tracecmd')
               for verb in ('loader', 'unloader')}
    assert {'tep_plugin_loader', 'tep_plugin_unloader'} <= exported <= loaders, exported
    print('all references to libtraceevent, libtracefs and libtracecmd are weak; exported:',
          ', '.join(sorted(exported)))

    # Preloaded is not the same as loaded as a plugin
    if os.path.exists(host) and shutil.which('trace-cmd'):
        shown, _ = run(['trace-cmd', 'report', '-i', host], environment(LD_PRELOAD=plugin))
        assert 'delta=' not in ''.join(filter(is_ours, shown.splitlines()))


main()
