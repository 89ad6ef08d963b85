#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The stock kernel of KERNEL_BASE with BTF, SVM and VMX: what probes read by the offsets of BTF is what debugfs has.

scripts/kernel probes runs it.
"""
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from probed_values import svm, vmx
from recording import btf_kernel, check, main


def is_built(lab):
    """Not a kernel that the lab found elsewhere"""
    release = lab.run('uname -r').out.strip()
    check(release.endswith('-lab'), f'{lab.name}: the kernel is {release}')


def probes_svm(lab):
    is_built(lab)
    svm(lab)


def probes_vmx(lab):
    is_built(lab)
    vmx(lab)


def prepare(lab):
    lab.environment |= btf_kernel()
    return ['--emulator', 'bochs'] if 'vmx' in lab.name else []


main(probes_svm, probes_vmx, prepare=prepare)
