# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Shared code of tests on a live host: the tool, the instance and this machine's KVM."""
import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import sys

from case import TOOL, main, skip

TRACING = '/sys/kernel/tracing'
INSTANCE = f'{TRACING}/instances/tsc_offset'
EVENT = 'events/kvm/kvm_write_tsc_offset'

# Access to debugfs makes the kernel mount a second tracefs there
ONE_TRACEFS = 'while umount /sys/kernel/debug/tracing 2> /dev/null; do :; done'


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text):
    with open(path, 'w') as file:
        file.write(text)


class Tool:
    """A verb of tsc-offset"""
    def __init__(self, verb='instance', path=TOOL):
        self.path = path
        self.verb = verb

    def __call__(self, *arguments, before=(), **kwargs):
        return subprocess.run([*before, self.path, self.verb, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, **kwargs)

    def hidden(self, script, *arguments, **kwargs):
        """In a separate mount namespace, which a shell script prepares"""
        script = f'{ONE_TRACEFS}\n{script}\nexec "$@"'
        return self(*arguments, before=('unshare', '-m', '--propagation', 'private', 'sh', '-euc', script, 'sh'),
                    **kwargs)


class Vm:
    """A KVM VM that never runs, but whose vCPUs get TSC values: each causes one event"""
    CREATE_VM, CREATE_VCPU, RUN, SET_MSRS = 0xae01, 0xae41, 0xae80, 0x4008ae89
    IA32_TSC = 0x10

    def __init__(self, nr_vcpus):
        kvm = os.open('/dev/kvm', os.O_RDWR | os.O_CLOEXEC)
        self.fds = [fcntl.ioctl(kvm, self.CREATE_VM, 0)]
        os.close(kvm)
        for number in range(nr_vcpus):
            self.fds.append(fcntl.ioctl(self.fds[0], self.CREATE_VCPU, number))

    def set_tsc(self, vcpu, tsc):
        msrs = bytearray(struct.pack('<IIIIQ', 1, 0, self.IA32_TSC, 0, tsc))
        assert fcntl.ioctl(self.fds[1 + vcpu], self.SET_MSRS, msrs) == 1

    def run(self, vcpu):
        """Run a vCPU: this fails without memory, but makes this thread the vCPU's thread"""
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.fds[1 + vcpu], self.RUN, 0)

    def close(self):
        for fd in reversed(self.fds):
            os.close(fd)
        self.fds = []


def mount_tracefs():
    """Mount tracefs if necessary: restart the test in a separate mount namespace."""
    alone = ['unshare', '-m', '--propagation', 'private']
    if os.path.isdir(f'{TRACING}/instances') or 'OWN_TRACEFS' in os.environ:
        return
    if not shutil.which('unshare') or subprocess.run([*alone, 'true'], check=False).returncode:
        return
    script = f'mount -t tracefs nodev {TRACING} || true; OWN_TRACEFS=1 exec "$@"'
    os.execvp(alone[0], [*alone, 'sh', '-c', script, 'sh', sys.executable, *sys.argv])


def check_preconditions():
    if os.getuid():
        skip('not root')
    mount_tracefs()
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        skip('no /dev/kvm')
    if not os.path.isdir(f'{TRACING}/instances'):
        skip(f'no tracefs at {TRACING}')
    if not os.path.isdir(f'{TRACING}/{EVENT}'):
        skip('this kernel has no kvm:kvm_write_tsc_offset')
    if 'x86-tsc' not in read(f'{TRACING}/trace_clock'):
        skip('no x86-tsc clock')
    if os.path.exists(INSTANCE):
        skip(f'there is an instance {INSTANCE}, which must not be disturbed')
    try:
        Vm(1).close()
    except OSError as error:
        skip(f'KVM makes no VM: {error}')


def main_live(*programs):
    """main() of cases that use the instance exclusively: it is removed after they end, also after a failure"""
    if sys.argv[1:] == ['--list']:
        main()
        return
    check_preconditions()
    script = f'read -r end; for i in $(seq 50); do [ -d {INSTANCE} ] || exit 0; ' \
             f'rmdir {INSTANCE} 2> /dev/null || sleep 0.1; done'
    with subprocess.Popen(['sh', '-c', script], stdin=subprocess.PIPE, start_new_session=True):
        main(*programs)
