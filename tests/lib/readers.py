# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Shared code of the tests of readers: the plugin alone in a directory, and its correct text."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from case import configured, skip

# The kernel's text; only kernels with our patches have more after next=
OFFSET = re.compile(r'(kvm_write_tsc_offset: *)vcpu=(\d+) prev=(\d+) next=(\d+)'
                    r'(?: ratio=(\d+) frac_bits=(\d+)( vm=\d+-\d+| vm_id=\d+))?$')
MULTIPLIER = re.compile(r'(kvm_write_tsc_multiplier: *)vcpu=(\d+) prev=(\d+) next=(\d+) frac_bits=(\d+) '
                        r'offset=(\d+)( vm=\d+-\d+| vm_id=\d+)(?: protected=([01]))?$')


def signed(value):
    """The 64 bits of value as a signed number"""
    value %= 1 << 64
    return value - (1 << 64) if value >> 63 else value


def duration(cycles, khz):
    """cycles / khz with three decimals, in the unit that leaves at most three digits before the point"""
    exact = abs(cycles) * 10 ** 9
    for unit in 'ns', 'us', 'ms', 's':
        thousandths = (2 * exact + khz) // (2 * khz)
        if thousandths < 10 ** 6 or unit == 's':
            break
        khz *= 1000
    sign = '-' if cycles < 0 else '+'
    return f'{sign}{thousandths // 1000}.{thousandths % 1000:03} {unit}'


def ratio_text(ratio, frac_bits):
    billionths = (ratio * 10 ** 9 + (1 << frac_bits >> 1)) >> frac_bits
    return f'{billionths // 10 ** 9}.{billionths % 10 ** 9:09}'


def plugin_text(line, khz=None):
    """The plugin's correct line for a kernel's line as libtraceevent prints it"""
    def offset(match):
        previous, following = (signed(int(match[i])) for i in (3, 4))
        delta = signed(following - previous)
        text = f'{match[1]}vcpu={match[2]} prev={previous} next={following} delta={delta:+}'
        text += f' ({duration(delta, khz)})' if khz else ''
        ratio, frac_bits = (int(match[i] or 0) for i in (5, 6))
        text += f' ratio={ratio_text(ratio, frac_bits)}' if ratio not in (0, 1 << frac_bits) else ''
        return text + (match[7] or '')

    def multiplier(match):
        frac_bits = int(match[5])
        previous, following = (ratio_text(int(match[i]), frac_bits) for i in (3, 4))
        return f'{match[1]}vcpu={match[2]} prev={previous} next={following} ' \
               f'offset={signed(int(match[6]))}{match[7]}' + (' protected' if match[8] == '1' else '')
    return MULTIPLIER.sub(multiplier, OFFSET.sub(offset, line))


def hide_installed():
    """If our plugins are installed, readers load them in controls, too. Then run the script without them, with copies
    of the directories mounted over these, in a separate mount namespace.
    """
    installed = [Path(configured('plugin_dir')) / 'plugin_kvm_tsc_offset.so']
    if configured('kshark_plugin_dir'):
        installed.append(Path(configured('kshark_plugin_dir')) / 'plugin-kvm_tsc_jumps.so')
    installed = [plugin for plugin in installed if plugin.exists()]
    if not installed:
        return
    namespace = ['unshare', '--mount', *['--map-root-user'] * (os.getuid() != 0)]
    if not shutil.which('unshare') or subprocess.run([*namespace, 'true'], stderr=subprocess.DEVNULL,
                                                     check=False).returncode:
        skip(f'{installed[0]} is installed, and there is no mount namespace without it')
    with tempfile.TemporaryDirectory() as directory:
        command = ''
        for number, plugin in enumerate(installed):
            copy = Path(directory) / str(number)
            shutil.copytree(plugin.parent, copy, ignore=shutil.ignore_patterns(plugin.name))
            command += f"mount --bind '{copy}' '{plugin.parent}' && "
        done = subprocess.run([*namespace, 'sh', '-c', f'{command} exec "$@"', 'sh', sys.executable, *sys.argv],
                              check=False)
    sys.exit(done.returncode)


@contextlib.contextmanager
def only(*plugins):
    """A directory with only these plugins: libtraceevent loads all files of a directory"""
    with tempfile.TemporaryDirectory() as directory:
        for plugin in plugins:
            os.symlink(os.path.abspath(plugin), os.path.join(directory, os.path.basename(plugin)))
        yield directory


def environment(plugin_dir=None, **more):
    """The caller's environment, with only these plugins"""
    env = {name: value for name, value in os.environ.items()
           if name not in ('TRACEEVENT_PLUGIN_DIR', 'LD_PRELOAD')}
    # Otherwise the user's own plugins would be loaded too
    env['HOME'] = '/nonexistent'
    if plugin_dir:
        env['TRACEEVENT_PLUGIN_DIR'] = plugin_dir
    return env | more


def run(command, env=None):
    """stdout and stderr of a command that must succeed"""
    done = subprocess.run(command, env=env or environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f'{" ".join(command)}: exit status {done.returncode}\n{done.stderr.decode()}')
    return done.stdout.decode(), done.stderr.decode()


def is_ours(line):
    return 'kvm_write_tsc_offset:' in line or 'kvm_write_tsc_multiplier:' in line


def is_patched(line):
    """Whether an event has all fields of a kernel with our patches"""
    match = OFFSET.search(line)
    return bool(match and match[7] or MULTIPLIER.search(line))


def check_lines(without, with_plugin, khz=None):
    """Check our lines, and that all others are unchanged. Returns the numbers of both."""
    without, with_plugin = without.splitlines(), with_plugin.splitlines()
    assert len(without) == len(with_plugin), f'{len(without)} lines became {len(with_plugin)}'
    ours = 0
    for before, after in zip(without, with_plugin):
        if is_ours(before):
            ours += 1
            assert after == plugin_text(before, khz), f'{before!r} became {after!r}'
            assert after != before, f'no control: {before!r}'
        else:
            assert after == before, f'{before!r} became {after!r}'
    assert ours, 'neither kvm_write_tsc_offset nor kvm_write_tsc_multiplier in the input'
    return ours, len(without) - ours


def must_fail(check, *args):
    """The control: the same check with wrong input"""
    try:
        check(*args)
    except AssertionError:
        return
    sys.exit('the check passes on wrong output')
