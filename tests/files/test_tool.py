#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset without a verb, and its verb record"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, NOBODY, PLUGIN, TOOL, USAGE, Case, built, main
from readers import environment
FAKE, FAKE_STATIC = built('tests/files/fake_trace_cmd'), built('tests/files/fake_trace_cmd_static')

# Every argument comes through a file: no quoting, and it may hold any byte but 0
SCRIPT = f'''#!{sys.executable}
import os, signal, sys
with open(os.environb[b'SEEN'], 'wb') as seen:
    seen.write(os.environb.get(b'LD_PRELOAD', b'(unset)') + b'\\0' + b'\\0'.join(map(os.fsencode, sys.argv[1:])))
if 'SIGNAL' in os.environ:
    os.kill(os.getpid(), int(os.environ['SIGNAL']))
sys.exit(int(os.environ.get('STATUS', 0)))
'''

NASTY = ['-e', '', 'a b', '*', '$HOME', '"', '--', '-h', '--help', '--version', 'new\nline', 'ü',
         os.fsdecode(b'\xff\xfe'), '-A', '3', '']


def tool(*arguments, env=None, **kwargs):
    return subprocess.run([TOOL, *arguments], env=env or environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, **kwargs)


class Base(Case):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o755)

    def one_message(self, done, *parts):
        """One line on stderr, with these in it"""
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
                ([], 'missing command'), ([''], "''"), (['--'], 'missing command'), (['nonsense'], 'nonsense'),
                (['recor'], 'recor'), (['-x'], '-x'), (['-xh'], '-x'), (['--nonsense'], '--nonsense'),
                (['--help=3'], "option '--help' takes no value"), (['--version=1'], "'--version' takes no value"),
                (['-x', 'record'], '-x')):
            done = tool(*arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, b''), arguments)
            self.one_message(done, part)

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
    def setUp(self):
        super().setUp()
        self.script = self.path('trace-cmd')
        with open(self.script, 'w') as file:
            file.write(SCRIPT)
        os.chmod(self.script, 0o755)

    def record(self, *arguments, executable=None, **more):
        """The tool's result, what the program saw of LD_PRELOAD, and its arguments"""
        env = environment(TRACE_CMD=self.script, SEEN=self.path('seen'), TSC_OFFSET_PLUGIN=PLUGIN)
        done = tool('record', *arguments, env=env | more, executable=executable)
        try:
            with open(self.path('seen'), 'rb') as seen:
                preload, *args = map(os.fsdecode, seen.read().split(b'\0'))
            os.unlink(self.path('seen'))
        except FileNotFoundError:
            preload, args = None, None
        return done, preload, args

    def test_arguments_pass_unchanged(self):
        for arguments in [], NASTY, ['-e', 'kvm', 'ls', '-h'], ['--version']:
            done, preload, seen = self.record(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, b''))
            self.assertEqual(seen, ['record', *arguments])
            self.assertEqual(preload, PLUGIN)

    def test_found_in_path(self):
        _, preload, seen = self.record('x', TRACE_CMD='', PATH=f'/nonexistent:{self.directory}')
        self.assertEqual((preload, seen), (PLUGIN, ['record', 'x']))
        # A directory of that name is none, nor is a file that cannot be run
        other = self.path('other')
        os.makedirs(os.path.join(other, 'trace-cmd'))
        _, _, seen = self.record('x', TRACE_CMD='', PATH=f'{other}:{self.directory}')
        self.assertEqual(seen, ['record', 'x'])

    def test_preload_of_others_is_kept(self):
        with tempfile.NamedTemporaryFile(suffix='.so') as other:
            shutil.copyfile(PLUGIN, other.name)
            done, preload, _ = self.record(LD_PRELOAD=other.name)
            self.assertEqual(preload, f'{PLUGIN}:{other.name}')
            self.assertEqual(done.stderr, b'')
        self.assertEqual(self.record(LD_PRELOAD='')[1], PLUGIN)

    def test_exit_status_and_signal(self):
        for status in 0, 1, 37, 255:
            self.assertEqual(self.record(STATUS=str(status))[0].returncode, status)
        for signal in 9, 15:
            self.assertEqual(self.record(SIGNAL=str(signal))[0].returncode, -signal)

    def test_build_tree_has_its_own_plugin(self):
        if os.path.dirname(PLUGIN) != os.path.join(os.path.dirname(os.path.dirname(TOOL)), 'plugin'):
            self.skipTest('not in a build tree')
        self.assertEqual(self.record(TSC_OFFSET_PLUGIN='')[1], PLUGIN)

    def test_outside_a_build_tree(self):
        os.mkdir(self.path('bin'))
        copy = self.path('bin/tsc-offset')
        shutil.copy(TOOL, copy)
        done, preload, _ = self.record(TSC_OFFSET_PLUGIN='', executable=copy)
        if preload == '(unset)':
            self.one_message(done, 'is not in /')
        else:
            self.assertNotEqual(preload, PLUGIN)
            self.assertEqual(done.stderr, b'')
        # A plugin beside it is not used, even with the names of a build tree
        for directory in 'bin', 'tool':
            os.makedirs(self.path(f'{directory}/tool'), exist_ok=True)
            for plugin in self.path('plugin'), self.path(f'{directory}/plugin'):
                os.makedirs(plugin, exist_ok=True)
                shutil.copyfile(PLUGIN, os.path.join(plugin, 'plugin_kvm_tsc_offset.so'))
            for copy in self.path(f'{directory}/tsc-offset'), self.path(f'{directory}/tool/tsc-offset'):
                shutil.copy(TOOL, copy)
                self.assertEqual(self.record(TSC_OFFSET_PLUGIN='', executable=copy)[1], preload, copy)

    def test_relative_plugin(self):
        os.symlink(PLUGIN, self.path('bare.so'))
        env = environment(TRACE_CMD=self.script, SEEN=self.path('seen'), TSC_OFFSET_PLUGIN='bare.so')
        self.assertEqual(tool('record', env=env, cwd=self.directory).returncode, 0)
        with open(self.path('seen')) as seen:
            self.assertEqual(seen.read().split('\0')[0], PLUGIN)

    def test_no_plugin_and_yet_a_recording(self):
        broken = self.path('broken.so')
        with open(broken, 'w') as file:
            file.write('no shared object\n')
        spaced = self.path('with space.so')
        shutil.copyfile(PLUGIN, spaced)
        for plugin, part in (('/nonexistent/plugin.so', 'TSC_OFFSET_PLUGIN'),
                             (str(self.directory), 'TSC_OFFSET_PLUGIN'), (broken, broken),
                             (spaced, 'space')):
            done, preload, seen = self.record(*NASTY, TSC_OFFSET_PLUGIN=plugin, STATUS='5')
            self.one_message(done, "trace-cmd's own protocol", part)
            self.assertEqual((preload, seen, done.returncode), ('(unset)', ['record', *NASTY], 5))

    def test_no_trace_cmd(self):
        for more, part in (({'TRACE_CMD': '', 'PATH': ''}, 'trace-cmd in PATH'),
                           ({'TRACE_CMD': '', 'PATH': '/nonexistent:'}, 'trace-cmd in PATH'),
                           ({'TRACE_CMD': '/nonexistent/tc'}, '/nonexistent/tc'),
                           ({'TRACE_CMD': str(self.directory)}, str(self.directory))):
            done, _, seen = self.record(**more)
            self.assertEqual((done.returncode, done.stdout, seen), (FAILED, b'', None))
            self.one_message(done, part)

    def test_program_that_cannot_run(self):
        with open(self.script, 'w') as file:
            file.write('#!/nonexistent/interpreter\n')
        done, _, _ = self.record()
        self.assertEqual(done.returncode, FAILED)
        self.one_message(done, 'cannot run')


class TestUnhookable(Base):
    """LD_PRELOAD would have no effect: each message is held against what the program itself reports"""
    def start(self, program, *arguments, **kwargs):
        done = tool('record', *arguments, env=environment(TRACE_CMD=program, TSC_OFFSET_PLUGIN=PLUGIN),
                    **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        seen = [line.split('=', 1) for line in done.stdout.decode().splitlines()]
        return done, dict(seen[:2]), [value for name, value in seen[2:]]

    def test_not_exported(self):
        done, seen, arguments = self.start(FAKE, '-e', 'x')
        self.one_message(done, FAKE, 'does not export')
        self.assertEqual((seen, arguments), ({'secure': '0', 'preload': ''}, ['record', '-e', 'x']))

    def test_static(self):
        done, seen, _ = self.start(FAKE_STATIC)
        self.one_message(done, FAKE_STATIC, 'statically')
        self.assertEqual(seen['preload'], '')

    def copy(self, program=FAKE):
        shutil.copyfile(program, self.path('fake'))
        os.chmod(self.path('fake'), 0o755)
        return self.path('fake')

    def as_nobody(self):
        """A copy of the tool that another user can run"""
        shutil.copyfile(TOOL, self.path('tool'))
        os.chmod(self.path('tool'), 0o755)
        return {'executable': self.path('tool'), 'user': NOBODY, 'group': NOBODY, 'cwd': '/'}

    @unittest.skipIf(os.getuid(), 'needs root')
    def test_set_id(self):
        program = self.copy()
        os.chown(program, NOBODY, NOBODY)
        for mode, secure in (0o4755, '1'), (0o2755, '1'), (0o2745, '0'), (0o755, '0'):
            os.chmod(program, mode)
            done, seen, _ = self.start(program)
            self.assertEqual(seen['secure'], secure, oct(mode))
            self.one_message(done, 'set-id' if secure == '1' else 'does not export')
        # For its own owner it is a program like others
        os.chmod(program, 0o6755)
        done, seen, _ = self.start(program, **self.as_nobody())
        self.assertEqual(seen['secure'], '0')
        self.one_message(done, 'does not export')

    @unittest.skipIf(os.getuid(), 'needs root')
    def test_file_capabilities(self):
        program = self.copy()
        # Revision 2, effective; permitted: CAP_NET_RAW
        os.setxattr(program, 'security.capability', struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0))
        done, seen, _ = self.start(program, **self.as_nobody())
        self.assertEqual(seen['secure'], '1')
        self.one_message(done, 'file capabilities')
        # Root has them all anyway
        done, seen, _ = self.start(program)
        self.assertEqual(seen['secure'], '0')
        self.one_message(done, 'does not export')


@unittest.skipUnless(shutil.which('trace-cmd'), 'trace-cmd is not installed')
class TestRealTraceCmd(Base):
    """With options that it refuses, so that nothing is recorded"""
    def test_same_but_with_the_plugin_inside(self):
        # The option of the traced command is not one that asks for a guest
        arguments = ['record', '--no-such-option', 'ls', '-A']
        debug = {'LD_DEBUG': 'files', 'LD_DEBUG_OUTPUT': self.path('debug')}
        results = []
        for command in ['trace-cmd'], [TOOL]:
            done = subprocess.run(command + arguments, env=environment(TSC_OFFSET_PLUGIN=PLUGIN),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            results.append((done.returncode, done.stdout, done.stderr))
            subprocess.run(command + arguments, env=environment(TSC_OFFSET_PLUGIN=PLUGIN, **debug),
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            text = ''
            for name in os.listdir(self.directory):
                with open(self.path(name), errors='replace') as file:
                    text += file.read()
                os.unlink(self.path(name))
            # The tool opens it once, to try it; the second time it is in trace-cmd
            self.assertEqual(text.count(f'calling init: {PLUGIN}'), 2 if command == [TOOL] else 0)
        self.assertEqual(results[0], results[1])


if __name__ == '__main__':
    main()
