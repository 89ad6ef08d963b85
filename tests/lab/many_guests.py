#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Guests whose TSC does not change, guests with offset 0, and several guests that are recorded together or at the same
time.
"""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import BUILD, check, in_order, main, probes, verdict

MOVE = 'move-tsc {} 520000000'


def moved(guest, vcpus, base=0, first=0):
    """Probes, a move of the TSC of the vCPUs from first on, probes."""
    moves = '; '.join(MOVE.format(cpu) for cpu in range(first, vcpus))
    return ' && '.join([probes(guest, 20, 10000, vcpus, base), f"guest-run {guest} '{moves}'",
                        probes(guest, 30, 10000, vcpus, base + 0x800)])


def still(lab):
    lab.guests(g1='')
    in_order(lab.record('still', {'g1': 3}, probes('g1', 40, 10000)), 'TSC left alone', at_least=80)


def neighbour(lab):
    lab.guests(g1='')
    noise = lab.start(f'exec {BUILD}/scripts/lab/vm-offsets --vcpus 2 --noise 200')
    lab.until('pgrep -x vm-offsets')
    noisy = lab.record('noisy', {'g1': 3}, moved('g1', 2))
    lab.call('run', 'pkill -x vm-offsets')
    lab.wait(noise)
    others = sum(event == 'kvm_write_tsc_offset' for _, _, event, _ in noisy.host_events())
    check(others > 100, f'a second VM with the same vCPU ids: {others} events in the recording')
    in_order(noisy, 'beside a VM that writes offsets all the time', at_least=100)
    check(noisy.finished('g1', 2), f"the other VM's are not counted: {noisy.run.said('')}")


def together(lab):
    # The guest gets the lowest free address: 3
    lab.guests(g1='', g2='--cid 4')
    both = {'g1': 3, 'g2': 4}
    workload = f"({moved('g1', 2)}) & ({moved('g2', 2, 0x4000)}); wait"
    # If trace-cmd finds the process of neither guest, its own report fails on the host's file, unless record has
    # added the vCPUs
    ours = lab.record('ours', both, workload)
    check(ours.process_found(), "the host's file knows the vCPUs of both guests")
    in_order(ours, 'two guests in one recording', at_least=200)
    for guest in both:
        vcpus, _ = ours.points(guest)
        check(vcpus and len(vcpus) == 2, f'{guest} has its TIME_SHIFT')
    stock = lab.record('stock', both, workload, how='stock').order()
    check(stock['out_of_order'] > 50, 'control: ' + verdict('two guests, stock', stock))
    check(lab.instances() == [], 'no tracefs instance is left')


BASE = {'g1': 0, 'g2': 0x4000}
# The host records the probes of both guests
OWN = {guest: ('--values', f'{base}-{base + 0x3fff}') for guest, base in BASE.items()}


def at_once(lab, how, longer, guests):
    """Recordings of one guest each, begun in this order, each with its own buffer on the host: {guest: recording}.

    The guests' TSCs are moved while both recordings last. That of the longer one is moved again after the other has
    ended.
    """
    processes = {}
    shorter, = set(guests) - {longer}
    lab.call('run', 'rm -f runs-* both-run one-ended')
    for guest, cid in guests.items():
        workload = f'touch ../runs-{guest}; until [ -e ../both-run ]; do sleep 0.1; done; {moved(guest, 2, BASE[guest])}'
        if guest == longer:
            again = moved(guest, 2, BASE[guest] + 0x2000)
            workload += f'; until [ -e ../one-ended ]; do sleep 0.1; done; {again}'
        processes[guest] = lab.start(lab.recorder(f'{how}-{guest}', {guest: cid}, workload, how=how,
                                                  host_events=f'-B {guest} -C x86-tsc -e kvm'))
        lab.until(f'test -e runs-{guest}')
    lab.call('run', 'touch both-run')
    recordings = {shorter: lab.wait(processes[shorter])}
    left = lab.instances()
    lab.call('run', 'touch one-ended')
    recordings[longer] = lab.wait(processes[longer])
    return {guest: lab.fetch(f'{how}-{guest}', {guest: cid}, recordings[guest]) for guest, cid in guests.items()}, left


def two_records(lab):
    """Two recordings at the same time; either can end first. The probes stay until the second one ends."""
    guests = {'g1': 3, 'g2': 4}
    lab.guests(g1='', g2='--cid 4')
    for longer in guests:
        ours, left = at_once(lab, 'ours', longer, guests)
        probed = [name for name in left if name.startswith('tsc_offset/')]
        records = [name for name in left if name.startswith('tsc_offset.record-')]
        check(len(records) == 1 and probed, f'one has ended: {len(records)} instance and {len(probed)} probes are left')
        for guest, recording in ours.items():
            moves = 4 if guest == longer else 2
            in_order(recording, f'{guest}, the {"longer" if moves == 4 else "shorter"} of two', at_least=50 * moves,
                     options=OWN[guest])
            check(recording.finished(guest, moves) and len(recording.run.said('')) == 1,
                  f'{guest}: record has no doubt: {recording.run.said("")}')
        check(lab.instances() == [], f'both have ended: left in tracefs: {lab.instances()}')
    for guest, recording in at_once(lab, 'stock', 'g2', guests)[0].items():
        stock = recording.order(options=OWN[guest])
        check(stock['out_of_order'] > 10, 'control: ' + verdict(f"{guest}, trace-cmd's own protocol", stock))


def three_vcpus(lab):
    lab.guests(g3='--smp 3')
    three = lab.record('three', {'g3': 3}, moved('g3', 3, first=1))
    in_order(three, 'three vCPUs of which one never changes', at_least=150)
    vcpus, _ = three.points('g3')
    check(len({len(points) for points in vcpus}) == 1 and len(vcpus) == 3 and
          len({correction for _, correction in vcpus[0]}) == 1,
          f'all three have {len(vcpus[0])} points, the still one on one line')


def sparse_vcpu_ids(lab):
    """vcpu_ids are APIC ids: with three cores in a socket, 3 is not used."""
    lab.guests(g4='--smp cpus=4,maxcpus=6,sockets=2,cores=3,threads=1')
    four = lab.record('four', {'g4': 3}, moved('g4', 4))
    in_order(four, 'four vCPUs with the vcpu_ids 0, 1, 2 and 4', at_least=200)


def zero_offset(lab):
    lab.guests(g0='--zero-offset')
    one = {'g0': 3}
    check(lab.debugfs_offsets('g0') == [0, 0], 'debugfs: both offsets are exactly 0')
    zero = lab.record('zero', one, probes('g0', 40, 10000))
    vcpus, _ = zero.points('g0')
    check(vcpus and all(correction == 0 for points in vcpus for _, correction in points),
          'offset 0: TIME_SHIFT is there and corrects by 0')
    in_order(zero, 'offset 0', at_least=80)
    stock, _ = lab.record('stock', one, probes('g0', 5, 10000), how='stock').points('g0')
    check(stock is None, 'control: with offset 0 stock writes no TIME_SHIFT')
    in_order(lab.record('moved', one, moved('g0', 2)), 'offset 0, then moved', at_least=100)


main(still, neighbour, together, two_records, three_vcpus, sparse_vcpu_ids, zero_offset, prepare=None)
