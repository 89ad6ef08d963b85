#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""explain names the preemptor of a vCPU: a busy thread of the host, and another VM's guest task."""
import json
import re
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from agentless import guest_record
from recording import HOST_OPTIONS, TOOL, check, main
import sql_and_explain
import trace_dat
import trace_processor

# Everything runs on one CPU of the host, and on the first CPU of each guest
CPU = 1
SECONDS = 4
GUESTS = {'g1': 3, 'g2': 4}
# How long the busy thread uses the CPU, how long it pauses, and how often
BURNS, PAUSES, BURSTS = 0.3, 0.3, 8
# At least this much of a thread's time on the CPU is charged to it
NAMED = 0.95


def spin(name, seconds, cpu):
    """A busy loop with this name, for some seconds, on a CPU"""
    loop = f'printf {name} > /proc/self/comm; while :; do :; done'
    return f'timeout {seconds} taskset {1 << cpu:x} sh -c {shlex.quote(loop)}'


def pinned(guest):
    """Shell text that pins the thread of the guest's first vCPU to the CPU"""
    return (f'for t in /proc/$(guest-pid {guest})/task/*; do '
            f'case "$(cat $t/comm)" in "CPU 0/KVM") taskset -p {1 << CPU:x} ${{t##*/}} > /dev/null ;; esac; done; ')


def record(lab, name, guests, burner=''):
    """Record the host around recordings of the guests, in each of which a task spins on its first CPU"""
    inner = {guest: guest_record(spin(f'spin-{guest}', SECONDS, 0) + '; true', '-C x86-tsc -e sched') for guest in guests}
    outer = ''.join(map(pinned, guests)) + ''.join(f'guest-run {guest} {shlex.quote(inner[guest])} & '
                                                   for guest in guests) + burner + 'wait'
    run = lab.run(f'mkdir -p {name} && cd {name} && trace-cmd record {HOST_OPTIONS} -e sched -o trace.dat '
                  f'-- bash -c {shlex.quote(outer)} && ' + ' && '.join(
                      f'guest-run {guest} "cat /tmp/trace.dat" > trace-{guest}.dat' for guest in guests))
    recording = lab.fetch(name, {guest: GUESTS[guest] for guest in guests}, run)
    for guest, file in recording.guests.items():
        initial = ','.join(f'{vcpu}={offset}' for vcpu, offset in enumerate(lab.debugfs_offsets(guest)))
        done = subprocess.run([TOOL, 'stamp', '--in-place', f'--initial={initial}', recording.host, file],
                              capture_output=True, text=True, check=False)
        check(done.returncode == 0, f'{guest} is stamped: {done.stdout}{done.stderr}')
    return recording


def explained(recording, guests, *arguments):
    done = subprocess.run([TOOL, 'explain', '--json', *arguments, recording.host,
                           *(recording.guests[guest] for guest in guests)], capture_output=True, text=True, check=False)
    check(done.returncode in (0, 3), f'explain: exit status {done.returncode} {done.stderr}')
    found = json.loads(done.stdout)
    for vcpu in found['vcpus']:
        states = [vcpu[state] for state in ('guest_mode', 'exit', 'stolen', 'halted', 'unknown')]
        check(sum(states) == vcpu['wall'], f'{vcpu["guest"]} vCPU {vcpu["vcpu_id"]}: {states} sum to {vcpu["wall"]}')
    return found


def as_sql(recording, guests):
    """The PerfettoSQL module has the same results for the export, to the unit of time"""
    files = recording.host, *(recording.guests[guest] for guest in guests)
    out = recording.host.with_name('out.pftrace')
    done = subprocess.run([TOOL, 'export', '--perfetto', out, *files], capture_output=True, text=True, check=False)
    check(done.returncode in (0, 3), f'export: exit status {done.returncode} {done.stderr}')
    found = explained(recording, guests)
    try:
        rows, different = sql_and_explain.compare(out, found)
    except trace_processor.NotHere as error:
        print(f"not tried: Perfetto's own trace processor: {error}")
        return
    for table, lists in different.items():
        check(lists == ([], []), f'{table}: {len(rows[table])} rows in SQL as in explain: {[rows[:3] for rows in lists]}')
    stolen = sum(row['total'] for row in found['vm_steal'] if row['kind'] == 'preempted')
    check(stolen > 0, f'{stolen:,} are stolen')


LINE = re.compile(r'.*\[(\d+)\]' + trace_dat.FLAGS + r'\s*(\d+): (sched_switch|sched_waking): (.*)')
SWITCH = re.compile(r'.*prev_pid=(\d+) .*prev_state=(\w).* next_pid=(\d+)')


def taken_by(recording, pid, vcpu):
    """Cycles for which a host thread ran on the CPU while a vCPU's thread
    wanted to run, computed from trace-cmd's output"""
    done = subprocess.run(['trace-cmd', 'report', '-N', '-i', recording.host], capture_output=True, text=True,
                          errors='replace', check=True)
    total, since, wants, runs, woken = 0, None, False, False, False
    for cpu, time, event, text in (line.groups() for line in map(LINE.match, done.stdout.splitlines()) if line):
        time = int(time)
        total += time - since if since is not None and wants else 0
        since = time if since is not None else None
        if event == 'sched_waking':
            if f' pid={vcpu} ' in text:
                # The thread still runs while it is being switched out
                wants, woken = wants or not runs, runs
            continue
        prev_pid, state, next_pid = SWITCH.match(text).groups()
        if int(cpu) == CPU:
            since = time if int(next_pid) == pid else None
        if int(prev_pid) == vcpu:
            runs, wants, woken = False, state == 'R' or woken, False
        if int(next_pid) == vcpu:
            runs, wants, woken = True, False, False
    return total


def burner(lab):
    """All CPU time of the busy thread counts as stolen from the vCPU while that wants to run"""
    lab.guests(g1='--no-agent')
    burn = (f"(printf burner > /proc/$BASHPID/comm; taskset -p {1 << CPU:x} $BASHPID > /dev/null; sleep 1; "
            f"for i in {' '.join(map(str, range(BURSTS)))}; do end=$((${{EPOCHREALTIME/./}} + {int(BURNS * 1e6)})); "
            f"while [ ${{EPOCHREALTIME/./}} -lt $end ]; do :; done; sleep {PAUSES}; done) & ")
    recording = record(lab, 'burner', ['g1'], burn)
    found = explained(recording, ['g1'], '--vcpu', '0')
    rows = [row for row in found['vm_steal'] if row['kind'] == 'preempted' and row['preemptor']['comm'] == 'burner']
    # Its children have the same name until they execute sleep
    pid = min(row['preemptor']['pid'] for row in rows)
    rows = [row for row in rows if row['preemptor']['pid'] == pid]
    named = sum(row['total'] for row in rows)
    taken = taken_by(recording, pid, found['vcpus'][0]['thread'])
    check(taken > 0, f'the thread had the CPU for {taken:,} cycles while the vCPU wanted it')
    check(NAMED * taken <= named <= taken * 1.01, f'{named:,} are charged to it: {100 * named / max(taken, 1):.1f} %')
    as_sql(recording, ['g1'])
    # Nothing is charged to it for the other vCPU
    other = explained(recording, ['g1'], '--vcpu', '1')
    named = sum(row['total'] for row in other['vm_steal'] if row['kind'] == 'preempted' and
                row['preemptor']['comm'] == 'burner')
    check(named <= taken // 100, f'control: {named:,} on the other vCPU')


def other_vm(lab):
    """Two guests whose first vCPUs share a CPU: each shows the other's task"""
    lab.guests(g1='--no-agent', g2='--no-agent --cid 4')
    recording = record(lab, 'other-vm', ['g1', 'g2'])
    found = explained(recording, ['g1', 'g2'], '--vcpu', '0')
    for mine, other in ('g1', 'g2'), ('g2', 'g1'):
        rows = [row for row in found['vm_steal'] if row['kind'] == 'preempted' and row['task']['comm'] == f'spin-{mine}']
        stolen = sum(row['total'] for row in rows)
        named = sum(row['total'] for row in rows if row['preemptor_task'] and
                    row['preemptor_task']['comm'] == f'spin-{other}')
        check(stolen > 0, f'spin-{mine} waited for the CPU for {stolen:,} cycles')
        check(named > stolen // 2, f'{named:,} of them spin-{other} of the other VM ran')
    as_sql(recording, ['g1', 'g2'])
    alone = explained(recording, ['g1'], '--vcpu', '0')
    check(not any((row.get('preemptor_task') or {}).get('comm') == 'spin-g2' for row in alone['vm_steal']),
          "control: without the other guest's file its tasks are not known")


main(burner, other_vm)
