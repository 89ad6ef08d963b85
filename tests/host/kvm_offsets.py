#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Makes a VM with one vCPU, without memory or code, and sets the TSC offsets on the command line"""
import ctypes
import fcntl
import os
import struct
import sys

KVM_CREATE_VM = 0xae01
KVM_CREATE_VCPU = 0xae41
KVM_SET_DEVICE_ATTR = 0x4018aee1
KVM_VCPU_TSC_CTRL = 0
KVM_VCPU_TSC_OFFSET = 0


def main():
    vm = fcntl.ioctl(os.open('/dev/kvm', os.O_RDWR), KVM_CREATE_VM, 0)
    vcpu = fcntl.ioctl(vm, KVM_CREATE_VCPU, 0)
    for offset in map(int, sys.argv[1:]):
        value = ctypes.c_int64(offset)
        fcntl.ioctl(vcpu, KVM_SET_DEVICE_ATTR,
                    struct.pack('=IIQQ', 0, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET,
                                ctypes.addressof(value)))


main()
