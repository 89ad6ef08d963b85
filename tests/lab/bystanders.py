#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Processes that record or the hook must not affect: the traced command, the recorders, the guest, readers."""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import PLUGIN, TOOL, check, in_order, main, probes

ONE = {'g1': 3}
NAME = PLUGIN.name
# Signs of the hook in a process: its environment and its memory
SEEN = f'echo preload=$LD_PRELOAD; grep -c {NAME} /proc/self/maps; true'


def bystanders(lab):
    lab.call('guest-up', 'g1')

    for how in 'ours', PLUGIN:
        seen = lab.record('seen', ONE, SEEN, how=how)
        check('preload=\n0\n' in seen.run.out, f'{how}: the traced command has no preload and no trace of it')
    control = lab.run(f'LD_PRELOAD={PLUGIN} bash -c {SEEN!r}')
    check(NAME in control.out and '\n0\n' not in control.out,
          'control: a command that inherits the preload shows both')
    for start in f'LD_PRELOAD=libm.so.6 {TOOL}', f'LD_PRELOAD={PLUGIN}:libm.so.6 trace-cmd':
        kept = lab.record('kept', ONE, 'echo preload=$LD_PRELOAD', start=start)
        check('preload=libm.so.6\n' in kept.run.out, f"{start}: somebody else's preload is passed on")

    for how, owner in ('ours', 'tsc-offset'), (PLUGIN, 'trace-cmd'):
        process = lab.start(lab.recorder('recorders', ONE, 'sleep 30', how=how))
        lab.until('pgrep -x sleep')
        recorders = lab.call('run', 'pgrep -x trace-cmd -P "$(pgrep -ox trace-cmd)"').split()
        held = lab.call('run', f'ls -l /proc/{{{",".join(recorders)},0}}/fd 2>/dev/null | '
                               'grep -c tsc_offset; true').strip()
        threads = lab.call('run', 'cat ' + ' '.join(f'/proc/{pid}/status' for pid in recorders)
                           + ' | grep Threads').split()[1::2]
        check(len(recorders) >= 4 and held == '0' and set(threads) == {'1'},
              f"{how}, {len(recorders)} recorders: none holds a file of our instance or runs our thread")
        own = lab.call('run', f'ls -l /proc/$(pgrep -ox {owner})/fd | grep -c tsc_offset').strip()
        check(int(own) >= 2, f'control: {owner} itself holds {own}')
        maps = lab.call('guest', 'g1', f'grep -l {NAME} /proc/[0-9]*/maps | wc -l').strip()
        check(maps == '0', 'no process of the guest has the plugin')
        lab.call('run', 'pkill -x sleep')
        lab.wait(process)

    plain = lab.run(f'{TOOL} record -e sched:sched_switch -o plain.dat true && ls plain.dat')
    check(plain.status == 0 and not plain.said(''), 'a recording without a guest: nothing is said')
    check(lab.run(f'{TOOL} record -e sched:sched_switch -o plain.dat false').status ==
          lab.run('trace-cmd record -e sched:sched_switch -o plain.dat false').status,
          "the exit status is trace-cmd's")

    agent = lab.record('both', ONE, probes('g1', 20, 10000))
    in_order(agent, 'with a stock agent', at_least=40)
    check(lab.instances() == [], 'no tracefs instance is left')


main(bystanders)
