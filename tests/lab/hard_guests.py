#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Guests for which KVM's own event does not report enough: the VM, L1's offset, the sequence of VMs.

On a stock kernel probes report it; on a patched kernel the events do.
"""
import json
import re
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import HOST_OPTIONS, TOOL, check, in_order, main, patched_kernel, probes, shown, small_kernel, verdict

MOVE = "guest-run g1 'move-tsc 0 520000000; move-tsc 1 520000000'"
WORKLOAD = f'{probes("g1", 20, 5000)}; {MOVE}; {probes("g1", 20, 5000, base=0x100)}'


def prepare(lab):
    if not lab.name.startswith('patched_'):
        return small_kernel(lab)
    lab.environment |= patched_kernel()
    return ()


def judge(lab, name):
    """Check record, and the control"""
    ours = lab.record('ours', {'g1': 3}, WORKLOAD)
    in_order(ours, name, at_least=80)
    check(ours.finished('g1', 2), f'record has no doubt: {ours.run.said("")}')
    check(len(ours.run.said('')) == 1, 'and says nothing else')
    stock = lab.record('stock', {'g1': 3}, WORKLOAD, how='stock').order()
    check(stock['out_of_order'] > 10, 'control: ' + verdict(f"{name}, trace-cmd's own protocol", stock))


def second_vm(lab):
    """The guest's process has another VM with the same vcpu_ids, which ends and is started again"""
    lab.guests(g1='--second-vm')
    judge(lab, 'two VMs in one process')


def patched_second_vm(lab):
    second_vm(lab)


def nested(lab):
    """While a vCPU runs a nested guest, debugfs has the sum of both offsets"""
    lab.guests(g1='--memory 512')
    directory = lab.kvm_directory('g1')
    before = lab.debugfs_offsets('g1')
    guest = lab.start("guest-run g1 'while read -r module; do insmod /mod/$module; done < /mod/kvm; "
                      "exec taskset 1 tiny-guest offset=-77777777777 spin=100'")
    lab.until(f'grep -q 1 {directory}/vcpu0/guest_mode')
    seen = set(lab.call('run', f'for i in $(seq 20); do cat {directory}/vcpu0/tsc-offset; done').split())
    check(seen - {str(before[0])}, f'control: debugfs has another one: {seen}')
    for _ in range(5):
        found = lab.run(f'{TOOL} show --json')
        offsets = [vcpu['current']['offset'] for vcpu in json.loads(found.out)['vms'][0]['vcpus']]
        check(offsets == before, f'show has those of before: {offsets}')
    judge(lab, 'a guest that runs a nested guest')
    lab.run("guest-run g1 'kill $(pidof tiny-guest)'")
    lab.wait(guest)


def third_vm(lab):
    """The guest's process had two VMs with the same vcpu_ids before, one after the other"""
    lab.guests()
    lab.call('run', f'load-kvm && {TOOL} instance start --probes')
    lab.guests(g1='--earlier-vms 2')
    made = re.findall(r'^ +(\d+) .* made$', lab.run(f'{TOOL} show').out, re.M)
    check(made == ['0'] * 3 + ['1'] * 3, f'its process made three VMs, of vCPUs {made}')
    judge(lab, 'the third VM of its process')
    lab.call('run', f'{TOOL} instance stop')


def patched_third_vm(lab):
    lab.guests(g1='--earlier-vms 2')
    judge(lab, 'the third VM of its process')


def old_guest(lab):
    """A guest whose offsets were written long before the recording, hours apart"""
    lab.guests(g1='')
    lab.call('run', "guest-run g1 'move-tsc 0 9000000000000; move-tsc 1 11000000000000'")
    judge(lab, 'a guest whose vCPUs are hours apart')


def patched_old_guest(lab):
    old_guest(lab)


def three_vms(lab, prepare='true', events=''):
    """Three VMs of one process, one after the other"""
    lab.guests()
    # With splice trace-cmd sometimes drops the last page of a CPU (README.md)
    run = lab.run(f'load-kvm && {prepare} && mkdir three && cd three && '
                  f'trace-cmd record --nosplice {HOST_OPTIONS} {events} -o trace.dat '
                  '-- vm-offsets --times 3 --vcpus 2 0:1000 1:-5 7 0:9000')
    lab.call('copy-out', 'three/trace.dat', lab.directory)
    vms = shown(lab.directory / 'trace.dat')
    # The first change is the creation of the vCPU
    found = [[[change['next'] for change in vcpu['changes']][1:] for vcpu in vm['vcpus']] for vm in vms]
    check(run.status == 0 and found == [[[1000, 7, 9000], [-5, 7]]] * 3,
          f'three histories: {[vm["name"] for vm in vms]} {found}')
    check(not any(change['lost_before'] for vm in vms for vcpu in vm['vcpus'] for change in vcpu['changes']),
          'and none has a gap')


def one_after_another(lab):
    three_vms(lab, f'{TOOL} instance start --probes', '-e tsc_offset')
    lab.call('run', f'{TOOL} instance stop')


def patched_one_after_another(lab):
    three_vms(lab)


def refused(lab):
    """Without BTF there are no probes, which is reported once"""
    lab.guests(g1='')
    lab.call('run', 'mount -t tmpfs none /sys/kernel/btf')
    ours = lab.record('ours', {'g1': 3}, WORKLOAD)
    lab.call('run', 'umount /sys/kernel/btf')
    in_order(ours, 'without probes', at_least=80)
    said = ours.run.said('no probes')
    check(len(said) == 1 and re.search('BTF cannot be read.*may be unknown', said[0]), f'said once: {said}')
    check(ours.finished('g1', 2), f'record: {ours.run.said("")}')
    check(lab.instances() == [], 'nothing is left in tracefs')


main(second_vm, third_vm, nested, old_guest, one_after_another, refused, patched_second_vm, patched_third_vm,
     patched_old_guest, patched_one_after_another, prepare=prepare)
