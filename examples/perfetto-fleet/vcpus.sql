-- SPDX-License-Identifier: GPL-2.0-only
-- Copyright (C) 2026 the tsc-offset maintainers
--
-- For each vCPU of a trace: where its time went, and which thread of the host had
-- its CPU longest. Times are nanoseconds. The query requires the module tsc_offset.vm.
WITH
  spent AS (
    SELECT
      vcpu_id,
      sum(iif(state = 'guest', dur, 0)) AS guest,
      sum(iif(state = 'exit', dur, 0)) AS exits,
      sum(iif(state = 'stolen', dur, 0)) AS stolen,
      sum(iif(state = 'halted', dur, 0)) AS halted,
      sum(iif(state = 'unknown', dur, 0)) AS unknown
    FROM vm_state
    GROUP BY vcpu_id
  ),
  taken AS (
    SELECT vcpu_id, preemptor, sum(dur) AS dur
    FROM vm_steal
    WHERE kind = 'preempted'
    GROUP BY vcpu_id, preemptor_utid
  ),
  -- SQLite takes the bare column from the row with the maximum
  worst AS (
    SELECT vcpu_id, preemptor, max(dur) AS dur
    FROM taken
    GROUP BY vcpu_id
  )
SELECT
  v.vm,
  v.vcpu,
  v.dur AS wall,
  s.guest,
  s.exits,
  s.stolen,
  s.halted,
  s.unknown,
  w.preemptor AS worst_preemptor,
  w.dur AS worst_preemptor_dur
FROM vm_vcpu AS v
JOIN spent AS s USING (vcpu_id)
LEFT JOIN worst AS w USING (vcpu_id)
ORDER BY s.stolen DESC, v.vm, v.vcpu;
