#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The hook preloaded into trace-cmd agent: as the guest's side of a recording, and on the host, where the agent is a
proxy for a guest that records itself.
"""
import base64
import lzma
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import BUFFER_KB, FAULTS, PLUGIN, Recording, check, in_order, main, probes, stamp, verdict

ONE = {'g1': 3}
MOVE = 'move-tsc 0 520000000; move-tsc 1 520000000'
MOVED = (probes('g1', 20, 10000) + f" && guest-run g1 '{MOVE}' && "
         + probes('g1', 30, 10000, base=0x800))
# For the guest: one CPU, so that a single command line suffices
PROBES = f'probe 20 10000 0 0; {MOVE}; probe 20 10000 0 0x400'


def guest_agent(lab):
    lab.guests(g1='')
    # It is small enough for a command line
    stripped = lab.directory / 'plugin.so'
    subprocess.run(['strip', '-o', stripped, PLUGIN], check=True)
    packed = base64.b64encode(lzma.compress(stripped.read_bytes())).decode()
    lab.call('guest', 'g1', f'echo {packed} | base64 -d | xz -d > /tmp/plugin.so')
    lab.call('guest', 'g1', 'kill $(cat /tmp/agent.pid); '
             '(LD_PRELOAD=/tmp/plugin.so setsid trace-cmd agent > /tmp/agent.log 2>&1 < /dev/null & '
             'echo $! > /tmp/agent.pid); agent wait')
    maps = lab.call('guest', 'g1', 'grep -c plugin.so /proc/$(cat /tmp/agent.pid)/maps')
    check(int(maps) > 0, "control: the guest's agent has the plugin loaded")
    stock = lab.record('stock', ONE, MOVED, how='stock').order()
    check(0 < stock['out_of_order'] <= 60, 'the hook in the agent, stock on the host, as without: '
          + verdict('TSC moved', stock))
    in_order(lab.record('ours', ONE, MOVED, how=PLUGIN), 'the hook on both sides, TSC moved', at_least=100)


def start_proxy(lab, environment=''):
    # It would report too late that it listens, because its output is buffered. It leaves the host's clock unset if it
    # does not find the guest's process.
    lab.call('run', 'load-kvm; echo x86-tsc > /sys/kernel/tracing/trace_clock; pkill -x trace-cmd; until ! pgrep -x trace-cmd; do sleep 0.1; done; '
             f'({environment} setsid stdbuf -oL trace-cmd agent -P 3 > agent.log 2>&1 < /dev/null &)')
    lab.until('grep -q listening agent.log')


def record_by_proxy(lab, name):
    """The guest records itself and, through an agent on its host, the host."""
    run = lab.run("guest-run g1 'cd /tmp && rm -f t*.dat && trace-cmd record -C x86-tsc "
                  f"-e sched:sched_switch -e raw_syscalls -o t.dat --proxy 2:823 -e kvm -b {BUFFER_KB} -- "
                  f"sh -c \"{PROBES}\"'; cat agent.log")
    lab.call('run', f'mkdir -p {name}; guest-run g1 "cat /tmp/t.dat" > {name}/trace-g1.dat; '
             f'guest-run g1 "cat /tmp/t-2.dat" > {name}/trace.dat')
    directory = lab.directory / name
    directory.mkdir(exist_ok=True)
    lab.call('copy-out', f'{name}/trace.dat', f'{name}/trace-g1.dat', directory)
    return Recording(lab, run, directory, ONE)


def proxy(lab):
    lab.guests()
    start_proxy(lab, f'LD_PRELOAD={PLUGIN}')
    said = lab.run('cat agent.log').out
    check('tsc-offset: ' in said and 'start the agent of a proxy when its guest runs' in said,
          'without a guest the agent says what is wrong')
    lab.guests(g1='')
    start_proxy(lab, f'LD_PRELOAD={PLUGIN}')
    ours = record_by_proxy(lab, 'ours')
    in_order(ours, 'the hook in a proxy on the host, TSC moved', at_least=40)
    check(len(ours.run.said('2 changes of the TSC offset')) == 1, 'the agent says what it saw')
    check(lab.instances() == [], 'no tracefs instance is left')
    start_proxy(lab, f'TSC_OFFSET_FAULT=init LD_PRELOAD={FAULTS}')
    left = record_by_proxy(lab, 'left')
    check(len(left.run.said('a guest is not synchronised')) == 1 and left.points('g1')[0] is None,
          'where the hook cannot serve the guest, the agent says so, and nothing else does')
    in_order(stamp(left)[0], 'and stamped', at_least=40)
    start_proxy(lab)
    stock = record_by_proxy(lab, 'stock').order()
    check(stock['out_of_order'] > 0, 'control: ' + verdict('stock proxy, TSC moved', stock))


main(guest_agent, proxy)
