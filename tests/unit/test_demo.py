#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""What scripts/demo does if its emulated machine fails: after a hang it says so, and begins anew once."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import TREE, Case, main

HUNG = 75
# Counts its calls and ends those of one verb with a status
LAB = '''#!/bin/bash
echo "$1" >> calls
[ "$1" != "{verb}" ] || exit {status}
'''


class TestDemo(Case):
    def demo(self, verb, status):
        """How often the demo booted a host, with a lab that fails; and what the demo ended with and printed"""
        for name in 'scripts/lab', 'bin', 'build':
            (self.directory / name).mkdir(parents=True)
        shutil.copy(TREE / 'scripts/demo', self.directory / 'scripts')
        for name, text in {'scripts/lab/lab': LAB.format(verb=verb, status=status), 'bin/meson': '#!/bin/bash\n',
                           'scripts/dependencies': '#!/bin/bash\n'}.items():
            (self.directory / name).write_text(text)
            (self.directory / name).chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name != 'BUILD_DIR'}
        done = subprocess.run([self.directory / 'scripts/demo'], text=True, capture_output=True, check=False,
                              env=environment | {'PATH': f'{self.directory}/bin:{os.environ["PATH"]}'}, timeout=60)
        calls = (self.directory / 'calls').read_text().split()
        self.assertEqual(calls[-1], 'down', 'the lab stays up')
        return calls.count('up'), done.returncode, done.stdout.count('begun anew')

    def test_host_hangs(self):
        self.assertEqual(self.demo('up', HUNG), (2, HUNG, 1))

    def test_guest_does_not_boot(self):
        self.assertEqual(self.demo('guest-up', 1), (2, HUNG, 1))

    def test_hangs_while_recording(self):
        self.assertEqual(self.demo('run', HUNG), (2, HUNG, 1))

    def test_control(self):
        """Another failure is not tried again"""
        self.assertEqual(self.demo('up', 1), (1, 1, 0))

    def test_recording_fails(self):
        self.assertEqual(self.demo('run', 2), (1, 2, 0))


if __name__ == '__main__':
    main()
