# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The emulated host: its QEMU process, its state directory, and the jobs that run on it."""
import contextlib
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import qemu_binary
import state
from kernel import CACHE, LabError

KERNEL_ARGS = (
    # tsc=reliable: otherwise the kernel marks its TSC unstable, and KVM rewrites the offset permanently
    'console=ttyS0 quiet loglevel=4 tsc=reliable clocksource=tsc nokaslr mitigations=off '
    'random.trust_cpu=on rcupdate.rcu_expedited=1 no_timer_check nowatchdog audit=0 selinux=0 '
    'apparmor=0 cryptomgr.notests panic=-1 '
    # host/init brings the other CPUs online
    'maxcpus=1')
# Its output goes to the kernel's console: the lab runs no journal
SYSTEMD_ARGS = ('lab.systemd systemd.unit=lab.target systemd.log_target=kmsg '
                'systemd.default_standard_output=tty')
STATE = ['pid', 'console', 'qemu.log', 'jobs.sock', 'shell.sock', 'monitor.sock', 'gdb.sock']
ACK_SECONDS = 30
BOOT_SECONDS = 120
# Additional time for systemd
SYSTEMD_PATIENCE = 4
# The interval of checks of a long job, and the number of failed checks in a row after which the job is given up
CHECK_SECONDS = 10
CHECKS = 5
# The machine that does not answer, by the exit status of a check. Those for guests are the same as in guests-alive.
SILENT = {0: None, 1: 'a guest', 2: 'a guest that boots', 3: 'the host'}


class HostHangs(LabError):
    """An error that the caller did not cause. With a new host, the same call may succeed."""


class Host:
    def __init__(self, directory, tree, build):
        self.directory = directory
        self.share = directory / 'share'
        self.tree = tree
        self.build = build

    # -- the process ---------------------------------------------------------------------------

    def process(self):
        """A pidfd of our QEMU, or None. The number in the file may belong to another process by now."""
        try:
            pid = int((self.directory / 'pid').read_text())
            pidfd = os.pidfd_open(pid)
        except (OSError, ValueError):
            return None
        try:
            name = Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')[0]
            if (os.readlink(f'/proc/{pid}/cwd') == str(self.directory) and
                    name.endswith(b'qemu-system-x86_64')):
                return pidfd
        except OSError:
            pass
        os.close(pidfd)
        return None

    def mistranslates(self):
        """Whether this QEMU may have the race of translate_anew()"""
        try:
            pid = int((self.directory / 'pid').read_text())
        except (OSError, ValueError):
            return False
        return qemu_binary.version(f'/proc/{pid}/exe') < qemu_binary.WITHOUT_RACE

    def lock(self):
        return state.lock(self.directory)

    def start(self, emulator, kernel, image, guest_image, smp, memory, append, systemd=None):
        """Start QEMU; its paths are relative, because a socket's path must be short."""
        for directory in (self.share, self.share / 'jobs', self.share / 'files'):
            directory.mkdir()
        shares = [('lab', self.share, False)]
        # Files that the root's own share would serve from a cache, or that a tmpfs may hide
        own = [self.tree, self.build, CACHE.resolve(), kernel.vmlinux.parent]
        own = [path for i, path in enumerate(own)
               if not any(path == other or other in path.parents for other in own[:i])]
        shares += [(f'own{i}', path, True) for i, path in enumerate(own)]
        (self.share / 'mounts').write_text(
            ''.join(f'{tag} {path}\n' for tag, path, _ in shares[1:]))
        (self.share / 'tree').write_text(f'{self.tree}\n')
        (self.share / 'build').write_text(f'{self.build}\n')
        (self.share / 'guest-image').write_text(f'{kernel.vmlinux}\n{guest_image}\n')
        shares += [('root', Path('/'), True)]
        if systemd:
            shares += [('files', systemd.resolve(), True)]
            append = f'{SYSTEMD_ARGS} {append}'

        # One CPU more: no program runs on the first one (see README.md)
        command = [emulator, '-name', 'lab-host', '-M', 'q35', '-accel', 'tcg,thread=multi,tb-size=512',
                   '-cpu', 'EPYC,+svm,+npt,check=off,enforce=off', '-smp', str(smp + 1),
                   '-m', str(memory), '-nodefaults', '-no-user-config', '-display', 'none',
                   '-no-reboot', '-pidfile', 'pid', '-kernel', str(kernel.vmlinux),
                   '-initrd', str(image), '-append', f'{KERNEL_ARGS} {append}',
                   '-serial', 'file:console', '-serial', 'unix:jobs.sock,server=on,wait=off',
                   '-serial', 'unix:shell.sock,server=on,wait=off',
                   '-monitor', 'unix:monitor.sock,server=on,wait=off',
                   '-gdb', 'unix:gdb.sock,server=on,wait=off']
        for tag, path, readonly in shares:
            comma = str(path).replace(',', ',,')
            command += ['-fsdev', f'local,id={tag},path={comma},security_model=none,'
                        f'multidevs=remap,readonly={"on" if readonly else "off"}',
                        '-device', f'virtio-9p-pci,fsdev={tag},mount_tag={tag}']
        with open(self.directory / 'qemu.log', 'w') as log:
            qemu = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, start_new_session=True)
        state.prefer(qemu)
        now = time.monotonic()
        patience = SYSTEMD_PATIENCE if systemd else 1
        deadline = now + patience * BOOT_SECONDS
        check = now + 3 * patience * CHECK_SECONDS
        ready = self.share / 'ready'
        try:
            while not (ready.exists() and ready.read_text().endswith('\n')):
                now = time.monotonic()
                if qemu.poll() is not None or now > deadline:
                    raise LabError('the host did not come up:\n' + self.last_words())
                if now > check:
                    if self.mistranslates():
                        self.translate_anew()
                    check = now + patience * CHECK_SECONDS
                time.sleep(0.02)
        except BaseException:
            qemu.kill()
            qemu.wait()
            raise
        return ready.read_text().strip()

    def gone(self):
        return LabError(f'the host went away:\n{self.last_words()}')

    def last_words(self):
        lines = []
        for name in ('qemu.log', 'console'):
            with contextlib.suppress(OSError):
                lines += (self.directory / name).read_text(errors='replace').splitlines()[-15:]
        return '\n'.join(lines)

    def end(self):
        """End QEMU and remove the state; True if it was running."""
        pidfd = self.process()
        if pidfd is not None:
            for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 10)):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, number)
                if select.select([pidfd], [], [], seconds)[0]:
                    break
            else:
                raise LabError('QEMU does not end')
            os.close(pidfd)
        # Only files with our names: LAB_DIR may have others.
        for name in STATE:
            (self.directory / name).unlink(missing_ok=True)
        shutil.rmtree(self.share, ignore_errors=True)
        return pidfd is not None

    def remove_directory(self):
        (self.directory / 'lock').unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.directory.rmdir()

    # -- jobs ----------------------------------------------------------------------------------

    def connect(self, name):
        """A connection to one of QEMU's sockets; /proc/self/fd keeps the path short."""
        if self.process() is None:
            raise LabError('the host is not up: lab up')
        with contextlib.ExitStack() as stack:
            fd = os.open(self.directory, os.O_PATH)
            stack.callback(os.close, fd)
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(f'/proc/self/fd/{fd}/{name}')
        return connection

    def request(self, verb, name, *words, seconds=ACK_SECONDS):
        """Send a request to the host's "serve", and wait until it has read it."""
        with self.connect('jobs.sock') as connection:
            connection.settimeout(seconds)
            connection.sendall(' '.join((verb, name) + words).encode() + b'\n')
            answer = b''
            try:
                # A line may come first that an earlier, interrupted command did not wait for.
                while name.encode() not in answer.split(b'\n')[:-1]:
                    data = connection.recv(4096)
                    if not data:
                        raise self.gone()
                    answer += data
            except TimeoutError as error:
                raise HostHangs('the host hangs: lab down, and again') from error

    def translate_anew(self):
        """Free CPUs that loop in a stale translation.

        In a QEMU that mistranslates(), a CPU that translates code while another one patches it may keep the old code: it
        then loops in a breakpoint that the kernel has removed. QEMU drops all its translations when its debugger
        interface makes a single step.
        """
        with self.connect('gdb.sock') as gdb:
            gdb.settimeout(ACK_SECONDS)
            # The connection itself has stopped it (T02): step, wait for that stop, detach.
            for packet, answer in ((b'$s#73', b'$T05'), (b'$D#44', b'$OK')):
                gdb.sendall(packet)
                received = b''
                while not (answer in received and received[:-2].endswith(b'#')):
                    try:
                        data = gdb.recv(4096)
                    except TimeoutError as error:
                        raise HostHangs('QEMU itself hangs: lab down, and again') from error
                    if not data:
                        raise self.gone()
                    received += data
                gdb.sendall(b'+')

    def silent(self):
        """The owner of a CPU that does not answer: 'the host', 'a guest', 'a guest that boots' or None."""
        job = Path(tempfile.mkdtemp(prefix='', dir=self.jobs()))
        try:
            (job / 'script').write_text('on-each-cpu || exit 3; guests-alive\n')
            self.request('run', job.name, seconds=CHECK_SECONDS)
            deadline = time.monotonic() + CHECK_SECONDS
            while self.status(job) is None:
                if time.monotonic() > deadline:
                    return 'the host'
                time.sleep(0.02)
            return SILENT.get(self.status(job), 'the host')
        except HostHangs:
            return 'the host'
        finally:
            shutil.rmtree(job, ignore_errors=True)

    def run(self, script, timeout=None, out=None, err=None):
        """Run shell text on the host, copying its output as it comes. Returns its status."""
        job = Path(tempfile.mkdtemp(prefix='', dir=self.jobs()))
        try:
            (job / 'script').write_text(script + '\n')
            self.request('run', job.name)
            return self.follow(job, timeout, out or sys.stdout.buffer, err or sys.stderr.buffer)
        finally:
            shutil.rmtree(job, ignore_errors=True)

    def jobs(self):
        if self.process() is None:
            raise LabError('the host is not up: lab up')
        return self.share / 'jobs'

    def follow(self, job, timeout, out, err):
        now = time.monotonic()
        deadline = now + timeout if timeout else float('inf')
        check, silence = now + CHECK_SECONDS, (None, 0)
        with contextlib.ExitStack() as stack:
            process = self.process()
            if process is None:
                raise self.gone()
            stack.callback(os.close, process)
            streams = []
            for name, target in (('out', out), ('err', err)):
                (job / name).touch()
                streams.append((stack.enter_context(open(job / name, 'rb')), target))
            try:
                while True:
                    status = self.status(job)
                    for source, target in streams:
                        data = source.read()
                        if data:
                            target.write(data)
                            target.flush()
                    if status is not None:
                        return status
                    # The pidfd becomes readable when QEMU ends.
                    if select.select([process], [], [], 0.01)[0]:
                        raise self.gone()
                    now = time.monotonic()
                    if now > deadline:
                        self.stop(job)
                        print(f'lab: stopped after {timeout:g} s', file=sys.stderr)
                        return 124
                    if now > check:
                        silence = self.look_after(*silence)
                        check = time.monotonic() + CHECK_SECONDS
            except HostHangs:
                raise
            except BaseException:
                with contextlib.suppress(LabError, OSError):
                    self.stop(job)
                raise

    def look_after(self, who, times):
        """Help a host or a guest that has stopped. Returns which one, and the number of times in a row."""
        before, who = who, self.silent()
        times = times + 1 if who == before else 1
        if not who:
            return None, 0
        # guest-up limits the time of a guest's boot
        if who != 'a guest that boots' and times > CHECKS:
            raise HostHangs(f'{who} hangs: lab down, and again')
        if self.mistranslates():
            print(f'lab: {who} does not answer; its code is translated anew', file=sys.stderr)
            self.translate_anew()
        return who, times

    @staticmethod
    def status(job):
        try:
            text = (job / 'status').read_text()
        except OSError:
            return None
        return int(text) if text.endswith('\n') else None

    def stop(self, job):
        """Interrupt a job as Ctrl-C would: a killed trace-cmd would not clean up."""
        for name, seconds in (('INT', 5), ('KILL', 1)):
            self.request('kill', job.name, name)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if self.status(job) is not None:
                    return
                time.sleep(0.02)

    # -- files ---------------------------------------------------------------------------------

    def copy_out(self, patterns, target):
        """Copy files of the scratch directory; the host's shell expands patterns, like scp."""
        box = Path(tempfile.mkdtemp(prefix='', dir=self.jobs().parent / 'files'))
        try:
            status = self.run(f'cp -r -- {" ".join(patterns)} /run/lab/share/files/{box.name}/')
            for path in sorted(box.iterdir()) if not status else []:
                goal = target / path.name
                if path.is_dir():
                    shutil.copytree(path, goal, dirs_exist_ok=True)
                else:
                    shutil.copyfile(path, goal)
            return status
        finally:
            shutil.rmtree(box, ignore_errors=True)

    def copy_in(self, paths):
        box = Path(tempfile.mkdtemp(prefix='', dir=self.jobs().parent / 'files'))
        try:
            for path in paths:
                if path.is_dir():
                    shutil.copytree(path, box / path.name)
                else:
                    shutil.copy(path, box / path.name)
            return self.run(f'cp -r --preserve=mode /run/lab/share/files/{box.name}/. .')
        finally:
            shutil.rmtree(box, ignore_errors=True)

    def command(self, *words, timeout=None):
        return self.run(shlex.join(words), timeout)
