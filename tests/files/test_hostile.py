#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Files of an attacker: no command takes more than some seconds of CPU time or 512 MiB of memory. Each ends with a
result or reports what is too large, and leaves no temporary file.
"""
import os
import resource
import stat
import sys
from unittest import mock

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, TOOL, Case, each, main
import hostile
import perfetto_trace

CPU_SECONDS, MEGABYTES, WALL_SECONDS = 10, 512, 300

NO_FORM = 'the format of', 'is too large, or does not have the form that kernels write'
CUT = 'events lack a field, or a part of one'
EXPANDS = 'it expands to more than 16 MiB and 100 times its compressed size'
NOT_THEN = 'sampled events are at times at which their vCPU did not run'
TOO_FEW = 'too few to prove anything'
THREADS = 'more than 131072 threads of vCPUs'

# export's exit status and messages for each kind; the times of unsynchronised guests come from the host's history
EXPORT = {
    'version_6': (DONE,), 'many_words_to_print': (DONE,), 'many_fields': (DONE,), 'fields_in_bounds': (INCOMPLETE, CUT),
    'many_formats': (FAILED, 'more than 16384 formats of events'), 'all_formats': (INCOMPLETE,),
    'deep': (DONE,), 'deep_signs': (DONE,), 'chains': (DONE,),
    'killers': (DONE,), 'wide': (DONE,), 'wide_in_bounds': (INCOMPLETE,),
    'short_records': (INCOMPLETE, CUT), 'many_names': (INCOMPLETE,), 'copies': (INCOMPLETE,),
    'symbols_as_words': (DONE,), 'bprint_without_fmt': (DONE,), 'two_bprints': (INCOMPLETE,),
    'kallsyms': (FAILED, 'more symbols than any kernel has'),
    'printk': (FAILED, 'more formats of trace_printk() than any kernel has'),
    'cmdlines': (FAILED, 'more names of threads than any kernel has'),
    'small_events': (FAILED, EXPANDS), 'bomb_of_sections': (FAILED, EXPANDS), 'many_tasks': (DONE,),
    'many_losses': (INCOMPLETE, 'changes of its TSC offsets may be missing'), 'hole': (DONE,),
    'losses_of_vcpus': (INCOMPLETE, 'changes of its TSC offsets may be missing'),
    'threads_in_bounds': (INCOMPLETE,), 'many_cpus': (INCOMPLETE,),
    'vms_in_bounds': (FAILED, 'choose one with --vm'), 'threads_of_all': (FAILED, 'choose one with --vm'),
    'one_thread': (FAILED, 'choose one with --vm'), 'vcpus_in_bounds': (INCOMPLETE,),
    'names_of_probes': (FAILED, 'choose one with --vm'), 'lives_in_bounds': (FAILED, 'choose one with --vm'),
    'lives_of_old_kernel': (FAILED, 'choose one with --vm'), 'lives_by_number': (FAILED, 'choose one with --vm'),
    'alternating': (FAILED, 'choose one with --vm'), 'writes_of_probes': (DONE,),
}
# What every command reports for a host's file
REFUSED = {
    'many_words': NO_FORM, 'unclosed': NO_FORM, 'attribute_first': NO_FORM, 'many_vms': (THREADS,), 'many_lives': (THREADS,),
    'many_threads': (THREADS,), 'many_vcpus': ('has 60000 vCPUs, KVM has at most 16384',),
    'many_options': ('more than 256 buffers',), 'many_buffers': ('more than 256 buffers',),
    'small_entries': (EXPANDS,), 'bomb_of_chunks': (EXPANDS,),
    'small_changes': ('more than 1048576 events of TSC offsets',),
}
STAMP = {
    'many_cpus': (FAILED, 'its TIME_SHIFT would be larger than 128 MiB: each of its 16384 CPUs', 'which has 999 changes'),
    'version_6': (FAILED, 'trace-cmd convert did not finish within 3 s of CPU time'),
    'many_losses': (INCOMPLETE, '59989 more ranges'), 'losses_of_vcpus': (INCOMPLETE,),
    'small_events': (FAILED, EXPANDS),
    'all_formats': (INCOMPLETE, NOT_THEN), 'copies': (INCOMPLETE, NOT_THEN), 'two_bprints': (INCOMPLETE, NOT_THEN),
    'vms_in_bounds': (FAILED, 'choose one with --vm'), 'threads_of_all': (FAILED, 'choose one with --vm'),
    'one_thread': (FAILED, 'choose one with --vm'),
    'threads_in_bounds': (INCOMPLETE,),
    'many_names': (INCOMPLETE, TOO_FEW), 'wide_in_bounds': (INCOMPLETE, TOO_FEW),
    'names_of_probes': (FAILED, 'choose one with --vm'), 'lives_by_number': (FAILED, 'choose one with --vm'),
    'alternating': (INCOMPLETE, 'kvm_exit is missing'),
}
SHOW = {'many_losses': (INCOMPLETE,), 'losses_of_vcpus': (INCOMPLETE,), 'threads_in_bounds': (INCOMPLETE,),
        'writes_of_probes': (INCOMPLETE, 'moved backward')}
# The kinds that take most of the time
COSTLY = {'alternating', 'lives_by_number', 'lives_in_bounds', 'lives_of_old_kernel', 'losses_of_vcpus', 'many_lives',
          'writes_of_probes', 'many_names', 'many_tasks', 'threads_of_all', 'version_6', 'vms_in_bounds',
          'wide_in_bounds'}


class Run:
    """A command that runs with limits: its output, its status, and its resource usage"""
    def __init__(self, directory, *command):
        out, err = (os.open(os.path.join(directory, name), os.O_RDWR | os.O_CREAT | os.O_TRUNC) for name in ('.out', '.err'))
        self.pid = os.fork()
        if not self.pid:
            try:
                os.chdir(directory)
                os.dup2(out, 1)
                os.dup2(err, 2)
                resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                os.execv(command[0], command)
            finally:
                os._exit(127)
        _, status, self.usage = os.wait4(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        self.out, self.err = (os.pread(fd, 1 << 20, 0).decode(errors='replace') for fd in (out, err))
        os.close(out)
        os.close(err)
        for name in '.out', '.err':
            os.unlink(os.path.join(directory, name))

    @property
    def megabytes(self):
        return self.usage.ru_maxrss >> 10


class Base(Case):
    def check(self, what, command, status, words=(), made=(), grows=None):
        """The command ends with this status and these words, within its limits. It leaves existing files unchanged,
        and makes only the files in @made."""
        before = {name: os.stat(self.path(name)).st_size for name in os.listdir(self.directory)}
        done = Run(self.directory, *command)
        self.assertGreaterEqual(done.status, 0, f'{what}: ended by a signal; {done.err}')
        self.assertEqual(done.status, status, f'{what}: {done.err}')
        for word in words:
            self.assertIn(word, done.err, what)
        for line in done.err.splitlines():
            self.assertTrue(line.startswith('tsc-offset: '), f'{what}: {line}')
        self.assertNotIn('no memory', done.err, what)
        self.assertLessEqual(done.megabytes, MEGABYTES, what)
        after = {name: os.stat(self.path(name)).st_size for name in os.listdir(self.directory)}
        for name in made:
            self.assertIn(name, after, what)
            del after[name]
        if grows:
            self.assertGreater(after.pop(grows), before.pop(grows), what)
        self.assertEqual(after, before, what)
        return done


class Kinds(Base):
    """All kinds, with all commands that read two files"""

    def expected(self, kind):
        """(verb, arguments, files that it makes, status, words)"""
        def of(table, otherwise, refused=FAILED):
            if kind in REFUSED:
                return refused, REFUSED[kind]
            status, *words = table.get(kind, (otherwise,))
            return status, words
        export = of(EXPORT, None)
        yield 'show', ['host.dat'], (), *of(SHOW, DONE)
        yield 'stamp', ['-n', 'host.dat', 'guest.dat'], (), *of(STAMP, DONE)
        stamp = of(STAMP, DONE)
        yield 'stamp', ['-o', 'out.dat', 'host.dat', 'guest.dat'], ['out.dat'] if stamp[0] != FAILED else (), *stamp
        yield 'export', ['--perfetto', 'out.pftrace', 'host.dat', 'guest.dat'], \
            ['out.pftrace'] if export[0] != FAILED else (), *export

    def one(self, kind):
        hostile.KINDS[kind](self.directory)
        for verb, arguments, made, status, words in self.expected(kind):
            self.check(f'{kind}: {verb}', [TOOL, verb, *arguments], status, words, made)
            for name in made:
                os.unlink(self.path(name))
        # Nothing can be appended to a file of version 6
        status, words = next((status, words) for verb, *_, status, words in self.expected(kind) if verb == 'stamp')
        if kind != 'version_6':
            self.check(f'{kind}: stamp -i', [TOOL, 'stamp', '-i', 'host.dat', 'guest.dat'], status, words,
                       grows=None if status == FAILED else 'guest.dat')
        # Other tests check the contents of rewritten files
        before = sorted(os.listdir(self.directory))
        done = Run(self.directory, TOOL, 'stamp', '--rewrite', '-o', 'out.dat', 'host.dat', 'guest.dat')
        self.assertIn(done.status, (DONE, FAILED, INCOMPLETE), f'{kind}: stamp --rewrite: {done.err}')
        self.assertLessEqual(done.megabytes, MEGABYTES, kind)
        self.assertEqual(sorted(os.listdir(self.directory)), sorted([*before, *['out.dat'][:done.status != FAILED]]), kind)
        # Other tests check the output of check and explain
        for verb in 'check', 'explain':
            done = Run(self.directory, TOOL, verb, 'host.dat', 'guest.dat')
            self.assertIn(done.status, (DONE, FAILED, INCOMPLETE), f'{kind}: {verb}: {done.err}')
            self.assertNotIn('this is a bug', done.err, f'{kind}: {verb}')
            self.assertLessEqual(done.megabytes, MEGABYTES, f'{kind}: {verb}')


@each({kind: (kind,) for kind in hostile.KINDS if kind not in COSTLY})
class TestKinds(Kinds):
    def test_all_are_known(self):
        known = {*EXPORT, *REFUSED}
        self.assertEqual(set(hostile.KINDS), known)


@each({kind: (kind,) for kind in COSTLY})
class TestCostly(Kinds):
    """Kinds that take seconds: only in the slow suite"""


class TestResults(Base):
    """The valid parts of hostile files are still shown"""

    def texts(self, kind, status=DONE):
        hostile.KINDS[kind](self.directory)
        self.check(kind, [TOOL, 'export', '--perfetto', 'out.pftrace', 'host.dat', 'guest.dat'], status, made=['out.pftrace'])
        trace = perfetto_trace.Trace(self.path('out.pftrace'))
        os.unlink(self.path('out.pftrace'))
        return [text.text for text in trace.texts() if text.file]

    def test_fields(self):
        """An event that cannot be printed with its format shows its fields"""
        self.assertEqual(set(self.texts('bprint_without_fmt')), {'ip=0 text=ip=0x0 buf=ARRAY[]'})
        self.assertEqual(set(self.texts('wide')), {'a=0'})
        self.assertEqual(set(self.texts('deep')), {'a=0'})

    def test_killers(self):
        """Only the format that crashes the parser is lost"""
        good = hostile.Raw('test', 'good', 70, hostile.NUMBER, '"good %d", REC->a')
        bad = hostile.Raw('test', 'bad', 71, hostile.NUMBER, '"%s", __print_flags(REC->nosuch, "|", { 1, "a" })')
        last = hostile.Raw('test', 'last', 72, hostile.NUMBER, '"last %d", REC->a')
        hostile.write_host(self.directory)
        for formats, name in (([good, bad, last], 'last'), ([last, bad, good], 'good'), ([good, last, bad], 'bad')):
            hostile.write_guest(self.directory, formats)
            self.check(name, [TOOL, 'export', '--perfetto', 'out.pftrace', 'host.dat', 'guest.dat'], DONE,
                       made=['out.pftrace'])
            trace = perfetto_trace.Trace(self.path('out.pftrace'))
            self.assertEqual({(text.event, text.text) for text in trace.texts() if text.file}, {(name, 'a=0')})
            os.unlink(self.path('out.pftrace'))

    def test_holes(self):
        """Holes in the original are holes in the copy"""
        hostile.KINDS['hole'](self.directory)
        self.check('hole', [TOOL, 'stamp', '-o', 'out.dat', 'host.dat', 'guest.dat'], DONE, made=['out.dat'])
        copy, original = (os.stat(self.path(name)) for name in ('out.dat', 'guest.dat'))
        self.assertGreater(copy.st_size, 1 << 40)
        self.assertLess(copy.st_blocks, original.st_blocks + 64)
        with open(self.path('out.dat'), 'rb') as file, open(self.path('guest.dat'), 'rb') as before:
            # Everything except the link to the appended options
            self.assertEqual(file.read(4096), before.read(4096))
            for place in (file.seek(0, os.SEEK_DATA), before.seek(-8192, os.SEEK_END)):
                file.seek(place)
                before.seek(place)
                same = sum(a != b for a, b in zip(file.read(8192), before.read(8192)))
                self.assertLessEqual(same, 8)

    def test_permissions(self):
        """A copy with holes keeps the permissions as well"""
        hostile.KINDS['hole'](self.directory)
        os.chmod(self.path('guest.dat'), 0o600)
        self.check('hole', [TOOL, 'stamp', '-o', 'out.dat', 'host.dat', 'guest.dat'], DONE, made=['out.dat'])
        self.assertEqual(stat.S_IMODE(os.stat(self.path('out.dat')).st_mode), 0o600)


class TestControl(Base):
    """The control: check() detects each kind of misbehaviour"""

    @mock.patch(f'{__name__}.CPU_SECONDS', 3)
    def fails(self, words, script, status=DONE):
        with self.assertRaisesRegex(AssertionError, words):
            self.check('control', ['/bin/sh', '-c', script], status)

    def test_control(self):
        python = sys.executable
        self.check('control', ['/bin/sh', '-c', 'exit 3'], INCOMPLETE)
        self.fails('3 != 0', 'exit 3')
        self.fails('ended by a signal', 'kill -SEGV $$')
        self.fails('ended by a signal', f"exec {python} -c 'while True: pass'")
        self.fails('not less than or equal to 512', f"exec {python} -c 'bytearray(600 << 20)'")
        self.fails('left', 'echo > left')
        self.fails('Segmentation fault', 'echo Segmentation fault >&2')
        with self.assertRaises(AssertionError):
            self.check('control', ['/bin/sh', '-c', 'echo "tsc-offset: other" >&2'], DONE, ['words'])


if __name__ == '__main__':
    main()
