# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Tests with generated recordings of scenario.py: stamped, shown, and compared with the truth."""
import json

from case import DONE, Case
from scenario import Scenario
from trace_dat import differing


class ScenarioCase(Case):
    def make(self, written=None, **parameters):
        """written: arguments of scenario.write()"""
        scenario = Scenario(**parameters)
        scenario.write(self.directory, **(written or {}))
        return scenario

    def stamp(self, name='g1', *arguments):
        return self.run_tool('stamp', *arguments, 'host.dat', f'{name}.dat')

    def right(self, scenario, *arguments):
        """All times of all guests are correct, without doubts"""
        for vm in scenario.vms:
            done = self.stamp(vm.name, *arguments)
            self.assertEqual((done.returncode, done.stderr), (DONE, ''), vm.name)
            wrong, total = differing(scenario, vm, self.path(f'{vm.name}.synced.dat'))
            self.assertEqual(wrong, 0, f'{vm.name}: {wrong} of {total} events at a wrong time')
            self.assertTrue(total)

    def shown(self, status=DONE):
        done = self.run_tool('show', '--json', 'host.dat')
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout)
