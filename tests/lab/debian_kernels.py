#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Stock kernels of Debian 13 and of its backports, with SVM and VMX: the values that probes read by BTF's offsets equal
those of debugfs. probes.py and intel.py test the kernel of Debian 12.
"""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import skip
from debian_suite import NotToBeHad, lab_kernel
from probed_values import svm, vmx
from recording import main

# The newest ones are the base of kernel-patch/v7.x
SUITES = {'trixie': 'trixie', 'backports': 'trixie-backports'}


def trixie_svm(lab):
    svm(lab)


def backports_svm(lab):
    svm(lab)


def trixie_vmx(lab):
    vmx(lab)


def backports_vmx(lab):
    vmx(lab)


def prepare(lab):
    suite, vendor = lab.name.split('_')
    try:
        lab.environment |= lab_kernel(SUITES[suite])
    except NotToBeHad as error:
        skip(error)
    return ['--emulator', 'bochs'] if vendor == 'vmx' else []


main(trixie_svm, backports_svm, trixie_vmx, backports_vmx, prepare=prepare)
