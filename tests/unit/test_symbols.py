#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The functions of other libraries that the build's own libraries and plugins require: lib/tracedat reads files without
trace-cmd's libraries, and the KernelShark plugin needs no tracefs.
"""
import os
import re
import subprocess
import sys
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import PLUGIN, built, main

TRACEDAT = built('lib/tracedat/libtracedat.a')
KVMHOST = built('lib/kvmhost/libkvmhost.a')
KERNELSHARK = built('plugin/kernelshark/plugin-kvm_tsc_jumps.so')


def needed(file, *libraries):
    """Names with one of these prefixes that a file leaves undefined"""
    symbols = subprocess.run(['nm', '--undefined-only', file], capture_output=True, text=True, check=True).stdout
    return set(re.findall(rf'^ +[Uvw] ((?:{"|".join(libraries)})_\w+)', symbols, re.M))


class TestSymbols(unittest.TestCase):
    def test_tracedat(self):
        self.assertEqual(needed(TRACEDAT, 'tracefs', 'tracecmd', 'kshark'), set())

    @unittest.skipUnless(os.path.exists(KERNELSHARK), 'the KernelShark plugin is not built')
    def test_kernelshark(self):
        self.assertEqual(needed(KERNELSHARK, 'tracefs', 'tracecmd'), set())

    def test_controls(self):
        """What is needed is found, in an archive of objects and in a shared object"""
        self.assertIn('tep_parse_event', needed(TRACEDAT, 'tep'))
        self.assertTrue(needed(KVMHOST, 'tracefs'))
        self.assertIn('tep_alloc', needed(PLUGIN, 'tep'))


if __name__ == '__main__':
    main()
