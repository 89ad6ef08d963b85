#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""KernelShark's Info column on a real host's file: usage: test_kshark.py PLUGIN KSHARK_INFO HOST.DAT"""
import os
import sys

from readers import check_lines, environment, must_fail, only, run, skip


def main():
    plugin, kshark_info, host = sys.argv[1:]
    if not os.path.exists(host):
        skip(f'no file {os.path.basename(host)}')
    stock, _ = run([kshark_info, host])
    with only(plugin) as directory:
        shown, errors = run([kshark_info, host], environment(directory))
    ours, _ = check_lines(stock, shown)
    must_fail(check_lines, stock, stock)
    assert not errors, errors
    print(shown, end='')
    print(f'{ours} rows, asked for backwards and forwards, beside a second stream and without it')


main()
