# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Shared code of benchmarks. They measure times in turn, and print a line for each claim.

A line is printed at once. If BENCH_TABLE is set, the line is also written to that file, for the table of scripts/bench.
A script ends with sys.exit(claims_fail()), which is 1 if one of its claims is not met. If BENCH_QUICK is set, as by
scripts/bench --quick, recordings are fewer and smaller; the claims are the same.
"""
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from peak_memory import peak_memory

QUICK = 'BENCH_QUICK' in os.environ

failed = False


def claim(holds, what):
    global failed
    failed |= not holds
    figure(what, 'ok' if holds else 'NOT OK')


def figure(what, verdict=''):
    """Print a figure without a claim"""
    line = f'{verdict:7} {what}'
    print(line, flush=True)
    if 'BENCH_TABLE' in os.environ:
        with open(os.environ['BENCH_TABLE'], 'a') as table:
            print(line, file=table)


def spread(values, digits=0):
    """The median, minimum and maximum of some values, as text"""
    # Print 0 and not -0
    median, least, most = (f'{round(value, digits) + 0:.{digits}f}'
                           for value in (statistics.median(values), min(values), max(values)))
    return f'{median} ({least} to {most})'


def on_disk(directory=None):
    """A temporary directory for files of a gigabyte"""
    return tempfile.TemporaryDirectory(dir=directory or os.environ.get('TMPDIR', '/var/tmp'))


def claims_fail():
    return int(failed)


def succeeded(words, status):
    if status not in (0, 3):
        sys.exit(f'{" ".join(map(str, words))}: status {status}')


def run(*words, **more):
    """The seconds that a command takes"""
    begin = time.monotonic()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    seconds = time.monotonic() - begin
    succeeded(words, done.returncode)
    return seconds


def memory(*words):
    """Peak memory of a command in KiB"""
    status, peak = peak_memory(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    succeeded(words, status)
    return peak


def least(times, *commands):
    """The minimum time of each command, over this many rounds in which they take turns"""
    found = [[run(*command) for command in commands] for _ in range(times)]
    return [min(column) for column in zip(*found)]


def cpu_time(*command, **more):
    """CPU time of a command in seconds"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, **more)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
