#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""trace-cmd and KernelShark of one Debian read files that tsc-offset of the other stamped."""
import itertools
import shutil
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from releases import both, finish
from merged import READERS, times
from recording import TREE, check
from scenario import Scenario
import trace_dat

MADE = {
    'version 6': (dict(changes=5), dict(version=6)),
    'version 7': (dict(changes=5), {}),
    'zstd': (dict(changes=20, vcpus=3), dict(compression='zstd')),
    'scaled, a patched kernel': (dict(patched=True, ratio=1.25, changes=3), {}),
}


def stamped(debian, host, guest):
    """A stamped copy, and a file that was stamped in place. A file of version 6 cannot be stamped in place."""
    out = guest.with_name(f'{guest.stem}-{debian.build.name}.dat')
    # stamp does not replace the files of an earlier run
    out.unlink(missing_ok=True)
    debian.run(debian.tool, 'stamp', '-o', out, host, guest)
    place = out.with_suffix('.place.dat')
    shutil.copy(guest, place)
    done = debian.run(debian.tool, 'stamp', '--in-place', host, place, must=False)
    return [out] + [place] * (done.returncode == 0)


def real(debians, directory):
    """A recording of the lab that trace-cmd's own protocol synchronised"""
    host, guest = directory / 'host.dat', directory / 'guest.dat'
    for path in host, guest:
        shutil.copy(TREE / 'tests/data/agent-moved' / path.name, path)
    for reader, read in itertools.product(debians, READERS):
        total, wrong = trace_dat.probes(READERS[read](reader, host, guest))
        check(total == 200 and wrong == 120, f'control: as recorded, {read} of {reader.name}: {wrong} of {total} '
              'probes out of order')
    for writer in debians:
        for file, reader, read in itertools.product(stamped(writer, host, guest), debians, READERS):
            total, wrong = trace_dat.probes(READERS[read](reader, host, file))
            check(total == 200 and not wrong, f'stamped by {writer.name}{" in place" * ("place" in file.name)}, '
                  f'{read} of {reader.name}: {wrong} of {total} probes out of order')


def made(debians, directory):
    for name, (parameters, options) in MADE.items():
        scenario = Scenario(**parameters)
        scenario.write(directory, **options)
        host, guest = directory / 'host.dat', directory / 'g1.dat'
        wanted = sorted((event.host_tsc, event.cpu, event.pid, event.name) for event in scenario.events('g1'))
        allowed = 2 if 'ratio' in parameters else 0
        files = [file for writer in debians for file in stamped(writer, host, guest)]
        check(len(files) == (2 if options.get('version') == 6 else 4), f'{name}: {len(files)} files were stamped')
        for reader, read in itertools.product(debians, READERS):
            raw = times(READERS[read](reader, guest))
            check(raw != wanted and len(raw) == len(wanted), f'control: {name}, {read} of {reader.name}: not stamped, '
                  'the times are the guest\'s')
            worst = max(abs(time - true) for file in files
                        for (time, *_), (true, *_) in zip(times(READERS[read](reader, file)), wanted, strict=True))
            check(worst <= allowed, f'{name}, {read} of {reader.name}: {len(wanted)} events in each of {len(files)} '
                  f'files, at most {worst} cycles off')


def main():
    debians = both()
    with tempfile.TemporaryDirectory() as directory:
        real(debians, Path(directory))
        made(debians, Path(directory))


main()
finish()
