# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""How the build compiles the sources of lib/, plugin/ and tool/, from compile_commands.json."""
import json
import os
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
FOLDERS = 'lib', 'plugin', 'tool'


def commands(build):
    """{path below the tree: its entry}. Tests compile some sources again with other options: the first entry counts."""
    found = {}
    for entry in json.loads((Path(build) / 'compile_commands.json').read_text()):
        path = Path(os.path.normpath(Path(entry['directory']) / entry['file']))
        # Files that the build generated do not count
        if path.is_relative_to(TREE) and path.relative_to(TREE).parts[0] in FOLDERS:
            found.setdefault(path.relative_to(TREE), {**entry, 'file': str(path)})
    return found
