#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""perf script on changes that this machine's own KVM makes: usage: test_perf.py PLUGIN"""
import os
import subprocess
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
from readers import check_lines, environment, is_ours, must_fail, need_program, only, run, skip

EVENT = 'kvm:kvm_write_tsc_offset'
OFFSETS = [-(1 << 40), -(1 << 40) + 52000000, 5, -(1 << 63), (1 << 63) - 1, 0]


def kvm_offsets():
    return [sys.executable, os.path.join(os.path.dirname(__file__), 'kvm_offsets.py'),
            *map(str, OFFSETS)]


def need(command, what):
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        skip(f'{what}: {done.stderr.decode().strip().splitlines()[-1:]}')


def main():
    plugin = sys.argv[1]
    need_program('perf')
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        skip('no access to /dev/kvm')
    need(kvm_offsets(), 'this KVM does not take offsets')

    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, 'perf.data')
        need(['perf', 'record', '-q', '-e', EVENT, '-o', data, *kvm_offsets()],
             f'perf cannot record {EVENT} here')
        command = ['perf', 'script', '-i', data]
        with only(plugin) as plugin_dir:
            stock, stock_errors = run(command)
            shown, errors = run(command, environment(plugin_dir))
    ours, _ = check_lines(stock, shown)
    must_fail(check_lines, stock, stock)
    assert errors == stock_errors, errors
    # The first one is KVM's own when it makes the vCPU
    assert ours == 1 + len(OFFSETS), f'{ours} events'
    for line, offset in zip(filter(is_ours, shown.splitlines()), [None] + OFFSETS):
        assert offset is None or f' next={offset} ' in line, line
        print(' ', line.strip())
    print(f'{ours} lines with the signed delta')


main()
