#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The examples of the manuals and of README.md with a live host and its guest, as written.

The installed files are used, under systemd. The guest has the name that the examples use.
"""
import os
import shlex
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
import manual
from recording import BUILD, TIMED_OUT, check, main

GUEST = 'guest'
# The PATH of a login; the lab searches other directories too
PATH = 'PATH=/usr/local/bin:$PATH'
# trace-cmd's recorder may drop its last page (README.md): then the status is 3, for this reason
LOST = 'events were lost', 'lost events'


def install(lab):
    """Install into a directory that is laid over the host's root."""
    files = lab.directory / 'files'
    subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet'], check=True,
                   stdout=subprocess.DEVNULL, env=os.environ | {'DESTDIR': str(files)})
    if not list(files.rglob('tsc-offset-instance.service')):
        print('skipped: systemd was not there when the build was set up')
        sys.exit(77)
    # Guests of the lab have no network
    ssh = files / 'usr/local/bin/ssh'
    ssh.parent.mkdir(parents=True, exist_ok=True)
    ssh.write_text('#!/bin/sh\nname=${1#*@}\nshift\nexec guest-run --stdin "$name" "$@"\n')
    ssh.chmod(0o755)
    lab.ran = set()
    return '--systemd', files


def shell(example):
    """The example as a command on the host"""
    command = f'{PATH}; {example.command}'
    if example.prompt == 'guest#':
        command = f'guest-run {GUEST} {shlex.quote("cd /tmp; " + example.command)}'
    return f'mkdir -p /tmp/try && cd /tmp/try && {command}'


def judge(lab, example, run):
    lab.ran.add((example.prompt, example.command))
    if run.status == TIMED_OUT:
        lab.begin_anew(f'{example} did not end\n{run.out}{run.err}')
    missing = example.missing(run.out + '\n' + run.err, any_number=True)
    lost = run.status == 3 and any(words in run.err for words in LOST)
    if lost:
        print(f'{example}: trace-cmd lost events', flush=True)
    if not check((run.status == 0 or lost) and missing is None, str(example)):
        print(f'status {run.status}, missing: {missing}\n{run.out[-2000:]}{run.err[-2000:]}', flush=True)
    return run


def perform(lab, examples):
    """Run the examples in order; two successive recordings are those of host and guest at the same time."""
    examples = list(examples)
    while examples:
        example = examples.pop(0)
        both = (examples and example.prompt == 'host#' and examples[0].prompt == 'guest#'
                and all(' record ' in each.command for each in (example, examples[0])))
        if not both:
            judge(lab, example, lab.run(shell(example)))
            continue
        host = lab.start(shell(example))
        time.sleep(2)
        judge(lab, examples[0], lab.run(shell(examples.pop(0))))
        judge(lab, example, lab.wait(host))
        # "Bring the guest's file to the host's"
        lab.call('run', f'guest-run {GUEST} "cat /tmp/guest.dat" > /tmp/try/guest.dat')


# Perfetto is not in the lab: tests/compat/test_perfetto_recorded.py records with it and merges
NOT_HERE = 'perfetto '


def live(page):
    if any(example.command.startswith(NOT_HERE) for example in manual.examples(page)):
        print(f'{page.name}: not run, as the lab has no {NOT_HERE}')
        return []
    return [example for example in manual.examples(page) if example.prompt in ('host#', 'guest#')]


def tutorial(lab):
    # Before any guest exists
    instance = [example for example in live(manual.README) if 'instance' in example.command]
    perform(lab, live(manual.page_of('instance')) + instance)
    check(lab.run('systemctl is-enabled tsc-offset-instance && [ -d /sys/kernel/tracing/instances/tsc_offset ]'
                  ).status == 0, 'the unit is enabled, and the instance there')
    lab.call('run', 'systemctl --quiet disable --now tsc-offset-instance')

    examples = live(manual.TUTORIAL)
    check('instance start' in examples[0].command, 'the tutorial begins with the instance')
    perform(lab, examples[:1])
    lab.call('guest-up', GUEST, '--no-agent')
    perform(lab, examples[1:])

    for page in [*manual.pages(), manual.README]:
        examples = [example for example in live(page) if (example.prompt, example.command) not in lab.ran]
        perform(lab, examples)
    rest = [str(example) for page in [*manual.pages(), manual.README] for example in live(page)
            if (example.prompt, example.command) not in lab.ran]
    check(not rest, f'{len(lab.ran)} examples were run, none is left {rest or ""}')

    # The control: a failing example is detected
    wrong = next(example for example in live(manual.page_of('record')) if 'tsc-offset check' in example.command)
    wrong.command = wrong.command.replace('trace.dat', 'no-such.dat')
    check(lab.run(shell(wrong)).status != 0, 'control: an example that does not work')


main(tutorial, prepare=install, symbols=True)
