#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The hook in a real recording under valgrind and under ASan and UBSan.

trace-cmd itself has findings; only those with the hook in the stack count.
"""
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import BUILD, PLUGIN, check, in_order, main, probes

SANITIZED = BUILD / 'tests/lab/plugin_kvm_tsc_offset_sanitized.so'
ONE = {'g1': 3}
# trace-cmd's recorder may drop the last page of a CPU, which covers a long time if there are few events: it must have
# no relevant ones
LAST_PAGES = """guest-run g1 'for cpu in 0 1 0 1 0 1 0 1 0 1 0 1; do
	head -c 1000 /dev/zero | tr "\\0" x | taskset -c $cpu tee /sys/kernel/tracing/trace_marker > /dev/null
done'"""
WORKLOAD = '; '.join((probes('g1', 10, 10000), "guest-run g1 'move-tsc 0 520000000; move-tsc 1 520000000'",
                      probes('g1', 10, 10000, base=0x800), LAST_PAGES))


def ours(log):
    """The findings of a log that have the hook in their stack."""
    findings = re.split(r'^(?:==\d+== *$|\s*$)', log, flags=re.M)
    return [finding for finding in findings if 'plugin_kvm_tsc_offset' in finding
            and re.search(r'^(?:==\d+== +)?(?:at|by|#\d)', finding, re.M | re.S)]


def library(name):
    return subprocess.run(['gcc', f'-print-file-name={name}'], capture_output=True, text=True,
                          check=True).stdout.strip()


# With a longer workload valgrind takes minutes under emulation
FEW = {'host_events': '-e kvm:kvm_exit -e kvm:kvm_entry -e kvm:kvm_pio',
       'guest_events': '-e sched:sched_switch', 'timeout': 400}


def sanitizers(lab):
    lab.guests(g1='')
    preload = ':'.join([library('libasan.so'), library('libubsan.so'), str(SANITIZED)])
    asan = lab.record('asan', ONE, WORKLOAD, **FEW,
                      start='ASAN_OPTIONS=exitcode=0:log_path=asan UBSAN_OPTIONS=log_path=ubsan '
                            f'LD_PRELOAD={preload} trace-cmd')
    in_order(asan, 'under ASan and UBSan', at_least=40)
    check(asan.run.said('2 changes'), 'the sanitized hook did the work')
    log = lab.run('cat asan/asan.* asan/ubsan.*').out
    findings = ours(log)
    check('LeakSanitizer' in log and not findings and 'runtime error' not in log,
          'ASan and UBSan have nothing to say about the hook')
    print('\n'.join(findings))


def valgrind(lab):
    lab.guests(g1='')
    watched = lab.record('valgrind', ONE, WORKLOAD, **FEW,
                          start=f'LD_PRELOAD={PLUGIN} valgrind --log-file=valgrind.%p '
                                '--leak-check=full --show-leak-kinds=definite trace-cmd')
    in_order(watched, 'under valgrind', at_least=40)
    check(watched.run.said('2 changes'), 'the hook did the work under valgrind')
    log = lab.call('run', 'cat valgrind/valgrind.*')
    findings = ours(log)
    check('ERROR SUMMARY' in log and not findings, 'valgrind has nothing to say about the hook')
    print('\n'.join(findings))


main(sanitizers, valgrind)
