#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The kernel of KERNEL and KERNEL_MODULES boots on both emulated hosts, KVM runs a guest, and no message complains.

scripts/kernel boot uses it for each patch.
"""
import re
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import COMPLAINTS, check, main

# Linux 6.12 complains about the CPU of Bochs at boot
RUN = f'''
before=$(dmesg | wc -l)
load-kvm || exit
tiny-guest read guest=1000000000000 host=5000000000000 read || exit
dmesg | tail -n "+$((before + 1))" | grep -E '{COMPLAINTS}'
exit 0
'''


def prepare(lab):
    return ['--emulator', 'bochs'] if 'vmx' in lab.name else []


def boots(lab):
    done = lab.run(RUN, 300)
    steps = re.findall(r'^(read|guest|host)(?: -?\d+){7}$', done.out, re.M)
    booted = check(done.status == 0 and steps == ['read', 'guest', 'host', 'read'],
                   f'{lab.name}: the kernel boots and runs a guest')
    silent = check(not re.search(COMPLAINTS, done.out), f'{lab.name}: nobody complains')
    if not booted or not silent:
        print(done.out + done.err)


def boots_svm(lab):
    boots(lab)


def boots_vmx(lab):
    boots(lab)


main(boots_svm, boots_vmx, prepare=prepare)
