#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset vms with guests of QEMU, and a recording that names one of them."""
import json
import re
import shlex
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import TOOL, check, in_order, main, probes

MOVE = "guest-run g1 'move-tsc 0 520000000; move-tsc 1 520000000'"


def listed(lab, *options):
    run = lab.run(f'{TOOL} vms --json {" ".join(options)}')
    return {vm['name']: vm for vm in json.loads(run.out)['vms']} if run.out else {}, run


def named_guests(lab):
    lab.guests(g1='', g2='--cid 4 --no-agent')
    found, run = listed(lab)
    check(run.status == 0 and not run.err and set(found) == {'g1', 'g2'}, f'both guests have their names: {run.err}')
    for name, cid in ('g1', 3), ('g2', 4):
        vm = found[name]
        pid = int(lab.call('run', f'guest-pid {name}'))
        check((vm['pid'], vm['vmm'], vm['vsock'], vm['cid']) == (pid, 'QEMU', 'cid', cid),
              f"{name}: {vm['vmm']}, process {vm['pid']}, address {vm['cid']}")
        check([vcpu['offset'] for vcpu in vm['vcpus']] == lab.debugfs_offsets(name),
              f"{name}: its offsets are those of debugfs: {[vcpu['offset'] for vcpu in vm['vcpus']]}")
        threads = lab.call('run', f'cat {lab.kvm_directory(name)}/vcpu[01]/pid').split()
        check([str(vcpu['thread']) for vcpu in vm['vcpus']] == threads, f'{name}: its threads are those of debugfs')
        check(0 < vm['age_seconds'] < 3600, f"{name}: {vm['age_seconds']} s old")
        check(not any(vcpu['scaled'] or vcpu['tsc_protected'] for vcpu in vm['vcpus']), f'{name}: not scaled')
    check(found['g1']['agent'] is True, 'g1 has an agent')
    check(found['g2']['agent'] is False, 'g2 has none')
    check(listed(lab, '--no-agent')[0]['g1']['agent'] is None, 'with --no-agent it is not asked')
    check(listed(lab, '--port', '824')[0]['g1']['agent'] is False, 'at another port there is none')
    table = lab.run(f'{TOOL} vms g1').out
    check(re.search(r'^g1 +\d+  QEMU  3 +yes +\d+[sm]', table, re.M) and 'g2' not in table, f'the table:\n{table}')


def named_recording(lab):
    """vms runs just before record: its connection to the agent must have ended"""
    lab.guests(g1='', g2='--cid 4 --no-agent')
    workload = ' && '.join([probes('g1', 20, 10000), MOVE, probes('g1', 30, 10000, base=0x800)])
    run = lab.run(f'mkdir -p named && cd named && {TOOL} vms && exec {TOOL} record -C x86-tsc -e kvm -A g1 '
                  f'-e sched:sched_switch -e raw_syscalls -- bash -c {shlex.quote(workload)}')
    recording = lab.fetch('named', {'g1': 3}, run)
    pid = lab.call('run', 'guest-pid g1').strip()
    check(run.said(f'-A g1: the VM of process {pid}, at the vsock address 3, port 823$'), f'by its name: {run.said("-A")}')
    check(recording.finished('g1', 2), f'its file is trace-g1.dat, and has the history: {run.said("trace-g1")}')
    in_order(recording, 'recorded by its name', at_least=100)
    unknown = lab.run(f'{TOOL} record -C x86-tsc -A no-such-guest -e sched -- true')
    check(unknown.status and 'no-such-guest not found' in unknown.err and not unknown.said('-A'),
          'a name that no VM has is left to trace-cmd')


main(named_guests, named_recording)
