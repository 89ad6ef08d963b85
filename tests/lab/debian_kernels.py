#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Stock kernels of Debian 13 and of sid, SVM and VMX: what probes read by the offsets of BTF is what debugfs has."""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import skip
from debian_suite import NotToBeHad, lab_kernel
from probed_values import svm, vmx
from recording import main


def trixie_svm(lab):
    svm(lab)


def sid_svm(lab):
    svm(lab)


def trixie_vmx(lab):
    vmx(lab)


def sid_vmx(lab):
    vmx(lab)


def prepare(lab):
    suite, vendor = lab.name.split('_')
    try:
        lab.environment |= lab_kernel(suite)
    except NotToBeHad as error:
        skip(error)
    return ['--emulator', 'bochs'] if vendor == 'vmx' else []


main(trixie_svm, sid_svm, trixie_vmx, sid_vmx, prepare=prepare)
