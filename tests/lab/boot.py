#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The instance from boot on, as systemd and udev start it: its state when guest managers start.

One manager is ordered only because the unit names it; the other one starts as most services do.
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from recording import BUILD, check, main

UNIT = 'tsc-offset-instance.service'
RULES = '90-tsc-offset.rules'
TRACING = '/sys/kernel/tracing'
INSTANCE = f'{TRACING}/instances/tsc_offset'
CLOCK = f'{INSTANCE}/trace_clock'
ENABLE = f'{INSTANCE}/events/kvm/kvm_write_tsc_offset/enable'

# The manager also reads the global trace clock: this shows that it could have read the files of an instance
MANAGER = f'''
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/bin/grep -s . {TRACING}/trace_clock {CLOCK} {ENABLE}
StandardOutput=file:/run/seen-by-%N
'''
MANAGERS = {
    'libvirtd': '[Unit]\nDefaultDependencies=no\nAfter=sys-kernel-tracing.mount\n' + MANAGER +
                '[Install]\nWantedBy=basic.target\n',
    'other-manager': MANAGER + '[Install]\nWantedBy=lab.target\n',
}

# Without an ordering, everything that starts meanwhile is finished before this ends. The plus is necessary, because
# udevadm needs more privileges than the unit has.
SLOW = '''
[Service]
ExecStartPost=+/bin/udevadm control --ping
ExecStartPost=/bin/sleep 2
'''


def enable(files, unit):
    subprocess.run(['systemctl', '--quiet', f'--root={files}', 'enable', unit], check=True,
                   stderr=subprocess.DEVNULL)


def install(lab):
    """Install the files and the managers into a directory that is laid over the host's root."""
    files = lab.directory / 'files'
    subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet'], check=True,
                   stdout=subprocess.DEVNULL, env=os.environ | {'DESTDIR': str(files)})
    installed = {path.name: path for path in files.rglob('*') if path.name in (UNIT, RULES)}
    if len(installed) != 2:
        print('skipped: systemd or udev was not there when the build was set up')
        sys.exit(77)
    lab.tool = re.search(r'^ExecStart=(\S+)', installed[UNIT].read_text(), re.M)[1]
    lab.rules = f'/{installed[RULES].relative_to(files)}'
    units = files / 'etc/systemd/system'
    (units / f'{UNIT}.d').mkdir(parents=True)
    (units / f'{UNIT}.d/slow.conf').write_text(SLOW)
    for name, text in MANAGERS.items():
        (units / f'{name}.service').write_text(text)
        enable(files, f'{name}.service')
    if lab.name == boot.__name__:
        enable(files, UNIT)
    return '--systemd', files


def seen(lab, manager):
    """The state that a manager saw when it started: files and their lines."""
    lines = lab.call('run', f'cat /run/seen-by-{manager}').splitlines()
    return dict(line.split(':', 1) for line in lines)


def timestamp(lab, unit, name):
    return int(lab.call('run', f'systemctl show --value -p {name}TimestampMonotonic {unit}'))


def status(lab, wanted):
    """Check the exit status of tsc-offset instance status; return its result."""
    run = lab.run(f'{lab.tool} instance status')
    if not check(run.status == wanted, f"'instance status' exits with {run.status}"):
        print(run.out + run.err)
    return run


def reload_kvm(lab):
    """Unload KVM and load it again, and wait until udev is done."""
    lab.until('modprobe -r kvm_amd && [ ! -e /sys/module/kvm ]')
    gone = status(lab, 3)
    check('was unloaded' in gone.err, 'it says that the module was unloaded')
    lab.call('run', 'modprobe kvm_amd && udevadm settle --timeout=60')
    return lab.call('run', f'cat {ENABLE}').strip()


def booted(lab):
    state = lab.run('systemctl is-system-running --wait; systemctl --failed --no-legend')
    check(state.out == 'running\n', f'all units came up: {state.out.strip()}')
    print(lab.run('systemd-analyze time').out.splitlines()[0], flush=True)
    lab.call('run', 'udevadm settle --timeout=120 && modprobe kvm_amd')


def boot(lab):
    booted(lab)
    ready = timestamp(lab, UNIT, 'ActiveEnter')
    for manager in MANAGERS:
        saw = seen(lab, manager)
        check('[x86-tsc]' in saw.get(CLOCK, '') and saw.get(ENABLE) == '1',
              f'{manager} found the instance, its clock x86-tsc and its event enabled')
        ahead = timestamp(lab, f'{manager}.service', 'ExecMainStart') - ready
        check(ahead > 0, f'the unit was done {ahead / 1000:.0f} ms before {manager}')
    found = status(lab, 0)
    check(not found.err and re.search(r'^clock +x86-tsc$', found.out, re.M)
          and 'kvm_write_tsc_offset: recorded' in found.out, 'and has nothing to complain about')

    check(reload_kvm(lab) == '1', 'udev: the event is enabled again when the module comes again')
    status(lab, 0)

    shown = lab.call('run', f'vm-offsets --hold 5 > vm & until grep -qs offset vm; do sleep 0.1; done; '
                            f'{lab.tool} show; kill $!')
    changes = re.findall(r'^ +0 .* (\S+) +(\S+)$', shown, re.M)
    if not check([row[1] for row in changes][:1] == ['made'] and ' offset 5 at' in shown,
                 "a VM's history is there from its beginning on"):
        print(shown)

    lab.call('run', f'rm {lab.rules} && udevadm control --reload')
    check(reload_kvm(lab) == '0', 'control: without the rule the event is off')
    status(lab, 3)


def boot_not_enabled(lab):
    """The control: an installed unit that is not enabled does nothing."""
    booted(lab)
    for manager in MANAGERS:
        check(set(seen(lab, manager)) == {f'{TRACING}/trace_clock'}, f'{manager} found no instance')
    check(lab.run(f'[ -e {INSTANCE} ]').status == 1, 'there is none with KVM loaded either')
    check('there is no instance' in status(lab, 1).err, 'it says so')


main(boot, boot_not_enabled, prepare=install)
