#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset without a verb, and its verb record"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, PLUGIN, TOOL, USAGE, Case, main
from readers import environment

# Arguments are passed through a file: without quoting, and with any byte but 0
SCRIPT = f'''#!{sys.executable}
import os, signal, sys
with open(os.environb[b'SEEN'], 'wb') as seen:
    seen.write(b'\\0'.join([os.environb.get(b'LD_PRELOAD', b'(unset)'), b'%d' % os.getppid(),
                           *map(os.fsencode, sys.argv[1:])]))
if 'SIGNAL' in os.environ:
    os.kill(os.getpid(), int(os.environ['SIGNAL']))
sys.exit(int(os.environ.get('STATUS', 0)))
'''

NASTY = ['-e', '', 'a b', '*', '$HOME', '"', '--', '-h', '--help', '--version', 'new\nline', 'ü',
         os.fsdecode(b'\xff\xfe'), '-A', '3', '']
# The message about a recording that another test killed
REMAINS = 'removed leftovers of a killed recording'
# A guest that trace-cmd cannot reach
# With a clock, because record adds one otherwise
GUEST = ['-C', 'x86-tsc', '-A', '3']


def tool(*arguments, env=None, **kwargs):
    return subprocess.run([TOOL, *arguments], env=env or environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, **kwargs)


class Base(Case):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o755)

    def one_message(self, done, *parts):
        """One line on stderr with these parts"""
        text = done.stderr.decode()
        self.assertTrue(text.startswith('tsc-offset: '), text)
        self.assertEqual(text.count('\n'), 1, text)
        for part in parts:
            self.assertIn(part, text)


class TestCommandLine(Base):
    def test_help_and_version(self):
        for option in '-h', '--help', '--version', '--hel':
            done = tool(option)
            self.assertEqual((done.returncode, done.stderr), (DONE, b''), option)
            self.assertTrue(done.stdout.strip(), option)
        self.assertIn(b'\n  record ', tool('-h').stdout)
        self.assertEqual(tool('-h').stdout, tool('--help').stdout)
        self.assertRegex(tool('--version').stdout, rb'^tsc-offset \d+\.\d+\.\d+\n$')

    def test_wrong_usage(self):
        for arguments, part in (
                ([''], "''"), (['nonsense'], 'nonsense'), (['help', 'nonsense'], 'nonsense'),
                (['recor'], 'recor'), (['-x'], '-x'), (['-xh'], '-x'), (['--nonsense'], '--nonsense'),
                (['--help=3'], "option '--help' takes no value"), (['--version=1'], "'--version' takes no value"),
                (['-x', 'record'], '-x')):
            done = tool(*arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, b''), arguments)
            self.one_message(done, part)

    def test_misspelt(self):
        for arguments, meant in ((['shwo'], 'show'), (['EXPORT'], 'export'), (['help', 'chek'], 'check'),
                                 (['check', '--jsn'], '--json'), (['--verison'], '--version'),
                                 (['stamp', '--max-eror=1ms'], '--max-error')):
            done = tool(*arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, b''), arguments)
            self.one_message(done, f"(did you mean '{meant}'?)")
        for arguments in ['ls'], ['nonsense'], ['show', '--verison'], ['x' * 1000], ['--' + 'x' * 1000]:
            self.assertNotIn(b'did you mean', tool(*arguments).stderr)

    def test_recording_as_verb(self):
        shutil.copy(f'{DATA}/agent-moved/host.dat', self.directory)
        self.one_message(tool('host.dat', cwd=self.directory), "unknown command 'host.dat' (did you mean 'show host.dat'?)")

    def test_help_on_verbs(self):
        self.assertEqual(tool('help').stdout, tool('-h').stdout)
        for verb in 'show', 'record':
            done = tool('help', verb)
            self.assertEqual((done.returncode, done.stderr, done.stdout), (DONE, b'', tool(verb, '-h').stdout))

    def test_output_that_is_lost(self):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([TOOL, '-h'], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, FAILED)
        self.one_message(done, 'standard output')

    def test_record_help(self):
        for option in '-h', '--help':
            done = tool('record', option, env=environment(PATH='/nonexistent'))
            self.assertEqual((done.returncode, done.stderr), (DONE, b''))
            self.assertIn(b'trace-cmd-record(1)', done.stdout)


class TestRecord(Base):
    """Without guests record becomes trace-cmd; with guests trace-cmd is its child, with the same arguments"""
    def setUp(self):
        super().setUp()
        self.script = self.path('trace-cmd')
        with open(self.script, 'w') as file:
            file.write(SCRIPT)
        os.chmod(self.script, 0o755)

    def record(self, *arguments, **more):
        """The tool's result, the program's LD_PRELOAD and parent, and its arguments"""
        done = tool('record', *arguments, env=environment(TRACE_CMD=self.script, SEEN=self.path('seen')) | more)
        try:
            with open(self.path('seen'), 'rb') as seen:
                preload, parent, *args = map(os.fsdecode, seen.read().split(b'\0'))
            os.unlink(self.path('seen'))
        except FileNotFoundError:
            preload, parent, args = None, None, None
        return done, preload, parent, args

    def ours(self, done):
        """The lines on stderr, which are all ours, without those about another recording"""
        lines = done.stderr.decode().splitlines()
        self.assertTrue(all(line.startswith('tsc-offset: ') for line in lines), lines)
        return [line for line in lines if REMAINS not in line]

    def test_arguments_pass_unchanged(self):
        for arguments in [], NASTY, GUEST, ['-e', 'kvm', 'ls', '-h'], ['--version']:
            done, preload, parent, seen = self.record(*arguments)
            self.assertEqual((done.returncode, done.stdout), (0, b''))
            self.assertEqual(seen, ['record', *arguments])
            self.assertEqual(preload, '(unset)')
            if arguments != GUEST:
                self.assertEqual((int(parent), done.stderr), (os.getpid(), b''))
            else:
                self.assertNotEqual(int(parent), os.getpid())
                self.assertLessEqual(len(self.ours(done)), 1)

    def test_found_in_path(self):
        for more in [], GUEST:
            _, _, _, seen = self.record(*more, TRACE_CMD='', PATH=f'/nonexistent:{self.directory}')
            self.assertEqual(seen, ['record', *more])
        # Neither a directory with this name nor a file that cannot be executed is used
        other = self.path('other')
        os.makedirs(os.path.join(other, 'trace-cmd'))
        _, _, _, seen = self.record('x', TRACE_CMD='', PATH=f'{other}:{self.directory}')
        self.assertEqual(seen, ['record', 'x'])

    def test_preload_of_others_is_kept(self):
        for arguments in [], GUEST:
            with tempfile.NamedTemporaryFile(suffix='.so') as other:
                shutil.copyfile(PLUGIN, other.name)
                self.assertEqual(self.record(*arguments, LD_PRELOAD=other.name)[1], other.name)
            self.assertEqual(self.record(*arguments, LD_PRELOAD='')[1], '')

    def test_exit_status_and_signal(self):
        for arguments in [], GUEST:
            for status in 0, 1, 37, 255:
                self.assertEqual(self.record(*arguments, STATUS=str(status))[0].returncode, status)
            for signal in 9, 15:
                self.assertEqual(self.record(*arguments, SIGNAL=str(signal))[0].returncode, -signal)

    def test_no_trace_cmd(self):
        for more, part in (({'TRACE_CMD': '', 'PATH': ''}, 'trace-cmd in PATH'),
                           ({'TRACE_CMD': '', 'PATH': '/nonexistent:'}, 'trace-cmd in PATH'),
                           ({'TRACE_CMD': '/nonexistent/tc'}, '/nonexistent/tc'),
                           ({'TRACE_CMD': str(self.directory)}, str(self.directory))):
            for arguments in [], GUEST:
                done, _, _, seen = self.record(*arguments, **more)
                self.assertEqual((done.returncode, done.stdout, seen), (FAILED, b'', None))
                self.one_message(done, part)

    def test_program_that_cannot_run(self):
        with open(self.script, 'w') as file:
            file.write('#!/nonexistent/interpreter\n')
        done = self.record()[0]
        self.assertEqual(done.returncode, FAILED)
        self.one_message(done, 'cannot run')
        done = self.record(*GUEST)[0]
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('cannot run', self.ours(done)[-1])


@unittest.skipUnless(shutil.which('trace-cmd'), 'trace-cmd is not installed')
class TestRealTraceCmd(Base):
    """The real trace-cmd, with options that it refuses, so that nothing is recorded"""
    def test_same(self):
        # The option of the traced command does not request a guest
        for guest in [], GUEST:
            arguments = ['record', *guest, '--no-such-option', 'ls', '-A']
            results = []
            for command in ['trace-cmd'], [TOOL]:
                done = subprocess.run(command + arguments, env=environment(), capture_output=True, check=False)
                lines = done.stderr.decode().splitlines()
                theirs = [line for line in lines if not line.startswith('tsc-offset: ')]
                results.append((done.returncode, done.stdout, theirs))
                ours = [line for line in lines if line not in theirs and REMAINS not in line]
                self.assertLessEqual(len(ours), 1 if guest else 0)
            self.assertEqual(results[0], results[1])


if __name__ == '__main__':
    main()
