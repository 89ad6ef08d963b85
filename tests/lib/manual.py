# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The manuals in a form for comparison with the program: options and examples.

An example is a line with a prompt in a literal block. The prompt determines where it runs:

  $        on any machine with the files
  #        as root, in the tutorial, or of README.md in a checkout
  host#    on the host as root
  guest#   in the guest as root

The lines after it are a part of its output, in order; "..." stands for any lines.
"""
import re
import subprocess

from case import TREE

MAN = TREE / 'man'
README = TREE / 'README.md'
ARCHITECTURE = TREE / 'doc' / 'architecture.md'
TUTORIAL = MAN / 'tsc-offset-tutorial.7'
PROMPT = re.compile(r'(\$|#|host#|guest#) (.*)')
# Options that -h may omit
ALWAYS = {'-h', '--help'}


class Example:
    def __init__(self, page, line, prompt, command):
        self.page, self.line, self.prompt, self.command = page, line, prompt, command
        self.output = []

    def __str__(self):
        return f'{self.page.name}:{self.line}: {self.prompt} {self.command}'

    def missing(self, text, any_number=False):
        """The first line of its output that is not in a text, or None."""
        def plain(line):
            # trace-cmd report 3.2 and later prints five letters after the CPU
            line = re.sub(r'(\[\d{3}\]) [\w.]{5} ', r'\1 ', ' '.join(line.split()))
            return re.sub(r'(\d+[dhms])+\b|\d+', '0', line) if any_number else line
        lines = iter(plain(line) for line in text.splitlines())
        for wanted in self.output:
            if wanted != '...' and not any(plain(wanted) in line for line in lines):
                return wanted
        return None


def pages():
    return sorted(path for path in MAN.iterdir() if re.fullmatch(r'.*\.[17]', path.name))


def literal_blocks(page):
    """Lists of (line number, text)"""
    block, fenced = None, False
    for number, line in enumerate(page.read_text().splitlines() + [''], 1):
        if page.suffix == '.md':
            inside = fenced or line.startswith('    ')
            if line.startswith('```'):
                fenced, inside = not fenced, False
            text = line if fenced else line[4:]
        else:
            inside = block is not None and line != '.Ed'
            text = line.replace('\\e', '\\').replace('\\&', '')
            if line.startswith('.Bd -literal'):
                block = []
                continue
        if inside:
            block = (block or []) + [(number, text)]
        elif block:
            yield block
            block = None


def examples(page):
    found = []
    for block in literal_blocks(page):
        last, open_line = None, False
        for number, text in block:
            prompt = PROMPT.fullmatch(text)
            if open_line:
                last.command += '\n' + text
            elif prompt:
                last = Example(page, number, *prompt.groups())
                found.append(last)
            elif last and text.strip():
                last.output.append(text.strip())
            open_line = bool(last and not last.output and re.search(r'(\\|\||&&)$', text))
    return found


def help_text(tool, verb=None):
    return subprocess.run([tool, *([verb] if verb else []), '-h'], stdout=subprocess.PIPE, text=True,
                          check=True).stdout


def verbs(tool):
    """name: summary"""
    listed = re.search(r'^Verbs:\n(.*?)\n\n', help_text(tool), re.M | re.S)[1]
    return dict(re.findall(r'^  (\w+) +(.*)$', listed, re.M))


def help_options(tool, verb):
    lines = re.findall(r'^ {2,6}(?:(-\w), )?(--[a-z][a-z-]*)', help_text(tool, verb), re.M)
    return {option for line in lines for option in line if option} | ALWAYS


def page_of(verb):
    return MAN / f'tsc-offset-{verb}.1'


def page_options(page):
    items = re.findall(r'^\.It (Fl .*)$', page.read_text(), re.M)
    return {'-' + option for item in items for option in re.findall(r'\bFl (-?[a-zA-Z][a-z-]*)', item)}


def page_section(page, name):
    found = re.search(rf'^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)', page.read_text(), re.M | re.S)
    return found[1] if found else ''


def json_members(value):
    """The names of all members of an object, recursively"""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return set(value if isinstance(value, dict) else []).union(*map(json_members, inside))


def undocumented(members, section):
    """The members that a page's section lacks"""
    told = re.findall(r'^\.(?:It |Pq )?Va (.*)$', section, re.M)
    return members - set(re.findall(r'\w+', ' '.join(told)))
