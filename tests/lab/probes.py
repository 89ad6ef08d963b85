#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""What probes report on a stock kernel: recorded by trace-cmd itself, read by show and stamp."""
import json
import re
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from probed_values import as_debugfs
from recording import TOOL, check, in_order, main, probes, shown, stamp, verdict

WITH_PROBES = '-e kvm -e tsc_offset'
DEFINED = '/sys/kernel/tracing/kprobe_events'
MOVE = "guest-run g1 'move-tsc 0 520000000; move-tsc 1 520000000'"


def start(lab):
    run = lab.run(f'{TOOL} instance start --probes')
    check(run.status == 0, f'instance start --probes: {run.said("")}')
    return lab.call('run', f'cat {DEFINED}')


def stop(lab):
    run = lab.run(f'{TOOL} instance stop')
    left = lab.call('run', f'cat {DEFINED}')
    check(run.status == 0 and 'tsc_offset' not in left, f'instance stop: no probe is left: {left}')


def values(lab):
    """The probes' values on the first kernel that has what they need"""
    lab.guests()
    as_debugfs(lab, ['1/1'])


def probed(lab):
    """VMs with equal vcpu_ids; one is moved before and during the recording"""
    lab.guests(g1='', g2='')
    lab.call('run', MOVE)
    defined = start(lab)
    check(all(f':tsc_offset/{name} ' in defined for name in ('write_offset', 'write_ratio', 'vcpu_load', 'vm_end')),
          f'{defined.count("p:tsc_offset/")} probes')
    check(start(lab) == defined, 'a second start leaves them as they are')
    # An idle vCPU may not be loaded once in the recording, and then no probe reports its offset
    workload = f'guest-run g2 on-each-cpu; {probes("g1", 20, 5000)}; {MOVE}; {probes("g1", 20, 5000, base=0x100)}'
    recording = lab.record('probed', {'g1': 3}, workload, how='stock', host_events=WITH_PROBES)
    control = recording.order()
    check(control['out_of_order'] > 0, 'control: ' + verdict("trace-cmd's own protocol", control))
    named = {vm['name']: vm for vm in shown(recording.host) if re.fullmatch(r'\d+-\d+', vm['name'])}
    directories = {lab.kvm_directory(name).rsplit('/', 1)[1] for name in ('g1', 'g2')}
    check(set(named) == directories, f'VMs are called as in debugfs: {sorted(named)}')
    for name in 'g1', 'g2':
        vm = named[lab.kvm_directory(name).rsplit('/', 1)[1]]
        offsets = [vcpu['changes'][-1]['next'] for vcpu in vm['vcpus']]
        check(offsets == lab.debugfs_offsets(name), f'{name}: the last offsets are those of debugfs: {offsets}')
    stamped, done = stamp(recording)
    check(done.returncode == 0 and 'doubt' not in done.stdout,
          f'stamp: exit status {done.returncode}: {done.stderr or done.stdout}')
    in_order(stamped, 'stamped by what probes report', 80)
    stop(lab)


def in_use(lab):
    """Probes that an instance has enabled stay, and unused ones are removed"""
    lab.guests(g1='', g2='')
    start(lab)
    lab.call('run', 'mkdir /sys/kernel/tracing/instances/lab.other && '
                    'echo 1 > /sys/kernel/tracing/instances/lab.other/events/tsc_offset/vm_end/enable')
    run = lab.run(f'{TOOL} instance stop')
    check(run.status == 0 and len(run.said('1 event of tsc_offset:. in use and not removed$')) == 1, f'{run.said("")}')
    lab.call('run', f'rmdir /sys/kernel/tracing/instances/lab.other; '
                    f'echo p:tsc_offset/another kvm_arch_destroy_vm >> {DEFINED}; {TOOL} instance stop')
    left = lab.call('run', f'cat {DEFINED}; echo -:tsc_offset/another >> {DEFINED}; true').split()
    check(left == ['p:tsc_offset/another', 'kvm_arch_destroy_vm'], f"another's probe is left alone: {left}")


def marked(lab):
    """A stock recording with a mark: guests that were moved long before, and not during the recording"""
    lab.guests(g1='', g2='')
    lab.call('run', MOVE)
    workload = probes('g1', 20, 5000)
    control = lab.record('unmarked', {'g1': 3}, workload, how='stock')
    _, done = stamp(control)
    check(done.returncode in (1, 3) and re.search('CPUs was not recorded|cannot determine its VM', done.stderr),
          f'control: stamp does not know the offsets: {done.returncode}')
    recording = lab.record('marked', {'g1': 3}, f'{TOOL} mark; {workload}', how='stock')
    said = recording.run.said(r'marked 4 vCPUs \(2 VMs\) in the top buffer; offsets from a probe on KVM$')
    check(len(said) == 1, f'mark: {recording.run.said("")}')
    vms = {vm['name']: vm for vm in shown(recording.host)}
    for name in 'g1', 'g2':
        vm = vms[lab.kvm_directory(name).rsplit('/', 1)[1]]
        offsets = [vcpu['current']['offset'] for vcpu in vm['vcpus']]
        check(offsets == lab.debugfs_offsets(name), f'{name}: the marked offsets are those of debugfs: {offsets}')
    stamped, done = stamp(recording)
    check(done.returncode == 0, f'stamp: exit status {done.returncode}: {done.stderr}')
    in_order(stamped, 'stamped by a mark', 40)
    found = lab.run(f'{TOOL} show --json')
    check(found.status == 3 and 'no probe' not in found.err, f'show of the host: {found.status}: {found.err}')
    check(not lab.instances(), f'nothing of ours is left: {lab.instances()}')


# With the distribution's kernel and BTF
main(values, probed, in_use, marked, prepare=None)
