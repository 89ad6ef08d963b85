# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Cases for the PerfettoSQL module, compared with vm_answers.py"""
import collections
import unittest

from case import TREE, Case
import trace_processor

PACKAGE = TREE / 'tool/perfetto/tsc_offset'
INCLUDE = 'include perfetto module tsc_offset.vm'
# The same as in vm_answers
QUERIES = {
    'states': '''select vm, vcpu, cast(s.ts as text), s.dur, state, thread_state, cause
        from vm_state s join vm_vcpu using (vcpu_id)''',
    'steals': '''select vm, vcpu, cast(s.ts as text), s.dur, kind, preemptor, preemptor_task, task
        from vm_steal s join vm_vcpu using (vcpu_id)''',
    'exits': '''select vm, vcpu, cast(e.ts as text), e.dur, reason, task, handling_dur, halted_dur, stolen_dur,
        unknown_dur, is_entered from vm_exit e join vm_vcpu using (vcpu_id)''',
    'wakeups': '''select m.raw_id, task, cast(w.ts as text), w.dur, c.cpu, guest_queue_dur, ipi_dur, host_wakeup_dur,
        entry_dur, unknown_dur, cause
        from vm_wakeup w join machine m on m.id = guest_machine_id left join cpu c on c.ucpu = w.ucpu''',
    'times': '''select vm, vcpu, task, guest_dur, exit_dur, halted_dur, stolen_dur, unknown_dur
        from vm_time t join vm_vcpu using (vcpu_id)''',
}
# Offset of each vCPU's tables from the host's recording
SUMS = '''
    select v.dur - (select sum(dur) from vm_state s where s.vcpu_id = v.vcpu_id),
        v.dur - (select sum(dur) from vm_time t where t.vcpu_id = v.vcpu_id),
        ifnull((select sum(dur) from vm_steal s where s.vcpu_id = v.vcpu_id), 0)
        - ifnull((select sum(dur) from vm_state s
                  where s.vcpu_id = v.vcpu_id and state in ('exit', 'halted', 'stolen')), 0),
        ifnull((select sum(dur) from vm_exit e where e.vcpu_id = v.vcpu_id), 0)
        - ifnull((select sum(dur) from vm_state s where s.vcpu_id = v.vcpu_id and exit_id is not null), 0)
    from vm_vcpu v'''
PARTS = '''
    select (select count(*) from vm_exit where dur != handling_dur + halted_dur + stolen_dur + unknown_dur),
        (select count(*) from vm_wakeup
         where dur != guest_queue_dur + ipi_dur + host_wakeup_dur + entry_dur + unknown_dur),
        (select count(*) from vm_time where dur != guest_dur + exit_dur + halted_dur + stolen_dur + unknown_dur)'''


def differences(found, expected):
    found = collections.Counter(map(tuple, found))
    expected = collections.Counter(tuple(None if value is None else str(value) for value in row) for row in expected)
    return sorted((found - expected).elements(), key=str), sorted((expected - found).elements(), key=str)


class Asks(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            print(f'trace processor {trace_processor.version()}')
        except trace_processor.NotHere as error:
            raise unittest.SkipTest(str(error)) from error

    def query(self, path, *queries):
        return trace_processor.query(path, INCLUDE, *queries, packages=[PACKAGE])[1:]
