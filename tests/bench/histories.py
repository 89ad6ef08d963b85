#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The cost of histories and TIME_SHIFT by the number of VMs: histories.py MANY_VMS

It measures the time and memory for each of 1000 changes on each of 16 vCPUs, with 1000 VMs and with 10.
"""
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from benchmark import claim, claims_fail, figure

VMS, FEW, VCPUS, CHANGES, ROUNDS = 1000, 10, 16, 1000, 3
# Claim: with many VMs, the cost of a change is at most this multiple
RATIO = 3


def measured(vms):
    done = subprocess.run([sys.argv[1], str(vms), str(VCPUS), str(CHANGES)], stdout=subprocess.PIPE, text=True,
                          check=True)
    return [float(word) for word in done.stdout.split()]


def main():
    rounds = [(measured(FEW), measured(VMS)) for _ in range(ROUNDS)]
    few, many = ([min(column) for column in zip(*side)] for side in zip(*rounds))
    for name, unit, one, other in zip(('history', 'TIME_SHIFT', 'memory'), ('ns', 'ns', 'bytes'), few, many):
        text = (f'{name}: {VMS} VMs of {VCPUS} vCPUs with {CHANGES} changes: {other:.0f} {unit} for each, of {FEW} '
                f'VMs {one:.0f} {unit}: ratio {other / one:.2f}')
        # No claim: the changes of many VMs in turn miss the processor's caches, which depends on the machine
        if name == 'history':
            figure(text)
        else:
            claim(other <= RATIO * one, text)
    return claims_fail()


if __name__ == '__main__':
    sys.exit(main())
