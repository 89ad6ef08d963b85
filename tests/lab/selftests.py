#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""KVM's selftests, and those of our patch series, on both emulated hosts, with the patches and without.

Without the patches ours must fail, with the right assertion: kernel-patch/selftests.table has the list. Only
scripts/kernel sets SERIES in the environment: then the kernel with the patches is that of KERNEL, KERNEL_MODULES and
SELFTESTS, and has only this series.
"""
import os
import re
import shlex
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import COMPLAINTS, TREE, check, main, patched_kernel, stock_kernel

PASSED, SKIPPED = 0, 4
ALONE = os.environ.get('SERIES')
# Linux 6.12 complains about Bochs' CPU model at boot. Our tests make KVM emulate RDTSC, to test its TSC; KVM's own
# are run in their usual way.
RUN = '''
before=$(dmesg | wc -l)
load-kvm || exit
for name in {names}; do
	case ' {ours} ' in
	*" $name "*) echo 1 ;;
	*) echo 0 ;;
	esac > /sys/module/kvm/parameters/force_emulation_prefix
	echo "== $name"
	timeout 200 ./$name 2>&1
	echo "== status $?"
done
dmesg | tail -n "+$((before + 1))" | grep -E '{complaints}'
exit 0
'''
# Paths of kernel and programs
paths = {}


def prepare(lab):
    if ALONE:
        paths.update({name: os.environ[name] for name in ('KERNEL', 'KERNEL_MODULES', 'SELFTESTS')})
    else:
        paths.update(patched_kernel() if 'patched' in lab.name else stock_kernel())
    lab.environment |= paths
    return ['--emulator', 'bochs'] if 'vmx' in lab.name else []


def table(host):
    """{name: (ours, its result here with the patches, its message without them)}"""
    found = {}
    for line in (TREE / 'kernel-patch/selftests.table').read_text().splitlines():
        if line and not line.startswith('#'):
            name, series, svm, vmx, *says = re.split(r'\s+', line, maxsplit=4)
            if not ALONE or series in ('kvm', ALONE[0]):
                found[name] = series != 'kvm', {'svm': svm, 'vmx': vmx}[host], ''.join(says)
    return found


def run(lab, tests):
    """{name: (status, output)}, and the kernel's complaints"""
    programs = {path.name: path for path in Path(paths['SELFTESTS']).rglob('*') if path.name in tests}
    missing = {name for name, (ours, *_) in tests.items() if ours} - set(programs)
    check(not missing, f'all of our programs are there {missing or ""}')
    lab.call('copy-in', *programs.values())
    ours = [name for name, (is_ours, *_) in tests.items() if is_ours]
    out = lab.run(RUN.format(names=shlex.join(sorted(programs)), ours=' '.join(ours), complaints=COMPLAINTS), 1200).out
    *parts, complaints = re.split(r'^== status (\d+)\n', out, flags=re.M)
    results = {}
    for text, status in zip(parts[::2], parts[1::2]):
        name, text = re.match(r'== (\S+)\n(.*)', text, re.S).groups()
        results[name] = int(status), text
    check(results.keys() == programs.keys(), f'{len(results)} programs ran')
    return results, complaints


def as_expected(name, status, expected, ours):
    what = 'passes' if expected == 'pass' else 'skips'
    return check(status == (PASSED if expected == 'pass' else SKIPPED),
                 f'{"ours" if ours else "KVM"}: {name}: {what} (status {status})')


def patched(lab, host):
    tests = table(host)
    results, complaints = run(lab, tests)
    for name, (status, text) in results.items():
        ours, expected, _ = tests[name]
        if not as_expected(name, status, expected, ours):
            print(text)
    check(not complaints, f'the kernel has nothing to complain about {complaints}')


def stock(lab, host):
    tests = table(host)
    results, _ = run(lab, tests)
    for name, (status, text) in results.items():
        ours, expected, says = tests[name]
        if ours and expected != 'skip':
            said = re.search(f'.*{says}.*', text)
            good = check(status not in (PASSED, SKIPPED) and said,
                         f'control: {name} fails without the patches: {said[0].strip() if said else status}')
        else:
            good = as_expected(name, status, expected, ours)
        if not good:
            print(text)


def selftests_patched_svm(lab):
    patched(lab, 'svm')


def selftests_stock_svm(lab):
    stock(lab, 'svm')


def selftests_patched_vmx(lab):
    patched(lab, 'vmx')


def selftests_stock_vmx(lab):
    stock(lab, 'vmx')


main(selftests_patched_svm, selftests_stock_svm, selftests_patched_vmx, selftests_stock_vmx, prepare=prepare)
