#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Guests whose CPU numbers are not the host's vcpu_ids: vCPUs plugged in in another order, removed, plugged in again.

A guest numbers its CPUs in the order in which they are plugged in; a vcpu_id is an APIC id.
"""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import check, main, verdict
from host_steps import judge, keep_notes, moves, record, rounds, script, threads, tool


def new_guest(lab, options='--no-agent'):
    """A guest that has one vCPU, and never had more."""
    lab.guests()
    lab.guests(g1=f'--machine q35 --smp 1,maxcpus=3 {options}')


def another_order(lab):
    """The guest's CPU 1 is vCPU 2, its CPU 2 is vCPU 1."""
    new_guest(lab)
    recording = record(lab, 'during', f'step guest-plug g1 2; step guest-plug g1 1; {rounds("g1", 0, 1, 2)}')
    judge(recording, 'g1', 'plugged in while the host is recorded', 120)
    recording = record(lab, 'before', rounds('g1', 0, 1, 2, base=0x400))
    judge(recording, 'g1', 'plugged in before', 120)
    judge(recording, 'g1', 'plugged in before, its threads named', 120, '--vm', threads(lab, 'g1'))


def unplugged(lab):
    """Two CPUs are left; one of them has another number than its vCPU."""
    new_guest(lab)
    lab.call('run', 'guest-plug g1 2 && guest-plug g1 1')
    recording = record(lab, 'last', f'step guest-unplug g1 1; {rounds("g1", 0, 1)}')
    judge(recording, 'g1', 'without vCPU 1, which was CPU 2', 80)
    lab.call('run', 'guest-plug g1 1')
    recording = record(lab, 'hole', f'step guest-unplug g1 2; {rounds("g1", 0, 2, base=0x400)}')
    judge(recording, 'g1', 'without vCPU 2, which was CPU 1', 80)


def replugged(lab):
    """A vCPU that is plugged in again runs in a new thread."""
    new_guest(lab)
    recording = record(lab, 'replugged', f'''
step guest-plug g1 1
begin g1
probes g1 0 20 0 1
move g1 {moves(0, 1)}
probes g1 0x100 20 0 1
step guest-unplug g1 1
probes g1 0x200 20 0
step guest-plug g1 1
probes g1 0x300 20 0 1
move g1 {moves(1, 0)}
probes g1 0x400 20 0 1
end g1
''')
    judge(recording, 'g1', 'removed and plugged in again', 180)


def recorded(lab):
    """The same guests, recorded with their agent."""
    new_guest(lab, '')
    lab.call('run', 'guest-plug g1 2 && guest-plug g1 1')
    judge_agent(lab, 'order', 0, 1, 2)
    stock = with_agent(lab, 'stock', 0, 1, 2, how='stock').order()
    check(stock['out_of_order'] > 0, 'control: ' + verdict('stock', stock))
    lab.call('run', 'guest-unplug g1 1')
    judge_agent(lab, 'last', 0, 1)
    lab.call('run', 'guest-plug g1 1 && guest-unplug g1 2')
    judge_agent(lab, 'hole', 0, 2)


def with_agent(lab, name, *cpus, how='ours'):
    """Record the guest in its current state, with its agent."""
    on = ' '.join(map(str, cpus))
    recording = lab.record(name, {'g1': 3}, script(f'''
probes g1 0x800 20 {on}
move g1 {moves(*cpus)}
probes g1 0x900 20 {on}
'''), how=how)
    if recording.run.status:
        lab.begin_anew(f'{name}: status {recording.run.status}')
    keep_notes(recording)
    return recording


def judge_agent(lab, name, *cpus):
    """Either the times are right, or "tsc-offset record" says that they may not be."""
    recording = with_agent(lab, name, *cpus)
    order = recording.order()
    right = order['probes'] >= 36 * len(cpus) and not order['out_of_order']
    print('\n'.join(recording.run.said('')))
    doubts = recording.run.said('in doubt|left as trace-cmd wrote it')
    check(right or doubts, verdict(f'{name}: record, {len(doubts)} doubts', order))
    checked = tool('check', recording.host, recording.guests['g1'])
    check(right if checked.returncode == 0 else doubts, f'{name}: check, exit status {checked.returncode}')


main(another_order, unplugged, replugged, recorded)
