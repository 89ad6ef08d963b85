#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset show of this machine, with events of its KVM.

VMs with vCPUs that never run get TSC values; each causes one event. The output must equal the files of the instance
and of debugfs. Other VMs of this machine may cause events at the same time.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, NOBODY, Case
from kvm_tracing import INSTANCE, TRACING, Tool, Vm, main_live, read, write

if sys.argv[1:] == ['vm']:
    # A VM in a separate process, which reads TSC values from its input until the input ends
    VM = Vm(2)
    print('ready', flush=True)
    for line in sys.stdin:
        VM.set_tsc(*map(int, line.split()))
        print('done', flush=True)
    sys.exit()

SHOW, CONTROL = Tool('show'), Tool()
PID = os.getpid()
DEBUGFS = '/sys/kernel/debug/kvm'

LINE = re.compile(r'-(?P<tid>\d+) +\[\d+\].* (?P<time>\d+): kvm_write_tsc_offset: vcpu=(?P<vcpu>\d+) '
                  r'prev=(?P<prev>\d+) next=(?P<next>\d+)')


def signed(value):
    return value - (value >> 63 << 64)


def events(tid):
    """{vCPU: [(time, previous, next)]} of a thread, from the kernel's text"""
    found = {}
    for line in read(f'{INSTANCE}/trace').splitlines():
        match = LINE.search(line)
        if match and int(match['tid']) == tid:
            found.setdefault(int(match['vcpu']), []).append(
                (int(match['time']), signed(int(match['prev'])), signed(int(match['next']))))
    return found


def in_debugfs(pid, vcpu):
    """A vCPU's offset in debugfs, or None"""
    paths = glob.glob(f'{DEBUGFS}/{pid}-*/vcpu{vcpu}/tsc-offset')
    return int(read(paths[0])) if paths else None


class Child:
    """A process with a VM"""
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__, 'vm'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        assert self.process.stdout.readline() == 'ready\n'

    def set_tsc(self, vcpu, tsc):
        self.process.stdin.write(f'{vcpu} {tsc}\n')
        self.process.stdin.flush()
        assert self.process.stdout.readline() == 'done\n'

    def close(self):
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Base(Case):
    def setUp(self):
        super().setUp()
        self.assertFalse(os.path.exists(INSTANCE))
        self.addCleanup(lambda: os.path.exists(INSTANCE) and os.rmdir(INSTANCE))

    def start(self, *arguments):
        done = CONTROL('start', *arguments)
        self.assertEqual(done.returncode, DONE, done.stderr)

    def keep(self, vm):
        self.addCleanup(vm.close)
        return vm

    def json(self, *arguments, **kwargs):
        """(JSON object, stderr, exit status)"""
        done = SHOW('--json', *arguments, **kwargs)
        self.assertIn(done.returncode, (DONE, INCOMPLETE), done.stderr)
        for line in done.stderr.splitlines():
            self.assertTrue(line.startswith('tsc-offset: '), done.stderr)
        found = json.loads(done.stdout)
        self.assertEqual((found['source'], found['clock']), ('live', 'x86-tsc'))
        # A guest's TSC that moves backward does not make a history incomplete
        if done.returncode == DONE:
            self.assertTrue(found['complete'])
        return found, done.stderr, done.returncode

    def vms(self, found, pid):
        return [vm for vm in found['vms'] if vm['id'] == pid]

    def one(self, found, pid):
        vm, = self.vms(found, pid)
        self.assertEqual((vm['evidence'], vm['guest'], vm['guest_trace_id']), ('process', None, None))
        return vm

    def check(self, vm, pid, wanted):
        """The VM has these changes, and the last one set the current value"""
        self.assertEqual([vcpu['vcpu_id'] for vcpu in vm['vcpus']], sorted(wanted))
        self.assertEqual(vm['threads'], [{'tid': pid, 'vcpu_id': vcpu} for vcpu in sorted(wanted)])
        for vcpu in vm['vcpus']:
            of_vcpu = wanted[vcpu['vcpu_id']]
            self.assertEqual(vcpu['thread'], pid)
            self.assertEqual([(c['host_tsc'], c['previous'], c['next']) for c in vcpu['changes']], of_vcpu)
            for change in vcpu['changes']:
                self.assertEqual(change['delta'], signed(change['next'] - change['previous'] & (1 << 64) - 1))
            self.assertEqual(vcpu['current']['offset'], of_vcpu[-1][2])
            self.assertGreaterEqual(vcpu['current']['host_tsc'], of_vcpu[-1][0])


class TestLive(Base):
    def test_history(self):
        self.start()
        vm = self.keep(Vm(2))
        for vcpu, tsc in (0, 1 << 40), (1, 1 << 41), (0, 1 << 45):
            vm.set_tsc(vcpu, tsc)
        before = events(PID)
        self.assertEqual([len(before[vcpu]) for vcpu in (0, 1)], [3, 2])
        found, stderr, _ = self.json()
        shown = self.one(found, PID)
        self.check(shown, PID, before)
        with self.assertRaises(AssertionError):  # the control
            self.check(shown, PID, {**before, 1: [*before[1][:-1], (before[1][-1][0], 0, 1)]})
        # No event was consumed
        self.assertEqual(events(PID), before)
        self.assertEqual(self.one(self.json('--vm', str(PID))[0], PID)['vcpus'][0]['changes'],
                         shown['vcpus'][0]['changes'])

        rows = [row.split('\t') for row in SHOW('--tsv', '--vm', str(PID)).stdout.splitlines()[1:]]
        self.assertEqual(sorted((int(row[1]), int(row[3]), int(row[5]), int(row[6])) for row in rows),
                         sorted((vcpu, *event) for vcpu, of_vcpu in before.items() for event in of_vcpu))
        table = SHOW('--vm', str(PID)).stdout
        self.assertIn('this machine, now', table)
        self.assertIn(f'VM {PID}', table)
        for event in before[0] + before[1]:
            self.assertRegex(table, rf' {event[0]} .* {event[1]} +{event[2]} ')

    def test_debugfs_agrees_or_it_is_said(self):
        self.start()
        vm = self.keep(Vm(1))
        vm.set_tsc(0, 1 << 40)
        last = events(PID)[0][-1][2]
        there = in_debugfs(PID, 0)
        if there is None:
            self.skipTest(f'no VM in {DEBUGFS}')
        _, stderr, status = self.json('--vm', str(PID))
        never_told = all(previous == 0 for _, previous, _ in events(PID)[0])
        print(f'debugfs says {there}, the last event {last}', end=' ... ', flush=True)
        if there == last:
            self.assertEqual((stderr, status), ('', DONE))
        elif not never_told:
            self.assertIn(f'says offset {last}, debugfs says {there}', stderr)
            self.assertEqual(status, INCOMPLETE)

    def test_two_processes(self):
        """Both processes have the same vcpu_ids"""
        self.start()
        children = [self.keep(Child()) for _ in range(2)]
        children[0].set_tsc(0, 1 << 40)
        children[1].set_tsc(0, 1 << 44)
        children[1].set_tsc(1, 1 << 45)
        found, _, _ = self.json()
        for child, number in zip(children, (1, 2)):
            self.check(self.one(found, child.pid), child.pid, events(child.pid))
            self.assertEqual(len(events(child.pid)[0]), 2)
            self.assertEqual(len(events(child.pid)[1]), number)
        found, _, _ = self.json('--vm', str(children[1].pid))
        self.assertEqual([vm['id'] for vm in found['vms']], [children[1].pid])
        # VMs that have ended are omitted, although the instance has their events
        children[0].close()
        found, _, _ = self.json()
        self.assertEqual(self.vms(found, children[0].pid), [])
        self.assertTrue(events(children[0].pid))
        self.check(self.one(found, children[1].pid), children[1].pid, events(children[1].pid))
        done = SHOW('--vm', str(children[0].pid))
        self.assertEqual((done.returncode, done.stdout), (FAILED, ''))
        self.assertIn(f'"{children[0].pid}"', done.stderr)

    def test_two_vms_of_one_process(self):
        """One thread created both VMs: which VM a change belongs to is unknown"""
        self.start()
        vms = [self.keep(Vm(1)), self.keep(Vm(2))]
        vms[0].set_tsc(0, 1 << 40)
        done = SHOW('--json')
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertIn(f'process {PID} has 2 VMs', done.stderr)
        found = json.loads(done.stdout)
        self.assertFalse(found['complete'])
        own = self.vms(found, PID)
        self.assertEqual(sorted(len(vm['vcpus']) for vm in own), [1, 2])
        self.assertEqual({len(vcpu['changes']) for vm in own for vcpu in vm['vcpus']}, {0})
        # The process id does not select either of them
        done = SHOW('--vm', str(PID))
        self.assertEqual((done.returncode, done.stdout), (FAILED, ''))
        # The control: a single VM
        vms.pop().close()
        self.assertNotIn('VMs:', self.json('--vm', str(PID))[1])


    def test_threads_of_one_process(self):
        """Two VMs, each made and run by a separate thread, which debugfs names"""
        self.start()
        vms, stop, ready = {}, threading.Event(), [threading.Event() for _ in range(2)]

        def vmm(number):
            vm = Vm(1)
            vm.run(0)
            vm.set_tsc(0, 1 << 40 + number)
            vms[threading.get_native_id()] = vm
            ready[number].set()
            stop.wait()

        threads = [threading.Thread(target=vmm, args=(number,)) for number in range(2)]
        try:
            for thread, event in zip(threads, ready):
                thread.start()
                event.wait(30)
            if not any(read(path).strip() == str(next(iter(vms)))
                       for path in glob.glob(f'{DEBUGFS}/*-*/vcpu0/pid')):
                self.skipTest('debugfs does not name the threads')
            found, stderr, _ = self.json()
            self.assertNotIn('VMs:', stderr)
            for tid in vms:
                self.check(self.one(found, tid), tid, events(tid))
                self.assertEqual([vm['id'] for vm in self.json('--vm', str(tid))[0]['vms']], [tid])
            self.assertEqual(SHOW('--vm', str(PID)).returncode, FAILED)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            for vm in vms.values():
                vm.close()


class Hidden(Base):
    def hidden(self, script, *arguments):
        probe = SHOW.hidden(script, '-h')
        if probe.returncode:
            self.skipTest(f'no mount namespace: {probe.stderr.strip()}')
        return SHOW.hidden(script, *arguments)


class TestProtected(Hidden):
    """Guests with a protected TSC (TDX, SEV-SNP) are not available here: files like theirs replace debugfs"""

    def test_protected(self):
        vm = self.keep(Vm(2))
        directory = f'{DEBUGFS}/{PID}-{vm.fds[0]}'
        # vCPU 0 has the files of an ordinary vCPU on a patched kernel
        script = f"""
            mount -t tmpfs none {DEBUGFS}
            for vcpu in 0 1; do
                mkdir -p {directory}/vcpu$vcpu
                cd {directory}/vcpu$vcpu
                echo $vcpu > tsc-protected
                echo -5 | tee tsc-offset > l1-tsc-offset
                echo 0 > guest_mode
            done"""
        found = json.loads(self.hidden(script, '--json', '--vm', str(PID)).stdout)
        vcpus = self.one(found, PID)['vcpus']
        self.assertEqual([(vcpu['tsc_protected'], vcpu['current'] and vcpu['current']['offset']) for vcpu in vcpus],
                         [(False, -5), (True, None)])
        done = self.hidden(script, '--vm', str(PID))
        self.assertRegex(done.stdout, r'vCPU 0 .*no change; offset -5 at host TSC \d+\n')
        self.assertRegex(done.stdout, r'vCPU 1 .*no change; protected TSC; offset not known\n')
        # There is no instance. Nothing more is reported about the unknown offset.
        self.assertEqual((done.returncode, done.stderr.count('\n')), (INCOMPLETE, 1), done.stderr)


class TestMissingSources(Hidden):
    HIDE_DEBUGFS = 'mount -t tmpfs -o ro none /sys/kernel/debug'
    UNMOUNT = f'''
        for dir in {TRACING} /sys/kernel/debug/tracing /sys/kernel/debug; do
            while mountpoint -q $dir; do umount -l $dir; done
        done'''
    HIDE_BOTH = UNMOUNT + '; mount -t tmpfs -o ro none /sys/kernel'

    def test_no_instance(self):
        vm = self.keep(Vm(2))
        vm.set_tsc(0, 1 << 40)
        there = [in_debugfs(PID, vcpu) for vcpu in (0, 1)]
        if None in there:
            self.skipTest(f'no VM in {DEBUGFS}')
        found, stderr, status = self.json()
        self.assertEqual((status, found['complete']), (INCOMPLETE, False))
        self.assertIn('instance start', stderr)
        shown = self.one(found, PID)
        self.assertEqual([(vcpu['initial'], vcpu['current']['offset'], vcpu['changes'])
                          for vcpu in shown['vcpus']], [(None, offset, []) for offset in there])
        done = SHOW('--vm', str(PID))
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertRegex(done.stdout, rf'no change; offset {there[0]} at host TSC \d+')
        self.assertIn('none: no history', done.stdout)
        self.assertFalse(os.path.exists(INSTANCE))

    def test_no_debugfs(self):
        self.start()
        child = self.keep(Child())
        child.set_tsc(1, 1 << 40)
        done = self.hidden(self.HIDE_DEBUGFS, '--json')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertIn(f'{DEBUGFS}: No such file', done.stderr)
        found = json.loads(done.stdout)
        self.assertFalse(found['complete'])
        self.check(self.one(found, child.pid), child.pid, events(child.pid))
        # The control: with debugfs
        self.assertNotIn(DEBUGFS, SHOW().stderr)
        # Changes of two VMs of one process are not mixed up
        vms = [self.keep(Vm(1)) for _ in range(2)]
        done = self.hidden(self.HIDE_DEBUGFS, '--json')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertIn(f'process {PID} has 2 VMs', done.stderr)
        self.assertEqual(self.vms(json.loads(done.stdout), PID), [])
        vms.pop().close()
        done = self.hidden(self.HIDE_DEBUGFS, '--json')
        self.one(json.loads(done.stdout), PID)

    def test_neither(self):
        done = self.hidden(self.HIDE_BOTH)
        self.assertEqual((done.returncode, done.stdout), (FAILED, ''))
        self.assertIn('tracefs is not mounted', done.stderr)
        self.assertIn('debugfs is not mounted', done.stderr)

    def test_nothing_is_mounted(self):
        """show mounts nothing, and shows what it can find"""
        def mounted(script):
            """Which of both file systems are mounted after show, its messages, and its status"""
            script = f'{self.UNMOUNT}\n{script}\n"$@" > /dev/null || echo status $?; cat /proc/self/mounts'
            done = subprocess.run(['unshare', '-m', '--propagation', 'private', 'sh', '-euc', script, 'sh', SHOW.path,
                                   'show', '--vm', str(PID)], capture_output=True, text=True, check=False)
            if 'unshare' in done.stderr:
                self.skipTest(f'no mount namespace: {done.stderr.strip()}')
            found = [line.split()[2] for line in done.stdout.splitlines() if len(line.split()) == 6]
            self.assertGreater(len(found), 1)
            return (sorted(kind for kind in found if kind in ('tracefs', 'debugfs')), done.stderr,
                    int(done.stdout.split()[1]) if done.stdout.startswith('status') else DONE)

        self.start()
        vm = self.keep(Vm(1))
        vm.set_tsc(0, 1 << 40)
        has_vm = in_debugfs(PID, 0) is not None
        kinds, said, status = mounted('')
        self.assertEqual((kinds, status), ([], FAILED))
        self.assertIn('tracefs is not mounted: no history', said)
        self.assertIn('debugfs is not mounted: current offsets are known', said)
        kinds, said, status = mounted(f'mount -t tracefs nodev {TRACING}')
        self.assertEqual((kinds, status), (['tracefs'], INCOMPLETE))
        self.assertNotIn('tracefs', said)
        kinds, said, status = mounted('mount -t debugfs nodev /sys/kernel/debug')
        self.assertEqual((kinds, status), (['debugfs'], INCOMPLETE if has_vm else FAILED))
        self.assertNotIn('debugfs', said.replace(DEBUGFS, '').replace('using debugfs', ''))

    @unittest.skipUnless(shutil.which('strace'), 'no strace')
    def test_lockdown(self):
        """If the kernel refuses root's calls, the message has the reason"""
        self.start()
        vm = self.keep(Vm(1))
        files = glob.glob(f'{DEBUGFS}/{PID}-{vm.fds[0]}/vcpu0/*')
        with tempfile.TemporaryDirectory() as directory:
            write(f'{directory}/lockdown', 'none integrity [confidentiality]\n')
            script = 'mount -t tmpfs none /sys/kernel/security; cp "$0" /sys/kernel/security/lockdown; exec "$@"'
            paths = [word for path in (f'{INSTANCE}/trace_clock', *files) for word in ('-P', path)]
            done = SHOW('--vm', str(PID), before=(
                'unshare', '-m', '--propagation', 'private', 'sh', '-euc', script, f'{directory}/lockdown', 'strace',
                '-o', f'{directory}/strace', *paths, '-e', 'inject=openat,open:error=EPERM'))
        refused = 'cannot be read: Operation not permitted (the kernel is locked down: confidentiality; see'
        if 'Operation not permitted' not in done.stderr:
            self.skipTest(f'strace injects nothing here: {done.stderr}')
        self.assertIn(f'the clock of the instance tsc_offset {refused}', done.stderr)
        if files:
            self.assertEqual(done.returncode, INCOMPLETE)
            self.assertIn(f'vCPU 0: debugfs {refused}', done.stderr)

    def test_no_right(self):
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            tool = Tool('show', shutil.copy(SHOW.path, directory))
            who = {'user': NOBODY, 'group': NOBODY, 'cwd': '/'}
            if not subprocess.run(['test', '-r', DEBUGFS], check=False, **who).returncode:
                self.skipTest(f'{DEBUGFS} is open to everybody')
            done = tool('--json', **who)
        self.assertEqual((done.returncode, done.stdout), (FAILED, ''))
        self.assertEqual(done.stderr.count('(this needs root)'), 2)

    def test_no_vm(self):
        self.start()
        found, stderr, status = self.json()
        if found['vms']:
            self.skipTest('a VM runs here')
        self.assertEqual((status, found['complete']), (DONE, True))
        self.assertIn('no VM runs', stderr)
        self.assertEqual(SHOW('--vm', '1').returncode, FAILED)


class TestDoubts(Base):
    def lost(self, *parts):
        found, stderr, status = self.json('--vm', str(PID))
        self.assertEqual((status, found['complete']), (INCOMPLETE, False))
        for part in parts:
            self.assertIn(part, stderr)
        return found

    def test_wrong_clock(self):
        self.start()
        vm = self.keep(Vm(1))
        write(f'{INSTANCE}/trace_clock', 'mono')
        vm.set_tsc(0, 1 << 40)
        self.assertTrue(read(f'{INSTANCE}/trace').count('kvm_write_tsc_offset:'))
        if in_debugfs(PID, 0) is None:
            self.skipTest(f'no VM in {DEBUGFS}')
        found = self.lost('mono and not x86-tsc')
        self.assertEqual(self.one(found, PID)['vcpus'][0]['changes'], [])

    def test_switched_off(self):
        self.start()
        vm = self.keep(Vm(1))
        write(f'{INSTANCE}/tracing_on', '0')
        vm.set_tsc(0, 1 << 40)
        found = self.lost('does not record', 'history incomplete')
        vcpu, = self.one(found, PID)['vcpus']
        self.assertEqual(len(vcpu['changes']), 1)
        self.assertTrue(vcpu['changes'][0]['lost_before'])
        if in_debugfs(PID, 0) is not None:
            # After a loss, only debugfs has the current value
            self.assertEqual(vcpu['current']['offset'], in_debugfs(PID, 0))

    def test_overwritten(self):
        self.start('--buffer-size', '8')
        vm = self.keep(Vm(1))
        for i in range(2000):
            vm.set_tsc(0, i << 34)
        found = self.lost('history incomplete')
        self.assertTrue(found['lost'])
        self.assertTrue(all(lost['from'] == 0 for lost in found['lost']))
        vcpu, = self.one(found, PID)['vcpus']
        self.assertLess(len(vcpu['changes']), 2000)
        self.assertTrue(vcpu['changes'][0]['lost_before'])
        # All losses are earlier: the current value is certain
        self.assertFalse(vcpu['changes'][-1]['lost_before'])
        self.assertEqual(vcpu['current']['offset'], vcpu['changes'][-1]['next'])

    def test_consumed(self):
        self.start()
        vm = self.keep(Vm(1))
        vm.set_tsc(0, 1 << 40)
        self.assertEqual(self.json()[0]['lost'], [])
        with open(f'{INSTANCE}/trace_pipe', 'rb', buffering=0) as pipe:
            os.set_blocking(pipe.fileno(), False)
            self.assertTrue(pipe.read(4096))
        vm.set_tsc(0, 1 << 44)
        self.assertTrue(self.lost('history incomplete')['lost'])


if __name__ == '__main__':
    main_live('unshare')
