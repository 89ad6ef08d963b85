#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""All examples of the manuals that need only files

The examples of each page are run in order, in a directory with recordings of the names that they use.
tests/lab/tutorial.py runs the examples of a live host and its guest, and tests/package/test_package.py runs those of
the tutorial that need root. CHECKOUT names the tests that run README.md's examples of a checkout. JSON output is also
compared with its page.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import DATA, PLUGIN, TOOL, Case, main, needs
import manual

# Directories of an installed package, and where the tree has their files
INSTALLED = {'/usr/share/doc/tsc-offset/examples': f'{DATA}/agent-moved'}
# A program with a window succeeds if the window stays open
WINDOW = '''#!/bin/sh
QT_QPA_PLATFORM=offscreen timeout 5 {program} "$@" 2> /dev/null
[ $? = 124 ]
'''
# For each example of README.md that needs a checkout: the test that runs it
CHECKOUT = {
    'scripts/package': 'tests/package/test_package.py',
    'apt-get install ./build/package/tsc-offset_*.deb': 'tests/package/test_package.py',
    'meson setup build && meson compile -C build': 'tests/package/test_install.py',
    'meson install -C build': 'tests/package/test_install.py',
}


class Recordings(Case):
    """A directory with recordings of the names that examples use"""
    def setUp(self):
        super().setUp()
        for name in 'host.dat', 'guest.dat':
            shutil.copy(f'{DATA}/agent-moved/{name}', self.directory / name)
            shutil.copy(f'{DATA}/agent-still/{name}', self.directory / name.replace('.', '-quiet.'))
        bin_directory = self.directory / '.bin'
        bin_directory.mkdir()
        (bin_directory / 'tsc-offset').symlink_to(TOOL)
        window = shutil.which('kernelshark')
        if window:
            (bin_directory / 'kernelshark').write_text(WINDOW.format(program=window))
            (bin_directory / 'kernelshark').chmod(0o755)
        self.environment = os.environ | {
            'PATH': f'{bin_directory}:{os.environ["PATH"]}', 'TRACEEVENT_PLUGIN_DIR': os.path.dirname(PLUGIN),
            'GNUTERM': 'dumb', 'HOME': str(self.directory), 'LC_ALL': 'C.UTF-8'}
        # Files that examples of a live host create
        self.run_command('tsc-offset show --json --estimate guest-quiet.dat host-quiet.dat > first.json')

    def run_command(self, command):
        for path, here in INSTALLED.items():
            command = command.replace(path, here)
        done = subprocess.run(['bash', '-c', f'set -o pipefail; {command}'], cwd=self.directory,
                              env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              errors='replace', text=True, timeout=60, check=False)
        return done.returncode, done.stdout


class TestExamples(Recordings):
    def run_page(self, page):
        for example in manual.examples(page):
            programs = [example.command.split()[0], *re.findall(r'\|\s+(jq|trace-cmd) ', example.command)]
            if example.prompt != '$' or example.command in CHECKOUT:
                continue
            missing = [name for name in programs if not shutil.which(name, path=self.environment['PATH'])]
            if missing:
                print(f'not run, there is no {missing[0]}: {example}')
                # Later examples need the output of trace-cmd
                if 'trace-cmd' in missing:
                    return
                continue
            status, text = self.run_command(example.command)
            self.assertEqual(status, 0, f'{example}\n{text}')
            self.assertIsNone(example.missing(text), f'{example}\nprints\n{text}')
            yield example

    def test_pages(self):
        for page in manual.pages():
            with self.subTest(page.name):
                list(self.run_page(page))

    def test_readme(self):
        self.assertTrue(list(self.run_page(manual.README)))

    @needs('trace-cmd')
    def test_control(self):
        """A failing example, and one with other output, are detected"""
        text = (manual.MAN / 'tsc-offset-check.1').read_text()
        for old, new in (('check --json host', 'check --jsn host'), ('-41392 to +52806', '-41392 to +52807')):
            page = self.directory / 'wrong.1'
            self.assertIn(old, text)
            page.write_text(text.replace(old, new))
            with self.assertRaises(AssertionError):
                list(self.run_page(page))


@needs('trace-cmd')
class TestBeforeAfter(Recordings):
    """The reports contain the lines that README.md shows of them at its beginning"""
    SHOWN = re.compile(r'(?P<file>\w+\.dat): .* (?P<time>\d{11}): (?P<event>\w+): +(?P<text>\w.*?)(?:  |$)')

    def setUp(self):
        super().setUp()
        self.assertEqual(self.run_command('tsc-offset stamp host.dat guest.dat')[0], 0)
        self.reports = {'before': self.report('guest.dat'), 'after': self.report('guest.synced.dat')}

    def report(self, guest):
        return self.run_command(f'trace-cmd report -i host.dat -i {guest} 2> /dev/null')[1].splitlines()

    def place(self, report, line):
        """The index of a line of README.md in a report; None if it is not there exactly once"""
        shown = self.SHOWN.search(line)
        found = [number for number, text in enumerate(report)
                 if re.search(rf' {shown["time"]}: {shown["event"]}: +{re.escape(shown["text"])}', text)]
        return found[0] if len(found) == 1 else None

    def check(self, text):
        block = re.search(r'^```\n(before .*?)^```$', text, re.M | re.S)[1]
        for part in block.split('\n\n'):
            report = self.reports[part.split()[0]]
            lines = [line for line in part.splitlines() if self.SHOWN.search(line)]
            places = [self.place(report, line) for line in lines]
            self.assertEqual(len(places), 2)
            self.assertNotIn(None, places)
            self.assertEqual(places, sorted(places))
            left_out = re.search(r'(\d+) other events', part)
            self.assertEqual(places[1] - places[0] - 1, int(left_out[1]) if left_out else 0)
        times = [int(time) for time in re.findall(r'(\d+): sys_exit', block)]
        # The guest's TSC runs at about 2596 MHz (tests/data/README.md)
        self.assertIn(f' {(times[0] - times[1]) / 2596e3:.1f} ms too late', block)

    def test_readme(self):
        self.check(manual.README.read_text())

    def test_control(self):
        text = manual.README.read_text()
        for old, new in ('30759311051', '30759311052'), ('390 other', '391 other'), ('19.6 ms', '19.7 ms'):
            self.assertIn(old, text)
            with self.assertRaises(AssertionError):
                self.check(text.replace(old, new))


class TestJson(Recordings):
    """Each member of JSON output is in its page"""
    PRINTED = {
        'show': ['show --json host.dat', 'show --json --estimate guest-quiet.dat host-quiet.dat'],
        'check': ['check --json host.dat guest.dat; true', 'check --json host-quiet.dat guest-quiet.dat'],
    }

    def unknown(self, verb, section):
        found = set()
        for command in self.PRINTED[verb]:
            status, text = self.run_command(f'(tsc-offset {command}) 2> /dev/null')
            self.assertEqual(status, 0, text)
            found |= manual.json_members(json.loads(text))
        self.assertGreater(len(found), 15)
        return manual.undocumented(found, section)

    def test_members(self):
        for verb in self.PRINTED:
            self.assertEqual(self.unknown(verb, manual.page_section(manual.page_of(verb), 'JSON')), set(), verb)

    def test_control(self):
        section = manual.page_section(manual.page_of('check'), 'JSON')
        self.assertEqual(self.unknown('check', section.replace('.It Va corrected\n', '')), {'corrected'})


class TestKinds(unittest.TestCase):
    """Every example is run by some test"""
    def test_kinds(self):
        for page in [*manual.pages(), manual.README]:
            for example in manual.examples(page):
                if example.prompt == '#':
                    self.assertTrue(page == manual.TUTORIAL or example.command in CHECKOUT, example)
        commands = {example.command for example in manual.examples(manual.README)}
        self.assertLessEqual(set(CHECKOUT), commands)

    def test_blocks(self):
        """Lines that look like commands have a prompt"""
        for page in [*manual.pages(), manual.README]:
            known = {example.line for example in manual.examples(page)}
            for block in manual.literal_blocks(page):
                if known & {number for number, _ in block}:
                    continue
                for number, text in block:
                    self.assertIsNone(re.match(r'(sudo |\./|scripts/|tsc-offset |trace-cmd |meson |apt|systemctl )',
                                               text), f'{page.name}:{number}: {text}')


if __name__ == '__main__':
    main()
