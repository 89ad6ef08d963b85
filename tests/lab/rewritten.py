#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A guest whose TSC moves backward and forward at random, and files of it with host times (--rewrite).

Probes prove that every event without a printed bound is at its true time, and that the others are within their bounds.
The control is the same recording with TIME_SHIFT.
"""
import json
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from agentless import ONE, both, record
from recording import HOST_OPTIONS, TOOL, check, main, probes, stamp, verdict

# The guest's kvm-clock follows each move: with the TSC as clock source, time
# would stand still on the CPU with the lower TSC
GUEST = '--moves 16 --both-ways --append clocksource=kvm-clock'
# Many events, so that a page of the ring buffer is soon full: after a jump
# the times in the rest of the page are inexact
DELAY_US = 3000
GUEST_EVENTS = '-e sched -e raw_syscalls -e timer'


def judge(recording, name, at_least, *options):
    """Compare a rewritten file with the probes: in order wherever the bounds of tsc-offset check exclude another order.

    Returns how many jumps backward have such a bound.
    """
    done = subprocess.run([TOOL, 'check', '--json', recording.host, recording.guests['g1']], capture_output=True,
                          text=True, check=False)
    bounds = recording.host.with_name(f'{name}.json')
    bounds.write_text(done.stdout)
    found = json.loads(done.stdout)['guests'][0]
    inexact = found['inexact']
    check(found['verdict'] == 'fits' and found['rewritten'] and not found['inexact_unlisted'],
          f"{name}: check: {found['violations'] + found['impossible']} of {found['events']} events do not fit, "
          f"{len(inexact)} jumps backward within pages")
    order = recording.order(options=['--inexact', bounds, *options])
    check(order['probes'] * 10 >= at_least * 9 and not order['out_of_order'], verdict(name, order))
    events = sum(jump['events'] for jump in inexact)
    most = max((max(jump['earlier'], jump['later']) for jump in inexact), default=0)
    check(order['inexact'] * 50 < at_least,
          f"{name}: {order['inexact']} of {order['probes']} probes and {events} of {found['events']} events are inexact, "
          f"by at most {most} cycles")
    return len(inexact)


def both_ways(lab):
    """Each vCPU's TSC moves every 500 to 1500 ms, by up to 500 ms; recorded without an agent"""
    lab.guests(g1=GUEST)
    recording = record(lab, 'both_ways', both(1000, DELAY_US), guest='-C x86-tsc ' + GUEST_EVENTS)
    changes = sum(1 for row in recording.host_events() if row[2] == 'kvm_write_tsc_offset')
    check(changes >= 4, f'{changes} changes were recorded')
    shifted, done = stamp(recording)
    order = shifted.order()
    check(done.returncode == 3 and order['out_of_order'] > 20, 'control: ' + verdict('with TIME_SHIFT', order))
    rewritten, done = stamp(recording, '--rewrite')
    check(done.returncode == 3, f'stamp --rewrite: exit status {done.returncode}')
    check(judge(rewritten, 'rewritten', 2000), 'some of the jumps backward were within pages')


def both_ways_instances(lab):
    """Host and guest also record into an instance, which TIME_SHIFT does not correct"""
    lab.guests(g1=GUEST)
    recording = record(lab, 'instances', both(300, DELAY_US, instance='calls'),
                       host=f'{HOST_OPTIONS} -B all {HOST_OPTIONS}',
                       guest='-C x86-tsc -e sched -B calls -C x86-tsc -e raw_syscalls -e timer')
    of_instances = '--host', 'all', '--guest', 'calls'
    shifted, _ = stamp(recording)
    order = shifted.order(options=of_instances)
    check(order['out_of_order'] > 500, 'control: ' + verdict('instances, with TIME_SHIFT', order))
    rewritten, _ = stamp(recording, '--rewrite')
    judge(rewritten, 'instances', 600, *of_instances)


def both_ways_recorded(lab):
    """record --rewrite"""
    lab.guests(g1=GUEST)
    ours = lab.record('recorded', ONE, probes('g1', 300, DELAY_US), clock='--rewrite -C x86-tsc',
                      guest_events=GUEST_EVENTS)
    check(len(ours.run.said(r'trace-g1\.dat: VM .*error at most')) == 1, f'record --rewrite: {ours.run.said("")}')
    judge(ours, 'recorded', 600)
    check(lab.instances() == [], 'no tracefs instance is left')


main(both_ways, both_ways_instances, both_ways_recorded)
