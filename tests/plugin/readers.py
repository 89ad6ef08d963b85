# SPDX-License-Identifier: GPL-2.0
"""What the tests of the readers share: the plugin alone in a directory, and what its text must be."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77

STOCK = re.compile(r'vcpu=(\d+) prev=(\d+) next=(\d+)')


def skip(reason):
    print('skipped:', reason)
    sys.exit(SKIPPED)


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


def plugin_text(stock, khz=None):
    """The line that the plugin has to make of a stock kernel's line as libtraceevent prints it"""
    def text(match):
        previous, following = (signed(int(match[i])) for i in (2, 3))
        delta = signed(following - previous)
        line = f'vcpu={match[1]} prev={previous} next={following} delta={delta:+}'
        return line + (f' ({duration(delta, khz)})' if khz else '')
    return STOCK.sub(text, stock)


@contextlib.contextmanager
def only(*plugins):
    """A directory with just these plugins: libtraceevent loads all that it finds in one"""
    with tempfile.TemporaryDirectory() as directory:
        for plugin in plugins:
            os.symlink(os.path.abspath(plugin), os.path.join(directory, os.path.basename(plugin)))
        yield directory


def environment(plugin_dir=None, **more):
    """The caller's, but with these plugins only"""
    env = {name: value for name, value in os.environ.items()
           if name not in ('TRACEEVENT_PLUGIN_DIR', 'LD_PRELOAD')}
    # Else the user's own plugins would be loaded as well
    env['HOME'] = '/nonexistent'
    if plugin_dir:
        env['TRACEEVENT_PLUGIN_DIR'] = plugin_dir
    return env | more


def run(command, env=None):
    """stdout and stderr of a command that has to succeed"""
    done = subprocess.run(command, env=env or environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f'{" ".join(command)}: exit status {done.returncode}\n{done.stderr.decode()}')
    return done.stdout.decode(), done.stderr.decode()


def need_program(name):
    if not shutil.which(name):
        skip(f'no program {name}')


def is_ours(line):
    return 'kvm_write_tsc_offset:' in line


def check_lines(without, with_plugin, khz=None):
    """Ours as they must be, all others as they were. Returns how many there are of both."""
    without, with_plugin = without.splitlines(), with_plugin.splitlines()
    assert len(without) == len(with_plugin), f'{len(without)} lines became {len(with_plugin)}'
    ours = 0
    for before, after in zip(without, with_plugin):
        if is_ours(before):
            ours += 1
            assert after == plugin_text(before, khz), f'{before!r} became {after!r}'
            assert after != before and 'delta=' not in before, f'no control: {before!r}'
        else:
            assert after == before, f'{before!r} became {after!r}'
    assert ours, 'no kvm_write_tsc_offset in the input'
    return ours, len(without) - ours


def must_fail(check, *args):
    """The control: the same check, on what is wrong"""
    try:
        check(*args)
    except AssertionError:
        return
    sys.exit('the check passes on wrong output')
