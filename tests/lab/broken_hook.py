#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Fault injection for the hook and record: recordings succeed. They are synchronised at least as well as with stock
trace-cmd, or not at all, and a line has the reason.

Faults are real if possible; the others are injected into a copy of the plugin that is built for it.
"""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import FAULTS, PLUGIN, TOOL, check, in_order, main, probes, stamp, verdict

ONE = {'g1': 3}
MOVED = (probes('g1', 20, 10000) + " && guest-run g1 'move-tsc 0 520000000; move-tsc 1 520000000' && "
         + probes('g1', 30, 10000, base=0x800))
STILL = probes('g1', 20, 10000)
# Hides all VMs from readers of debugfs
HIDE = 'mount -t tmpfs none /sys/kernel/debug/kvm'
SHOW = 'umount /sys/kernel/debug/kvm'


def one_line(recording, pattern, what):
    check(recording.run.status == 0, f'{what}: the recording succeeds')
    said = recording.run.said(pattern)
    check(len(said) == 1, f'{what}: one line says why: {" / ".join(said) or recording.run.err}')


def no_worse(broken, stock, what):
    """A probe that the stock recording lost counts in our favour: it might have been out of order as well."""
    check(0 < broken['probes'] and
          broken['out_of_order'] <= stock['out_of_order'] + stock['unpaired'],
          f'{what}: no worse than stock: ' + verdict('TSC moved', broken))


def left_to_stock(lab, name, workload, **more):
    """trace-cmd sometimes does not find a guest's process; then it does not synchronise the guest.

    That is not the fault under test.
    """
    for _ in range(4):
        recording = lab.record(name, ONE, workload, **more)
        if recording.process_found():
            return recording
        print(f"{name}: trace-cmd did not find the guest's process; recorded again")
    lab.begin_anew(f"{name}: trace-cmd does not find the guest's process")


def broken(fault):
    return {'how': FAULTS, 'environment': f'TSC_OFFSET_FAULT={fault}'}


def faults(lab):
    """Faults with which trace-cmd uses its own protocol, with and without moves of the guest's TSC"""
    lab.guests(g1='')
    stock = left_to_stock(lab, 'stock', MOVED, how='stock').order()
    check(stock['out_of_order'] > 0, 'control: ' + verdict('stock, TSC moved', stock))
    for fault, why in {'layout': 'unknown layout', 'register': 'does not take our protocol'}.items():
        still = left_to_stock(lab, fault, STILL, **broken(fault))
        one_line(still, why, fault)
        in_order(still, f'{fault}: TSC left alone', at_least=40)
        no_worse(left_to_stock(lab, fault, MOVED, **broken(fault)).order(), stock, fault)
    sound = lab.record('sound', ONE, MOVED, how=FAULTS)
    in_order(sound, 'control: the same plugin without a fault', at_least=100)


def unsynchronised(lab):
    """Faults that leave a guest without synchronisation, so that none of its times looks right; stamp corrects them"""
    lab.guests(g1='')
    for fault in 'init', 'view', 'instance':
        left = lab.record(fault, ONE, MOVED, **broken(fault))
        one_line(left, 'a guest is not synchronised: .*tsc-offset stamp', fault)
        check(left.points('g1')[0] is None, f'{fault}: not synchronised')
        in_order(stamp(left)[0], f'{fault}: stamped', at_least=100)


def hidden_debugfs(lab):
    lab.guests(g1='')
    lab.call('run', HIDE)
    blind = lab.record('blind', ONE, STILL, how=PLUGIN)
    one_line(blind, 'neither .*debugfs nor', 'no debugfs, no boot-time instance')
    check(blind.points('g1')[0] is not None, 'no debugfs, no boot-time instance: synchronised (ptp)')
    # The probes of record report each vCPU that runs
    ours = lab.record('blind-ours', ONE, MOVED)
    in_order(ours, 'no debugfs, record', at_least=100)
    check(ours.finished('g1', 2), f'no debugfs, record has no doubt: {ours.run.said("")}')
    lab.call('run', SHOW)


def boot_instance(lab):
    # Start the instance before the guest boots
    lab.guests()
    lab.call('run', 'load-kvm')
    lab.call('run', f'{TOOL} instance start')
    lab.guests(g1='')
    for cpu in (0, 1):
        lab.call('guest', 'g1', f'move-tsc {cpu} 1000000')
    before = lab.call('run', 'grep -c kvm_write /sys/kernel/tracing/instances/tsc_offset/trace')
    in_order(lab.record('boot', ONE, MOVED, how=PLUGIN), 'initial offsets from the boot-time instance',
             at_least=100)
    lab.call('run', HIDE)
    still = lab.record('boot-blind-still', ONE, STILL, how=PLUGIN)
    in_order(still, 'boot-time instance, no debugfs, TSC left alone', at_least=40)
    in_order(lab.record('boot-blind', ONE, MOVED, how=PLUGIN), 'boot-time instance, no debugfs, TSC moved',
             at_least=100)
    after = lab.call('run', 'grep -c kvm_write /sys/kernel/tracing/instances/tsc_offset/trace')
    check(int(after) == int(before) + 4,
          'no event of the boot-time instance was consumed, the four new ones are there')
    status = lab.run(f'{TOOL} instance status')
    check(status.status == 0 and 'x86-tsc' in status.out, 'tsc-offset instance status: all is well')
    lab.call('run', f'{TOOL} instance stop')
    check(lab.instances() == [], 'tsc-offset instance stop: it is gone')
    lab.call('run', SHOW)


def of_record(lab):
    return [name for name in lab.instances() if name.startswith('tsc_offset.record-')]


def begun(lab):
    """Wait until a recording in the background has its recorders."""
    lab.until('test -d /sys/kernel/tracing/instances/tsc_offset.record-*')
    lab.until('pgrep -x trace-cmd -P "$(pgrep -ox trace-cmd)"')


def interrupted(lab):
    lab.guests(g1='')
    process = lab.start(lab.recorder('int', ONE, ''))
    begun(lab)
    lab.call('run', MOVED)
    lab.call('run', 'pkill -INT -ox trace-cmd')
    ended = lab.fetch('int', ONE, lab.wait(process))
    # The guest may have begun to record in the middle of the first probes
    in_order(ended, 'ended by SIGINT', at_least=60, partial=True)
    check(lab.instances() == [], 'ended by SIGINT: no tracefs instance is left')


def cleared(lab):
    """Remove what trace-cmd left in the guest and on the host"""
    lab.call('run', 'pkill -KILL -x trace-cmd; until ! pgrep -x trace-cmd; do sleep 0.1; done')
    lab.call('restart-agent', 'g1')
    lab.call('run', 'cd /sys/kernel/tracing/instances; rmdir clock_synch-* map_guest_pids; true')


def readable(lab, directory):
    """Each file of a recording, with the exit status of trace-cmd report"""
    return lab.call('run', f'cd {directory} && for file in trace*; do trace-cmd report -i $file > /dev/null 2>&1; '
                           'echo $file $?; done').splitlines()


def whole_again(lab, after):
    """The next recording is complete. What trace-cmd left must be removed first, with stock trace-cmd as well."""
    cleared(lab)
    following = lab.record('following', ONE, MOVED)
    in_order(following, f'the recording after {after}', at_least=100)
    check(following.finished('g1', 2), f'the recording after {after}: {following.run.said("")}')
    check(lab.instances() == [], f'the recording after {after}: nothing is left')


def ended_by(lab, signal, program, how):
    """End a recording with one signal. Returns the exit status and the files."""
    process = lab.start(lab.recorder(f'{signal}-{how}', ONE, '', how=how))
    lab.until('pgrep -x trace-cmd -P "$(pgrep -ox trace-cmd)"')
    if how == 'ours':
        begun(lab)
    pid = lab.call('run', f'pgrep -ox {program}').strip()
    lab.call('run', f'kill -{signal} {pid}; while grep -qs "^State:.[^Z]" /proc/{pid}/status; do sleep 0.1; done')
    # Remaining recorders keep the command's output open
    cleared(lab)
    return lab.wait(process).status, readable(lab, f'{signal}-{how}')


def killed(lab):
    """A signal to the program that users started, or to trace-cmd: the same result as with trace-cmd alone, and the
    next recording is complete
    """
    lab.guests(g1='')
    for signal in 'INT', 'HUP', 'TERM', 'KILL':
        alone = ended_by(lab, signal, 'trace-cmd', 'stock')
        ours = ended_by(lab, signal, 'trace-cmd' if signal == 'KILL' else 'tsc-offset', 'ours')
        check(ours == alone and alone[1], f'SIG{signal}: status and files {ours}, with trace-cmd alone {alone}')
        check(not of_record(lab), f'SIG{signal}: no instance of record is left')
    whole_again(lab, 'these signals')


def record_killed(lab):
    """trace-cmd's recording continues without us. stamp completes it from the instance that is left, or the next
    record removes that."""
    lab.guests(g1='')
    for name in 'completed', 'removed':
        process = lab.start(lab.recorder(name, ONE, 'sleep 60'))
        begun(lab)
        lab.call('run', 'pkill -KILL -x tsc-offset')
        lab.call('run', MOVED)
        lab.call('run', 'pkill -x sleep; until ! pgrep -x trace-cmd; do sleep 0.1; done')
        orphan = lab.fetch(name, ONE, lab.wait(process))
        order = orphan.order()
        check(order['out_of_order'] > 0, 'record is killed: ' + verdict("trace-cmd's own", order))
        check(len(of_record(lab)) == 1, 'its instance is left')
        if name == 'completed':
            run = lab.run(f'cd {name} && {TOOL} stamp --in-place trace.dat trace-g1.dat')
            check(run.status == 0 and len(run.said('tsc-offset record was killed during this recording: using')) == 1,
                  f'stamp uses it: {run.out}{run.err}')
            in_order(lab.fetch(name, ONE, run), 'and stamped', at_least=100)
            check(lab.instances() == [], 'and removes it')
    following = lab.record('following', ONE, MOVED)
    in_order(following, 'the recording after that', at_least=100)
    one_line(following, 'killed recording', 'the recording after that')
    check(lab.instances() == [], 'the recording after that: nothing is left')


def no_room(lab, size, workload, how):
    """Record with SIZE bytes of free space. Returns the exit status, and each
    file with the exit status of trace-cmd report."""
    lab.call('run', f'mkdir -p small && mount -t tmpfs -o size={size} none small')
    ended = lab.run(lab.recorder('small', ONE, workload, how=how))
    print(f'{how}, {size}:\n{ended.out}{ended.err}')
    files = readable(lab, 'small')
    lab.call('run', 'umount small')
    cleared(lab)
    return ended.status, files


def disk_full(lab):
    """Too little space for what record adds, or for the recording itself: trace-cmd's files are unchanged"""
    lab.guests(g1='')
    # Like trace-cmd, but afterwards it copies the files and fills the disk
    lab.call('run', "mkdir full kept && mount -t tmpfs -o size=64m none full && printf '%s\\n' '#!/bin/sh' "
                    "'trace-cmd \"$@\"; status=$?; cp trace*.dat ../kept; cat /dev/zero > rest; exit $status' > fill && "
                    'chmod +x fill')
    # Many changes, so that record adds more than fits into the files' last pages
    moves = "guest-run g1 'for i in $(seq 100); do move-tsc 0 5200000000; done'"
    full = lab.record('full', ONE, f'{STILL}; {moves}; {STILL}', environment='TRACE_CMD=../fill')
    said = full.run.said('No space left on device; trace-g1.dat is left as')
    check(full.run.status == 0 and len(said) == 1,
          f"no room for what record adds: trace-cmd's status {full.run.status}, and a line: {full.run.said('')}")
    same = lab.run('for name in trace.dat trace-g1.dat; do cmp full/$name kept/$name; done; ls full')
    check('rest' in same.out and not same.err and len(same.out.split()) == 3,
          f"it leaves trace-cmd's files as they are, and nothing else: {same.out.split()} {same.err}")
    check(full.order()['probes'] > 0, 'and they can be read')
    check(lab.instances() == [], f'no room for what record adds: left in tracefs: {lab.instances()}')

    lab.call('run', 'umount full')

    # Less space than the formats of events take, and space that runs out in the middle of the recording
    for size, workload in ('128k', STILL), ('64m', f'{MOVED}; cat /dev/zero > rest; {STILL}'):
        left = {how: no_room(lab, size, workload, how) for how in ('stock', 'ours')}
        check(left['ours'] == left['stock'] and left['stock'], f'{size} for the recording: status, files, which of them '
              f'can be read: {left["ours"]}, with trace-cmd alone {left["stock"]}')
        check(not of_record(lab), f'{size} for the recording: left in tracefs: {lab.instances()}')
    whole_again(lab, 'a full disk')


def agent_dies(lab):
    """The guest's agent is killed during the recording: the same result as with
    trace-cmd alone, and the guest is not synchronised worse"""
    lab.guests(g1='')
    ended = {}
    for how in 'stock', 'ours':
        ended[how] = lab.record(f'agent-{how}', ONE, f"{MOVED}; guest-run g1 'kill -KILL $(pidof trace-cmd)'", how=how)
        check(not of_record(lab), f'the agent is killed: left in tracefs: {lab.instances()}')
        cleared(lab)
    left = {how: [path.name for path in (one.host, *one.guests.values()) if path.exists()] for how, one in ended.items()}
    check(left['ours'] == left['stock'] and ended['ours'].run.status == ended['stock'].run.status,
          f'the agent is killed: status {ended["ours"].run.status} and files {left["ours"]}, as with trace-cmd alone: '
          f'{ended["stock"].run.status} {left["stock"]}: {ended["ours"].run.said("")}')
    if len(left['ours']) == 2:
        in_order(ended['ours'], 'the agent is killed', partial=True)
    whole_again(lab, "the agent's death")


def guest_dies(lab):
    lab.guests(g1='')
    died = lab.record('died', ONE, MOVED + ' && sleep 1; guest-down g1', must_live=False)
    del lab.up['g1']
    check(died.run.status == 0, 'the guest is killed in mid-record: the recording succeeds')
    said = died.run.said('trace-g1.dat: VM ')
    check(len(said) == 1, f'the guest is killed in mid-record: one line says what came of it: {said}')
    in_order(died, 'the guest is killed in mid-record', partial=True)
    check(lab.instances() == [], 'the guest is killed in mid-record: no tracefs instance is left')


def offline_cpu(lab):
    lab.guests(g1='')
    switch = '/sys/devices/system/cpu/cpu1/online'
    lab.call('run', f'echo 0 > {switch}')
    offline = lab.record('offline', ONE, MOVED)
    in_order(offline, 'a CPU of the host is offline', at_least=100)
    check(offline.finished('g1', 2), 'a CPU of the host is offline: nothing to complain')
    lab.call('run', f'echo 1 > {switch}')


def no_such_guest(lab):
    lab.guests(g1='')
    run = lab.run(lab.recorder('die', {'g1': 3, 'nobody': 77}, 'true'))
    check(run.status != 0, 'a second guest that does not exist: trace-cmd gives up')
    lab.until('! pgrep -x trace-cmd', 20)
    check(not of_record(lab), 'and no tracefs instance of ours is left')


main(faults, unsynchronised, hidden_debugfs, boot_instance, interrupted, killed, record_killed, disk_full, agent_dies,
     guest_dies, offline_cpu, no_such_guest)
