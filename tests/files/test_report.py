#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""trace-cmd report on a real host's file: usage: test_report.py PLUGIN DIRECTORY-OF-SYSTEM-PLUGINS HOST.DAT"""
import os
import sys

sys.path.append(sys.path[0] + '/../lib')
from readers import (check_lines, environment, is_ours, must_fail, need_program, only, run, skip)

OPTION = 'kvm_tsc_offset:tsc_khz='


def report(host, *arguments, plugin_dir=None):
    return run(['trace-cmd', 'report', '-i', host, *arguments], environment(plugin_dir))


def main():
    plugin, system_dir, host = sys.argv[1:]
    need_program('trace-cmd')
    if not os.path.exists(host):
        skip(f'no file {os.path.basename(host)}')
    plugin_kvm = os.path.join(system_dir, 'plugin_kvm.so')

    with only(plugin) as directory:
        # The system's own plugins are loaded in both, so plugin_kvm.so is beside ours
        stock, stock_errors = report(host)
        shown, errors = report(host, plugin_dir=directory)
        ours, others = check_lines(stock, shown)
        assert errors == stock_errors
        must_fail(check_lines, stock, stock)
        must_fail(check_lines, stock, shown.replace('delta=+', 'delta=-'))
        print(f'{ours} lines with the signed delta, {others} others byte for byte as without')
        for line in filter(is_ours, shown.splitlines()):
            print(' ', line.strip())

        for khz in 2596100, 1, 5000000, 3000001:
            shown, errors = report(host, '-O', f'{OPTION}{khz}', plugin_dir=directory)
            check_lines(stock, shown, khz)
            must_fail(check_lines, stock, shown, khz + khz // 2 + 1)
            assert errors == stock_errors
            print(f'tsc_khz={khz}:', next(filter(is_ours, shown.splitlines())).split(' (')[1][:-1])

        shown, errors = report(host, '-O', f'{OPTION}fast', plugin_dir=directory)
        check_lines(stock, shown)
        assert errors.replace(stock_errors, '').count('\n') == 1 and 'fast' in errors
        print('tsc_khz=fast: said once on stderr, ignored')

        # Without the system's plugins ...
        stock_alone, _ = report(host, '-L')
        shown, _ = report(host, '-L', plugin_dir=directory)
        check_lines(stock_alone, shown)
        # ... and with all handlers bypassed, where nothing of ours may be seen
        for bypass in '-N', '-R':
            bypassed, _ = report(host, bypass, plugin_dir=directory)
            assert bypassed == report(host, bypass)[0]
            assert 'delta=' not in ''.join(filter(is_ours, bypassed.splitlines()))
        print('alone, too; report -N and -R as without')

    if not os.path.exists(plugin_kvm):
        print('plugin_kvm.so is not installed: not tried beside it')
        return
    with only(plugin, plugin_kvm) as directory:
        shown, _ = report(host, '-L', plugin_dir=directory)
        check_lines(stock, shown)
        handled = sum(a != b for a, b in zip(stock.splitlines(), stock_alone.splitlines()))
        assert handled, 'plugin_kvm.so changes no line of this file: nothing is shown by it'
        print(f'beside plugin_kvm.so in one directory: {handled} lines are its, {ours} are ours')


main()
