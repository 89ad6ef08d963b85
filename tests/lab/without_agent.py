#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Host and guest recorded separately, without an agent, and synchronised afterwards.

The guest is started with --no-agent: only its file leaves the guest.
"""
import re
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from agentless import GUEST_EVENTS, MOVE, ONE, both, moved, record
from exported import export
from recording import BUFFER_KB, TOOL, Recording, check, in_order, main, shown, stamp, verdict


def offline_moves(lab):
    """1000 probes, while each vCPU's TSC is moved forward more than once a second."""
    lab.guests(g1='--no-agent --moves 16')
    recording = record(lab, 'moves', both(500, 14000))
    order = recording.order()
    check(order['out_of_order'] > 100, 'control: ' + verdict('not stamped', order))
    stamped, done = stamp(recording)
    check(done.returncode == 0, f'stamp: exit status {done.returncode}')
    in_order(stamped, 'stamped', at_least=1000)
    status, violations, bounds = stamped.violations('g1')
    check(status == 0 and not violations, f'tsc-offset check agrees: {violations} violations, may be moved by '
          f'{bounds} cycles')
    # Most of these times are not even within the host's recording: they prove nothing
    status, violations, _ = recording.violations('g1')
    check(status == 3, f'control: tsc-offset check of the raw times: {violations} violations')
    changes = sum(1 for row in recording.host_events() if row[2] == 'kvm_write_tsc_offset')
    check(changes >= 20, f'{changes} changes were recorded')


def kinds_of_files(lab):
    """The same recording in all versions and compressions, in place or as a copy."""
    lab.guests(g1='--no-agent')
    recording = record(lab, 'kinds', moved())
    check(recording.order()['out_of_order'] > 0, 'control: ' + verdict('not stamped', recording.order()))
    guest, host = recording.guests['g1'], recording.host
    for version, compression in (7, 'none'), (7, 'zstd'), (6, None):
        words = ['trace-cmd', 'convert', '--file-version', str(version)]
        words += ['--compression', compression] if compression else []
        name = f'v{version}-{compression or "plain"}'
        kind = Recording(lab, recording.run, host.parent, ONE)
        kind.host, kind.guests = host.with_name(f'host-{name}.dat'), {'g1': host.with_name(f'{name}.dat')}
        for source, target in (host, kind.host), (guest, kind.guests['g1']):
            subprocess.run([*words, '-i', source, '-o', target], check=True, capture_output=True)
        in_order(stamp(kind)[0], f'{name}, a copy', at_least=100)
        stamped, done = stamp(kind, '--in-place', out=kind.guests['g1'])
        if version == 7:
            in_order(stamped, f'{name}, in place', at_least=100)
            again, done = stamp(kind, '--in-place', out=kind.guests['g1'])
            in_order(again, f'{name}, in place again', at_least=100)
        else:
            check(done.returncode == 1 and 'version 6' in done.stderr,
                  f'{name}, in place: refused with the reason')
    linked, done = stamp(recording, '--link')
    linked.host = host.with_suffix('.linked.dat')
    in_order(linked, 'linked', at_least=100)
    check(linked.process_found(), "the linked host's file knows the guest's threads")
    exported(recording, linked)


def exported(recording, stamped):
    """The export of a guest in which each vCPU's TSC moved once."""
    status, trace, order = export(stamped)
    check(status in (0, 3) and not order['out_of_order'] and order['probes'] >= 80, verdict('exported', order))
    values = [len(values) for path, values in trace.counters().items() if path[-1] == 'TSC offset']
    check(values == [2, 2], f'{values} values of TSC offsets')
    check(len(trace.slices('guest mode')) > 100, f"{len(trace.slices('guest mode'))} times in guest mode")
    # The report of this file is the control
    status, _, order = export(recording)
    check(status == 0 and not order['out_of_order'] and order['probes'] >= 80,
          verdict("exported, not stamped, by the host's history", order))


def buffer_instance(lab):
    """A guest that recorded into an instance only; readers correct no instance."""
    lab.guests(g1='--no-agent')
    recording = record(lab, 'instance', moved('inside'),
                       guest=f'-B inside -C x86-tsc {GUEST_EVENTS}')
    stamped, done = stamp(recording)
    check(done.returncode == 0, f'stamp: exit status {done.returncode}')
    in_order(stamped, 'the instance became the top buffer', at_least=100)


def late_start(lab):
    """The guest boots during the host's recording; or nothing changes and only an earlier snapshot has the offset."""
    lab.guests()
    lab.run('load-kvm')
    boot = record(lab, 'boot', both(16, 10000), before='guest-up g1 --no-agent > /dev/null &&')
    lab.up['g1'] = '--no-agent'
    stamped, done = stamp(boot)
    check(done.returncode == 0, f'stamp, the host recorded since before the guest booted: exit status '
          f'{done.returncode} {done.stderr}')
    check(boot.order()['out_of_order'] > 0, 'control: ' + verdict('not stamped', boot.order()))
    in_order(stamped, 'and stamped', at_least=32, partial=True)
    lab.call('guest', 'g1', MOVE)
    # An irregular workload: with a periodic one, more than one shift may look right
    workload = '; '.join(f'{both(8, delay, 0x10 * number)}; sleep 0.0{delay}'
                         for number, delay in enumerate((9001, 17003, 3011, 13001, 5003, 7019, 11003, 2003)))
    recording = record(lab, 'late', workload)
    stamped, done = stamp(recording)
    check(done.returncode == 3 and 'the offset of 2 of its CPUs was not recorded' in done.stderr,
          'without an initial offset: it is estimated, in doubt, with the reason')
    in_order(stamped, 'and so estimated', at_least=128)
    offsets = lab.debugfs_offsets('g1')
    initial = ','.join(f'{cpu}={offset}' for cpu, offset in enumerate(offsets))
    check(recording.order()['out_of_order'] > 0, 'control: ' + verdict('not stamped', recording.order()))
    stamped, done = stamp(recording, f'--initial={initial}')
    in_order(stamped, 'with --initial from debugfs', at_least=128)
    run = lab.run(f'{TOOL} show --json > snapshot.json')
    check(run.status == 3 and 'no instance tsc_offset' in run.err,
          'tsc-offset show --json on the host: says that there is no history, only what debugfs has')
    lab.call('copy-out', 'snapshot.json', lab.directory)
    stamped, done = stamp(recording, '--initial-from', lab.directory / 'snapshot.json')
    check(done.returncode == 0 and 'after the host' in done.stderr, 'a snapshot after the recording: said')
    in_order(stamped, 'with --initial-from a snapshot', at_least=128)
    stamped, done = stamp(recording, '--estimate')
    found = re.findall(r'vCPU (\d): offset estimated as (-?\d+), wrong by at most (\d+) cycles', done.stderr)
    check(done.returncode == 0 and len(found) == 2 and all(abs(int(offset) - offsets[int(vcpu)]) <= int(bound)
                                  for vcpu, offset, bound in found),
          f'--estimate: what debugfs says, {offsets}, lies within the bounds of {found}')
    in_order(stamped, 'with --estimate', at_least=128)
    wrong, done = stamp(recording, f'--initial=0={offsets[0] + 10 ** 9},1={offsets[1]}')
    check(wrong.order()['out_of_order'] > 0, 'control: a wrong --initial puts probes out of order')


def is_clean(lab, tries=300):
    """Is no directory of record --ssh in the guest, at least after some time?"""
    return lab.run(f'for i in $(seq {tries}); do guest-run g1 "! ls -d /tmp/tsc-offset.* > /dev/null 2>&1" && exit 0; '
                   'sleep 0.1; done; exit 1').status == 0


def through_ssh(lab):
    """One command records both: the guest by its own trace-cmd, through a program in place of ssh."""
    lab.guests(g1='--no-agent')
    ssh = '#!/bin/bash\nset -o pipefail\nguest-run --stdin "$@" | tee raw\n'
    workload = f'guest-run g1 {shlex.quote(moved())}'
    run = lab.run(f'mkdir -p ssh && cd ssh && printf %s {shlex.quote(ssh)} > ssh && chmod +x ssh && '
                  f'TSC_OFFSET_SSH=./ssh {TOOL} record --ssh g1 --ssh-record {shlex.quote(GUEST_EVENTS)} '
                  f'-e kvm -b {BUFFER_KB} -- bash -c {shlex.quote(workload)} && tail -n +3 raw > trace-raw.dat')
    check(run.status == 0, f'record --ssh: exit status {run.status}')
    check(re.search(r'trace-g1.dat: VM \S+, 2 vCPUs, [2-9] changes; .* in guest mode', run.err),
          'record --ssh reports the guest')
    recording = lab.fetch('ssh', {'g1': 3, 'raw': 3}, run, must_live=False)
    raw, stamped = (Recording(lab, run, recording.host.parent, [name]) for name in ('raw', 'g1'))
    check(raw.order()['out_of_order'] > 0, 'control: ' + verdict('as it came', raw.order()))
    in_order(stamped, 'recorded through ssh', at_least=100)
    check(stamped.process_found(), "the host's file knows the guest's threads")
    check(is_clean(lab), 'nothing is left in the guest')
    lost = lab.run(f'cd ssh && rm -f trace*.dat && TSC_OFFSET_SSH=./ssh {TOOL} record --ssh g1 -e kvm '
                   '-- pkill -KILL -x vsock-shell')
    check(lost.status == 3 and '--ssh g1: not recorded: ' in lost.err,
          f'a lost connection: {lost.err.splitlines()[-1:]}')
    check(lab.run('cd ssh && trace-cmd report -i trace.dat > /dev/null && [ ! -e trace-g1.dat ]').status == 0,
          'only the host is recorded')
    check(is_clean(lab), 'nothing is left in the guest')
    lab.call('guest', 'g1', 'mkdir /tmp/tsc-offset.control')
    check(not is_clean(lab, 1), 'control: what is left is seen')
    lab.call('guest', 'g1', 'rmdir /tmp/tsc-offset.control')


def doubts(lab):
    """Unknown or inexpressible times are reported, with exit status 3; wrong clocks are refused."""
    lab.guests(g1='--no-agent')
    back = record(lab, 'back', f'{moved()}; move-tsc 0 -52000000; {both(10, 10000, 0x800)}')
    stamped, done = stamp(back)
    # Guest times occur twice only if the next page of the ring buffer begins before this much time has passed
    check(done.returncode == 3 and re.search('vCPU 0: (guest times .*|its TSC jumped) backward', done.stderr)
          and 'vCPU 1' not in done.stderr, 'a backward jump: named, exit status 3')
    lost = record(lab, 'lost', moved(), host='-C x86-tsc -e kvm -b 8',
                  frozen=f'move-tsc 0 1000000 --reps 300; {MOVE}')
    stamped, done = stamp(lost)
    check(done.returncode == 3 and re.search('vCPU [01]: guest times .* lost', done.stderr),
          'lost events: named, exit status 3')
    clock = record(lab, 'clock', both(5, 10000), host='-C mono -e kvm')
    stamped, done = stamp(clock)
    check(done.returncode == 1 and 'mono' in done.stderr and 'x86-tsc' in done.stderr,
          'a wrong clock: refused with what to do')


def two_vms(lab):
    """Both VMs have the same vcpu_ids: the events or the user decide."""
    lab.guests(g0='--no-agent', g1='--no-agent --cid 4')
    noise = lab.start('for i in $(seq 20); do guest-run g0 "move-tsc 0 1000000; move-tsc 1 2000000"; '
                      'sleep 0.2; done')
    recording = record(lab, 'two', moved())
    lab.wait(noise)
    ran = {str(thread['tid']) for vm in shown(recording.host) for thread in vm['threads']}
    threads = {guest: [tid for tid in lab.call('run', f'ls /proc/$(guest-pid {guest})/task').split() if tid in ran]
               for guest in ('g0', 'g1')}
    check([len(tids) for tids in threads.values()] == [2, 2], f'two vCPUs of each guest: {threads}')
    check(recording.order()['out_of_order'] > 0, 'control: ' + verdict('not stamped', recording.order()))
    stamped, done = stamp(recording)
    check(done.returncode == 0, f'without --vm: exit status {done.returncode} {done.stderr}')
    in_order(stamped, 'without --vm', at_least=100)
    stamped, done = stamp(recording, '--vm', threads['g1'][0])
    in_order(stamped, '--vm with a thread of the right one', at_least=100)
    stamped, done = stamp(recording, '--vm', ','.join(threads['g1']))
    in_order(stamped, '--vm with all its threads', at_least=100)
    wrong, done = stamp(recording, '--vm', threads['g0'][0])
    # The other VM's offsets can be so wrong that no event of the guest is
    # within the host's recording: then it is refused
    refused = done.returncode == 1 and 'none of its events is within the time of' in done.stderr
    check(refused or (done.returncode == 3 and wrong.order()['out_of_order'] > 0),
          f'control: the other VM {"is refused" if refused else "puts probes out of order, which is said"}')


main(offline_moves, kinds_of_files, buffer_instance, late_start, through_ssh, doubts, two_vms)
