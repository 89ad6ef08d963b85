#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""What the events of kernel-patch/ cost a host, enabled and disabled: tsc_events.py; BUILD_DIR names the build.

Guests write their TSC in a loop, on the patched kernel and on the same one without the patches: each write of
a guest is a kvm_write_tsc_offset, each of a guest's guest is a nested entry and so a kvm_nested_tsc_offset. The
lab's Intel host has a TSC that counts its instructions: they, and no times, are what is compared. Ratios are
of the least of several repetitions. Exit status 1 if one is worse than what is claimed.
"""
import re
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from benchmark import claim, claims_fail
from recording import Lab, patched_kernel, stock_kernel

# So few writes that in most repetitions no interrupt of the host comes in between
WRITES, NESTED_WRITES, TIMES = 100, 10, 40
KERNELS = {'stock': stock_kernel, 'patched': patched_kernel}
# (whose writes, the event, is it enabled): how many times the stock kernel's instructions are claimed
CLAIMED = {
    ('guest', 'kvm_write_tsc_offset', 0): 1.001,
    ('guest', 'kvm_write_tsc_offset', 1): 1.02,
    ('nested', 'kvm_nested_tsc_offset', 0): 1.001,
    ('nested', 'kvm_nested_tsc_offset', 1): 1.05,
}


def steps(writes):
    return 'read ' * TIMES + f'writes={writes} ' * TIMES


SCRIPT = f'''
load-kvm || exit
guest-up g1 --smp 1 --memory 256 --no-agent || exit
guest-run g1 'while read -r module; do insmod /mod/$module; done < /mod/kvm' || exit
cd /sys/kernel/tracing/instances && mkdir bench && cd bench || exit
echo x86-tsc > trace_clock
measure() {{
	local event=events/kvm/$2/enable enabled
	for enabled in 0 1; do
		# Without the patches a nested entry has no such event, and "enabled" is the same as "disabled"
		[ ! -e $event ] || echo $enabled > $event
		echo "$1 $2 $enabled"
		"${{@:3}}" || exit
	done
	[ ! -e $event ] || echo 0 > $event
	echo "events $(grep -c "$2:" trace)"
	echo > trace
}}
measure guest kvm_write_tsc_offset tiny-guest {steps(WRITES)}
measure nested kvm_nested_tsc_offset guest-run g1 'tiny-guest {steps(NESTED_WRITES)}'
'''


def measure(kernel):
    """{(whose writes, event, enabled): the instructions of a write, in each repetition}"""
    def prepare(lab):
        lab.environment |= KERNELS[kernel]()
        return ['--emulator', 'bochs', '--guests']

    with Lab(f'tsc_events_{kernel}', prepare) as lab:
        run = lab.run(SCRIPT, 900)
    if run.status:
        sys.exit(f'status {run.status}\n{run.out}{run.err}')
    found = {}
    parts = re.split(r'^(guest|nested) (\w+) ([01])$', run.out, flags=re.M)[1:]
    for whose, event, enabled, text in zip(*(parts[n::4] for n in range(4))):
        took = {name: [int(after) - int(before) for before, after in
                       re.findall(rf'^{name} (\d+) (\d+) ', text, re.M)] for name in ('read', 'writes')}
        # Into the guest and out of it again, of which there is one in each repetition
        rest = min(took['read'])
        writes = WRITES if whose == 'guest' else NESTED_WRITES
        found[whose, event, int(enabled)] = [(cycles - rest) / writes for cycles in took['writes']]
    recorded = [int(number) for number in re.findall(r'^events (\d+)$', run.out, re.M)]
    wanted = [TIMES * WRITES, TIMES * NESTED_WRITES if kernel == 'patched' else 0]
    if any(number < least for number, least in zip(recorded, wanted)) or len(recorded) != len(wanted):
        sys.exit(f'{recorded} events, {wanted} are wanted\n{run.out}{run.err}')
    return found


def main():
    found = {kernel: measure(kernel) for kernel in KERNELS}
    print(f'{"instructions of a write":52}{"least":>10}{"median":>10}{"most":>10}')
    for (whose, event, enabled), claimed in CLAIMED.items():
        state = 'enabled' if enabled else 'disabled'
        for kernel in KERNELS:
            figures = found[kernel][whose, event, enabled]
            print(f'{whose:8}{event:23}{state:10}{kernel:11}{min(figures):10.1f}{statistics.median(figures):10.1f}'
                  f'{max(figures):10.1f}')
        before, after = (min(found[kernel][whose, event, enabled]) for kernel in KERNELS)
        claim(after <= claimed * before, f'{event} {state}: {after:.1f} instructions for a write of a {whose} TSC, '
              f'{before:.1f} without the patches: ratio {after / before:.4f}, at most {claimed}')
    return claims_fail()


if __name__ == '__main__':
    sys.exit(main())
