#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""VMX with TSC scaling by hardware, on the stock kernel: an Intel host, emulated by Bochs.

Each scenario is one boot: a script, and what is to be proved of its output.
"""
import re
import sys

sys.dont_write_bytecode = True
from recording import TOOL, Recording, check, in_order, main, signed, stamp, verdict

FRACTION_BITS = 48
SPEEDS = ['1/1', '5/4', '4/5']
# Far enough from each other that KVM does not take a host's write for an attempt to synchronise vCPUs
STEPS = ['read', 'guest=1000000000000', 'host=5000000000000', 'offset=-77777777777', 'read']

VMX_OFFSETS = f'''
load-kvm || exit
grep -m1 -o 'GenuineIntel' /proc/cpuinfo
cd /sys/kernel/tracing/instances && mkdir test && cd test || exit
echo x86-tsc > trace_clock
echo 1 > events/kvm/kvm_write_tsc_offset/enable
for speed in {' '.join(SPEEDS)}; do
	echo "speed $speed"
	tiny-guest --speed $speed {' '.join(STEPS)} || exit
	grep kvm_write_tsc_offset trace
	echo > trace
done
dmesg | grep -E 'WARNING|BUG|Oops|unchecked MSR'
exit 0
'''


def scaled(tsc, ratio):
    return (tsc * ratio) >> FRACTION_BITS


def vmx_offsets(lab):
    """Creation of a vCPU, writes by its guest and by the host: event, ioctl and debugfs agree."""
    run = lab.run(VMX_OFFSETS, 300)
    check(run.status == 0 and run.out.startswith('GenuineIntel'), f'an Intel host: status {run.status}')
    if run.status:
        print(run.out + run.err)
        return
    check(not re.search('WARNING|BUG|Oops|unchecked', run.out), 'its kernel has nothing to complain about')
    parts = re.split(r'^speed (\S+)$', run.out, flags=re.M)[1:]
    check(parts[::2] == SPEEDS, f'all speeds were tried: {parts[::2]}')
    for speed, text in zip(parts[::2], parts[1::2]):
        one_speed(speed, text)


def one_speed(speed, text):
    guest_khz, host_khz = map(int, re.search(r'^khz (\d+) (\d+)$', text, re.M).groups())
    numerator, denominator = map(int, speed.split('/'))
    check(guest_khz == host_khz * numerator // denominator, f'{speed}: {guest_khz} kHz on a host of {host_khz}')
    # 0x1400000000000 and 0xcccccccccccc if the kernel has measured exactly 200000 kHz
    ratio = (guest_khz << FRACTION_BITS) // host_khz
    steps = [(name, *map(int, numbers)) for name, *numbers in
             re.findall(r'^(\w+)' + r' (-?\d+)' * 7 + '$', text, re.M)]
    events = [(int(ts), signed(previous), signed(following)) for ts, previous, following in
              re.findall(r'(\d+): kvm_write_tsc_offset: vcpu=0 prev=(\d+) next=(\d+)', text)]
    check([step[0] for step in steps] == [step.split('=')[0] for step in STEPS], f'{speed}: {len(steps)} steps')
    check({step[6:] for step in steps} == {(ratio, FRACTION_BITS)},
          f'{speed}: debugfs has the ratio {ratio:#x}, {FRACTION_BITS} of its bits are the fraction')
    check(all(offset == debugfs for _, _, _, _, offset, debugfs, _, _ in steps),
          f'{speed}: KVM_VCPU_TSC_OFFSET and debugfs agree')
    check(all(scaled(before, ratio) + offset <= signed(guest) <= scaled(after, ratio) + offset
              for _, before, after, guest, offset, _, _, _ in steps),
          f"{speed}: the guest's TSC is the host's, times the ratio, plus the offset")

    # One event for the vCPU's creation, one for each step that is not "read", none for KVM_SET_TSC_KHZ
    writes = [(step, words) for step, words in zip(steps, STEPS) if step[0] != 'read']
    check(len(events) == 1 + len(writes), f'{speed}: {len(events)} events')
    check([event[1] for event in events] == [0] + [event[2] for event in events[:-1]],
          f"{speed}: each event's previous offset is the next one of that before it")
    created, first = events[0], steps[0]
    # Its TSC begins with 0, at the host's speed: the speed is set later
    check(created[0] < first[1] and created[2] == first[4] and -created[0] <= created[2] <= 0,
          f'{speed}: creation: offset {created[2]}, at host time {created[0]}')
    for (ts, _, following), (step, words) in zip(events[1:], writes):
        name, before, after, guest, offset = step[:5]
        value = int(words.split('=')[1])
        check(before < ts < after and following == offset, f'{speed}: {words}: offset {following}')
        if name == 'offset':
            check(following == value, f'{speed}: {words}: that very value')
        else:
            check(value - scaled(after, ratio) <= following <= value - scaled(before, ratio)
                  and value <= guest, f"{speed}: {words}: the guest's TSC went on from there: {guest}")


GUEST_UP = 'guest-up g1 --smp 1 --memory 256 --cpu host,-tsc-adjust,tsc-frequency=250000000'
HOST_EVENTS = '-e kvm:kvm_entry -e kvm:kvm_exit -e kvm:kvm_pio -e kvm:kvm_write_tsc_offset'

SCALED_GUEST = f'''
load-kvm || exit
{GUEST_UP} --no-agent || exit
{TOOL} show --json > snapshot.json
mkdir scaled && cd scaled || exit
trace-cmd record -C x86-tsc {HOST_EVENTS} -o trace.dat -- guest-run g1 '
	cd /tmp && trace-cmd record -C x86-tsc -e sched:sched_switch -o trace.dat -- sh -c "
		probe 30 5000 0; move-tsc 0 5000000; probe 70 5000 0 0x400"' || exit
guest-run g1 'cat /tmp/trace.dat' > trace-g1.dat
cat /sys/kernel/debug/kvm/*/vcpu0/tsc-scaling-ratio
'''


def scaled_guest(lab):
    """A Linux guest whose TSC runs at 5/4 of its host's, recorded without an agent and stamped."""
    run = lab.run(SCALED_GUEST, 600)
    ratio = int(run.out.split()[-1]) if run.status == 0 else 0
    check(abs(ratio / (1 << FRACTION_BITS) - 5 / 4) < 1e-4,
          f'a guest with the ratio {ratio:#x}: status {run.status}')
    print(run.out + run.err)
    if run.status:
        return
    lab.call('copy-out', 'scaled', 'snapshot.json', lab.directory)
    recording = Recording(lab, run, lab.directory / 'scaled', ['g1'])
    snapshot = lab.directory / 'snapshot.json'
    stamped, done = stamp(recording, '--initial-from', snapshot)
    check(done.returncode == 0, f'stamp --initial-from: exit status {done.returncode}')
    in_order(stamped, 'stamped with the ratio', at_least=100)
    status, violations, bounds = stamped.violations('g1')
    check(status == 0 and not violations, f'tsc-offset check agrees: {violations} violations, may be moved by '
          f'{bounds} cycles')
    # The same history without the ratio, which only debugfs tells
    plain, done = stamp(recording)
    order = plain.order()
    check(order['out_of_order'] > 50, 'control: ' + verdict('stamped without the ratio', order))


def words_for_up(lab):
    return ['--emulator', 'bochs'] + (['--guests'] if lab.name != 'vmx_offsets' else [])


main(vmx_offsets, scaled_guest, prepare=words_for_up)
