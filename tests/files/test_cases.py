#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Recordings that were once merged wrongly, in tests/data/cases, with the correct result for each: every event of the
guest at its true host time, or a refusal or a doubt with the cause.

Times are those of the real trace-cmd report.
"""
import json
import lzma
import os
import re
import shutil
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, INCOMPLETE, Case, main
from scenario import Scenario
import perfetto_trace
import trace_dat

CASES = os.path.join(DATA, 'cases')
COUNTS = 'events', 'inside', 'violations', 'impossible', 'outside', 'unprovable'
# The print format that crashes stock readers, and a harmless one of the same length
FATAL = b'REC->prev_pid / REC->prev_state * (1/0)'
HARMLESS = b'REC->prev_pid + REC->prev_state + (1+0)'


def changed(first, *changes):
    """[(first guest TSC, offset)] of [(host TSC, offset)]; @first is the offset before the first change"""
    return [(0, first)] + [(host + offset, offset) for host, offset in changes]


def offset_at(pieces, guest):
    return [offset for since, offset in pieces if since <= guest][-1]


class Base(Case):
    def unpack(self, case):
        """Unpack the files of a case into the directory"""
        for name in os.listdir(os.path.join(CASES, case)):
            source = os.path.join(CASES, case, name)
            if name.endswith('.xz'):
                with lzma.open(source) as packed, open(self.path(name[:-3]), 'wb') as file:
                    shutil.copyfileobj(packed, file)
            else:
                shutil.copy(source, self.directory)

    def stamp(self, status, *words, arguments=(), host='host.dat'):
        """Stamp the guest as out.dat. Returns the output."""
        done = self.run_tool('stamp', '-o', 'out.dat', *arguments, host, 'guest.dat')
        self.says(done, status, *words)
        self.assertEqual(os.path.exists(self.path('out.dat')), status != FAILED)
        if status != FAILED:
            self.assertEqual(done.stdout.endswith('; a part is in doubt\n'), status == INCOMPLETE, done.stdout)
        return done.stdout + done.stderr

    def check(self, status, verdict, *words, guest='out.dat', host='host.dat', **counts):
        """Check a file, and the sums of its events"""
        self.says(self.run_tool('check', host, guest), status, *words)
        found, = json.loads(self.run_tool('check', '--json', host, guest).stdout)['guests']
        self.assertEqual(found['verdict'], verdict)
        cpus = [cpu for buffer in found['buffers'] for cpu in buffer['cpus']]
        sums = {name: sum(cpu[name] for cpu in cpus) for name in COUNTS}
        self.assertEqual(sums, {**dict.fromkeys(COUNTS, 0), **counts})
        return {cpu['cpu']: cpu['vcpu_id'] for cpu in cpus}

    def report(self, *arguments):
        """{CPU: times of its events} of a file, without the print format that would crash the reader"""
        *options, name = arguments
        with open(self.path(name), 'rb') as file:
            data = file.read()
        with open(self.path('harmless.dat'), 'wb') as file:
            file.write(data.replace(FATAL, HARMLESS))
        times = {}
        for event in trace_dat.report(*options, '-i', self.path('harmless.dat')):
            times.setdefault(event.cpu, []).append(event.time)
        return times

    def wrong(self, name, truth, tolerance=0):
        """(number of events that readers show at another time than truth(CPU,
        guest's time), number of events with a known truth)"""
        wrong = known = 0
        shown, raw = self.report(name), self.report('--raw-ts', name)
        self.assertEqual({cpu: len(times) for cpu, times in shown.items()},
                         {cpu: len(times) for cpu, times in raw.items()})
        for cpu, times in shown.items():
            for time, guest in zip(times, raw[cpu]):
                right = truth(cpu, guest)
                known += right is not None
                wrong += right is not None and abs(time - right) > tolerance
        return wrong, known

    def right(self, truth, known, tolerance=0):
        """Readers show out.dat at its true times. The control: they do not show guest.dat at them."""
        if not callable(truth):
            pieces = truth
            truth = lambda cpu, guest: guest - offset_at(pieces[cpu], guest)
        self.assertGreater(self.wrong('guest.dat', truth, tolerance)[0], 0, 'control: it was right before')
        self.assertEqual(self.wrong('out.dat', truth, tolerance), (0, known))

    def truth_of(self, name='truth.json', cpus=None):
        """truth(CPU, guest's time), from the truth that a scenario wrote"""
        with open(self.path(name)) as file:
            guest, = json.load(file)['guests']
        vcpus = [vcpu for vcpu in guest['vcpus'] if cpus is None or vcpu['vcpu_id'] in cpus.values()]
        numbers = range(len(vcpus)) if cpus is None else cpus
        ratio, bits = guest['ratio'] or 1, guest['frac_bits'] if guest['ratio'] else 0

        def truth(cpu, time):
            right = None
            vcpu = vcpus[list(numbers).index(cpu)]
            for host, offset in [(0, vcpu['initial'])] + [(change['host_tsc'], change['offset'])
                                                          for change in vcpu['changes']]:
                begin = (time - offset << bits) // ratio
                if begin >= host:
                    right = begin
            return right
        return truth


class TestRight(Base):
    """No doubt, and no wrong time"""

    def test_corrupt_fmt(self):
        """A print format that divides by zero: it crashes stock readers, but not tsc-offset"""
        self.unpack('corrupt_fmt')
        self.stamp(DONE, 'VM 2010, 2 vCPUs, 2 changes; 411 of 411 sampled events in guest mode')
        self.right([changed(-44123512988, (50339778595, -43419823907)),
                    changed(-44123512988, (50001024508, -43575397203))], 411)
        self.check(DONE, 'fits', events=411, inside=411)
        before = set(os.listdir(self.directory))
        self.says(self.run_tool('export', '--perfetto', 'out.pftrace', 'host.dat', 'out.dat'), DONE, 'times in guest mode')
        self.assertEqual(set(os.listdir(self.directory)) - before, {'out.pftrace'})
        switches = [event for event in perfetto_trace.Trace(self.path('out.pftrace')).events
                    if event.machine and event.event == 'sched_switch']
        self.assertTrue(switches)
        self.assertTrue(all('prev_comm' in event.fields for event in switches))
        # The control: the format crashes the reader
        with self.assertRaises(subprocess.CalledProcessError):
            trace_dat.report('-i', self.path('guest.dat'))

    def test_gvisor(self):
        """Threads that run any vCPU of a sandbox do not belong to QEMU's VM"""
        self.unpack('gvisor')
        pieces = [changed(-40000000000, (55048999000 + 1000 * cpu, -38000000000)) for cpu in (0, 1)]
        for arguments in (), ('--vm', '1010'):
            self.stamp(DONE, 'VM 1010, 2 vCPUs, 2 changes; 204 of 204 sampled events in guest mode',
                       arguments=arguments)
            self.right(pieces, 204)
            self.check(DONE, 'fits', events=204, inside=204)
            os.unlink(self.path('out.dat'))

    def test_hotplug_order(self):
        """CPUs are numbered in the order in which they are plugged in, vCPUs by their place"""
        self.unpack('hotplug_order_stamp')
        pieces = [changed(-34945300206, (255329424921, -32346824963)),
                  changed(-29782524293, (255459668342, -27183367510), (255831802759, -21984486841)),
                  changed(-34945300206, (255612235145, -32370342953))]
        for arguments in (), ('--vm', '157,209,213'):
            self.stamp(DONE, '3 vCPUs, 4 changes; 577 of 577 sampled events in guest mode', arguments=arguments)
            self.right(pieces, 577)
            self.assertEqual(self.check(DONE, 'fits', events=577, inside=577), {0: 0, 1: 2, 2: 1})
            os.unlink(self.path('out.dat'))

    def test_loadvm(self):
        """A saved state is loaded while the guest records: the TSC is set twice without an entry in between"""
        self.unpack('loadvm')
        self.stamp(DONE, 'VM 291, 2 vCPUs, 2 changes; 1,367 of 1,367 sampled events in guest mode')
        self.right([[(0, -452033849800), (341472232042, -542911479071)]] * 2, 1367)
        self.check(DONE, 'fits', events=1367, inside=1367)

    def test_reboot(self):
        """The guest recorded only after its reboot, which the host recorded"""
        self.unpack('reboot')
        self.stamp(DONE, 'VM 2010, 2 vCPUs, 2 changes; 820 of 820 sampled events in guest mode')
        self.right(self.truth_of(), 820)
        self.check(DONE, 'fits', events=820, inside=820)

    def test_stamp_after_reset(self):
        """The same with a real recording"""
        self.unpack('stamp_after_reset')
        self.stamp(DONE, 'VM 625, 2 vCPUs, 0 changes; 302 of 302 sampled events in guest mode')
        self.right([[(0, -2351205589677)]] * 2, 302)
        self.check(DONE, 'fits', events=302, inside=302)

    def test_replug(self):
        """A vCPU that is plugged in again runs in a new thread"""
        self.unpack('replug')
        self.stamp(DONE, 'VM 1010 with thread 1099, 2 vCPUs, ', '500 of 500 sampled events in guest mode')
        self.right([changed(-40000000000), changed(-40000000000, (60400001000, -37000000000))], 500)
        self.check(DONE, 'fits', events=500, inside=500)

    def test_host_is_guest(self):
        """The host's file has a TIME_SHIFT, because it is a guest's itself: both are shown in the time of its host"""
        self.unpack('host_is_guest')
        self.stamp(DONE, 'VM 2010, 2 vCPUs, 2 changes; 411 of 411 sampled events in guest mode')
        pieces = [changed(-44123512988, (50339778595, -43419823907)),
                  changed(-44123512988, (50001024508, -43575397203))]
        # The host's TIME_SHIFT is 1000000000 at all times
        self.right(lambda cpu, guest: guest - offset_at(pieces[cpu], guest) + 1000000000, 411)
        self.check(DONE, 'fits', events=411, inside=411)

    def test_host_instance(self):
        """The BUFFER of an instance and TRACECLOCK name different clocks; TRACECLOCK is right"""
        self.unpack('host_instance')
        self.check(DONE, 'fits', guest='guest.dat', events=454, inside=417, outside=37)
        # The files do not have the offset of vCPU 1
        self.stamp(INCOMPLETE, 'the offset of 1 of its CPUs was not recorded', 'vCPU 1: offset estimated as')

    def test_host_that_saw_all(self):
        """vcpu_ids with gaps; all of them are in the host's file"""
        self.unpack('sparse_vcpus')
        self.stamp(DONE, '402 of 402 sampled events in guest mode', host='host-all.dat')
        self.right(self.truth_of(cpus={0: 0, 2: 4}), 402)
        self.check(DONE, 'fits', host='host-all.dat', events=402, inside=402)


class TestDoubted(Base):
    """What cannot be known is reported, and all other times are right"""

    def named_error(self, words):
        return int(re.search(r'wrong by (?:at most )?(\d+) cycles', words)[1])

    def test_scaled_stock(self):
        """A scaled TSC whose ratio the kernel does not report"""
        self.unpack('scaled_stock')
        words = self.stamp(INCOMPLETE, 'its TSC runs at 1.0417', '3,743 of 3,743 sampled events in guest mode')
        self.assertLess(self.named_error(words), 1000)
        self.right(self.truth_of(), 3743, self.named_error(words))
        self.check(DONE, 'fits', events=3743, inside=3743)

    def test_moved_to_another_process(self):
        """A guest is saved and restored in another process: two VMs, one after the other"""
        self.unpack('moved_to_another_process')
        words = self.stamp(INCOMPLETE, 'VM 527 after VM 291, 2 vCPUs, 2 changes; 2,829 of 2,829 sampled events',
                           'the offsets of the VM that it ran in before were not recorded')
        self.assertLess(self.named_error(words), 100000)
        pieces = [changed(-542911479071, (host, -624117747039)) for host in (1364274599337, 1364293932581)]
        self.right(pieces, 2829, self.named_error(words))
        self.check(DONE, 'fits', events=2829, inside=2829)
        # With --vm only one of the two VMs is used
        os.unlink(self.path('out.dat'))
        self.stamp(INCOMPLETE, '1712 sampled events have times that the TSC of their vCPU never had on this host',
                   arguments=['--vm', '527'])

    def test_restore(self):
        """Events from before the snapshot that the VM was restored from: its TSC never had these times on this host"""
        self.unpack('restore')
        self.stamp(INCOMPLETE, '200 sampled events have times that the TSC of their vCPU never had on this host',
                   '200 of 400 sampled events in guest mode')
        # Events after the snapshot are right
        self.right(lambda cpu, guest: guest + 60000000000 if guest >= 20000000000 else None, 200)
        self.check(INCOMPLETE, 'violations', 'at guest times that the TSC never had on this host', events=400,
                   inside=200, violations=200, impossible=200)

    def test_migrated_away(self):
        """After its last exit a vCPU does not run, while the host's recording continues"""
        self.unpack('migrated_away')
        for arguments in (), ('--vm', '1010,1011'):
            self.stamp(INCOMPLETE, '100 of 204 sampled events are at times at which their vCPU did not run',
                       '102 of 204 sampled events in guest mode', arguments=arguments)
            self.right(lambda cpu, guest: guest + 40000000000 if guest < 15000000000 else None, 102)
            self.check(INCOMPLETE, 'violations', events=204, inside=102, violations=100, outside=2)
            os.unlink(self.path('out.dat'))

    def test_filtered_exits(self):
        """Between two entries without an exit the mode is unknown"""
        self.unpack('filtered_exits')
        said = 'kvm_exit is missing after 124 of 144 kvm_entry'
        self.stamp(INCOMPLETE, said, '40 of 354 sampled events in guest mode')
        self.right([changed(-31925181283, (50002629528, -31925179178)),
                    changed(-31925181283, (50000530088, -31925178429))], 354)
        self.check(INCOMPLETE, 'fits', said, events=354, inside=40, unprovable=314)

    def test_host_suspend(self):
        """The host slept, and its own TSC started again"""
        self.unpack('host_suspend')
        said = "the host's own TSC went back, from 59851001000 to 1499999500"
        self.stamp(INCOMPLETE, said, '400 of 400 sampled events in guest mode')
        self.right([[(0, -40000000000), (20000000000, 18500001000)]] * 2, 400)
        self.check(INCOMPLETE, 'fits', said, events=400, inside=400)

    def test_hp_unplugged(self):
        """A CPU that was synchronised as another vCPU proves nothing"""
        self.unpack('hp_unplugged')
        self.check(INCOMPLETE, 'outside', 'proves little', guest='guest.dat', events=586, inside=276, outside=310)

    def test_hp_unplugged_stamp(self):
        """With the offset of vCPU 0, which nothing recorded, CPU 1 is found to be vCPU 2"""
        self.unpack('hp_unplugged')
        self.stamp(INCOMPLETE, 'the offset of 1 of its CPUs was not recorded', 'vCPU 0: offset estimated as')
        self.stamp(DONE, '586 of 586 sampled events in guest mode', arguments=['--initial', '0=-32346824963'])
        self.right([changed(-32346824963), changed(-21984486841, (464900421783, -19386800793))], 586)
        self.assertEqual(self.check(DONE, 'fits', events=586, inside=586), {0: 0, 1: 2})

    def test_date_option(self):
        """DATE shifts the times of the host's file, but not those of the guest's"""
        self.unpack('date_option')
        self.check(INCOMPLETE, 'not provable', 'by DATE and OFFSET in both', guest='guest.dat', events=1014,
                   outside=1014)
        # stamp lets readers shift both files equally. The offset is the one that trace-cmd measured.
        offset = -8824146511
        said = self.stamp(DONE, '953 of 1,014 sampled events in guest mode, 61 outside',
                          "before the host's; its first events have nothing to be merged with",
                          arguments=['--initial', f'0={offset},1={offset}'])
        self.assertNotIn('doubt', said)
        self.right(lambda cpu, guest: guest - offset + 1000 * 0x5f5e100, 1014)
        self.check(DONE, 'fits', events=1014, inside=953, outside=61)

    def test_dropped_tail(self):
        """trace-cmd lost the last page of a CPU: the kernel's counts show it"""
        self.unpack('dropped_tail')
        self.says(self.run_tool('show', 'host.dat'), INCOMPLETE, 'the ring buffer lost events in 1 place',
                  'after host TSC 742771435208')
        shown = json.loads(self.run_tool('show', '--json', 'host.dat').stdout)
        self.assertFalse(shown['complete'])


class TestRefused(Base):
    """Recordings that cannot be stamped"""

    def test_split(self):
        """A file from trace-cmd split already has host times"""
        self.unpack('split')
        self.stamp(FAILED, "its times are the host's already",
                   host=os.path.join(DATA, 'agent-moved', 'host.dat'))

    def test_sparse_vcpus(self):
        """The host recorded two of four vCPUs: which of them a CPU is, if any, is unknown"""
        self.unpack('sparse_vcpus')
        self.stamp(FAILED, 'CPU 2', 'fits none of the vCPUs', '--initial-from')
        # host-all.dat shows all four vCPUs: the CPU's vCPU is known, but nothing proves its times
        self.stamp(INCOMPLETE, 'CPU 2 is vCPU 4', 'nothing proves its times',
                   arguments=['--initial-from', 'first.json'])
        truth, lost = self.truth_of(cpus={0: 0, 2: 4}), 51418985066 - 44123512988
        self.right(lambda cpu, guest: truth(cpu, guest) if not cpu or guest < lost else None, 307)

    def test_arm64(self):
        """kvm_entry of other architectures has no vcpu_id"""
        Scenario().write(self.directory)
        os.rename(self.path('g1.dat'), self.path('guest.dat'))
        with open(self.path('host.dat'), 'rb') as file:
            data = file.read()
        at = data.index(b'vcpu_id', data.index(b'name: kvm_entry\n'))
        self.says(self.run_tool('show', 'host.dat'), DONE)
        with open(self.path('host.dat'), 'wb') as file:
            file.write(data[:at] + b'vcpu_pc' + data[at + 7:])
        said = 'this is not the file of an x86 host'
        self.says(self.run_tool('show', 'host.dat'), FAILED, said)
        self.stamp(FAILED, said)
        self.says(self.run_tool('check', 'host.dat', 'guest.dat'), FAILED, said)

    def test_other_widths(self):
        """These fields have 32 bits in all kernels"""
        Scenario().write(self.directory)
        with open(self.path('host.dat'), 'rb') as file:
            data = file.read()
        for event, field in ('entry', 'common_pid'), ('entry', 'vcpu_id'), ('exit', 'common_pid'), ('exit', 'vcpu_id'):
            at = data.index(b'size:4', data.index(field.encode(), data.index(f'name: kvm_{event}\n'.encode())))
            with open(self.path('host.dat'), 'wb') as file:
                file.write(data[:at] + b'size:2' + data[at + 6:])
            self.says(self.run_tool('show', 'host.dat'), FAILED, f'kvm_{event} has its {field} in 2 bytes')


class TestAll(Base):
    def test_all_have_a_test(self):
        with open(__file__) as file:
            tested = set(re.findall(r"self\.unpack\('(\w+)'\)", file.read()))
        self.assertEqual(tested, set(os.listdir(CASES)) - {'README.md'})


if __name__ == '__main__':
    main('trace-cmd')
