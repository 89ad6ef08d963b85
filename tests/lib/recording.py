# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Recordings in the lab, with the stock protocol and with ours, and their evaluation.

A script of this directory has scenarios: functions that get a lab, record in it, and check; check() prints one result.
Only scenarios on the command line run; those of one argument, a+b+c, share a lab, which saves the time to boot it.
"""
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from case import BUILD, TREE

# Run these with this interpreter: scenarios call them often, and a wrapper
# that finds an interpreter may itself be a script
LAB = sys.executable, TREE / 'scripts/lab/lab'
PROBE_ORDER = sys.executable, TREE / 'scripts/lab/probe-order'
PLUGIN = BUILD / 'plugin/plugin_kvm_tsc_offset.so'
FAULTS = BUILD / 'tests/lab/plugin_kvm_tsc_offset_faults.so'
TOOL = BUILD / 'tool/tsc-offset'
# The lab's messages when its emulator fails, as older QEMUs occasionally do (scripts/lab/qemu.py)
HOST_HANGS = 75
# A command in the lab that exceeded its time
TIMED_OUT = 124
# Time limit of a command that takes a few seconds
TIMEOUT = 120
# Of each CPU of the host. A busy machine lets a recorder wait so long that smaller buffers lose changes.
BUFFER_KB = 20000
HOST_OPTIONS = f'-C x86-tsc -e kvm -b {BUFFER_KB}'
EMULATOR_FAULTS = ['does not answer; its code is translated anew', 'the host is not up',
                   'the host went away', 'did not come up; above']
# guest-up's message when it needed another attempt
BOOTED_AGAIN = 'is the end of its console; again'
CONNECT_FAULTS = ['Connection timed out', 'Failed to send trace request']
ATTEMPTS = 5

# The base in kernel-patch/ of the patched kernel
KERNEL_BASE = os.environ.get('KERNEL_BASE', 'v6.1')

# Results of scenarios that ended before the lab failed still count
failures = int(os.environ.get('FAILURES', 0))


def check(holds, what):
    """Print one result; failures affect the exit status."""
    global failures
    print(('ok: ' if holds else 'NOT OK: ') + what, flush=True)
    failures += not holds
    return holds


def built_kernel(verb):
    done = subprocess.run([TREE / 'scripts/kernel', verb, KERNEL_BASE], stdout=subprocess.PIPE, text=True,
                          check=True)
    return dict(word.split('=', 1) for word in done.stdout.split())


def patched_kernel():
    """The patched kernel as environment of the lab, and KVM's selftests; they are built if missing."""
    return built_kernel('path')


def stock_kernel():
    """The same kernel without the patches"""
    return built_kernel('stock')


def small_kernel(lab):
    """A kernel with which labs take half as long as with a distribution's, unless the user of the tests chose one"""
    if 'KERNEL' not in os.environ:
        lab.environment |= stock_kernel()
    return ()


def main(*scenarios, prepare=small_kernel, symbols=False):
    """Run the scenarios on the command line, or all, each in a separate lab.

    prepare() gets each lab before it is up, and returns more words for it. Its first scenario calls it. Without it, the
    kernel is Debian's. With symbols, recordings have the kernels' symbols, like those of users; a short recording
    spends most of its time on them.
    """
    # Like the lab itself (scripts/lab/state.py): other tests would delay both
    with contextlib.suppress(OSError):
        Path('/proc/self/autogroup').write_text('-10')
    by_name = {scenario.__name__: scenario for scenario in scenarios}
    groups = sys.argv[1:] or list(by_name)
    for number, group in enumerate(groups):
        names = group.split('+')
        with Lab(names[0], prepare, groups[number:], symbols) as lab:
            for at, name in enumerate(names):
                lab.rest = ['+'.join(names[at:]), *groups[number + 1:]]
                lab.failures_before = failures
                if at:
                    lab.begin(name)
                begin = time.monotonic()
                by_name[name](lab)
                print(f'{name} took {time.monotonic() - begin:.1f} s', flush=True)
    sys.exit(failures != 0)


# Messages of a kernel's log that show an error, for grep -E
COMPLAINTS = 'WARNING|BUG|Oops|unchecked MSR'


class Run:
    """A finished command: its status and its output."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def said(self, pattern):
        """Our lines that match a pattern."""
        return [line for line in (self.out + self.err).splitlines()
                if line.startswith('tsc-offset: ') and re.search(pattern, line)]


class Recording:
    """The results of one trace-cmd record: files of host and guests, and its output."""

    def __init__(self, lab, run, directory, guests):
        self.lab = lab
        self.run = run
        self.host = directory / 'trace.dat'
        self.guests = {name: directory / f'trace-{name}.dat' for name in guests}

    def report(self, *options, guests=None, reader=()):
        """The output of trace-cmd report: this machine's, or the command READER"""
        names = guests or list(self.guests)
        files = [self.host, *(self.guests[name] for name in names)]
        words = [*reader, 'trace-cmd', 'report', *options]
        for file in files:
            words += ['-i', file]
        done = subprocess.run(words, capture_output=True, text=True, errors='replace', check=False)
        return '' if done.returncode else done.stdout

    def order(self, reader=(), options=()):
        """probe-order's result for the merged report of stock trace-cmd."""
        return order_of(self.report(reader=reader), *options)

    def violations(self, guest):
        """The result of tsc-offset check for a guest: exit status, violations, and the error bound of each CPU."""
        done = subprocess.run([TOOL, 'check', '--json', self.host, self.guests[guest]],
                              capture_output=True, text=True, check=False)
        found = json.loads(done.stdout)['guests'][0]
        bounds = [cpu['may_be_moved'] for buffer in found['buffers'] for cpu in buffer['cpus']]
        return done.returncode, found['violations'], bounds

    def points(self, guest):
        """Per vCPU: [(guest time, correction)] as trace-cmd reads its TIME_SHIFT; and the flags."""
        dump = subprocess.run(['trace-cmd', 'dump', '--options', '-i', self.guests[guest]],
                              capture_output=True, text=True, check=True).stdout
        found = re.findall(r'\[Option TimeShift.*?(?=\[Option|\Z)', dump, re.S)
        if not found:
            return None, None
        # Readers use the last one: record adds its own after trace-cmd's
        found = found[-1:]
        counts = [int(n) for n in re.findall(r'^(\d+) \[samples count', found[0], re.M)]
        rows = [(int(ts), int(correction)) for correction, ts in
                re.findall(r'^\s+(-?\d+) 1 0 (-?\d+)\[offset', found[0], re.M)]
        flags = int(re.search(r"0x(\w+) \[peer's protocol flags", found[0])[1], 16)
        vcpus = []
        for count in counts:
            vcpus.append(rows[:count])
            rows = rows[count:]
        return vcpus, flags

    def process_found(self):
        """Whether trace-cmd found each guest's process. Otherwise GUEST in the host's file has no vCPUs."""
        dump = subprocess.run(['trace-cmd', 'dump', '--options', '-i', self.host],
                              capture_output=True, text=True, check=True).stdout
        counts = [int(n) for n in re.findall(r'^(\d+) \[Guest CPUs', dump, re.M)]
        return len(counts) == len(self.guests) and 0 not in counts

    def finished(self, guest, changes=None):
        """Whether record wrote the history, with this many changes, into a guest's
        file without a doubt, according to its message."""
        lines = self.run.said(rf'/?trace-{guest}\.dat: VM .*error at most')
        counted = changes is None or re.search(rf' {changes} changes?; ', ' '.join(lines))
        return len(lines) == 1 and counted and 'in doubt' not in lines[0]

    def host_events(self):
        """The host's rows in raw time: (thread, time, event, text)."""
        return self.rows(self.host, '--raw-ts', '-N')

    def cpu_times(self, guest, cpu):
        """The host times of the events of one of a guest's CPUs."""
        return [ts for _, ts, _, _ in self.rows(self.guests[guest], '--cpu', str(cpu))]

    def guest_end(self, guest):
        """The host time of the guest's last event."""
        return self.rows(self.guests[guest])[-1][1]

    @staticmethod
    def rows(file, *options):
        text = subprocess.run(['trace-cmd', 'report', *options, '-i', file], capture_output=True,
                              text=True, errors='replace', check=True).stdout
        rows = re.findall(r'^\s*.*-(\d+)\s+\[\d+\](?:\s[^\d\s]\S{4,6}?(?=\s|\d))?\s*(\d+):\s+(\w+):\s*(.*)$',
                          text, re.M)
        return [(int(tid), int(ts), event, rest) for tid, ts, event, rest in rows]


def signed(value):
    return (int(value) + (1 << 63)) % (1 << 64) - (1 << 63)


class Lab:
    """One emulated host for one test."""

    def __init__(self, name, prepare=None, rest=(), symbols=True):
        self.begin(name)
        self.symbols = symbols
        self.environment = os.environ | {'LAB_DIR': str(self.directory / 'lab'),
                                         'BUILD_DIR': str(BUILD)}
        self.prepare = prepare
        # Names and options of guests
        self.up = {}
        # The scenarios that remain if the lab fails
        self.rest = rest
        self.failures_before = failures

    def __enter__(self):
        # The end of a test ends its lab
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self.call('up', *(self.prepare(self) if self.prepare else ()), *['--no-symbols'] * (not self.symbols))
        return self

    def __exit__(self, *_):
        self.verb('down')

    def begin(self, scenario):
        """Begin a scenario. Its files are in a separate directory."""
        self.name = scenario
        self.directory = BUILD / 'lab-tests' / scenario
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)

    def use_debian_kernel(self):
        """The kernel that the user of the tests chose"""
        for name in 'KERNEL', 'KERNEL_MODULES':
            self.environment.pop(name, None)

    def verb(self, *words, timeout=TIMEOUT):
        # This is longer than the time limit of a command in the lab
        try:
            done = subprocess.run([*LAB, *map(str, words)], env=self.environment, text=True,
                                  capture_output=True, errors='replace', check=False, timeout=timeout + 3 * TIMEOUT)
        except subprocess.TimeoutExpired:
            self.begin_anew(f'lab {" ".join(map(str, words))} did not end')
        if done.returncode == HOST_HANGS or any(sign in done.stderr for sign in EMULATOR_FAULTS):
            self.begin_anew(f'lab {" ".join(map(str, words))}: {done.stderr}')
        if BOOTED_AGAIN in done.stderr:
            print(f'booted again: {done.stderr}', flush=True)
        return Run(done.returncode, done.stdout, done.stderr)

    def begin_anew(self, why):
        """The lab failed: repeat the whole scenario and continue with the following ones, a few times at most. Only
        failures that the emulator may have caused are repeated, not failed checks.
        """
        scenario = self.rest[0].split('+')[0] if self.rest else self.name
        before, _, number = os.environ.get('ATTEMPT', '').partition(' ')
        attempt = int(number) if before == scenario else 1
        print(f'attempt {attempt} of {ATTEMPTS} of {scenario} ended by the lab: {why}', flush=True)
        subprocess.run([*LAB, 'run', '--timeout', '60', 'for guest in $(ls /run/lab/guest); do echo "== $guest"; '
                        'guest-state $guest; done; dmesg | tail -n 10'],
                       env=self.environment, check=False)
        subprocess.run([*LAB, 'down'], env=self.environment, check=False)
        if attempt == ATTEMPTS:
            raise SystemExit(1)
        os.environ |= {'ATTEMPT': f'{scenario} {attempt + 1}', 'FAILURES': str(self.failures_before)}
        os.execv(sys.executable, [sys.executable, sys.argv[0], *(self.rest or sys.argv[1:])])

    def call(self, *words):
        """Run a verb of the lab that must succeed within its time limit."""
        if words[0] in ('run', 'guest'):
            words = words[0], '--timeout', 2 * TIMEOUT, *words[1:]
        run = self.verb(*words)
        if run.status:
            self.begin_anew(f'lab {" ".join(map(str, words))}: status {run.status}\n'
                            f'{run.out}{run.err}')
        return run.out

    def guests(self, **wanted):
        """Start exactly these guests, each with options of guest-up; running ones are kept."""
        for name in [name for name, options in self.up.items() if wanted.get(name) != options]:
            self.call('guest-down', name)
            del self.up[name]
        for name, options in wanted.items():
            if name not in self.up:
                self.call('guest-up', name, *shlex.split(options))
                self.up[name] = options

    def run(self, command, timeout=TIMEOUT):
        return self.verb('run', '--timeout', timeout, command, timeout=timeout)

    def start(self, command):
        """Start a command on the host in the background; wait() waits for its end."""
        return subprocess.Popen([*LAB, 'run', '--timeout', str(TIMEOUT), command], env=self.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                errors='replace')

    @staticmethod
    def wait(process):
        out, err = process.communicate()
        return Run(process.returncode, out, err)

    def until(self, command, seconds=60):
        """Poll until a command on the host succeeds."""
        deadline = time.monotonic() + seconds
        while self.run(command).status:
            if time.monotonic() > deadline:
                self.begin_anew(f'waited {seconds} s in vain for: {command}')
            time.sleep(0.1)

    def kvm_directory(self, guest):
        pid = int(self.call('run', f'guest-pid {guest}'))
        return self.call('run', f'echo /sys/kernel/debug/kvm/{pid}-*').strip()

    def debugfs_offsets(self, guest, vcpus=2):
        directory = self.kvm_directory(guest)
        files = ' '.join(f'{directory}/vcpu{n}/tsc-offset' for n in range(vcpus))
        return [int(line) for line in self.call('run', f'cat {files}').split()]

    def instances(self):
        """The tracefs instances on the host except the lab's own, and the events of our probes."""
        names = self.call('run', 'cd /sys/kernel/tracing; ls instances; '
                          "grep -o 'tsc_offset[a-z_]*/[a-z_]*' kprobe_events; true").split()
        return [name for name in names if not name.startswith('lab.')]

    def recorder(self, name, guests, workload, how='ours', clock='-C x86-tsc', options='',
                 environment='', start=None, host_events='-e kvm',
                 guest_events='-e sched:sched_switch -e raw_syscalls'):
        """The command line of a recording: how is 'stock', 'ours' for record, or a file with the hook to preload.

        The workload is shell text; without one the recording lasts until it is interrupted.
        """
        if start:
            pass
        elif how == 'stock':
            start = 'trace-cmd'
        elif how == 'ours':
            start = str(TOOL)
        else:
            start = f'LD_PRELOAD={how} trace-cmd'
        agents = ' '.join(f'-A {guest}@{cid}:823 {guest_events}' for guest, cid in guests.items())
        workload = f'-- bash -c {shlex.quote(workload)}' if workload else ''
        return (f'mkdir -p {name} && cd {name} && rm -f trace*.dat && exec env {environment} '
                f'{start} record {clock} -b {BUFFER_KB} {options} {host_events} -o trace.dat {agents} {workload}')

    def record(self, name, guests, workload, timeout=TIMEOUT, must_live=True, **more):
        """Record, and fetch the files."""
        return self.fetch(name, guests,
                          self.run(self.recorder(name, guests, workload, **more), timeout),
                          must_live)

    def fetch(self, name, guests, run, must_live=True):
        if run.status == TIMED_OUT:
            self.begin_anew(f'recording {name} did not end\n{run.out}{run.err}')
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        files = ' '.join(f'{name}/trace-{guest}.dat' for guest in guests).split()
        self.verb('copy-out', f'{name}/trace.dat', *files, directory)
        recording = Recording(self, run, directory, guests)
        if run.status:
            print(f'recording {name}: status {run.status}\n{run.out}{run.err}', flush=True)
        for guest in guests if must_live else ():
            # Without an error of the emulator, every attempt ends like this
            if (self.run(f'guest-run {guest} true', 30).status or
                    any(sign in run.err for sign in CONNECT_FAULTS)):
                console = self.run(f'tail -n 20 /run/lab/guest/{guest}/console').out
                agent = self.run(f'guest-run {guest} "cat /tmp/agent.log; dmesg | tail"', 30).out
                self.begin_anew(f'the guest {guest}, or its agent, hung or died\n{run.err}\n{console}\n{agent}')
        return recording


def probes(guest, count, delay_us, vcpus=2, base=0):
    """A workload: probes on all vCPUs of a guest at the same time."""
    starts = '; '.join(f'probe {count} {delay_us} {cpu} {base + 0x1000 * cpu:#x} &'
                       for cpu in range(vcpus)).replace('&;', '&')
    return f"guest-run {guest} '{starts} wait'"


def stamp(recording, *options, host=None, out=None):
    """Run tsc-offset stamp; return the result as a recording, and the output."""
    guest = recording.guests['g1']
    host = host or recording.host
    done = subprocess.run([TOOL, 'stamp', *options, host, guest], capture_output=True, text=True,
                          check=False)
    stamped = Recording(recording.lab, recording.run, host.parent, ['g1'])
    stamped.host = host
    stamped.guests = {'g1': out or guest.with_suffix('.synced.dat')}
    print(done.stdout + done.stderr, end='')
    return stamped, done


def shown(file):
    """The VMs of a host's file as tsc-offset show prints them."""
    done = subprocess.run([TOOL, 'show', '--json', file], capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f'show {file}: {done.stderr}')
    return json.loads(done.stdout)['vms']


def order_of(report, *options):
    """probe-order's result."""
    found = subprocess.run([*PROBE_ORDER, '--json', *options], input=report, text=True, capture_output=True,
                           check=False)
    return json.loads(found.stdout)


def verdict(name, order):
    return f"{name}: {order['out_of_order']} of {order['probes']} probes out of order" \
        f" ({order['unpaired']} not paired)"


def few_unpaired(order):
    """A probe that only one side recorded proves nothing. Emulated buffers
    lose some under load: a page has about ten."""
    return order['unpaired'] <= max(10, order['probes'] // 10)


def in_order(recording, name, at_least=1, partial=False, reader=(), options=()):
    """Check that the merged report of stock trace-cmd has every probe in order.

    partial: the recording was cut, so any number of probes may be unpaired.
    """
    order = recording.order(reader, options)
    all_seen = order['probes'] + order['unpaired'] >= at_least
    enough = order['probes'] and (partial or few_unpaired(order))
    if check(all_seen and enough and not order['out_of_order'], verdict(name, order)):
        return True
    print(recording.run.out + recording.run.err)
    for guest in recording.guests:
        print(recording.lab.run(f'tail -n 20 /run/lab/guest/{guest}/console').out)
    print(recording.lab.run('dmesg | tail -n 10').out, flush=True)
    return False
