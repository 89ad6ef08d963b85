#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The cost of the events of kernel-patch/ for a host, enabled and disabled: tsc_events.py; BUILD_DIR names the build.

A guest writes its TSC in a loop, on the patched kernel and on the same kernel without the patches. Each write is a
kvm_write_tsc_offset. The TSC of the lab's Intel host counts instructions, so instructions are compared instead of
times. The ratios are those of the minima of several repetitions. The exit status is 1 if one exceeds its claim.
"""
import re
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from benchmark import claim, claims_fail
from recording import Lab, patched_kernel, stock_kernel

# So few writes that no interrupt of the host occurs in most repetitions
WRITES, TIMES = 100, 40
EVENT = 'kvm_write_tsc_offset'
KERNELS = {'stock': stock_kernel, 'patched': patched_kernel}
# {is the event enabled: the largest multiple of the stock kernel's instructions}
CLAIMED = {0: 1.001, 1: 1.02}

SCRIPT = f'''
load-kvm || exit
cd /sys/kernel/tracing/instances && mkdir bench && cd bench || exit
echo x86-tsc > trace_clock
for enabled in 0 1; do
	echo $enabled > events/kvm/{EVENT}/enable
	echo "enabled $enabled"
	tiny-guest {'read ' * TIMES}{f'writes={WRITES} ' * TIMES} || exit
done
echo 0 > events/kvm/{EVENT}/enable
echo "events $(grep -c "{EVENT}:" trace)"
'''


def measure(kernel):
    """{is the event enabled: the instructions of a write, in each repetition}"""
    def prepare(lab):
        lab.environment |= KERNELS[kernel]()
        return ['--emulator', 'bochs']

    with Lab(f'tsc_events_{kernel}', prepare) as lab:
        run = lab.run(SCRIPT, 900)
    if run.status:
        sys.exit(f'status {run.status}\n{run.out}{run.err}')
    found = {}
    parts = re.split(r'^enabled ([01])$', run.out, flags=re.M)[1:]
    for enabled, text in zip(parts[::2], parts[1::2]):
        took = {name: [int(after) - int(before) for before, after in
                       re.findall(rf'^{name} (\d+) (\d+) ', text, re.M)] for name in ('read', 'writes')}
        # The cost of entering and leaving the guest, which happens once in each repetition
        rest = min(took['read'])
        found[int(enabled)] = [(cycles - rest) / WRITES for cycles in took['writes']]
    recorded = re.findall(r'^events (\d+)$', run.out, re.M)
    if len(recorded) != 1 or int(recorded[0]) < TIMES * WRITES:
        sys.exit(f'{recorded} events, {TIMES * WRITES} are wanted\n{run.out}{run.err}')
    return found


def main():
    found = {kernel: measure(kernel) for kernel in KERNELS}
    print(f'{"instructions of a write":44}{"least":>10}{"median":>10}{"most":>10}')
    for enabled, claimed in CLAIMED.items():
        state = 'enabled' if enabled else 'disabled'
        for kernel in KERNELS:
            figures = found[kernel][enabled]
            print(f'{EVENT:23}{state:10}{kernel:11}{min(figures):10.1f}{statistics.median(figures):10.1f}'
                  f'{max(figures):10.1f}')
        before, after = (min(found[kernel][enabled]) for kernel in KERNELS)
        claim(after <= claimed * before, f'{EVENT} {state}: {after:.1f} instructions for a write of a guest TSC, '
              f'{before:.1f} without the patches: ratio {after / before:.4f}, at most {claimed}')
    return claims_fail()


if __name__ == '__main__':
    sys.exit(main())
