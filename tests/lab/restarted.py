#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A guest that reboots, returns to a snapshot, or continues in another process, while its host is recorded."""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import main
from host_steps import judge, moves, record, rounds

# savevm requires a disk for snapshots; QEMU uses one of its own temporary files
GUEST = ("--no-agent --machine q35 --qemu-args '-action reboot=reset "
         "-drive if=none,id=snapshots,driver=null-co,size=1M,snapshot=on'")


def reset(lab):
    """Two reboots: by system_reset, and from inside. The TSC begins at 0 each time."""
    lab.guests(g1=GUEST)
    recording = record(lab, 'reset', f'''
{rounds('g1', 0, 1, file='trace-first.dat')}
step guest-reset g1
{rounds('g1', 0, 1, base=0x200, file='trace-second.dat')}
step guest-reset g1 "reboot -f"
{rounds('g1', 0, 1, base=0x400, file='trace-third.dat')}
''', guests=('first', 'second', 'third'))
    for guest in recording.guests:
        judge(recording, guest, f'{guest} boot', 80)


def same_times(lab):
    """After the reset the TSC is set to its earlier value: only the host's
    entries and exits tell the two boots apart."""
    lab.guests(g1=GUEST)
    recording = record(lab, 'same_times', f'''
tsc=$(guest-run g1 'move-tsc 0 300000000' | cut -d ' ' -f 4)
step guest-run g1 "move-tsc 1 --set $tsc"
{rounds('g1', 0, 1, file='trace-first.dat')}
step guest-reset g1
step guest-run g1 "move-tsc 0 --set $tsc; move-tsc 1 --set $tsc"
{rounds('g1', 0, 1, base=0x200, file='trace-second.dat')}
''', guests=('first', 'second'))
    for guest in recording.guests:
        judge(recording, guest, f'the same guest times twice, {guest} boot', 80, refusal='backward')


def loadvm(lab):
    """What the guest records between savevm and loadvm is lost with its memory."""
    lab.guests(g1=GUEST)
    recording = record(lab, 'loadvm', f'''
begin g1
probes g1 0 20 0 1
step guest-monitor g1 savevm one
probes g1 0x100 20 0 1
move g1 {moves(0, 1)}
probes g1 0x200 20 0 1
step guest-monitor g1 loadvm one
probes g1 0x300 20 0 1
move g1 {moves(0, 1)}
probes g1 0x400 20 0 1
end g1
''')
    judge(recording, 'g1', 'savevm and loadvm', 120)


def moved(lab):
    """The guest's vCPUs are threads of one process, then of another."""
    lab.guests(g1=GUEST)
    recording = record(lab, 'moved', f'''
begin g1
probes g1 0 20 0 1
move g1 {moves(0, 1)}
probes g1 0x100 20 0 1
step guest-monitor g1 "migrate exec:cat>$PWD/state"
step guest-down g1
step guest-up g1 {GUEST.replace("snapshot=on", "snapshot=on -incoming exec:cat<$PWD/state").replace("'", '"')}
rm state
probes g1 0x200 20 0 1
move g1 {moves(0, 1)}
probes g1 0x300 20 0 1
end g1
''')
    judge(recording, 'g1', 'moved to another process', 160)


main(reset, same_times, loadvm, moved)
