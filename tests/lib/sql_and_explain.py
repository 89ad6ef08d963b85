# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Compare the PerfettoSQL module's results for an export with explain's for the files: they are equal, to the ns"""
import collections

from perfetto_sql import INCLUDE, PACKAGE, differences
import trace_processor

STATES = 'exit', 'halted', 'stolen', 'unknown'
PARTS = 'count', 'total', 'guest_queue', 'ipi', 'host_wakeup', 'entry', 'unknown'
# vCPUs are identified by their threads, tasks by their ids
QUERIES = {
    'vm_state': '''
        select tid, state, sum(s.dur) from vm_state s join vm_vcpu using (vcpu_id) join thread using (utid) group by 1, 2''',
    'vm_time': '''
        select vt.tid, t.tid, guest_dur, exit_dur, halted_dur, stolen_dur, unknown_dur
        from vm_time join vm_vcpu v using (vcpu_id) join thread vt on vt.utid = v.utid
        left join thread t on t.utid = vm_time.utid''',
    'vm_exit': '''
        select tid, reason, count(*), sum(dur), sum(handling_dur), sum(halted_dur), sum(stolen_dur), sum(unknown_dur)
        from vm_exit join thread using (utid) group by 1, 2''',
    'vm_wakeup': '''
        select tid, count(*), sum(dur), sum(guest_queue_dur), sum(ipi_dur), sum(host_wakeup_dur), sum(entry_dur),
            sum(unknown_dur)
        from vm_wakeup join thread using (utid) where dur is not null group by guest_machine_id, tid''',
    'vm_steal': '''
        select v.tid, kind, p.tid, pt.tid, t.tid, sum(s.dur)
        from vm_steal s join vm_vcpu using (vcpu_id) join thread v using (utid)
        left join thread t on t.utid = s.task_utid left join thread p on p.utid = s.preemptor_utid
        left join thread pt on pt.utid = s.preemptor_task_utid group by 1, 2, 3, 4, 5''',
}


def summed(rows, key, *members):
    sums = collections.defaultdict(lambda: [0] * len(members))
    for row in rows:
        for i, member in enumerate(members):
            sums[key(row)][i] += row[member]
    return [(*key, *values) for key, values in sums.items()]


def explained(found):
    """The same rows from the output of explain --json; values other than None must be a number or a text"""
    threads = {(vcpu['guest'], vcpu['vcpu_id']): vcpu['thread'] for vcpu in found['vcpus']}

    def thread(row):
        return threads[row['guest'], row['vcpu_id']]

    def pid(row, key):
        return (row.get(key) or {}).get('pid')

    states = [(vcpu['thread'], state, vcpu['guest_mode' if state == 'guest' else state])
              for vcpu in found['vcpus'] for state in ('guest', *STATES)]
    wakeups = summed(found['vm_wakeup'], lambda row: (row['guest'], pid(row, 'task')), *PARTS)
    return {
        'vm_state': [row for row in states if row[2]],
        'vm_time': summed(found['vm_time'], lambda row: (thread(row), pid(row, 'task')), 'guest_mode', *STATES),
        'vm_exit': summed(found['vm_exit'], lambda row: (thread(row), row['reason']), 'count', 'total', *STATES),
        'vm_wakeup': [row[1:] for row in wakeups],
        'vm_steal': summed(found['vm_steal'], lambda row: (
            thread(row), row['kind'], pid(row, 'preemptor'), pid(row, 'preemptor_task'), pid(row, 'task')), 'total'),
    }


def compare(trace, found):
    """(rows that SQL finds in the export, {table: rows that only one side has, as two lists})"""
    rows = dict(zip(QUERIES, trace_processor.query(trace, INCLUDE, *QUERIES.values(), packages=[PACKAGE])[1:]))
    return rows, {table: differences(rows[table], wanted) for table, wanted in explained(found).items()}
