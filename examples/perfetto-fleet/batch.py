#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Where the time of all vCPUs in many traces went, by Perfetto's batch trace processor

usage: batch.py TRACE...

The traces are those that tsc-offset export wrote. The script requires Perfetto's Python library (pip install perfetto
pandas). The traces are processed at the same time on this machine; each is in memory as a whole.
"""
import os
import sys
from pathlib import Path

from perfetto.batch_trace_processor.api import BatchTraceProcessor, BatchTraceProcessorConfig
from perfetto.trace_processor import TraceProcessorConfig

PACKAGE = os.environ.get('TSC_OFFSET_SQL', '/usr/share/tsc-offset/perfetto-sql/tsc_offset')
QUERY = 'INCLUDE PERFETTO MODULE tsc_offset.vm;\n' + Path(__file__).with_name('vcpus.sql').read_text()

# Without ingest_ftrace_in_raw the library leaves the table ftrace_event empty, which the module needs
config = BatchTraceProcessorConfig(
    tp_config=TraceProcessorConfig(add_sql_packages=[PACKAGE], ingest_ftrace_in_raw=True))
with BatchTraceProcessor(sys.argv[1:], config=config) as traces:
    print(traces.query_and_flatten(QUERY).to_string())
