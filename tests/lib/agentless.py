# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Recordings of host and guest in the lab, each by itself: only the guest's file leaves the guest."""
import shlex

from recording import HOST_OPTIONS

ONE = {'g1': 3}
GUEST_EVENTS = '-e sched:sched_switch -e raw_syscalls'
# Shell text for the guest: probes on both CPUs at the same time
BOTH = 'probe {0} {1} 0 {2:#x} {4} & probe {0} {1} 1 {3:#x} {4} & wait'
MOVE = 'move-tsc 0 520000000; move-tsc 1 520000000'


def both(count, delay_us, base=0, instance=''):
    return BOTH.format(count, delay_us, base, base + 0x1000, instance)


def moved(instance=''):
    return f'{both(20, 10000, 0, instance)}; {MOVE}; {both(30, 10000, 0x400, instance)}'


def guest_record(workload, options='-C x86-tsc ' + GUEST_EVENTS):
    """Shell text for the guest: a recording into /tmp/trace.dat."""
    return (f'cd /tmp && rm -f trace*.dat && trace-cmd record {options} -o trace.dat '
            f'-- sh -c {shlex.quote(workload)} > /tmp/record.log 2>&1 || cat /tmp/record.log')


def record(lab, name, workload, host=HOST_OPTIONS, guest=None, before='', frozen=''):
    """Record the host around the guest's own recording.

    before: a command of the host at the begin. frozen: a command of the guest after it, while no program reads the
    host's ring buffer.
    """
    inner = guest_record(workload, **({'options': guest} if guest else {}))
    outer = f'{before} guest-run g1 {shlex.quote(inner)}'
    if frozen:
        recorders = '-x trace-cmd -P $(pgrep -ox trace-cmd)'
        outer += (f'; pkill -STOP {recorders}; guest-run g1 {shlex.quote(frozen)}; '
                  f'pkill -CONT {recorders}')
    run = lab.run(f'mkdir -p {name} && cd {name} && trace-cmd record {host} -o trace.dat '
                  f'-- bash -c {shlex.quote(outer)} && '
                  'guest-run g1 "cat /tmp/trace.dat" > trace-g1.dat')
    return lab.fetch(name, ONE, run)
