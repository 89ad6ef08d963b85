-- SPDX-License-Identifier: GPL-2.0-only
-- Copyright (C) 2026 the tsc-offset maintainers

-- @module tsc_offset.vm
-- What the vCPUs of virtual machines did, and what they waited for.
--
-- For traces of a KVM host and its guests that `tsc-offset export` wrote. The
-- manual page tsc-offset-explain(1) has the definitions, tsc-offset-perfetto(7)
-- has examples.

INCLUDE PERFETTO MODULE intervals.intersect;

-- Without ftrace_event, all tables would be empty: an error is better.
-- Perfetto's Python API fills ftrace_event only on request.
CREATE PERFETTO FUNCTION _vm_needs_ingest_ftrace_in_raw(
  -- Whether ftrace_event has rows.
  is_there LONG
)
-- The same value.
RETURNS LONG
AS
SELECT $is_there;

CREATE PERFETTO TABLE _vm_check
AS
SELECT
  _vm_needs_ingest_ftrace_in_raw(
    iif(
      EXISTS(SELECT 1 FROM ftrace_event)
      OR NOT EXISTS(SELECT 1 FROM slice WHERE category = 'tsc-offset'),
      1,
      'ftrace_event is empty'
    )
  ) AS is_there;

-- The recording of each machine: from its first event to its last.
CREATE PERFETTO TABLE _vm_machine
AS
SELECT m.id AS machine_id, m.raw_id, min(e.ts) AS ts, max(e.ts_end) AS ts_end
FROM (
  SELECT ucpu, min(ts) AS ts, max(ts) AS ts_end FROM ftrace_event GROUP BY ucpu
) AS e
JOIN cpu AS c ON e.ucpu = c.ucpu
JOIN machine AS m ON c.machine_id = m.id
GROUP BY m.id;

-- The host's recording, which is the period of all its vCPUs.
CREATE PERFETTO TABLE _vm_period
AS
SELECT machine_id, ts, ts_end FROM _vm_machine WHERE raw_id = 0;

-- The slices that export wrote for each vCPU: guest mode, and unknown.
CREATE PERFETTO TABLE _vm_slice
AS
WITH
  said AS (
    SELECT
      t.utid,
      s.name = 'guest mode' AS is_guest,
      max(s.ts, p.ts) AS ts,
      iif(s.dur < 0, p.ts_end, min(s.ts + s.dur, p.ts_end)) AS ts_end,
      extract_arg(s.arg_set_id, 'debug.vm') AS vm,
      extract_arg(s.arg_set_id, 'debug.vcpu') AS vcpu,
      extract_arg(s.arg_set_id, 'debug.machine') AS raw_machine,
      extract_arg(s.arg_set_id, 'debug.guest_cpu') AS guest_cpu,
      extract_arg(s.arg_set_id, 'debug.exit_reason') AS exit_reason,
      extract_arg(s.arg_set_id, 'debug.cause') AS cause
    FROM slice AS s
    JOIN thread_track AS t ON s.track_id = t.id
    JOIN _vm_period AS p
    WHERE s.category = 'tsc-offset' AND s.name IN ('guest mode', 'unknown')
  ),
  guest_cpu AS (
    SELECT m.raw_id AS raw_machine, c.cpu AS guest_cpu, c.ucpu
    FROM cpu AS c
    JOIN machine AS m ON c.machine_id = m.id
    WHERE m.raw_id != 0
  )
SELECT
  row_number() OVER (ORDER BY vm, vcpu, ts, ts_end) AS id,
  dense_rank() OVER (ORDER BY vm, vcpu) AS vcpu_id,
  said.*,
  g.ucpu AS guest_ucpu
FROM said
LEFT JOIN guest_cpu AS g USING (raw_machine, guest_cpu)
WHERE ts <= ts_end;

-- The vCPUs of the host's virtual machines.
CREATE PERFETTO TABLE vm_vcpu(
  -- Number of the vCPU in this trace.
  vcpu_id ID,
  -- Name of the virtual machine, as `tsc-offset explain` prints it: that of its
  -- guest if the host's file has one, else that of `tsc-offset show`.
  vm STRING,
  -- KVM's number of the vCPU.
  vcpu LONG,
  -- The host's thread that ran it; if it was moved, the last one.
  utid JOINID(thread.id),
  -- Name of this thread.
  thread_name STRING,
  -- The guest, if its recording is in the trace.
  guest_machine_id JOINID(machine.id),
  -- The guest's number of the CPU that this vCPU is.
  guest_cpu LONG,
  -- The trace's number of that CPU.
  guest_ucpu JOINID(cpu.id),
  -- First event of the host's recording.
  ts TIMESTAMP,
  -- Duration of the host's recording: the sum of the vCPU's times.
  dur DURATION
)
AS
WITH
  last AS (
    SELECT vcpu_id, max(id) AS id, max(iif(guest_ucpu IS NULL, 0, id)) AS guest_id
    FROM _vm_slice
    GROUP BY vcpu_id
  )
SELECT
  l.vcpu_id,
  s.vm,
  s.vcpu,
  s.utid,
  t.name AS thread_name,
  c.machine_id AS guest_machine_id,
  c.cpu AS guest_cpu,
  c.ucpu AS guest_ucpu,
  p.ts,
  p.ts_end - p.ts AS dur
FROM last AS l
JOIN _vm_slice AS s ON s.id = l.id
JOIN _vm_period AS p
JOIN thread AS t ON t.utid = s.utid
LEFT JOIN _vm_slice AS g ON g.id = l.guest_id
LEFT JOIN cpu AS c ON c.ucpu = g.guest_ucpu
ORDER BY l.vcpu_id;

-- Host mode: the stretches between the slices of a vCPU, with the exit's reason
-- if it is known. A stretch of 0 ns lies between two events of the same time.
CREATE PERFETTO TABLE _vm_stretch
AS
WITH
  near AS (
    SELECT
      vcpu_id,
      utid,
      ts_end AS ts,
      lead(ts) OVER w AS next_ts,
      lead(is_guest) OVER w AS next_is_guest,
      lead(utid) OVER w AS next_utid,
      exit_reason
    FROM _vm_slice
    WINDOW w AS (PARTITION BY vcpu_id ORDER BY id)
    UNION ALL
    SELECT
      s.vcpu_id,
      s.utid,
      p.ts,
      s.ts AS next_ts,
      s.is_guest AS next_is_guest,
      s.utid AS next_utid,
      NULL AS exit_reason
    FROM (SELECT vcpu_id, min(id) AS id FROM _vm_slice GROUP BY vcpu_id)
    JOIN _vm_slice AS s USING (id)
    JOIN _vm_period AS p
  )
SELECT
  row_number() OVER (ORDER BY n.vcpu_id, n.ts, n.next_ts) AS id,
  n.vcpu_id,
  n.utid,
  n.ts,
  ifnull(n.next_ts, p.ts_end) AS ts_end,
  n.exit_reason,
  n.exit_reason IS NOT NULL AS is_exit,
  -- The names that VMX, SVM and trace-cmd's plugin use.
  ifnull(
    replace(upper(n.exit_reason), 'EXIT_', '') IN (
      'HLT', 'MWAIT', 'MWAIT_INSTRUCTION', 'MWAIT_COND'
    ),
    FALSE
  ) AS is_halt,
  ifnull(n.next_is_guest, FALSE) AS is_entered,
  ifnull(n.next_is_guest AND n.next_utid = n.utid, FALSE) AS must_run
FROM near AS n
JOIN _vm_period AS p
WHERE ifnull(n.next_ts, p.ts_end) > n.ts
  OR (n.next_ts = n.ts AND n.next_is_guest AND n.exit_reason IS NOT NULL);

-- Losses of events by CPU: from the last event before to the first one after.
CREATE PERFETTO TABLE _vm_loss
AS
SELECT
  row_number() OVER (ORDER BY s.ts) AS id,
  c.machine_id,
  c.ucpu,
  s.ts,
  iif(s.dur < 0, trace_end(), s.ts + s.dur) AS ts_end
FROM slice AS s
JOIN machine AS m ON m.raw_id = extract_arg(s.arg_set_id, 'debug.machine')
JOIN cpu AS c
  ON c.machine_id = m.id AND c.cpu = extract_arg(s.arg_set_id, 'debug.cpu')
WHERE s.category = 'tsc-offset' AND s.name = 'events lost';

-- Wake-ups of threads, and moves to another CPU's queue, by tid.
CREATE PERFETTO TABLE _vm_queue_tid
AS
SELECT
  e.ts,
  c.machine_id,
  e.name != 'sched_migrate_task' AS is_wake,
  extract_arg(e.arg_set_id, 'pid') AS tid,
  extract_arg(
    e.arg_set_id,
    iif(e.name = 'sched_migrate_task', 'dest_cpu', 'target_cpu')
  ) AS cpu
FROM ftrace_event AS e
JOIN cpu AS c ON c.ucpu = e.ucpu
WHERE e.name IN ('sched_waking', 'sched_wakeup', 'sched_migrate_task');

-- The same by thread. Threads that had the same tid one after the other have
-- utids in the order of time.
CREATE PERFETTO TABLE _vm_queue_event
AS
WITH
  said AS (
    SELECT
      machine_id,
      tid,
      iif(
        lag(utid) OVER w IS NULL,
        -1,
        coalesce(start_ts, lag(end_ts) OVER w, -1)
      ) AS ts,
      utid,
      NULL AS is_wake,
      NULL AS cpu
    FROM thread
    WINDOW w AS (PARTITION BY machine_id, tid ORDER BY utid)
    UNION ALL
    SELECT machine_id, tid, ts, NULL AS utid, is_wake, cpu
    FROM _vm_queue_tid
  ),
  assigned AS (
    SELECT
      max(utid) OVER (
        PARTITION BY machine_id, tid
        ORDER BY ts, utid IS NULL
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS utid,
      ts,
      is_wake,
      cpu
    FROM said
  )
SELECT utid, ts, is_wake, cpu
FROM assigned
WHERE is_wake IS NOT NULL;

-- The events that decide the state of a thread: of the host, those threads that
-- run vCPUs; of the guests, all. |kind|: 'sleeps' or 'waits' when it is
-- switched out, 'runs' when it is switched in, 'wake', 'move', and 'new' when
-- it is created. |cpu|: the one for which it is woken, or to which it is moved.
-- |rank|: the order of events of the same time.
CREATE PERFETTO TABLE _vm_thread_event
AS
WITH
  wanted AS (
    SELECT DISTINCT utid FROM _vm_slice
    UNION ALL
    SELECT utid
    FROM thread
    WHERE machine_id IN (SELECT machine_id FROM _vm_machine WHERE raw_id != 0)
      AND NOT ifnull(is_idle, FALSE)
  ),
  said AS (
    SELECT
      t.utid,
      t.ts,
      CASE
        WHEN t.state = 'Running' THEN 'runs'
        WHEN t.waker_utid IS NOT NULL THEN 'new'
        WHEN t.state IN ('R', 'R+') THEN 'waits'
        ELSE 'sleeps'
      END AS kind,
      t.ucpu,
      NULL AS cpu,
      iif(t.state = 'Running', 4, iif(t.waker_utid IS NULL, 0, 2)) AS rank
    FROM thread_state AS t
    JOIN wanted AS w USING (utid)
    UNION ALL
    SELECT
      q.utid,
      q.ts,
      iif(q.is_wake, 'wake', 'move') AS kind,
      NULL AS ucpu,
      q.cpu,
      iif(q.is_wake, 1, 3) AS rank
    FROM _vm_queue_event AS q
    JOIN wanted AS w USING (utid)
  ),
  near AS (
    SELECT
      *,
      lag(kind) OVER w AS before_kind,
      lag(ts) OVER w AS before_ts
    FROM said
    WINDOW w AS (PARTITION BY utid ORDER BY ts, rank)
  )
-- At each sched_waking of a thread that sleeps, thread_state begins a row as
-- for a new task.
SELECT utid, ts, kind, ucpu, cpu, rank
FROM near
WHERE NOT (kind = 'new' AND before_kind = 'wake' AND before_ts = ts);

-- The events of a vCPU's thread in its stretches of host mode. |base|: number
-- of the last event that changed its state whatever that was: all but 'wake'
-- and 'move'.
CREATE PERFETTO TABLE _vm_host_event
AS
WITH
  vcpu_thread AS (SELECT DISTINCT vcpu_id, utid FROM _vm_slice),
  -- A thread is switched out from the CPU that recorded the sched_switch.
  switch AS (
    SELECT e.utid, e.ts, e.ucpu
    FROM ftrace_event AS e
    WHERE e.name = 'sched_switch' AND e.utid IN (SELECT utid FROM vcpu_thread)
  ),
  host_cpu AS (
    SELECT cpu, ucpu FROM cpu JOIN _vm_period USING (machine_id)
  ),
  happened AS (
    SELECT e.utid, e.ts, e.kind, ifnull(e.ucpu, c.ucpu) AS ucpu, e.rank
    FROM _vm_thread_event AS e
    LEFT JOIN host_cpu AS c ON c.cpu = e.cpu
    WHERE e.utid IN (SELECT utid FROM vcpu_thread) AND e.kind != 'new'
    UNION ALL
    SELECT utid, ts, 'switch' AS kind, ucpu, -1 AS rank FROM switch
  ),
  located AS (
    SELECT
      utid,
      ts,
      kind,
      rank,
      iif(
        kind IN ('sleeps', 'waits'),
        iif(lag(kind) OVER w = 'switch' AND lag(ts) OVER w = ts, lag(ucpu) OVER w, NULL),
        ucpu
      ) AS ucpu
    FROM happened
    WINDOW w AS (PARTITION BY utid ORDER BY ts, rank)
  ),
  said AS (
    SELECT
      vcpu_id,
      utid,
      ts,
      ts_end,
      id AS stretch,
      iif(is_exit, 'runs', 'unseen') AS kind,
      NULL AS ucpu,
      -2 AS rank
    FROM _vm_stretch
    UNION ALL
    SELECT
      v.vcpu_id,
      e.utid,
      e.ts,
      NULL AS ts_end,
      NULL AS stretch,
      e.kind,
      e.ucpu,
      e.rank
    FROM located AS e
    JOIN vcpu_thread AS v USING (utid)
    WHERE e.kind != 'switch'
  ),
  -- Stretches have numbers in the order of time.
  assigned AS (
    SELECT
      max(stretch) OVER w AS stretch,
      max(ts_end) OVER w AS ts_end,
      ts,
      rank,
      kind,
      ucpu
    FROM said
    WINDOW w AS (
      PARTITION BY vcpu_id, utid
      ORDER BY ts, rank
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
  )
SELECT
  stretch,
  ts,
  kind,
  ucpu,
  sum(kind NOT IN ('wake', 'move')) OVER (
    ORDER BY stretch, ts, rank
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS base
FROM assigned
WHERE ts < ts_end OR rank = -2
ORDER BY base, ts, rank;

-- The state from each base until the next. |woken|: when a sleeping thread was
-- woken. |is_wrong|: the next event contradicts this state.
CREATE PERFETTO TABLE _vm_host_base
AS
WITH
  base AS (
    SELECT
      base,
      min(stretch) AS stretch,
      max(iif(kind IN ('wake', 'move'), NULL, kind)) AS kind,
      max(iif(kind IN ('wake', 'move'), NULL, ts)) AS ts,
      max(iif(kind IN ('wake', 'move'), NULL, ucpu)) AS ucpu,
      min(iif(kind = 'wake', ts, NULL)) AS wake
    FROM _vm_host_event
    GROUP BY base
  ),
  near AS (
    SELECT
      b.base,
      b.stretch,
      b.kind,
      b.ts,
      iif(b.kind IN ('sleeps', 'unseen'), b.wake, NULL) AS woken,
      lead(b.kind) OVER w AS next_kind,
      lead(b.ucpu) OVER w AS next_ucpu,
      lead(b.ts) OVER w AS next_ts
    FROM base AS b
    WINDOW w AS (PARTITION BY b.stretch ORDER BY b.base)
  )
SELECT
  n.base,
  n.stretch,
  s.vcpu_id,
  s.is_halt,
  n.kind,
  n.ts,
  n.woken,
  ifnull(n.next_ts, s.ts_end) AS ts_end,
  iif(n.next_kind = 'runs', n.next_ucpu, NULL) AS next_ucpu,
  CASE
    WHEN n.kind = 'unseen' AND n.woken IS NULL THEN FALSE
    WHEN n.next_kind IS NULL THEN s.must_run AND n.kind != 'runs'
    WHEN n.kind = 'runs' THEN n.next_kind = 'runs'
    ELSE n.next_kind != 'runs'
  END AS is_wrong
FROM near AS n
JOIN _vm_stretch AS s ON s.id = n.stretch
ORDER BY n.base;

-- The states of a vCPU in host mode, from those of its thread.
CREATE PERFETTO TABLE _vm_host_state
AS
WITH
  halves AS (
    SELECT
      base,
      stretch,
      vcpu_id,
      is_halt,
      kind,
      ts,
      ifnull(woken, ts_end) AS ts_end,
      is_wrong AND woken IS NULL AS is_wrong
    FROM _vm_host_base
    UNION ALL
    SELECT
      base,
      stretch,
      vcpu_id,
      is_halt,
      'waits' AS kind,
      woken AS ts,
      ts_end,
      is_wrong
    FROM _vm_host_base
    WHERE woken IS NOT NULL
  )
SELECT
  stretch,
  vcpu_id,
  ts,
  ts_end,
  CASE
    WHEN is_wrong OR kind = 'unseen' THEN 'unknown'
    WHEN kind = 'waits' THEN 'stolen'
    WHEN kind = 'sleeps' AND is_halt THEN 'halted'
    ELSE 'exit'
  END AS state,
  CASE
    WHEN is_wrong OR kind = 'unseen' THEN NULL
    WHEN kind = 'waits' THEN 'waiting'
    WHEN kind = 'sleeps' THEN 'sleeping'
    ELSE 'running'
  END AS thread_state,
  CASE
    WHEN is_wrong THEN 'sched events missing'
    WHEN kind = 'unseen' THEN 'no sched event of the thread before'
  END AS cause
FROM halves
WHERE ts_end > ts;

-- Whether the host recorded which threads ran.
CREATE PERFETTO TABLE _vm_has_sched
AS
SELECT EXISTS(
  SELECT 1
  FROM sched AS s
  JOIN cpu AS c ON c.ucpu = s.ucpu
  WHERE c.machine_id IN (SELECT machine_id FROM _vm_period)
) AS yes;

-- The state of each vCPU. Each moment of the host's recording is in one row, so
-- that the durations of a vCPU sum to |vm_vcpu.dur|.
CREATE PERFETTO TABLE vm_state(
  -- Number of the row.
  id ID,
  -- The vCPU.
  vcpu_id JOINID(vm_vcpu.vcpu_id),
  -- When it began.
  ts TIMESTAMP,
  -- How long it lasted.
  dur DURATION,
  -- 'guest': in guest mode. 'exit': the vCPU's thread ran, or slept for another
  -- reason than a halt. 'halted': the thread slept after HLT or MWAIT.
  -- 'stolen': the thread was ready to run and did not run. 'unknown': see
  -- |cause|.
  state STRING,
  -- Out of guest mode, the state of the vCPU's thread: 'running', 'sleeping',
  -- or 'waiting' for a CPU.
  thread_state STRING,
  -- Why the state is 'unknown'.
  cause STRING,
  -- The time out of guest mode that the row is part of.
  exit_id JOINID(vm_exit.id)
)
AS
WITH
  parts AS (
    SELECT
      vcpu_id,
      ts,
      ts_end,
      iif(is_guest, 'guest', 'unknown') AS state,
      NULL AS thread_state,
      iif(is_guest, NULL, cause) AS cause,
      NULL AS exit_id
    FROM _vm_slice
    UNION ALL
    SELECT vcpu_id, ts, ts_end, state, thread_state, cause, stretch AS exit_id
    FROM _vm_host_state
    WHERE (SELECT yes FROM _vm_has_sched)
    UNION ALL
    SELECT
      vcpu_id,
      ts,
      ts_end,
      'unknown' AS state,
      NULL AS thread_state,
      'no sched events' AS cause,
      id AS exit_id
    FROM _vm_stretch
    WHERE NOT (SELECT yes FROM _vm_has_sched)
  )
SELECT
  row_number() OVER (ORDER BY vcpu_id, ts) AS id,
  vcpu_id,
  ts,
  ts_end - ts AS dur,
  state,
  thread_state,
  cause,
  exit_id
FROM parts
WHERE ts_end > ts
ORDER BY vcpu_id, ts;

-- The thread that each CPU runs, without a gap over the host's recording.
-- |utid| is NULL where it is unknown: before the first sched_switch of the CPU,
-- where the CPU lost events, and after the end of the machine's recording.
CREATE PERFETTO TABLE _vm_cpu_thread
AS
WITH
  -- No event of a CPU is within its losses, except for losses whose place is
  -- unknown.
  said AS (
    SELECT ucpu, ts, utid, dur, NULL AS loss_end FROM sched
    UNION ALL
    SELECT ucpu, ts, NULL AS utid, NULL AS dur, ts_end AS loss_end FROM _vm_loss
  ),
  near AS (
    SELECT
      *,
      max(loss_end) OVER (
        PARTITION BY ucpu
        ORDER BY ts, utid IS NULL
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
      ) AS lost_until,
      iif(lead(utid IS NULL) OVER w, lead(ts) OVER w, NULL) AS lost_from
    FROM said
    WINDOW w AS (PARTITION BY ucpu ORDER BY ts, utid IS NULL)
  ),
  switches AS (
    SELECT
      n.ucpu,
      n.utid,
      n.dur,
      n.ts,
      lead(n.ts) OVER (PARTITION BY n.ucpu ORDER BY n.ts) AS next_ts,
      n.lost_until,
      n.lost_from,
      m.ts_end AS machine_end
    FROM near AS n
    JOIN cpu AS c ON c.ucpu = n.ucpu
    JOIN _vm_machine AS m USING (machine_id)
    WHERE n.utid IS NOT NULL
  ),
  known AS (
    SELECT
      ucpu,
      utid,
      ts,
      CASE
        WHEN ifnull(lost_until, ts) > ts THEN ts
        WHEN lost_from IS NOT NULL THEN lost_from
        -- The next sched_switch switches out another thread.
        WHEN dur < 0 AND next_ts IS NOT NULL THEN ts
        ELSE ifnull(next_ts, machine_end)
      END AS ts_end,
      next_ts
    FROM switches
  ),
  parts AS (
    SELECT ucpu, utid, ts, ts_end FROM known
    UNION ALL
    SELECT ucpu, NULL AS utid, ts_end AS ts, next_ts AS ts_end FROM known
    UNION ALL
    SELECT c.ucpu, NULL AS utid, NULL AS ts, min(k.ts) AS ts_end
    FROM cpu AS c
    JOIN _vm_machine USING (machine_id)
    LEFT JOIN known AS k ON k.ucpu = c.ucpu
    GROUP BY c.ucpu
  ),
  cut AS (
    SELECT
      s.ucpu,
      s.utid,
      max(ifnull(s.ts, p.ts), p.ts) AS ts,
      min(ifnull(s.ts_end, p.ts_end), p.ts_end) AS ts_end
    FROM parts AS s
    JOIN _vm_period AS p
  )
SELECT
  row_number() OVER (ORDER BY ucpu, ts) AS id,
  ucpu,
  utid,
  ts,
  ts_end - ts AS dur
FROM cut
WHERE ts_end > ts;

-- Which CPU of its guest each vCPU is, and when: from the first slice that
-- names the CPU, until another vCPU is that CPU, or the vCPU is another CPU or
-- none.
CREATE PERFETTO TABLE _vm_guest_cpu
AS
WITH
  -- The CPUs of each vCPU.
  own_begin AS (
    SELECT vcpu_id, guest_ucpu, ts, is_first
    FROM (
      SELECT
        vcpu_id,
        guest_ucpu,
        ts,
        lag(id) OVER w IS NULL AS is_first,
        ifnull(lag(guest_ucpu) OVER w, -1) AS before_ucpu
      FROM _vm_slice
      WINDOW w AS (PARTITION BY vcpu_id ORDER BY id)
    )
    WHERE is_first OR ifnull(guest_ucpu, -1) != before_ucpu
  ),
  own AS (
    SELECT
      o.vcpu_id,
      o.guest_ucpu,
      iif(o.is_first, p.ts, o.ts) AS ts,
      ifnull(
        lead(o.ts) OVER (PARTITION BY o.vcpu_id ORDER BY o.ts), p.ts_end
      ) AS ts_end
    FROM own_begin AS o
    JOIN _vm_period AS p
  ),
  -- The vCPUs of each CPU.
  turn_begin AS (
    SELECT vcpu_id, guest_ucpu, ts, before_vcpu_id = -1 AS is_first
    FROM (
      SELECT
        vcpu_id,
        guest_ucpu,
        ts,
        ifnull(
          lag(vcpu_id) OVER (PARTITION BY guest_ucpu ORDER BY ts), -1
        ) AS before_vcpu_id
      FROM _vm_slice
      WHERE guest_ucpu IS NOT NULL
    )
    WHERE before_vcpu_id != vcpu_id
  ),
  turn AS (
    SELECT
      t.vcpu_id,
      t.guest_ucpu,
      iif(t.is_first, p.ts, t.ts) AS ts,
      ifnull(
        lead(t.ts) OVER (PARTITION BY t.guest_ucpu ORDER BY t.ts), p.ts_end
      ) AS ts_end
    FROM turn_begin AS t
    JOIN _vm_period AS p
  ),
  both AS (
    SELECT
      o.vcpu_id,
      o.guest_ucpu AS ucpu,
      max(o.ts, t.ts) AS ts,
      min(o.ts_end, t.ts_end) AS ts_end
    FROM own AS o
    JOIN turn AS t USING (vcpu_id, guest_ucpu)
  )
SELECT
  row_number() OVER (ORDER BY vcpu_id, ts) AS id,
  vcpu_id,
  ucpu,
  ts,
  ts_end,
  ts_end - ts AS dur
FROM both
WHERE ts_end > ts;

-- The guest's task that is current on each vCPU, without a gap over the host's
-- recording. |utid| is NULL where it is unknown.
CREATE PERFETTO TABLE _vm_task
AS
WITH
  known AS (
    SELECT g.vcpu_id, t.utid, i.ts, i.ts + i.dur AS ts_end
    FROM _interval_intersect!((_vm_guest_cpu, _vm_cpu_thread), (ucpu)) AS i
    JOIN _vm_guest_cpu AS g ON g.id = i.id_0
    JOIN _vm_cpu_thread AS t ON t.id = i.id_1
    WHERE t.utid IS NOT NULL AND i.dur > 0
  ),
  all_of AS (
    SELECT vcpu_id, utid, ts, ts_end FROM known
    UNION ALL
    SELECT v.vcpu_id, NULL AS utid, p.ts_end AS ts, p.ts_end
    FROM vm_vcpu AS v
    JOIN _vm_period AS p
  ),
  filled AS (
    SELECT vcpu_id, utid, ts, ts_end FROM known
    UNION ALL
    SELECT
      a.vcpu_id,
      NULL AS utid,
      ifnull(
        lag(a.ts_end) OVER (PARTITION BY a.vcpu_id ORDER BY a.ts, a.ts_end), p.ts
      ) AS ts,
      a.ts AS ts_end
    FROM all_of AS a
    JOIN _vm_period AS p
  )
SELECT
  row_number() OVER (ORDER BY vcpu_id, ts) AS id,
  vcpu_id,
  utid,
  ts,
  ts_end - ts AS dur
FROM filled
WHERE ts_end > ts;

-- States of vCPUs, cut where the guest's task changes.
CREATE PERFETTO TABLE _vm_state_task
AS
SELECT
  row_number() OVER (ORDER BY s.id, i.ts) AS id,
  s.id AS state_id,
  s.vcpu_id,
  t.utid,
  i.ts,
  i.dur,
  s.state
FROM _interval_intersect!((vm_state, _vm_task), (vcpu_id)) AS i
JOIN vm_state AS s ON s.id = i.id_0
JOIN _vm_task AS t ON t.id = i.id_1
WHERE i.dur > 0;

-- For each task of a guest and each vCPU: how the time divides while the task
-- was current. The times of a vCPU sum to |vm_vcpu.dur|.
CREATE PERFETTO TABLE vm_time(
  -- The vCPU.
  vcpu_id JOINID(vm_vcpu.vcpu_id),
  -- The guest's task; NULL where the current task is unknown. The guest's idle
  -- task is a task as well.
  utid JOINID(thread.id),
  -- Name of the task.
  task STRING,
  -- All of its time on this vCPU.
  dur DURATION,
  -- In guest mode: the task ran.
  guest_dur DURATION,
  -- In state 'exit'.
  exit_dur DURATION,
  -- In state 'halted'.
  halted_dur DURATION,
  -- In state 'stolen'.
  stolen_dur DURATION,
  -- In state 'unknown'.
  unknown_dur DURATION
)
AS
SELECT
  s.vcpu_id,
  s.utid,
  t.name AS task,
  sum(s.dur) AS dur,
  sum(iif(s.state = 'guest', s.dur, 0)) AS guest_dur,
  sum(iif(s.state = 'exit', s.dur, 0)) AS exit_dur,
  sum(iif(s.state = 'halted', s.dur, 0)) AS halted_dur,
  sum(iif(s.state = 'stolen', s.dur, 0)) AS stolen_dur,
  sum(iif(s.state = 'unknown', s.dur, 0)) AS unknown_dur
FROM _vm_state_task AS s
LEFT JOIN thread AS t ON t.utid = s.utid
GROUP BY s.vcpu_id, s.utid
ORDER BY s.vcpu_id, guest_dur DESC;

-- The times out of guest mode: from a kvm_exit to the next kvm_entry, as far as
-- the host recorded them.
CREATE PERFETTO TABLE vm_exit(
  -- Number of the exit.
  id ID,
  -- The vCPU.
  vcpu_id JOINID(vm_vcpu.vcpu_id),
  -- The host's thread that ran it.
  utid JOINID(thread.id),
  -- The guest's task that was current when the vCPU left guest mode; NULL if it
  -- is unknown.
  task_utid JOINID(thread.id),
  -- Name of the task.
  task STRING,
  -- When it left guest mode.
  ts TIMESTAMP,
  -- Until the vCPU entered guest mode again, or until its mode was unknown.
  dur DURATION,
  -- The exit's reason as kvm_exit names it; NULL before the first entry.
  reason STRING,
  -- Part of |dur| in state 'exit'.
  handling_dur DURATION,
  -- Part of |dur| in state 'halted'.
  halted_dur DURATION,
  -- Part of |dur| in state 'stolen'.
  stolen_dur DURATION,
  -- Part of |dur| in state 'unknown'.
  unknown_dur DURATION,
  -- Whether the vCPU entered guest mode at the end. If not, the end is unknown.
  is_entered BOOL
)
AS
WITH
  spent AS (
    SELECT
      exit_id,
      sum(iif(state = 'exit', dur, 0)) AS exit_dur,
      sum(iif(state = 'halted', dur, 0)) AS halted_dur,
      sum(iif(state = 'stolen', dur, 0)) AS stolen_dur,
      sum(iif(state = 'unknown', dur, 0)) AS unknown_dur
    FROM vm_state
    WHERE exit_id IS NOT NULL
    GROUP BY exit_id
    ORDER BY exit_id
  ),
  -- The task that was current just before.
  said AS (
    SELECT vcpu_id, ts, id AS task_id, NULL AS exit_id FROM _vm_task
    UNION ALL
    SELECT vcpu_id, ts, NULL AS task_id, id AS exit_id FROM _vm_stretch
  ),
  before AS (
    SELECT
      exit_id,
      ifnull(
        max(task_id) OVER (
          PARTITION BY vcpu_id
          ORDER BY ts, exit_id IS NULL
          ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ),
        min(task_id) OVER (PARTITION BY vcpu_id)
      ) AS task_id
    FROM said
  )
SELECT
  s.id,
  s.vcpu_id,
  s.utid,
  t.utid AS task_utid,
  n.name AS task,
  s.ts,
  s.ts_end - s.ts AS dur,
  s.exit_reason AS reason,
  ifnull(d.exit_dur, 0) AS handling_dur,
  ifnull(d.halted_dur, 0) AS halted_dur,
  ifnull(d.stolen_dur, 0) AS stolen_dur,
  ifnull(d.unknown_dur, 0) AS unknown_dur,
  s.is_entered
FROM before AS b
JOIN _vm_stretch AS s ON s.id = b.exit_id
JOIN _vm_task AS t ON t.id = b.task_id
LEFT JOIN spent AS d ON d.exit_id = s.id
LEFT JOIN thread AS n ON n.utid = t.utid
ORDER BY s.id;

-- The CPU in whose queue the thread of a vCPU waits. |ucpu| is NULL where it is
-- unknown.
CREATE PERFETTO TABLE _vm_wait
AS
WITH
  queued AS (
    SELECT
      b.vcpu_id,
      e.ts,
      e.ucpu,
      lead(e.ts) OVER w AS next_ts,
      b.ts_end,
      b.next_ucpu
    FROM _vm_host_event AS e
    JOIN _vm_host_base AS b ON b.base = e.base
    WHERE NOT b.is_wrong
      AND iif(
        b.kind = 'waits',
        TRUE,
        b.woken IS NOT NULL AND e.kind IN ('wake', 'move') AND e.ts >= b.woken
      )
    WINDOW w AS (PARTITION BY e.base ORDER BY e.ts, e.kind != 'waits', e.kind != 'wake')
  ),
  located AS (
    SELECT
      vcpu_id,
      ts,
      ifnull(next_ts, ts_end) AS ts_end,
      -- The thread was moved, and no event shows when.
      iif(next_ts IS NULL AND next_ucpu != ucpu, NULL, ucpu) AS ucpu
    FROM queued
  )
SELECT
  row_number() OVER (ORDER BY vcpu_id, ts) AS id,
  vcpu_id,
  ts,
  ts_end - ts AS dur,
  ucpu
FROM located
WHERE ts_end > ts AND (SELECT yes FROM _vm_has_sched);

-- The preemptor: the thread that has this CPU.
CREATE PERFETTO TABLE _vm_preempted
AS
WITH
  wait AS (SELECT id, ts, dur, ucpu FROM _vm_wait WHERE ucpu IS NOT NULL),
  parts AS (
    SELECT w.vcpu_id, t.utid, i.ts, i.dur
    FROM _interval_intersect!((wait, _vm_cpu_thread), (ucpu)) AS i
    JOIN _vm_wait AS w ON w.id = i.id_0
    JOIN _vm_cpu_thread AS t ON t.id = i.id_1
    WHERE i.dur > 0
    UNION ALL
    SELECT vcpu_id, NULL AS utid, ts, dur FROM _vm_wait WHERE ucpu IS NULL
  )
SELECT
  row_number() OVER (ORDER BY vcpu_id, ts) AS id,
  vcpu_id,
  utid,
  ts,
  dur,
  utid IN (SELECT utid FROM _vm_slice) AS is_vcpu
FROM parts;

-- The task of its guest that each thread of a vCPU runs, without a gap over the
-- host's recording. |task_utid| is NULL out of guest mode, and where the task
-- is unknown.
CREATE PERFETTO TABLE _vm_guest_run
AS
WITH
  slice_in_guest AS (
    SELECT id, vcpu_id, ts, ts_end - ts AS dur
    FROM _vm_slice
    WHERE is_guest AND ts_end > ts
  ),
  known AS (
    SELECT s.utid, t.utid AS task_utid, i.ts, i.ts + i.dur AS ts_end
    FROM _interval_intersect!((slice_in_guest, _vm_task), (vcpu_id)) AS i
    JOIN _vm_slice AS s ON s.id = i.id_0
    JOIN _vm_task AS t ON t.id = i.id_1
    WHERE t.utid IS NOT NULL AND i.dur > 0
  ),
  all_of AS (
    SELECT utid, ts, ts_end FROM known
    UNION ALL
    SELECT s.utid, p.ts_end AS ts, p.ts_end
    FROM (SELECT DISTINCT utid FROM _vm_slice) AS s
    JOIN _vm_period AS p
  ),
  filled AS (
    SELECT utid, task_utid, ts, ts_end FROM known
    UNION ALL
    SELECT
      a.utid,
      NULL AS task_utid,
      ifnull(
        lag(a.ts_end) OVER (PARTITION BY a.utid ORDER BY a.ts, a.ts_end), p.ts
      ) AS ts,
      a.ts AS ts_end
    FROM all_of AS a
    JOIN _vm_period AS p
  )
SELECT
  row_number() OVER (ORDER BY utid, ts) AS id,
  utid,
  task_utid,
  ts,
  ts_end - ts AS dur
FROM filled
WHERE ts_end > ts;

-- The preemptor, with the task of its guest if it is a vCPU in guest mode.
CREATE PERFETTO TABLE _vm_preempted_by
AS
WITH
  by_vcpu AS (SELECT id, ts, dur, utid FROM _vm_preempted WHERE is_vcpu),
  parts AS (
    SELECT p.vcpu_id, p.utid, r.task_utid, i.ts, i.dur
    FROM _interval_intersect!((by_vcpu, _vm_guest_run), (utid)) AS i
    JOIN _vm_preempted AS p ON p.id = i.id_0
    JOIN _vm_guest_run AS r ON r.id = i.id_1
    WHERE i.dur > 0
    UNION ALL
    SELECT vcpu_id, utid, NULL AS task_utid, ts, dur
    FROM _vm_preempted
    WHERE NOT ifnull(is_vcpu, FALSE)
  )
SELECT
  row_number() OVER (ORDER BY vcpu_id, ts) AS id,
  vcpu_id,
  utid,
  task_utid,
  ts,
  dur
FROM parts;

-- The times out of guest mode, by what the vCPU waited for: the preemptor had
-- its CPU, it was halted, or the host handled an exit.
CREATE PERFETTO TABLE vm_steal(
  -- Number of the row.
  id ID,
  -- The vCPU.
  vcpu_id JOINID(vm_vcpu.vcpu_id),
  -- The guest's task that was current on it.
  task_utid JOINID(thread.id),
  -- Name of this task.
  task STRING,
  -- When it began.
  ts TIMESTAMP,
  -- How long it lasted.
  dur DURATION,
  -- 'preempted' (state 'stolen'), 'halted', or 'exit'.
  kind STRING,
  -- The preemptor if |kind| is 'preempted': the thread that ran on the CPU for
  -- which the vCPU's thread waited. The idle thread if the CPU was free, NULL
  -- if it is unknown.
  preemptor_utid JOINID(thread.id),
  -- Name of this thread.
  preemptor STRING,
  -- If the preemptor is a vCPU that was in guest mode: the task that was
  -- current in its guest.
  preemptor_task_utid JOINID(thread.id),
  -- Name of this task.
  preemptor_task STRING
)
AS
WITH
  parts AS (
    SELECT
      p.vcpu_id,
      t.utid AS task_utid,
      i.ts,
      i.dur,
      'preempted' AS kind,
      p.utid AS preemptor_utid,
      p.task_utid AS preemptor_task_utid
    FROM _interval_intersect!((_vm_preempted_by, _vm_task), (vcpu_id)) AS i
    JOIN _vm_preempted_by AS p ON p.id = i.id_0
    JOIN _vm_task AS t ON t.id = i.id_1
    WHERE i.dur > 0
    UNION ALL
    SELECT
      vcpu_id,
      utid AS task_utid,
      ts,
      dur,
      state AS kind,
      NULL AS preemptor_utid,
      NULL AS preemptor_task_utid
    FROM _vm_state_task
    WHERE state IN ('halted', 'exit')
  )
SELECT
  row_number() OVER (ORDER BY p.vcpu_id, p.ts) AS id,
  p.vcpu_id,
  p.task_utid,
  n.name AS task,
  p.ts,
  p.dur,
  p.kind,
  p.preemptor_utid,
  b.name AS preemptor,
  p.preemptor_task_utid,
  r.name AS preemptor_task
FROM parts AS p
LEFT JOIN thread AS n ON n.utid = p.task_utid
LEFT JOIN thread AS b ON b.utid = p.preemptor_utid
LEFT JOIN thread AS r ON r.utid = p.preemptor_task_utid
ORDER BY p.vcpu_id, p.ts;

-- The wake-ups of the guests' tasks, each until the task is switched in.
CREATE PERFETTO TABLE _vm_latency
AS
WITH
  numbered AS (
    SELECT
      e.utid,
      e.ts,
      e.kind,
      e.ucpu,
      sum(e.kind NOT IN ('wake', 'move')) OVER (
        PARTITION BY e.utid
        ORDER BY e.ts, e.rank
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS base
    FROM _vm_thread_event AS e
    WHERE e.utid NOT IN (SELECT utid FROM _vm_slice)
  ),
  bases AS (
    SELECT
      utid,
      base,
      ifnull(max(iif(kind IN ('wake', 'move'), NULL, kind)), 'unseen') AS kind,
      max(iif(kind IN ('wake', 'move'), NULL, ts)) AS ts,
      max(iif(kind = 'runs', ucpu, NULL)) AS ucpu,
      min(iif(kind = 'wake', ts, NULL)) AS woken
    FROM numbered
    GROUP BY utid, base
  ),
  near AS (
    SELECT
      utid,
      kind,
      woken,
      lead(kind) OVER w AS next_kind,
      lead(ts) OVER w AS next_ts,
      lead(ucpu) OVER w AS next_ucpu
    FROM bases
    WINDOW w AS (PARTITION BY utid ORDER BY base)
  )
SELECT
  row_number() OVER (ORDER BY n.woken, n.utid) AS id,
  n.utid,
  t.machine_id,
  n.woken AS ts,
  n.next_ts - n.woken AS dur,
  n.next_ucpu AS ucpu
FROM near AS n
JOIN thread AS t ON t.utid = n.utid
WHERE n.kind IN ('sleeps', 'unseen')
  AND n.woken IS NOT NULL
  AND (n.next_kind IS NULL OR n.next_kind = 'runs');

-- The state of each CPU of a guest.
CREATE PERFETTO TABLE _vm_guest_cpu_state
AS
SELECT
  row_number() OVER (ORDER BY g.ucpu, i.ts) AS id,
  g.ucpu,
  i.ts,
  i.dur,
  s.state
FROM _interval_intersect!((vm_state, _vm_guest_cpu), (vcpu_id)) AS i
JOIN vm_state AS s ON s.id = i.id_0
JOIN _vm_guest_cpu AS g ON g.id = i.id_1
WHERE i.dur > 0;

-- How long each task of a guest waited from its wake-up until it ran, and for
-- what. The five parts sum to |dur|.
CREATE PERFETTO TABLE vm_wakeup(
  -- Number of the wake-up.
  id ID,
  -- The guest's task.
  utid JOINID(thread.id),
  -- Name of the task.
  task STRING,
  -- The guest.
  guest_machine_id JOINID(machine.id),
  -- When the task was woken.
  ts TIMESTAMP,
  -- Until the task ran; NULL if this is unknown, see |cause|.
  dur DURATION,
  -- The CPU of the guest on which the task then ran.
  ucpu JOINID(cpu.id),
  -- The vCPU that this CPU is.
  vcpu_id JOINID(vm_vcpu.vcpu_id),
  -- The vCPU was in guest mode: the guest ran other tasks first.
  guest_queue_dur DURATION,
  -- The vCPU was halted: the wake-up had not reached it yet.
  ipi_dur DURATION,
  -- The vCPU's thread waited for a CPU of the host.
  host_wakeup_dur DURATION,
  -- KVM or the VMM worked before the vCPU entered guest mode.
  entry_dur DURATION,
  -- The state of the vCPU is unknown.
  unknown_dur DURATION,
  -- Why |dur| is unknown.
  cause STRING
)
AS
WITH
  whole AS (
    SELECT id, ts, dur, machine_id, ucpu FROM _vm_latency WHERE dur > 0
  ),
  loss AS (
    SELECT id, machine_id, ts, ts_end - ts AS dur FROM _vm_loss WHERE ts_end > ts
  ),
  lossy AS (
    SELECT DISTINCT id_0 AS id
    FROM _interval_intersect!((whole, loss), (machine_id))
    WHERE dur > 0
  ),
  spent AS (
    SELECT
      i.id_0 AS id,
      sum(iif(s.state = 'guest', i.dur, 0)) AS guest_queue_dur,
      sum(iif(s.state = 'halted', i.dur, 0)) AS ipi_dur,
      sum(iif(s.state = 'stolen', i.dur, 0)) AS host_wakeup_dur,
      sum(iif(s.state = 'exit', i.dur, 0)) AS entry_dur
    FROM _interval_intersect!((whole, _vm_guest_cpu_state), (ucpu)) AS i
    JOIN _vm_guest_cpu_state AS s ON s.id = i.id_1
    GROUP BY i.id_0
  ),
  judged AS (
    SELECT
      *,
      CASE
        WHEN dur IS NULL THEN 'not yet running'
        WHEN id IN (SELECT id FROM lossy) THEN 'events lost'
      END AS cause
    FROM _vm_latency
  )
SELECT
  w.id,
  w.utid,
  t.name AS task,
  w.machine_id AS guest_machine_id,
  w.ts,
  iif(w.cause IS NULL, w.dur, NULL) AS dur,
  w.ucpu,
  g.vcpu_id,
  iif(w.cause IS NULL, ifnull(s.guest_queue_dur, 0), NULL) AS guest_queue_dur,
  iif(w.cause IS NULL, ifnull(s.ipi_dur, 0), NULL) AS ipi_dur,
  iif(w.cause IS NULL, ifnull(s.host_wakeup_dur, 0), NULL) AS host_wakeup_dur,
  iif(w.cause IS NULL, ifnull(s.entry_dur, 0), NULL) AS entry_dur,
  iif(
    w.cause IS NULL,
    w.dur
      - ifnull(s.guest_queue_dur + s.ipi_dur + s.host_wakeup_dur + s.entry_dur, 0),
    NULL
  ) AS unknown_dur,
  w.cause
FROM judged AS w
JOIN thread AS t ON t.utid = w.utid
LEFT JOIN spent AS s ON s.id = w.id
LEFT JOIN _vm_guest_cpu AS g
  ON g.ucpu = w.ucpu AND g.ts <= w.ts + w.dur AND g.ts_end > w.ts + w.dur
ORDER BY w.id;
