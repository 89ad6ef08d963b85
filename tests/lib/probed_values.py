# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""In the lab: the values that probes read by the offsets of a kernel's BTF equal debugfs's, and record is exact."""
import json
import re

from recording import TOOL, check, in_order, probes, verdict

# Far enough apart that KVM does not treat a host's write as an attempt to synchronise vCPUs
STEPS = ['read', 'guest=1000000000000', 'host=5000000000000', 'offset=-77777777777', 'read']
HELD = [1000, -5]
EVENT = re.compile(r' (?P<time>\d+): (?P<event>write_offset|write_ratio|vcpu_load): .* vm_name="(?P<vm>\d+-\d+)" '
                   r'vcpu_id=0 l1_offset=(?P<l1>-?\d+) offset=(?P<offset>-?\d+) l1_ratio=(?P<ratio>\d+) '
                   r'frac_bits=(?P<bits>\d+)')
# TCG's SVM cannot scale: then debugfs has no ratio, although KVM has one
SVM_BITS = 32

WRITES = f"""
uname -r
load-kvm || exit
{TOOL} instance start --probes || exit
(
	cd /sys/kernel/tracing/instances && mkdir lab.test && cd lab.test || exit
	echo x86-tsc > trace_clock
	for event in write_offset write_ratio vcpu_load; do
		echo 1 > events/tsc_offset/$event/enable || exit
	done
	for speed in SPEEDS; do
		echo "speed $speed"
		tiny-guest --speed $speed {' '.join(STEPS)} || exit
		grep l1_offset trace
		echo > trace
	done
) || exit
rmdir /sys/kernel/tracing/instances/lab.test
{TOOL} instance stop > stopped || exit
echo held
vm-offsets --vcpus 2 --hold {' '.join(f'{vcpu}:{offset}' for vcpu, offset in enumerate(HELD))} > offsets &
until [ "$(wc -l < offsets)" = 2 ]; do
	sleep 0.1
done
cat /sys/kernel/debug/kvm/*/vcpu*/tsc-offset
{TOOL} show --json
kill %1
grep . /sys/kernel/tracing/kprobe_events && echo left
exit 0
"""
MOVE = "guest-run g1 'move-tsc 0 520000000; move-tsc 1 520000000'"
WORKLOAD = f'{probes("g1", 20, 5000)}; {MOVE}; {probes("g1", 20, 5000, base=0x100)}'


def one_speed(speed, text):
    """Check each step: its line with debugfs's values, and the probes' events during the step"""
    steps = [(name, *map(int, numbers)) for name, *numbers in
             re.findall(r'^(\w+)' + r' (-?\d+)' * 7 + '$', text, re.M)]
    check([step[0] for step in steps] == [step.split('=')[0] for step in STEPS], f'{speed}: {len(steps)} steps')
    events = [match.groupdict() for match in EVENT.finditer(text)]
    seen = wrong = 0
    for name, before, after, _, _, debugfs, ratio, bits in steps:
        expected = str(debugfs), str(debugfs), str(ratio or 1 << SVM_BITS), str(bits or SVM_BITS)
        own = [event for event in events if before < int(event['time']) < after]
        # A load before a write has the values before it
        found = [(event['l1'], event['offset'], event['ratio'], event['bits']) for event in own]
        written = [values for event, values in zip(own, found) if event['event'] == 'write_offset']
        check(len(written) == (name != 'read'), f'{speed}: {name}: {len(written)} writes')
        judged = written or found
        seen += len(judged)
        wrong += sum(values != expected for values in judged)
    check(seen >= len(STEPS) and not wrong, f"{speed}: {seen} events have debugfs' offset, ratio and fraction bits")
    loads = [event for event in events if event['event'] == 'vcpu_load']
    last = steps[-1]
    check(loads and loads[-1]['l1'] == str(last[5]) and loads[-1]['ratio'] == str(last[6] or 1 << SVM_BITS),
          f'{speed}: the last of {len(loads)} events vcpu_load as well: {loads[-1]["l1"]}, {loads[-1]["ratio"]}')


def as_debugfs(lab, speeds):
    run = lab.run(WRITES.replace('SPEEDS', ' '.join(speeds)), 300)
    if not check(run.status == 0, f'{lab.name}: status {run.status}'):
        raise SystemExit(run.out + run.err)
    print(f'Linux {run.out.split()[0]}')
    events, held = run.out.split('\nheld\n')
    parts = re.split(r'^speed (\S+)$', events, flags=re.M)[1:]
    check(parts[::2] == speeds, f'all speeds were tried: {parts[::2]}')
    for speed, text in zip(parts[::2], parts[1::2]):
        one_speed(speed, text)
    *debugfs, document = held.splitlines()
    found = [vcpu['current']['offset'] for vm in json.loads(document)['vms'] for vcpu in vm['vcpus']]
    check(found == HELD == [int(line) for line in debugfs], f'vCPUs that sleep: show and debugfs have {found}')


def recorded(lab):
    """A guest whose TSC moves: record, and the control"""
    lab.guests(g1='')
    ours = lab.record('ours', {'g1': 3}, WORKLOAD)
    in_order(ours, 'record', at_least=80)
    check(ours.finished('g1', 2) and len(ours.run.said('')) == 1, f'record has no doubt: {ours.run.said("")}')
    stock = lab.record('stock', {'g1': 3}, WORKLOAD, how='stock').order()
    check(stock['out_of_order'] > 10, 'control: ' + verdict("trace-cmd's own protocol", stock))
    found = json.loads(lab.run(f'{TOOL} show --json').out)['vms'][0]['vcpus']
    offsets = [vcpu['current']['offset'] for vcpu in found]
    check(offsets == lab.debugfs_offsets('g1'), f'show of vCPUs that run: as debugfs: {offsets}')
    check(lab.instances() == [], 'nothing is left in tracefs')


def svm(lab):
    as_debugfs(lab, ['1/1'])
    recorded(lab)


def vmx(lab):
    as_debugfs(lab, ['1/1', '5/4', '4/5'])
