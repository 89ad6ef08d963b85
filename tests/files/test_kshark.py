#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""KernelShark's Info column: usage: test_kshark.py PLUGIN KSHARK_INFO HOST.DAT.

HOST.DAT is a real host's with a stock kernel. Those with our patches are made up here; a recording of a real one
is looked at in ../lab/patched.py.
"""
import os
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
from readers import check_lines, environment, must_fail, only, run
from scenario import Scenario


def compare(name, host, kshark_info, plugin_dir):
    stock, _ = run([kshark_info, host])
    shown, errors = run([kshark_info, host], environment(plugin_dir))
    ours, _ = check_lines(stock, shown)
    must_fail(check_lines, stock, stock)
    assert not errors, errors
    print(shown, end='')
    print(f'{name}: {ours} rows, asked for backwards and forwards, beside a second stream and without it')
    return stock


def main():
    plugin, kshark_info, host = sys.argv[1:]
    with only(plugin) as plugins, tempfile.TemporaryDirectory() as directory:
        if os.path.exists(host):
            compare('a stock kernel', host, kshark_info, plugins)
        else:
            print(f'no file {os.path.basename(host)}')
        Scenario(patched=True, vms=2, ratio=1.25, rescale=[1.3], changes=4).write(directory)
        stock = compare('a kernel with our patches', os.path.join(directory, 'host.dat'), kshark_info, plugins)
        Scenario(vms=2, protected=[1], rescale=[1.3], ratio=1).write(directory)
        protected = compare('a guest with a protected TSC', os.path.join(directory, 'host.dat'), kshark_info, plugins)
    assert [protected.count(f'protected={value}') for value in (0, 1)] == [2, 2], protected
    counts = [sum(f'{event}: ' in line for line in stock.splitlines())
              for event in ('kvm_write_tsc_offset', 'kvm_write_tsc_multiplier')]
    assert counts == [16, 4], counts


main()
