# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Host and guest recorded separately, while steps run on the host, and the evaluation of stamp's result.

Steps are shell text for the host. Before each step, the functions below print what is known without the recordings: the
thread and the offset of each vCPU, and the APIC ids of the guest's CPUs, which are the host's vcpu_ids. notes.txt in
the recording's directory keeps this.
"""
import re
import shlex
import subprocess

from recording import HOST_OPTIONS, TIMEOUT, TOOL, Recording, check, verdict

GUEST_OPTIONS = '-C x86-tsc -e sched:sched_switch -e raw_syscalls'

STEPS = r'''
# say TEXT...: print it and where the vCPUs are; the host's recording has the text, too
say() {
	local vcpu

	echo "== $*"
	echo "step: $*" > /sys/kernel/tracing/trace_marker
	for vcpu in /sys/kernel/debug/kvm/*-*/vcpu*/; do
		[ -e "$vcpu" ] || continue
		echo "${vcpu#/sys/kernel/debug/kvm/} thread $(< "$vcpu/pid") offset $(< "$vcpu/tsc-offset")"
	done
}

# step COMMAND...
step() {
	say "$*"
	"$@" || { echo "exit status $?: $*" >&2; exit 1; }
}

# begin GUEST: start a recording in the guest
begin() {
	step guest-run "$1" 'cd /tmp && rm -f trace*.dat begun ended && { [ -p end ] || mkfifo end; }
		{ trace-cmd record GUEST_OPTIONS -o trace.dat -- sh -c ": > begun; read _ < end"; : > ended; } \
			> record.log 2>&1 < /dev/null &
		until [ -e begun ]; do usleep 20000; done'
	guest-run "$1" 'grep -E "^(processor|apicid)" /proc/cpuinfo' | tr -s '\t\n' ' '
	echo
}

# end GUEST [FILE]: end the recording in the guest and fetch it
end() {
	step guest-run "$1" 'cd /tmp && echo > end && until [ -e ended ]; do usleep 20000; done'
	guest-run "$1" 'cat /tmp/trace.dat' > "${2:-trace-$1.dat}"
}

# probes GUEST BASE COUNT CPU...: probes on these CPUs at the same time; each round of probes needs its own BASE
probes() {
	local guest=$1 base=$2 count=$3 cpu text=

	shift 3
	for cpu; do text+="probe $count 10000 $cpu $((cpu * 0x1000 + base)) & "; done
	step guest-run "$guest" "$text wait"
}

# move GUEST CPU CYCLES...: move the TSC of these CPUs
move() {
	local guest=$1 text=

	shift
	while (($#)); do text+="move-tsc $1 $2; "; shift 2; done
	step guest-run "$guest" "$text"
}
'''.replace('GUEST_OPTIONS', GUEST_OPTIONS)


def moves(*cpus):
    """Arguments of "move": forward, by a different amount for each CPU, and further than a busy machine delays the
    write."""
    return ' '.join(f'{cpu} {300000000 + 90000000 * cpu}' for cpu in cpus)


def rounds(guest, *cpus, base=0, file=''):
    """Steps: a recording of the guest with probes, a move of each CPU's TSC, probes."""
    on = ' '.join(map(str, cpus))
    return f'''
begin {guest}
probes {guest} {base:#x} 20 {on}
move {guest} {moves(*cpus)}
probes {guest} {base + 0x100:#x} 20 {on}
end {guest} {file}
'''


def script(steps):
    """The steps as self-contained shell text."""
    return f'{STEPS}\n{steps}\nsay the end\n'


def keep_notes(recording):
    (recording.host.parent / 'notes.txt').write_text(recording.run.out + recording.run.err)


def record(lab, name, steps, guests=('g1',)):
    """Record the host while it takes the steps; they make trace-NAME.dat of each name in guests."""
    run = lab.run(f'mkdir -p {name} && cd {name} && rm -f trace*.dat && '
                  f'trace-cmd record {HOST_OPTIONS} -o trace.dat -- bash -c {shlex.quote(script(steps))}', 3 * TIMEOUT)
    recording = lab.fetch(name, guests, run, must_live=False)
    if run.status or not all(file.exists() for file in recording.guests.values()):
        lab.begin_anew(f'recording {name}: status {run.status}\n{run.out}{run.err}')
    keep_notes(recording)
    return recording


def threads(lab, guest):
    """A guest's vCPUs in the form of --vm"""
    return ','.join(lab.call('run', f'cat {lab.kvm_directory(guest)}/vcpu*/pid').split())


def judge(recording, guest, name, at_least, *options, refusal=None):
    """Stamp a guest's file and compare the result with the probes, of which there are about AT_LEAST.

    Exit status 0 or 3 with all probes in order is right, and check has to agree. REFUSAL, a pattern, also allows exit
    status 1 or 3 with a message that matches. Exit status 0 with a probe out of order is always wrong.
    """
    own = Recording(recording.lab, recording.run, recording.host.parent, [guest])
    raw = own.order()
    check(raw['out_of_order'] > 0, 'control: ' + verdict(f'{name}, not stamped', raw))
    source = own.guests[guest]
    own.guests[guest] = source.with_suffix('.synced.dat')
    own.guests[guest].unlink(missing_ok=True)
    done = tool('stamp', *options, '-o', own.guests[guest], own.host, source)
    refused = bool(refusal and re.search(refusal, done.stderr))
    if done.returncode == 1:
        check(refused, f'{name}: stamp refuses' + (f', "{refusal}" allows that' if refusal else ''))
        return
    order = own.order()
    # Emulated buffers sometimes lose a probe
    right = order['probes'] * 10 >= at_least * 9 and not order['out_of_order']
    check(done.returncode in (0, 3) and right or done.returncode == 3 and refused,
          verdict(f'{name}: stamp, exit status {done.returncode}', order))
    checked = tool('check', *options, own.host, own.guests[guest])
    # Where stamp has a doubt, check may have the same one
    agrees = (0, done.returncode) if right else (1, 3)
    check(checked.returncode in agrees, f'{name}: check, exit status {checked.returncode}')


def tool(*words):
    done = subprocess.run([TOOL, *words], capture_output=True, text=True, check=False)
    # check lists violations, and there may be many
    print('\n'.join(line for line in (done.stdout + done.stderr).splitlines() if ' shown at ' not in line))
    return done
