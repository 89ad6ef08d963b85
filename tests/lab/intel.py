#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""VMX with TSC scaling by hardware: an Intel host, emulated by Bochs, with the stock kernel and the patched one.

Each scenario is one boot: a script, and checks of its output.
"""
import re
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from probed_values import STEPS, one_speed as probed_at_speed
from recording import COMPLAINTS, TOOL, Recording, check, in_order, main, patched_kernel, signed, stamp, verdict

FRACTION_BITS = 48
SPEEDS = ['1/1', '5/4', '4/5']

OFFSETS = f"""
load-kvm || exit
grep -m1 -o 'GenuineIntel' /proc/cpuinfo
[ ! -e /sys/kernel/btf/kvm ] || {TOOL} instance start --probes > started 2>&1 || exit
(
	cd /sys/kernel/tracing/instances && mkdir test && cd test || exit
	echo x86-tsc > trace_clock
	for enable in events/kvm/kvm_write_tsc_*/enable events/tsc_offset/*/enable; do
		[ ! -e $enable ] || echo 1 > $enable
	done
	for speed in {' '.join(SPEEDS)}; do
		echo "speed $speed"
		tiny-guest --speed $speed {' '.join(STEPS)} || exit
		grep -E 'kvm_write_tsc_|l1_offset' trace
		echo > trace
	done
) || exit
rmdir /sys/kernel/tracing/instances/test
[ ! -e /sys/kernel/btf/kvm ] || {TOOL} instance stop > stopped 2>&1 || exit
"""


def scaled(tsc, ratio):
    return (tsc * ratio) >> FRACTION_BITS


def offsets(run, patched):
    """Creation of a vCPU, writes by its guest and by the host: event, ioctl and debugfs agree."""
    check(run.out.startswith('GenuineIntel'), 'an Intel host')
    parts = re.split(r'^speed (\S+)$', run.out, flags=re.M)[1:]
    check(parts[::2] == SPEEDS, f'all speeds were tried: {parts[::2]}')
    for speed, text in zip(parts[::2], parts[1::2]):
        ratio = one_speed(speed, text)
        if patched:
            multipliers = [(int(previous), int(following)) for previous, following in
                           re.findall(r'kvm_write_tsc_multiplier: vcpu=0 prev=(\d+) next=(\d+)', text)]
            check(multipliers == [(0, 1 << FRACTION_BITS), (1 << FRACTION_BITS, ratio)],
                  f"{speed}: kvm_write_tsc_multiplier: 1, then debugfs' ratio")
            ratios = re.findall(r'kvm_write_tsc_offset: .* ratio=(\d+)', text)
            check([int(found) for found in ratios] == [1 << FRACTION_BITS] + [ratio] * (len(ratios) - 1),
                  f'{speed}: kvm_write_tsc_offset: the same in {len(ratios)} events')
        else:
            probed_at_speed(speed, text)


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
    # The vCPU's TSC begins with 0, at the host's speed: the speed is set later
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
    return ratio


GUEST_UP = 'guest-up g1 --smp 1 --memory 256 --cpu host,-tsc-adjust,tsc-frequency=250000000 --khz khz'
GUEST_KHZ = 250000
HOST_EVENTS = ('-e kvm:kvm_entry -e kvm:kvm_exit -e kvm:kvm_pio -e kvm:kvm_write_tsc_offset '
               '$(cd /sys/kernel/tracing/events && [ ! -d kvm/kvm_write_tsc_multiplier ] || '
               'echo "-e kvm:kvm_write_tsc_multiplier")')
WORKLOAD = 'probe 30 5000 0; move-tsc 0 5000000; probe 70 5000 0 0x400'
BEGIN = f"""
guest_up() {{
	{GUEST_UP}
}}
export -f guest_up
"""
END = f"""
dmesg | grep -E '{COMPLAINTS}'
cat /sys/kernel/debug/kvm/*/vcpu0/tsc-scaling-ratio
dmesg | sed -n 's/.*tsc: Refined TSC clocksource calibration: \\([0-9]*\\)\\.\\([0-9]*\\) MHz/\\1\\2/p'
"""

# A recording of the host, and one that the guest makes at the same time
BY_ITSELF = f"""
mkdir by_itself && cd by_itself || exit
trace-cmd record -C x86-tsc {HOST_EVENTS} -o trace.dat -- guest-run g1 '
	cd /tmp && trace-cmd record -C x86-tsc -e sched:sched_switch -o trace.dat -- sh -c "{WORKLOAD}"' || exit
guest-run g1 'cat /tmp/trace.dat' > trace-g1.dat
cd ..
"""
# The guest's creation, which sets its ratio; without splice, because there are few events
CREATION = """
mkdir creation && cd creation || exit
trace-cmd record -C x86-tsc --nosplice -e kvm:kvm_write_tsc_offset -e kvm:kvm_write_tsc_multiplier -o trace.dat \\
	-- bash -c guest_up || exit
cd ..
"""


def by_agent(name, record):
    """Shell text: a recording of host and guest with the agent"""
    return f"""
mkdir {name} && cd {name} || exit
{record} record -C x86-tsc {HOST_EVENTS} -o trace.dat -A g1@3:823 -e sched:sched_switch \\
	-- guest-run g1 '{WORKLOAD}' || exit
cd ..
"""


def other_rate(name, record, khz):
    """Shell text: the guest's TSC gets another ratio during the recording, which KVM's own events do not report"""
    return f"""
mkdir {name} && cd {name} || exit
{record} record -C x86-tsc {HOST_EVENTS} -o trace.dat -A g1@3:823 -e sched:sched_switch -- bash -c "
	guest-run g1 'probe 40 5000 0'; echo {khz} > $OLDPWD/khz; guest-run g1 'probe 60 5000 0 0x400'" > /dev/null || exit
cd ..
"""


STOCK = (OFFSETS + BEGIN + f"""
guest_up || exit
{TOOL} show --json > snapshot.json
""" + BY_ITSELF + by_agent('ours', TOOL) + by_agent('stock', 'trace-cmd') + END +
         other_rate('ours_rate', TOOL, 300000) + other_rate('stock_rate', 'trace-cmd', 350000))
PATCHED = (OFFSETS + BEGIN + CREATION + BY_ITSELF + by_agent('ours', TOOL) + END +
           other_rate('ours_rate', TOOL, 300000))


def record(lab, script, *names):
    """Run a script; return its recordings and the ratio of its guest"""
    run = lab.run(script, 900)
    if not check(run.status == 0, f'{lab.name}: status {run.status}'):
        raise SystemExit(run.out + run.err)
    offsets(run, lab.name == 'intel_patched')
    check(not re.search('WARNING|BUG|Oops|unchecked', run.out), 'the kernel has nothing to complain about')
    ratio, host_khz = map(int, run.out.split()[-2:])
    check(ratio == (GUEST_KHZ << FRACTION_BITS) // host_khz,
          f'a guest of {GUEST_KHZ} kHz on a host of {host_khz}: the ratio is {ratio:#x}')
    lab.call('copy-out', *names, lab.directory)
    return [Recording(lab, run, lab.directory / name, ['g1']) for name in names if '.' not in name], ratio


def right(recording, name):
    in_order(recording, name, at_least=100)
    status, violations, bounds = recording.violations('g1')
    check(status == 0 and not violations,
          f'tsc-offset check agrees: {violations} violations, may be moved by {bounds} cycles')


def wrong(recording, name):
    order = recording.order()
    check(order['out_of_order'] > 50, 'control: ' + verdict(name, order))


def intel_stock(lab):
    """A Linux guest whose TSC runs at 5/4 of its host's, recorded without an agent and stamped, and with one."""
    (recording, ours, theirs, ours_rate, stock_rate), _ = record(lab, STOCK, 'by_itself', 'ours', 'stock', 'ours_rate',
                                                                 'stock_rate', 'snapshot.json')
    stamped, run = stamp(recording, '--initial-from', lab.directory / 'snapshot.json')
    check(run.returncode == 0, f'stamp --initial-from: exit status {run.returncode}')
    right(stamped, 'stamped with the ratio')
    wrong(recording, 'not stamped')
    # Without the ratio, which only debugfs has: it is estimated by the events and reported, or the file is refused
    unscaled, run = stamp(recording)
    if run.returncode == 3:
        check("times the host's, which the host's events do not report" in run.stderr, 'without the ratio: it is found')
        right(unscaled, 'stamped with the ratio that was found')
    else:
        check(run.returncode == 1 and 'none of its events is within the time of' in run.stderr,
              'without the ratio: refused')
    right(ours, 'record')
    check(ours.run.said('1 vCPU, 1 change; '), f'record: {ours.run.said("")}')
    wrong(theirs, "trace-cmd's own protocol")
    right(ours_rate, 'record of another rate')
    said = ours.run.said('trace-g1.dat: ')
    check(len(said) == 2 and not any('doubt' in line for line in said), f'record has no doubt of any: {said}')
    wrong(stock_rate, "another rate, trace-cmd's own protocol")


def intel_patched(lab):
    """The same guest on a patched kernel: its ratio is in the events."""
    (creation, recording, ours, ours_rate), ratio = record(lab, PATCHED, 'creation', 'by_itself', 'ours', 'ours_rate')
    created(creation, ratio)
    stamped, run = stamp(recording)
    check(run.returncode == 0, f'stamp, by the events alone: exit status {run.returncode}')
    right(stamped, 'stamped')
    right(ours, 'record')
    check(ours.run.said('1 vCPU, 1 change; '), f'record: {ours.run.said("")}')
    right(ours_rate, 'record of another rate')


def created(recording, ratio):
    """From the vCPU's creation on, the events have the ratio in force, and finally that of debugfs."""
    now, multipliers, offsets = 0, [], []
    for _, _, event, text in recording.host_events():
        fields = {name: int(value, 0) for name, value in re.findall(r'(\w+)=(\w+)\b(?!-)', text)}
        if event == 'kvm_write_tsc_multiplier':
            check(fields['prev'] == now, f'{event}: {now:#x}, then {fields["next"]:#x}')
            now = fields['next']
            multipliers.append(now)
        elif event == 'kvm_write_tsc_offset':
            offsets.append(fields['ratio'] == now)
    check(multipliers and multipliers[0] == 1 << FRACTION_BITS and multipliers[-1] == ratio,
          'kvm_write_tsc_multiplier: that is what debugfs has')
    check(offsets and all(offsets), f'kvm_write_tsc_offset: the same ratio in {len(offsets)} events')


def prepare(lab):
    if lab.name == 'intel_patched':
        lab.environment |= patched_kernel()
    else:
        lab.use_debian_kernel()
    return ['--emulator', 'bochs', '--guests']


main(intel_stock, intel_patched, prepare=prepare)
