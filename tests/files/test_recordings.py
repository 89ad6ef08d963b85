#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Real recordings, merged by the real trace-cmd report, with and without what the core makes of the
host's kvm_write_tsc_offset events.

Arguments: the program encode_events, the directory of the recordings.
"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
import trace_dat


def merged(host, guest):
    return trace_dat.probes(trace_dat.report('-i', host, '-i', guest))


def main():
    program, data = sys.argv[1:]
    if not shutil.which('trace-cmd'):
        print('skipped: no trace-cmd')
        return 77
    failed = False

    def expect(what, found, wanted):
        nonlocal failed
        failed |= found != wanted
        print(f'{"ok" if found == wanted else "FAILED":6} {what}: {found[1]} of {found[0]} probes out of '
              f'order' + (f', not {wanted[1]} of {wanted[0]}' if found != wanted else ''))

    for name, before in ('agent-still', (40, 0)), ('agent-moved', (200, 120)):
        host, guest = (os.path.join(data, name, file) for file in ('host.dat', 'guest.dat'))
        expect(f'{name} as recorded', merged(host, guest), before)

    payload = subprocess.run([program, host], check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as directory:
        stamped = os.path.join(directory, 'guest.dat')
        trace_dat.with_time_shift(guest, stamped, payload)
        expect(f'{name} by its events', merged(host, stamped), (200, 0))
    return failed


if __name__ == '__main__':
    sys.exit(main())
