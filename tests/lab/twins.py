#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Two VMs with the same vcpu_ids, whose threads alternate: the host's file does not show the VM of a thread."""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import main
from host_steps import judge, moves, record, threads

ROUNDS = f'''
begin g1
begin g2
probes g1 {{0}} 20 0 1 & probes g2 0x8000+{{0}} 20 0 1 & wait
move g1 {moves(0, 1)}
move g2 {moves(1, 0)} 0 100000000
probes g1 0x100+{{0}} 20 0 1 & probes g2 0x8100+{{0}} 20 0 1 & wait
end g1
end g2
'''
BOTH = ('g1', 'g2')
Q35 = '--no-agent --machine q35 --smp 1,maxcpus=2'


def twins(lab):
    """The vCPUs are plugged in by turns, so that the thread ids of one VM are not adjacent."""
    lab.guests(g1=Q35, g2=Q35 + ' --cid 4')
    recording = record(lab, 'plugged', f'step guest-plug g1 1; step guest-plug g2 1; {ROUNDS.format(0)}', BOTH)
    later = record(lab, 'later', ROUNDS.format(0x200), BOTH)
    for guest, other in BOTH, BOTH[::-1]:
        judge(recording, guest, f'{guest}, started beside {other}', 80, refusal='there are 2 VMs')
        judge(recording, guest, f'{guest}, its threads named', 80, '--vm', threads(lab, guest))
        judge(later, guest, f'{guest}, recorded later beside {other}', 80, refusal='there are 2 VMs')
        judge(later, guest, f'{guest}, recorded later, its threads named', 80, '--vm', threads(lab, guest))


main(twins)
