#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""bash, zsh and fish offer the verbs and options that -h lists"""
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import TOOL, TREE, Case, built, main, needs
import manual

BASH_COMPLETION = '/usr/share/bash-completion/bash_completion'


class Completion:
    """What a shell offers; the shells have subclasses"""
    def setUp(self):
        super().setUp()
        self.bin = self.directory / 'bin'
        self.bin.mkdir()
        self.install(TOOL)
        self.files = self.directory / 'files'
        self.files.mkdir()

    def install(self, tool):
        """Shells find this program by the name tsc-offset"""
        (self.bin / 'tsc-offset').unlink(missing_ok=True)
        (self.bin / 'tsc-offset').symlink_to(tool)

    def run_shell(self, *command):
        done = subprocess.run(command, cwd=self.files, capture_output=True, text=True, check=False, timeout=60,
                              env=os.environ | {'PATH': f'{self.bin}:{os.environ["PATH"]}', 'TERM': 'xterm',
                                                'HOME': str(self.directory)})
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def completion(self):
        return Path(built(f'completion/{self.FILE}'))

    def offered(self, *words, completion=None):
        """The words that the shell offers for the last of the words, which begin after the command's name"""
        return self.offers(completion or self.completion(), ['tsc-offset', *words])

    def options(self, verb):
        return manual.help_options(TOOL, verb)

    def test_verbs(self):
        verbs = set(manual.verbs(TOOL))
        self.assertEqual(self.offered(''), verbs | {'help'})
        self.assertEqual(self.offered('-'), {'-h', '--help', '--version'})
        self.assertEqual(self.offered('help', ''), verbs)
        self.assertEqual(self.offered('help', 'check', ''), set())

    def test_options(self):
        for verb in set(manual.verbs(TOOL)) - {'record'}:
            with self.subTest(verb):
                self.assertEqual(self.offered(verb, '-'), self.options(verb))

    def test_options_after_a_file(self):
        wanted = {option for option in self.options('stamp') if option.startswith('--')}
        self.assertEqual(self.offered('stamp', 'sub/x.dat', '--'), wanted)

    def test_own_options_of_record(self):
        self.assertLessEqual({'--ssh', '--ssh-record', '--rewrite'}, self.offered('record', '--'))

    def test_no_verb(self):
        self.offered('./host.dat', '')

    def test_actions(self):
        self.assertEqual(self.offered('instance', ''), {'start', 'stop', 'status'})

    def test_values(self):
        for name in 'host.dat', 'first.json', 'notes.txt':
            (self.files / name).touch()
        self.assertEqual(self.offered('stamp', '--initial-from', 'f'), {'first.json'})
        self.assertEqual(self.offered('stamp', '-o', 'n'), {'notes.txt'})
        self.assertEqual(self.offered('show', '--estimate', 'h'), {'host.dat'})
        self.assertEqual(self.offered('stamp', '--check', ''), {'sample', 'full'})
        self.assertEqual(self.offered('show', '--vm', ''), set())

    def test_recordings(self):
        """Other files are not offered, or follow the recordings"""
        for name in 'host.dat', 'a.txt', 'host.pftrace':
            (self.files / name).touch()
        self.assertIn('host.dat', self.offered('show', ''))
        self.assertIn('host.pftrace', self.offered('merge', 'host.p'))

    def test_names_of_vms(self):
        vms = self.directory / 'vms'
        vms.write_text('#!/bin/sh\n'
                       f'[ "$1" != vms ] || [ "$2" = -h ] && exec {TOOL} "$@"\n'
                       'printf \'      "name": "%s",\\n\' fedora other\n')
        vms.chmod(0o755)
        self.install(vms)
        self.assertEqual(self.offered('record', '-A', ''), {'fedora', 'other'})
        self.assertEqual(self.offered('record', '-A', 'f'), {'fedora'})
        self.assertEqual(self.offered('vms', ''), {'fedora', 'other'})
        self.assertEqual(self.offered('record', '-C', 'x86'), {'x86-tsc'})

    def test_control(self):
        """A completion that loses options is detected"""
        text = self.completion().read_text()
        for lost in text.replace('print letter ":"', 'print ":"'), text.replace('RSTART < 8', 'RSTART < 4'):
            self.assertNotEqual(lost, text)
            wrong = self.directory / 'wrong' / self.FILE
            wrong.parent.mkdir(exist_ok=True)
            wrong.write_text(lost)
            self.assertNotEqual(self.offered('stamp', '-', completion=wrong), self.options('stamp'))


@unittest.skipUnless(os.path.exists(BASH_COMPLETION), 'no bash-completion')
class TestBash(Completion, Case):
    FILE = 'tsc-offset'

    def offers(self, completion, words):
        # As readline calls it
        script = f'''
            source {BASH_COMPLETION}
            source "$1"; shift
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=9
            COMP_POINT=${{#COMP_LINE}}
            _tsc_offset tsc-offset "${{!#}}"
            printf '%s\\n' "${{COMPREPLY[@]}}"
            '''
        return set(self.run_shell('bash', '--norc', '-c', script, 'bash', completion, *words).split())

    def test_part_of_a_verb(self):
        self.assertEqual(self.offered('st'), {verb for verb in manual.verbs(TOOL) if verb.startswith('st')})

    def test_no_verb_with_special_characters(self):
        for name in 'a;touch executed;', '$(touch executed)':
            self.offered(name, '')
        self.assertFalse((self.files / 'executed').exists())

    def test_special_characters(self):
        """Words before the completed one are not patterns"""
        wanted = {option for option in self.options('stamp') if option.startswith('--')}
        self.assertEqual(self.offered('stamp', 'sub/x&[.dat', '--'), wanted)

    def test_names_with_blanks(self):
        """They would need quotes"""
        vms = self.directory / 'vms'
        vms.write_text('#!/bin/sh\nprintf \'      "name": "%s",\\n\' fedora "two words"\n')
        vms.chmod(0o755)
        self.install(vms)
        self.assertEqual(self.offered('record', '-A', ''), {'fedora'})

    @needs('trace-cmd')
    def test_record_is_trace_cmd(self):
        self.assertIn('-e', self.offered('record', '-'))

    def test_order_of_options_of_record(self):
        """Its own options precede those of trace-cmd"""
        own = self.options('record') - manual.ALWAYS
        self.assertEqual(own, {'--ssh', '--ssh-record', '--rewrite'})
        for words in [], ['--rewrite'], ['--ssh', 'g', '--ssh-record', '-e sched'], ['--ssh=g']:
            self.assertLessEqual(own, self.offered('record', *words, '--'), words)
        for words in ['-e', 'kvm'], ['--ssh', 'g', '-e', 'kvm']:
            self.assertFalse(own & self.offered('record', *words, '--'), words)


@needs('zsh')
class TestZsh(Completion, Case):
    FILE = '_tsc-offset'

    def offers(self, completion, words):
        result = self.directory / 'offered'
        self.run_shell('zsh', '-f', TREE / 'tests/lib/capture.zsh', completion.parent, result, ' '.join(words))
        found = set(result.read_text().splitlines()) if result.exists() else set()
        result.unlink(missing_ok=True)
        # compadd gets all candidates, and zsh then selects those that begin with the word
        return {word for word in found if word.startswith(words[-1])}


@needs('fish')
class TestFish(Completion, Case):
    FILE = 'tsc-offset.fish'

    def offers(self, completion, words):
        script = 'source $argv[1]; complete -C "$argv[2..]"'
        lines = self.run_shell('fish', '--no-config', '-c', script, completion, *words).splitlines()
        return {line.partition('\t')[0] for line in lines}


if __name__ == '__main__':
    main()
