#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A host with the patched kernel: the additional contents of its events and files, and stock readers and programs on
this kernel. Builds the kernel if it is not in the cache."""
import json
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import BUILD, HOST_OPTIONS, PLUGIN, TOOL, check, in_order, main, patched_kernel, probes, shown
import readers

EVENTS = 'kvm_write_tsc_offset', 'kvm_write_tsc_multiplier'


def prepare(lab):
    lab.environment |= patched_kernel()
    # With the TSC as clock the host would check only now and then whether a guest has to catch up
    return ['--append', 'clocksource=hpet'] if lab.name == 'catch_up' else []


def no_complaint(lab):
    found = lab.run("dmesg | grep -E 'WARNING|BUG|Oops'").out
    check(not found, f'the kernel has nothing to complain about {found}')


def patched_moves(lab):
    """The main case: record uses the VM in the events"""
    lab.guests(g1='')
    number = int(lab.call('run', f'cat {lab.kvm_directory("g1")}/id'))
    # The guest is made during the recording: each vCPU has an event of its multiplier
    workload = 'vm-offsets --vcpus 2 --noise 200 > noise & ' + probes('g1', 10, 5000)
    # More than a vCPU may wait between the read of its TSC and the write
    for delta in 520000000, 900000000, 310000000:
        workload += f"; guest-run g1 'move-tsc 0 {delta}; move-tsc 1 {delta}'; " + probes('g1', 10, 5000)
    recording = lab.record('moves', {'g1': 3}, workload + '; kill %1')
    in_order(recording, 'a guest whose TSC is moved, beside a VM with the same vcpu_ids', at_least=80)
    check(recording.finished('g1', 6), f'record: {recording.run.said("")}')
    vms = shown(recording.host)
    guest = [vm for vm in vms if vm['kvm_id'] == number]
    check(len(vms) == 2 and guest and guest[0]['evidence'] == 'event' and
          [len(vcpu['changes']) for vcpu in guest[0]['vcpus']] == [3, 3],
          f'show: {[vm["name"] for vm in vms]} are told apart by their events, {number} is the guest')
    marked(lab)
    stock_readers(lab, recording)
    protected_tsc(lab)
    no_complaint(lab)


def marked(lab):
    """A mark in any recording has the number and the name"""
    directory = lab.kvm_directory('g1')
    run = lab.run(f'mkdir marked && cd marked && trace-cmd record --nosplice {HOST_OPTIONS} -o trace.dat '
                  f'-- sh -c "{TOOL} mark; guest-run g1 true"')
    lab.call('copy-out', 'marked/trace.dat', lab.directory)
    vms = [(vm['name'], vm['kvm_id']) for vm in shown(lab.directory / 'trace.dat')]
    check(run.status == 0 and (os.path.basename(directory), int(lab.call('run', f'cat {directory}/id'))) in vms,
          f'a mark names the guest: {vms} {run.err}')


def read_by(name, command):
    """A stock reader prints both events without the plugin, and with it as the plugin formats them.

    Returns the number of each.
    """
    stock, _ = readers.run(command)
    with readers.only(PLUGIN) as plugins:
        shown, _ = readers.run(command, readers.environment(plugins))
    lines = {event: [line for line in stock.splitlines() if f'{event}: ' in line] for event in EVENTS}
    for event, of_event in lines.items():
        check(of_event and all(readers.is_patched(line) for line in of_event),
              f'{name}: {of_event[0].strip() if of_event else f"no {event}"}')
    try:
        readers.check_lines(stock, shown)
    except AssertionError as error:
        return check(False, f'{name} with the plugin: {error}')
    ours = list(filter(readers.is_ours, shown.splitlines()))
    for line in ours[0], ours[-1]:
        print(f'    {line.strip()}')
    check(True, f'{name} with the plugin: {len(ours)} lines as they should be, all others as without')
    return {event: len(of_event) for event, of_event in lines.items()}


def stock_readers(lab, recording):
    """trace-cmd, KernelShark and perf, which do not know the patches"""
    found = read_by('trace-cmd report', ['trace-cmd', 'report', '-i', str(recording.host)])
    kshark = BUILD / 'tests/files/kshark_info'
    if kshark.exists():
        rows = read_by('KernelShark', [str(kshark), str(recording.host)])
        check(rows == found, f'KernelShark has the same rows: {rows}')
    else:
        print('no libkshark: KernelShark is not tried')
    data = lab.directory / 'perf.data'
    events = ','.join(f'kvm:{event}' for event in EVENTS)
    lab.call('run', f'perf record -q -B -N -e {events} -o perf.data vm-offsets --vcpus 2 0:1000 1:-5 {1 << 63}')
    lab.call('copy-out', 'perf.data', lab.directory)
    found = read_by('perf script', ['perf', 'script', '-i', str(data)])
    # Each vCPU has two events at its creation, and then the requested ones
    check(found == dict(zip(EVENTS, (2 + 4, 2))), f'perf has all of them: {found}')


def protected_tsc(lab):
    """The hook does not change a guest whose offset is unknown.

    TDX or SEV-SNP guests are not available here: files that replace debugfs describe this guest as one.
    """
    directory = lab.kvm_directory('g1')
    lab.call('run', f'mount -t tmpfs none {os.path.dirname(directory)} && for vcpu in 0 1; do '
             f'mkdir -p {directory}/vcpu$vcpu && cd {directory}/vcpu$vcpu && echo 1 > tsc-protected && '
             'echo 0 | tee tsc-offset > l1-tsc-offset; done')
    recording = lab.record('protected', {'g1': 3}, 'true', how=PLUGIN)
    # On a busy machine trace-cmd may not find the guest's process, which the hook also reports
    said = [line for line in recording.run.said('^tsc-offset: (a )?guest') if 'did not find its process' not in line]
    check(len(said) == 1 and re.search('not synchronised: its TSC is protected.*ptp', said[0]),
          f'a protected TSC: {said}')
    check(recording.points('g1')[0] is None, 'and no offset of 0 is taken for its')
    lab.call('run', f'umount {os.path.dirname(directory)}')


def vms_of_a_process(lab):
    """A VMM with two VMs in one process"""
    # With splice trace-cmd sometimes drops the last page of a CPU (README.md)
    run = lab.run('load-kvm && mkdir two && cd two && trace-cmd record --nosplice -C x86-tsc '
                  '-e kvm:kvm_write_tsc_offset -o trace.dat -- vm-offsets --vms 2 --vcpus 2 0:1000 1:-5 7 0:9000')
    lab.call('copy-out', 'two/trace.dat', lab.directory)
    wanted = {}
    for vm, vcpu, offset in re.findall(r'^vm (\d+) vcpu (\d+) offset (-?\d+)$', run.out, re.M):
        wanted.setdefault(vm, {}).setdefault(int(vcpu), []).append(int(offset))
    vms = shown(lab.directory / 'trace.dat')
    found = [{vcpu['vcpu_id']: [change['next'] for change in vcpu['changes']] for vcpu in vm['vcpus']} for vm in vms]
    check(len(vms) == 2 and len({vm['id'] for vm in vms}) == 1, f'two VMs of one process: {[vm["name"] for vm in vms]}')
    # The first change is the creation of the vCPU
    check([{vcpu: offsets[1:] for vcpu, offsets in vm.items()} for vm in found] == list(wanted.values()),
          f'each has its own history: {found}')
    check(not any(change['lost_before'] for vm in vms for vcpu in vm['vcpus'] for change in vcpu['changes']),
          'and none has a gap')


def instance_events(lab):
    """On the host itself, the instance's events belong to the VM whose directory in debugfs has their number"""
    lab.guests(g1='')
    directory = lab.kvm_directory('g1')
    number = int(lab.call('run', f'cat {directory}/id'))
    lab.call('run', f'{TOOL} instance start')
    # VMs of another process come and go, with the same vcpu_ids
    lab.call('run', "vm-offsets --times 3 --vcpus 2 0:1000 1:-5; "
             "guest-run g1 'move-tsc 0 520000000; move-tsc 1 520000000'; vm-offsets --vcpus 2 0:7000")
    found = lab.run(f'{TOOL} show --json')
    vms = [(vm['name'], vm['kvm_id'], [len(vcpu['changes']) for vcpu in vm['vcpus']])
           for vm in json.loads(found.out)['vms']]
    check(vms == [(os.path.basename(directory), number, [1, 1])], f'show: {vms} {found.err}')
    seen = lab.call('run', 'grep -c vm_id= /sys/kernel/tracing/instances/tsc_offset/trace')
    check(int(seen) > 10, f'control: the instance has {seen.strip()} events, most of other VMs')
    print(lab.run(f'{TOOL} instance status').out)
    lab.call('run', f'{TOOL} instance stop')
    no_complaint(lab)


NESTED = ("guest-run g1 'while read -r module; do insmod /mod/$module; done < /mod/kvm; "
          "exec taskset 1 tiny-guest offset=-77777777777 spin=100'")


def nested_guest(lab):
    """While a vCPU runs a nested guest, debugfs has the sum of both offsets, and a file for the first"""
    lab.guests(g1='--memory 512')
    directory = lab.kvm_directory('g1')
    before = lab.debugfs_offsets('g1')
    guest = lab.start(NESTED)
    lab.until(f'grep -q 1 {directory}/vcpu0/guest_mode')
    values = [lab.call('run', f'for i in $(seq 20); do cat {directory}/vcpu0/{name}; done').split()
              for name in ('tsc-offset', 'l1-tsc-offset')]
    others = set(values[0]) - {str(before[0])}
    check(others, f'tsc-offset is another one: {others}')
    check(set(values[1]) == {str(before[0])}, f'l1-tsc-offset is that of before: {values[1][0]}')
    right = [-offset for offset in before]

    def firsts(recording):
        vcpus, _ = recording.points('g1')
        return [points[0][1] for points in vcpus or []]
    ours = lab.record('ours', {'g1': 3}, probes('g1', 20, 5000))
    check(firsts(ours) == right, f'record begins with the L1 offsets: {firsts(ours)}')
    in_order(ours, 'with a nested guest', at_least=40)
    # The hook may read debugfs at a time at which the nested guest does not run, or not find the guest's process
    for _ in range(15):
        stock = firsts(lab.record('stock', {'g1': 3}, probes('g1', 2, 5000), how='stock'))
        if stock and stock != right:
            break
    check(len(stock) == len(right) and stock != right, f'control: trace-cmd begins with {stock}')
    lab.run("guest-run g1 'kill $(pidof tiny-guest)'")
    lab.wait(guest)
    no_complaint(lab)


def catch_up(lab):
    """KVM gives a guest a new offset at nearly every exit"""
    lab.guests(g1='--faster 20000 --cpu host,-tsc-adjust,-tsc-deadline')
    recording = lab.record('catch_up', {'g1': 3}, probes('g1', 300, 2000))
    events = sum(event == 'kvm_write_tsc_offset' for _, _, event, _ in recording.host_events())
    check(events >= 1000, f'{events} offset events')
    in_order(recording, 'catch-up', at_least=600)
    print(recording.run.said(''))
    no_complaint(lab)


main(patched_moves, vms_of_a_process, instance_events, nested_guest, catch_up, prepare=prepare)
