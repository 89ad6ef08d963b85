#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Which functions of other libraries the build's own libraries and plugins need: lib/tracedat reads files without
trace-cmd's libraries, and the KernelShark plugin needs nothing of a machine with tracefs.
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
# A row of KernelShark has the place of its record, not the record. kshark_read_event_field_int() reads beyond a record
# that is smaller than its format says. kshark_load_tep_records() reads all records of a file, which only trace-cmd can
# free. Handlers of kshark_register_event_handler() get a record with its size, but only while rows are loaded: the
# plugin would have to keep what each event says until marks are drawn.
READ_RECORD = {'tracecmd_read_at', 'tracecmd_free_record'}


def needed(file, *libraries):
    """Names with one of these prefixes that a file leaves undefined"""
    symbols = subprocess.run(['nm', '--undefined-only', file], capture_output=True, text=True, check=True).stdout
    return set(re.findall(rf'^ +[Uvw] ((?:{"|".join(libraries)})_\w+)', symbols, re.M))


class TestSymbols(unittest.TestCase):
    def test_tracedat(self):
        self.assertEqual(needed(TRACEDAT, 'tracefs', 'tracecmd', 'kshark'), set())

    @unittest.skipUnless(os.path.exists(KERNELSHARK), 'the KernelShark plugin is not built')
    def test_kernelshark(self):
        self.assertEqual(needed(KERNELSHARK, 'tracefs', 'tracecmd'), READ_RECORD)

    def test_controls(self):
        """What is needed is found, in an archive of objects and in a shared object"""
        self.assertIn('tep_parse_event', needed(TRACEDAT, 'tep'))
        self.assertTrue(needed(KVMHOST, 'tracefs'))
        self.assertIn('tep_alloc', needed(PLUGIN, 'tep'))


if __name__ == '__main__':
    main()
