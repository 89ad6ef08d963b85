#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Where the time of all vCPUs in many traces went, by Perfetto's BigTrace

usage: bigtrace.py TRACE...

A TRACE is the path by which BigTrace's workers find it: /gcs/BUCKET/o/FILE or /local/FILE. The script requires
Perfetto's Python library with perfetto.bigtrace, and an orchestrator of BigTrace at localhost:5051. Workers do not have
the SQL package, so the module is sent to them as a part of the query.
"""
import os
import sys
from pathlib import Path

from perfetto.bigtrace.api import Bigtrace

PACKAGE = os.environ.get('TSC_OFFSET_SQL', '/usr/share/tsc-offset/perfetto-sql/tsc_offset')
QUERY = Path(PACKAGE, 'vm.sql').read_text() + Path(__file__).with_name('vcpus.sql').read_text()

print(Bigtrace().query(sys.argv[1:], QUERY).to_string())
