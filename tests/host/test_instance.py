#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset instance on this machine's tracefs, with events of its KVM.

VMs with vCPUs that never run get TSC values; each causes one event. All results are compared with the instance's
files. Other VMs of this machine may cause events at the same time.
"""
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, Case
from kvm_tracing import EVENT, INSTANCE, ONE_TRACEFS, TRACING, Tool, Vm, main_live, read, write

sys.dont_write_bytecode = True
import manual

TOOL = Tool()
PID = os.getpid()

# Problems in a status that other processes may cause
FOREIGN = re.compile(r'process (?!%d\b)\d+' % PID)


def events():
    """The lines of the trace, without the thread's name, which the kernel may forget"""
    return [re.sub(r'^.*?-(\d+ +\[)', r'\1', line) for line in read(f'{INSTANCE}/trace').splitlines()
            if not line.startswith('#')]


def undocumented(state):
    """Members that are missing in the manual"""
    return manual.undocumented(manual.json_members(state), manual.page_section(manual.page_of('instance'), 'JSON'))


def own_events():
    return [line for line in events() if re.match(rf'{PID} .*kvm_write_tsc_offset:', line)]


class Live(Case):
    def setUp(self):
        super().setUp()
        self.assertFalse(os.path.exists(INSTANCE))
        self.addCleanup(lambda: os.path.exists(INSTANCE) and os.rmdir(INSTANCE))

    def vm(self, nr_vcpus=2):
        vm = Vm(nr_vcpus)
        self.addCleanup(vm.close)
        return vm

    def start(self, *arguments, says='records from now on'):
        done = TOOL('start', *arguments)
        self.assertEqual((done.returncode, done.stdout), (DONE, ''), done.stderr)
        self.assertIn(says, done.stderr)
        return done.stderr

    def stop(self):
        done = TOOL('stop')
        self.assertEqual((done.returncode, done.stdout), (DONE, ''), done.stderr)
        self.assertFalse(os.path.exists(INSTANCE))
        return done.stderr

    def status(self, *problems):
        """The JSON of status. Its problems must be these, apart from those of other processes."""
        done = TOOL('status', '--json')
        state = json.loads(done.stdout)
        self.assertEqual(done.returncode, INCOMPLETE if state['problems'] else DONE, done.stderr)
        self.assertEqual(done.stderr, ''.join(f'tsc-offset: {line}\n' for line in state['problems']))
        self.assertEqual([(found['text'], found['doubt']) for found in state['findings']],
                         [(line, True) for line in state['problems']])
        own = [line for line in state['problems'] if not FOREIGN.match(line)]
        self.assertEqual(len(own), len(problems), own)
        for line, part in zip(own, problems):
            self.assertIn(part, line)
        return state

    def own_vms(self, state):
        return [vm for vm in state['vms'] if vm['pid'] == PID]

    def assert_right(self):
        self.assertIn('[x86-tsc]', read(f'{INSTANCE}/trace_clock'))
        for name, wanted in ((f'{EVENT}/enable', '1'), (f'{EVENT}/filter', 'none'), ('tracing_on', '1'),
                             ('options/overwrite', '1'), ('options/pause-on-trace', '0')):
            self.assertEqual(read(f'{INSTANCE}/{name}').strip(), wanted, name)


class TestStartAndStop(Live):
    def test_from_start_to_stop(self):
        self.assertEqual(TOOL('status').returncode, FAILED)
        none = TOOL('status', '--json')
        self.assertEqual((none.returncode, json.loads(none.stdout)),
                         (FAILED, {'schema': 1, 'instance': 'tsc_offset', 'exists': False}))
        self.start()
        self.assert_right()
        state = self.status()
        self.assertEqual((state['exists'], state['clock'], state['tracing_on']), (True, 'x86-tsc', True))
        self.assertEqual(state['events'][0],
                         {'name': 'kvm_write_tsc_offset', 'exists': True, 'enabled': True})
        self.assertIn(state['source'], ('patched', 'stock'))
        self.assertIn('source    the kernel', TOOL('status').stdout)
        for event in state['events']:
            self.assertEqual(event['exists'], os.path.isdir(f"{TRACING}/events/kvm/{event['name']}"))
            self.assertEqual(event['enabled'], event['exists'])
        self.assertIn('removed the instance tsc_offset with ', self.stop())
        self.assertIn('there is no instance', self.stop())

    def test_names_of_threads(self):
        """A thread whose name looks like a line of the trace is neither confused with another nor skipped"""
        self.start()
        own = read('/proc/self/comm').strip()
        self.addCleanup(write, '/proc/self/comm', own)
        vm = self.vm()
        # The last one restores the name that all other tests expect
        names = ('x-1 [0]', '-1 [0] 9', '-1 [0] 1: kvm_', 'x\n#', '#', '#\n', '\n', 'x\n-1 [0] ', '#-1 [0] 9\n#-1 [',
                 '\n-1 (3) [0] 9: ', '-1\n [0] 1: \n', '# [LOST 3 ]\n', '\x1b[2K', own)
        for number, name in enumerate(names, 1):
            write('/proc/self/comm', name)
            vm.set_tsc(0, 1 << 40)
            # The kernel records names when threads are scheduled
            deadline = time.monotonic() + 10
            while not re.search(rf'^ *{re.escape(name)}-{PID} ', read(f'{INSTANCE}/trace'), re.M):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            state = self.status()
            self.assertEqual([vm['pid'] for vm in state['vms'] if vm['pid'] in (1, PID)], [PID])
            self.assertEqual(sum(vcpu['events'] for vcpu in self.own_vms(state)[0]['vcpus']), 2 + number)
        self.assertEqual(undocumented(state), set())
        self.assertEqual(undocumented(state | {'new': 0}), {'new'})

    def test_right_as_it_is(self):
        self.start()
        vm = self.vm()
        vm.set_tsc(0, 1 << 40)
        before = own_events()
        self.assertEqual(len(before), 3)
        self.assertIn('with ', self.start(says='records already'))
        self.assertEqual(own_events(), before)
        self.assert_right()
        vm.set_tsc(1, 1 << 41)
        self.assertEqual(len(own_events()), 4)

    def test_stop_says_what_goes(self):
        self.start()
        vm = self.vm()
        for number in range(20):
            vm.set_tsc(0, number << 40)
        found = len(events())
        self.assertGreaterEqual(found, 22)
        self.assertIn(f'with {found} events', self.stop())

    def test_in_use(self):
        self.start()
        with open(f'{INSTANCE}/trace_pipe'):
            done = TOOL('stop')
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('in use', done.stderr)
        self.assert_right()
        self.stop()

    def test_many_at_once(self):
        processes = [subprocess.Popen([TOOL.path, 'instance', 'start'], stderr=subprocess.PIPE, text=True)
                     for _ in range(6)]
        said = [process.communicate()[1] for process in processes]
        self.assertEqual([process.returncode for process in processes], [DONE] * 6, said)
        self.assertEqual(len([text for text in said if 'from now on' in text]), 1, said)
        self.assertEqual(len([text for text in said if 'records already' in text]), 5, said)

    def test_locked(self):
        """The lock is held by a process that never ends"""
        lock = os.open(f'{TRACING}/instances', os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = TOOL('start', timeout=60)
        self.assertEqual((done.returncode, done.stdout), (DONE, ''), done.stderr)
        self.assertIn('the directory of instances is locked by another process: continuing without the lock\n',
                      done.stderr)
        self.assertIn('records from now on', done.stderr)
        self.assert_right()

    def test_buffer_size(self):
        def sizes():
            return [int(read(f'{INSTANCE}/per_cpu/{cpu}/buffer_size_kb'))
                    for cpu in os.listdir(f'{INSTANCE}/per_cpu')]

        self.start()
        self.assertTrue(all(256 <= size < 272 for size in sizes()), sizes())
        self.stop()
        self.start('--buffer-size', '64')
        self.assertTrue(all(64 <= size < 80 for size in sizes()), sizes())
        self.vm()
        before, small = own_events(), sizes()
        self.assertEqual(len(before), 2)
        # The same request again changes nothing; without a request the size is kept
        self.start('--buffer-size', '64', says='records already')
        self.start(says='records already')
        self.assertEqual(sizes(), small)
        self.assertIn('set to 512', self.start('--buffer-size', '512', says='was corrected'))
        self.assertTrue(all(512 <= size < 528 for size in sizes()), sizes())
        self.assertEqual(own_events(), before)
        self.assertIn('not made smaller', self.start('--buffer-size', '64', says='records already'))
        self.assertTrue(all(size >= 512 for size in sizes()), sizes())
        self.assertEqual(own_events(), before)
        self.assertEqual(self.status()['buffer_kb'], min(sizes()))


class TestWhatIsWrong(Live):
    def test_settings(self):
        self.start()
        self.vm()
        before = own_events()
        for name, wrong, gap in ((f'{EVENT}/enable', '0', True), (f'{EVENT}/filter', 'vcpu_id == 7', True),
                                 ('tracing_on', '0', True), ('options/pause-on-trace', '1', True),
                                 ('options/overwrite', '0', False), ('options/context-info', '0', False),
                                 ('options/raw', '1', False), ('options/latency-format', '1', False),
                                 ('options/stacktrace', '1', False)):
            with self.subTest(name=name):
                if not os.path.exists(f'{INSTANCE}/{name}'):
                    self.skipTest(f'this kernel has no {name}')
                self.status()
                write(f'{INSTANCE}/{name}', wrong)
                done = TOOL('status')
                self.assertEqual(done.returncode, INCOMPLETE)
                self.assertIn(f'{name} is {wrong} and should be ', done.stderr)
                said = self.start(says='was corrected')
                self.assertIn(f'{name} was {wrong}: set to ', said)
                self.assertEqual('may be missing' in said, gap)
                self.assert_right()
                self.assertEqual(own_events(), before)
        self.status()

    def test_wrong_clock(self):
        """An instance that was made by hand or by the kernel's command line"""
        os.mkdir(INSTANCE)
        state = self.status('the clock is local', f'{EVENT}/enable is 0')
        self.assertEqual([found['kind'] for found in state['findings'][:2]], ['clock', 'instance'])
        self.assertIn('the clock was local: set to x86-tsc', self.start(says='was corrected'))
        self.stop()

        os.mkdir(INSTANCE)
        write(f'{INSTANCE}/{EVENT}/enable', '1')
        vm = self.vm()
        found = len(events())
        self.assertGreaterEqual(found, 2)
        state = self.status('the clock is local')
        self.assertNotIn('oldest_tsc', state)
        said = self.start(says='was corrected')
        self.assertIn(f'the clock was local: dropped {found} events, whose times are not TSC values', said)
        self.assert_right()
        self.assertEqual(own_events(), [])
        state = self.status('without any event')
        self.assertEqual({found['kind'] for found in state['findings']}, {'history'})
        vm.set_tsc(0, 1 << 40)
        self.assertEqual(len(own_events()), 1)

    def test_overwritten(self):
        def many(vm):
            for number in range(1500):
                vm.set_tsc(number % 2, number << 40)

        self.start()
        many(self.vm())
        state = self.status()
        self.assertGreaterEqual(state['entries'], 1502)
        self.assertEqual(state['overrun'], 0)
        self.stop()
        self.start('--buffer-size', '4')
        many(self.vm())
        state = TOOL('status', '--json')
        self.assertEqual(state.returncode, INCOMPLETE)
        state = json.loads(state.stdout)
        self.assertTrue([line for line in state['problems'] if 'overwritten by newer ones' in line])
        self.assertGreater(state['overrun'], 0)
        self.assertGreaterEqual(state['entries'] + state['overrun'], 1502)
        for name in 'entries', 'overrun', 'commit_overrun', 'dropped', 'read':
            self.assertEqual(sum(cpu[name] for cpu in state['cpus']), state[name])

    def test_not_written(self):
        self.start('--buffer-size', '4')
        write(f'{INSTANCE}/options/overwrite', '0')
        vm = self.vm()
        for number in range(1500):
            vm.set_tsc(number % 2, number << 40)
        state = self.status('options/overwrite', 'dropped for lack of room')
        self.assertGreater(state['dropped'], 0)
        self.assertEqual(state['overrun'], 0)

    def test_reader(self):
        """A status consumes nothing, and detects consumers"""
        self.start()
        self.vm()
        before = events()
        for _ in range(3):
            state = self.status()
            self.assertEqual((state['read'], len(self.own_vms(state))), (0, 1))
            self.assertEqual(TOOL('status').returncode, INCOMPLETE if state['problems'] else DONE)
        self.assertEqual(events()[:len(before)], before)
        pipe = os.open(f'{INSTANCE}/trace_pipe', os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, pipe)
        self.assertIn(b'kvm_write_tsc_offset', os.read(pipe, 4096))
        done = TOOL('status')
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertIn('consumed by a reader', done.stderr)


class TestWhoIsRecorded(Live):
    def test_own_vm(self):
        self.start()
        self.assertEqual(self.own_vms(self.status()), [])
        vm = self.vm(3)
        for number in range(5):
            vm.set_tsc(1, number << 40)
        state = self.status()
        self.assertEqual(self.own_vms(state), [{'pid': PID, 'vcpus': [
            {'vcpu_id': 0, 'events': 1}, {'vcpu_id': 1, 'events': 6}, {'vcpu_id': 2, 'events': 1}]}])
        self.assertNotIn(PID, state['unrecorded_vms'])
        first = re.search(r' (\d+): kvm_write_tsc_offset:', events()[0])
        self.assertEqual(state['oldest_tsc'], int(first[1]))
        self.assertLess(state['oldest_age_seconds'], 60)
        self.assertGreaterEqual(state['entries'], 8)

        text = TOOL('status').stdout
        self.assertRegex(text, rf'oldest +TSC {first[1]}, \d+ s ago\n')
        vcpus = sum(len(found['vcpus']) for found in state['vms'])
        self.assertIn(f"VMs: {len(state['vms'])}, with {vcpus} vCPUs; VMs without an event: {len(state['unrecorded_vms'])}",
                      text)
        self.assertRegex(text, rf"all CPUs +{state['entries']} events; lost: 0 ")

        vm.close()
        ended = self.status()
        self.assertEqual(self.own_vms(ended), [])
        self.assertGreater(ended['ended_threads'], state['ended_threads'])

    def test_vm_before_the_instance(self):
        vm = self.vm()
        self.assertRegex(self.start(), ' process(es run| runs) a VM already')
        state = self.status(f'process {PID} runs a VM without any event')
        self.assertIn(PID, state['unrecorded_vms'])
        for vcpu in 0, 1:
            vm.set_tsc(vcpu, 1 << 40)
        self.assertEqual(len(own_events()), 2)
        # With a hypervisor that always reports 0 as the previous offset nothing can be detected
        if all(' prev=0 ' in line for line in own_events()):
            self.status()
        else:
            self.status(f'process {PID}: 2 vCPUs miss their first events')
        self.stop()
        vm.close()
        self.start()
        self.vm()
        self.status()


class Surroundings(Live):
    """The rest of the machine, changed in a mount namespace"""
    HIDE_EVENT = f'mount -t tmpfs none {TRACING}/events/kvm'

    def setUp(self):
        super().setUp()
        probe = TOOL.hidden(':', '-h')
        if probe.returncode:
            self.skipTest(f'no mount namespace: {probe.stderr.strip()}')

    def modprobe(self, does):
        """An environment with our own modprobe"""
        path = os.path.join(self.directory, 'modprobe')
        write(path, f'#!/bin/sh\necho "$@" >> {self.directory}/called\n{does}\n')
        os.chmod(path, 0o755)
        return {**os.environ, 'PATH': f"{self.directory}:{os.environ['PATH']}"}

    def called(self):
        path = os.path.join(self.directory, 'called')
        return read(path) if os.path.exists(path) else None

    def refused(self, done, *parts):
        self.assertEqual((done.returncode, done.stdout), (FAILED, ''), done.stderr)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        self.assertFalse(os.path.exists(INSTANCE))


class TestSurroundings(Surroundings):
    def test_module_comes_by_start(self):
        """The module is loaded by start: the event appears"""
        done = TOOL.hidden(self.HIDE_EVENT, 'start', env=self.modprobe(f'umount {TRACING}/events/kvm'))
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertEqual(self.called(), '-q kvm\n')
        self.assert_right()
        self.vm()
        self.assertEqual(len(own_events()), 2)

    def test_module_is_there(self):
        done = TOOL('start', env=self.modprobe('exit 1'))
        self.assertEqual((done.returncode, self.called()), (DONE, None))

    def test_module_does_not_come(self):
        self.refused(TOOL.hidden(self.HIDE_EVENT, 'start', env=self.modprobe('exit 1')),
                     'no event kvm:kvm_write_tsc_offset', 'modprobe kvm')
        self.refused(TOOL.hidden(self.HIDE_EVENT, 'start', env=self.modprobe('exit 0')),
                     'has no event kvm:kvm_write_tsc_offset')
        hide_modprobe = f'{ONE_TRACEFS}; {self.HIDE_EVENT}; if [ -e /sbin/modprobe ]; then ' \
                        'mount --bind /dev/null /sbin/modprobe; fi'
        nowhere = {**os.environ, 'PATH': '/nonexistent'}
        before = ('/usr/bin/unshare', '-m', '--propagation', 'private', '/bin/sh', '-euc',
                  f'PATH=/usr/sbin:/usr/bin; {hide_modprobe}; PATH=/nonexistent\nexec "$@"', 'sh')
        self.refused(TOOL('start', before=before, env=nowhere), 'modprobe cannot be run')

    def test_no_tsc_clock(self):
        clocks = os.path.join(self.directory, 'clocks')
        write(clocks, '[local] global counter\n')
        self.refused(TOOL.hidden(f'mount --bind {clocks} {TRACING}/trace_clock', 'start'), 'x86-tsc')
        # The control: with x86-tsc in the list
        write(clocks, '[local] global counter x86-tsc\n')
        done = TOOL.hidden(f'mount --bind {clocks} {TRACING}/trace_clock', 'start')
        self.assertEqual(done.returncode, DONE, done.stderr)

    def test_tracefs_on_demand(self):
        umount = f'while mountpoint -q {TRACING}; do umount -l {TRACING}; done'
        # Only start and stop mount tracefs
        done = TOOL.hidden(f'{umount}; while mountpoint -q /sys/kernel/debug; do '
                           'umount -l /sys/kernel/debug; done', 'status')
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('tracefs is not mounted', done.stderr)
        # status must not make the kernel mount it either, by access to debugfs
        done = TOOL.hidden(f'{umount}; mountpoint -q /sys/kernel/debug || mount -t debugfs nodev /sys/kernel/debug',
                           'status')
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('tracefs is not mounted', done.stderr)
        done = TOOL.hidden(umount, 'start')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assert_right()
        done = TOOL.hidden(umount, 'stop')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertFalse(os.path.exists(INSTANCE))

    def test_module_goes(self):
        """status after the module was unloaded: the event's files are gone from the instance"""
        self.start()
        self.status()
        done = TOOL.hidden(f'mount -t tmpfs none {INSTANCE}/events/kvm', 'status')
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertIn(f'{EVENT}/enable does not exist', done.stderr)

    @unittest.skipUnless(shutil.which('strace'), 'no strace')
    def test_lockdown(self):
        """The kernel refuses root's calls: the message has the lockdown mode"""
        lockdown = os.path.join(self.directory, 'lockdown')
        hide = f'mount -t tmpfs none /sys/kernel/security; cp {lockdown} /sys/kernel/security/lockdown'

        def start(level, error):
            write(lockdown, f'none integrity confidentiality\n'.replace(level, f'[{level}]'))
            script = f'{ONE_TRACEFS}\n{hide}\nexec "$@"'
            return TOOL('start', before=('unshare', '-m', '--propagation', 'private', 'sh', '-euc', script, 'sh',
                                         'strace', '-o', f'{self.directory}/strace', '-P', f'{TRACING}/trace_clock',
                                         '-e', f'inject=openat,open:error={error}'))

        if 'trace_clock' not in start('none', 'EPERM').stderr:
            self.skipTest('strace injects nothing here')
        self.refused(start('confidentiality', 'EPERM'), 'trace_clock: Operation not permitted (the kernel is locked '
                     'down: confidentiality; see kernel_lockdown(7))')
        # The control: another reason
        self.assertNotIn('locked down', start('none', 'EPERM').stderr)
        self.assertNotIn('locked down', start('confidentiality', 'EIO').stderr)

    def test_output_that_is_lost(self):
        self.start()
        for arguments in ['status'], ['status', '--json']:
            with open('/dev/full', 'wb') as full:
                done = subprocess.run([TOOL.path, 'instance', *arguments], stdout=full,
                                      stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(done.returncode, FAILED)
            self.assertIn('standard output', done.stderr)


class TestTimeout(Surroundings):
    """Waits for the timeout: only in the slow suite"""

    def test_module_takes_for_ever(self):
        """Loading the module takes forever: start gives up, because the boot waits for it"""
        self.refused(TOOL.hidden(self.HIDE_EVENT, 'start', env=self.modprobe('exec sleep 1000'), timeout=60),
                     "'modprobe kvm' did not finish within 15 s")
        self.assertEqual(subprocess.run(['pgrep', '-f', '^sleep 1000$', '-s', '0'], capture_output=True,
                                        check=False).stdout, b'')


if __name__ == '__main__':
    main_live()
