#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Manual and -h agree"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import TOOL, main
import manual


class TestOptions(unittest.TestCase):
    def test_pages_of_verbs(self):
        verbs = manual.verbs(TOOL)
        self.assertIn('record', verbs)
        of_verbs = {page.name for page in manual.pages() if page.suffix == '.1'} - {'tsc-offset.1'}
        self.assertEqual(of_verbs, {manual.page_of(verb).name for verb in verbs})
        first = (manual.MAN / 'tsc-offset.1').read_text()
        self.assertEqual(set(re.findall(r'^\.It Cm (\w+)$', first, re.M)), set(verbs))

    def test_options(self):
        for verb in manual.verbs(TOOL):
            with self.subTest(verb):
                self.assertEqual(manual.help_options(TOOL, verb), manual.page_options(manual.page_of(verb)))
        self.assertEqual(manual.page_options(manual.MAN / 'tsc-offset.1'),
                         set(re.findall(r'(?<=[ |])--?\w+',
                                        re.search(r'^ +tsc-offset (?=-).*', manual.help_text(TOOL), re.M)[0])))

    def test_options_control(self):
        """An option that the page lacks, or has in addition, is detected"""
        text = manual.page_of('stamp').read_text()
        with tempfile.TemporaryDirectory() as directory:
            page = Path(directory) / 'tsc-offset-stamp.1'
            wanted = manual.help_options(TOOL, 'stamp')
            for wrong in text.replace('.It Fl -link\n', ''), text.replace('.It Fl -link\n',
                                                                         '.It Fl -link\n.It Fl l\n'):
                self.assertNotEqual(wrong, text)
                page.write_text(wrong)
                self.assertNotEqual(manual.page_options(page), wanted)

    def test_values_and_defaults(self):
        """An option has a value in both or in none"""
        for verb in manual.verbs(TOOL):
            told = dict(re.findall(r'^ {2,6}(?:-\w, )?(--[a-z][a-z-]*)( [A-Z]\w*)?', manual.help_text(TOOL, verb),
                                   re.M))
            page = manual.page_of(verb).read_text()
            for option, value in told.items():
                item = re.search(rf'^\.It (?:.* , )?Fl {option[1:]}( Ar)?\b', page, re.M)
                self.assertEqual(bool(value), bool(item and item[1]), f'{verb} {option}')

    def test_exit_statuses(self):
        for verb in manual.verbs(TOOL):
            told = re.search(r'^Exit status:.*', manual.help_text(TOOL, verb), re.M | re.S)
            page = manual.page_section(manual.page_of(verb), 'EXIT STATUS')
            self.assertTrue(page)
            self.assertEqual(set(re.findall(r'\b\d\b', told[0]) if told else []),
                             set(re.findall(r'^\.It (\d)$', page, re.M)), verb)

    def test_width(self):
        for verb in [None, *manual.verbs(TOOL)]:
            for line in manual.help_text(TOOL, verb).splitlines():
                self.assertLessEqual(len(line), 80, f'{verb}: {line}')

    def test_environment(self):
        for verb in manual.verbs(TOOL):
            for name in re.findall(r'^  ([A-Z_]{3,})  ', manual.help_text(TOOL, verb), re.M):
                self.assertIn(f'.It Ev {name}\n', manual.page_of(verb).read_text())


class TestPages(unittest.TestCase):
    def test_references(self):
        names = {page.name for page in manual.pages()}
        for page in manual.pages():
            text = page.read_text()
            for name, section in re.findall(r'^\.Xr (tsc-offset\S*) (\d)', text, re.M):
                self.assertIn(f'{name}.{section}', names, page.name)
            self.assertIn(f'.Dt {page.stem.upper()} {page.suffix[1:]}\n', text)
            self.assertIn(f'.Nm {page.stem}\n.Nd ', text)
            if page.stem != 'tsc-offset':
                self.assertIn(f'.Xr {page.stem} {page.suffix[1:]}',
                              (manual.MAN / 'tsc-offset.1').read_text(), 'SEE ALSO of tsc-offset(1)')

    def test_page_of_the_unit(self):
        unit = (manual.TREE / 'systemd/tsc-offset-instance.service.in').read_text()
        name, section = re.search(r'^Documentation=man:(\S+)\((\d)\)$', unit, re.M).groups()
        self.assertIn(f'{name}.{section}', {page.name for page in manual.pages()})

    def test_every_page_has_examples(self):
        for page in manual.pages():
            self.assertTrue(manual.examples(page), page.name)

    @unittest.skipUnless(shutil.which('mandoc'), 'no mandoc')
    def test_mandoc(self):
        def lint(text):
            # "style" would check whether pages of other packages exist
            return subprocess.run(['mandoc', '-Tlint', '-Wwarning'], input=text, capture_output=True, text=True,
                                  check=False).stdout
        for page in manual.pages():
            self.assertEqual(lint(page.read_text()), '', page.name)
        self.assertIn('WARNING', lint(page.read_text() + '.Pp\n'))

    @unittest.skipUnless(shutil.which('groff') and shutil.which('man'), 'no man and groff')
    def test_man(self):
        def warnings(page):
            return subprocess.run(['man', '--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z', page],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True,
                                  env=os.environ | {'MANROFFSEQ': '', 'MANWIDTH': '80', 'LC_ALL': 'C.UTF-8'}).stderr
        for page in manual.pages():
            self.assertEqual(warnings(page), '', page.name)
        with tempfile.NamedTemporaryFile('w', suffix='.1') as wrong:
            wrong.write(page.read_text() + '.NoSuchMacro\n')
            wrong.flush()
            self.assertIn('NoSuchMacro', warnings(wrong.name))


if __name__ == '__main__':
    main()
