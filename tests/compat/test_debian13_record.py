#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Recordings with trace-cmd of each Debian: with the agent of the other, with the hook in one, without an agent.

The lab's host has a Debian 13 as a root, and its guest has trace-cmd of both. trace-cmd report and KernelShark of both
Debians read the results.
"""
import base64
import lzma
import shlex
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from releases import both
from merged import READERS, times
from recording import BUILD, Recording, check, few_unpaired, in_order, main, order_of, probes, verdict

OLDER, NEWER = both()
ONE = {'g1': 3}
EVENTS = '-e sched:sched_switch -e raw_syscalls'
MOVE = 'move-tsc 0 520000000; move-tsc 1 520000000'
WORKLOAD = probes('g1', 20, 10000) + f" && guest-run g1 '{MOVE}' && " + probes('g1', 30, 10000, base=0x800)
# The same workload, run by the guest itself
INSIDE = ('probe 20 10000 0 0 & probe 20 10000 1 0x1000 & wait; '
          f'{MOVE}; probe 30 10000 0 0x400 & probe 30 10000 1 0x1400 & wait')
GUEST_TRACE_CMD = {'Debian 12': 'trace-cmd', 'Debian 13': 'chroot /other /usr/bin/trace-cmd'}


def on_host(debian, *words):
    """The text of a shell's command for the lab's host"""
    return ' '.join(map(str, [*debian.words, *words]))


def start_agent(lab, debian):
    """Start this Debian's agent in the guest. That of Debian 13 dies without keep_memory.c."""
    words = GUEST_TRACE_CMD[debian.name]
    if debian is NEWER:
        packed = base64.b64encode(lzma.compress((BUILD / 'tests/compat/keep_memory.so').read_bytes())).decode()
        lab.call('guest', 'g1', f'echo {packed} | base64 -d | xz -d > /tmp/keep_memory.so')
        words = f'env LD_PRELOAD=/tmp/keep_memory.so {words}'
    lab.call('guest', 'g1', f'TRACE_CMD={shlex.quote(words)} agent restart')
    # Check that it is not the other agent
    agent = lab.call('guest', 'g1', 'cat /proc/$(pidof trace-cmd)/maps')
    check(('/other/' in agent) == (debian is NEWER), f"the guest's agent is that of {debian.name}")


def marks(debian, host, guest):
    """KernelShark's marks of jumps: [[plot, stream, CPU or thread, bin, ...]]"""
    plugin = debian.build / 'plugin/kernelshark/plugin-kvm_tsc_jumps.so'
    program = debian.build / 'tests/files/kshark_marks'
    if not program.exists():
        return None
    out = debian.run(program, plugin, '1000:0:0', '--', host, guest).stdout
    return sorted(line.split(' ', 7) for line in out.splitlines() if not line.startswith('model '))


def rows_as_report(events):
    """The rows as lines of a report, which probe-order reads"""
    return ''.join(f'{Path(event.file).name}: x-{event.tid} [{event.cpu:03}] {event.time}: {event.event}: '
                   f'{event.text}\n' for event in events)


def check_read(recording, name, at_least=100):
    """The readers of both Debians show all probes in order, and agree"""
    host, guest = recording.host, recording.guests['g1']
    rows = {}
    for debian in OLDER, NEWER:
        in_order(recording, f'{name}: trace-cmd report of {debian.name}', at_least, reader=debian.words)
        rows[debian.name] = {reader: read(debian, host, guest) for reader, read in READERS.items()}
        order = order_of(rows_as_report(rows[debian.name]['KernelShark']))
        check(order['probes'] + order['unpaired'] >= at_least and few_unpaired(order)
              and not order['out_of_order'], verdict(f'{name}: KernelShark of {debian.name}', order))
    seen = [times(events) for found in rows.values() for events in found.values()]
    check(all(other == seen[0] for other in seen), f'{name}: the same {len(seen[0])} times for all of them')


def check_marks(recording, name):
    """KernelShark marks the jumps on the plots of host and guest, at the times of the events in the host's file"""
    if not recording.process_found():
        print(f"{name}: trace-cmd did not find the guest's process, so KernelShark does not know its CPUs")
        return
    files = recording.host, recording.guests['g1']
    jumps = [time for _, time, event, _ in recording.host_events() if event == 'kvm_write_tsc_offset']
    found = {debian.name: marks(debian, *files) for debian in (OLDER, NEWER)}
    for debian, rows in found.items():
        if rows is None:
            print(f'no libkshark-plot of {debian}')
            continue
        guests = sorted(int(row[6]) for row in rows if row[:2] == ['cpu', '1'])
        check(guests == sorted(jumps) and len(jumps) == 2, f"{name}: KernelShark of {debian} marks {len(guests)} jumps "
              "on the plots of the guest's CPUs")


def must_have_worked(lab, recording):
    """Repeat a failed recording: on a busy machine trace-cmd may time out while it waits for an emulated agent"""
    if recording.run.status:
        lab.begin_anew(f'recording failed with {recording.run.status}\n{recording.run.err}')


def with_agent(lab, name, recorder, agent, how='ours', plugin=None):
    start = on_host(recorder, 'env', *([f'LD_PRELOAD={plugin}'] * bool(plugin)),
                    *(['trace-cmd'] if how == 'stock' or plugin else [recorder.tool]))
    recording = lab.record(name, ONE, WORKLOAD, start=start)
    must_have_worked(lab, recording)
    said = f'host of {recorder.name}, agent of {agent.name}'
    if how == 'stock':
        for debian in OLDER, NEWER:
            order = recording.order(debian.words)
            check(order['out_of_order'] > 0, f"control: {said}, trace-cmd's own protocol: "
                  + verdict(f'report of {debian.name}', order))
        return
    # On a busy machine trace-cmd sometimes does not find the guest's process; the hook does, and reports it
    lines = [line for line in recording.run.said('') if 'did not find its process' not in line]
    if plugin:
        check(len(lines) == 1 and '2 changes of the TSC offset' in lines[0],
              f'{said}: the hook says what it saw, and nothing else')
    else:
        check(len(lines) == 1 and recording.finished('g1', 2), f'{said}: record proves the times: {lines}')
    check_read(recording, said)
    check_marks(recording, said)


def stamp(debian, *words):
    done = debian.run(debian.tool, 'stamp', *words, must=False)
    check(done.returncode == 0, f'stamp of {debian.name}: exit status {done.returncode}') or print(done.stderr)


def without_agent(lab, name, debian):
    inner = (f'cd /tmp && rm -f own.dat && {GUEST_TRACE_CMD[debian.name]} record -C x86-tsc {EVENTS} -o /tmp/own.dat '
             f'-- sh -c {shlex.quote(INSIDE)} > /tmp/own.log 2>&1 || cat /tmp/own.log')
    outer = f'guest-run g1 {shlex.quote(inner)}'
    run = lab.run(f'mkdir -p {name} && cd {name} && {on_host(debian, "trace-cmd")} record -C x86-tsc -e kvm -b 4096 '
                  f'-o trace.dat -- bash -c {shlex.quote(outer)} && guest-run g1 "cat /tmp/own.dat" > trace-g1.dat')
    recording = lab.fetch(name, ONE, run)
    must_have_worked(lab, recording)
    host, guest = recording.host, recording.guests['g1']
    for reader in OLDER, NEWER:
        order = recording.order(reader.words)
        check(order['out_of_order'] > 0, 'control: ' + verdict(f'recorded by {debian.name} without an agent, not '
                                                               f'stamped, report of {reader.name}', order))
    old_version = guest.with_name('v6.dat')
    debian.run('trace-cmd', 'convert', '--file-version', '6', '-i', guest, '-o', old_version)
    for version, source in (7, guest), (6, old_version):
        stamped = Recording(lab, run, host.parent, ONE)
        stamped.guests = {'g1': source.with_suffix('.synced.dat')}
        stamp(debian, host, source)
        check_read(stamped, f'recorded and stamped by {debian.name}, version {version}')
    # Each Debian also stamps the recording of the other
    other = NEWER if debian is OLDER else OLDER
    stamp(other, '--in-place', host, guest)
    check_read(recording, f'recorded by {debian.name}, stamped in place by {other.name}')


def debian13_record(lab):
    print(f'{OLDER.name}: trace-cmd {OLDER.version()}; {NEWER.name}: trace-cmd {NEWER.version()}')
    check(OLDER.version() != NEWER.version(), 'they differ')
    lab.call('guest-up', 'g1')
    with_agent(lab, 'stock13-12', NEWER, OLDER, how='stock')
    # After an upgrade, the plugin of Debian 12 may remain in use for a while
    with_agent(lab, 'hook13-12', NEWER, OLDER, plugin=OLDER.plugin)
    without_agent(lab, 'own12', OLDER)
    start_agent(lab, NEWER)
    with_agent(lab, 'stock12-13', OLDER, NEWER, how='stock')
    with_agent(lab, 'hook12-13', OLDER, NEWER)
    with_agent(lab, 'hook13-13', NEWER, NEWER)
    without_agent(lab, 'own13', NEWER)
    check(lab.instances() == [], 'no tracefs instance is left')


def prepare(lab):
    lab.environment['GUEST_ROOT'] = str(NEWER.root)
    return ()


main(debian13_record, prepare=prepare)
