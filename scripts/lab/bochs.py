# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""An emulated Intel host: Bochs has VMX and TSC scaling by hardware, which QEMU's TCG lacks.

It has no virtio, and therefore neither shares nor a channel for jobs. Each job boots the host anew, from a disc with
the kernel, the host's image and the job's script and files. The output comes through the parallel port. The scratch
directory is outside of the machine, and is kept from job to job.
"""
import contextlib
import fcntl
import io
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tarfile
import termios
import time
from pathlib import Path

import initramfs
import state
from initramfs import Image, program
from kernel import LabError

# Speed of the emulated CPU and its TSC. If it is much higher, VMX' preemption timer fires too early; if it is lower,
# the boot takes longer.
IPS = 200_000_000
KERNEL_ARGS = (
    f'console=ttyS0,115200 quiet loglevel=4 tsc=reliable tsc_early_khz={IPS // 1000} noxsave idle=halt '
    'nokaslr norandmaps mitigations=off random.trust_cpu=off nowatchdog audit=0 selinux=0 apparmor=0 '
    'cryptomgr.notests panic=0')
# With several CPUs, each runs for this many instructions in turn
QUANTUM = 32
BOOT_SECONDS = 180
STATE = ['settings', 'disc.iso', 'image', 'isolinux.cfg', 'bochsrc', 'bochs.rc', 'bochs.log', 'console',
         'printer']
ISOLINUX = Path('/usr/lib/ISOLINUX/isolinux.bin')
LOADERS = ['ldlinux.c32', 'libcom32.c32', 'mboot.c32']
MODULES = Path('/usr/lib/syslinux/modules/bios')
BIOS = Path('/usr/share/bochs/BIOS-bochs-latest')
VGA_BIOS = Path('/usr/share/vgabios/vgabios.bin')

CONFIGURATION = '''config_interface: textconfig
display_library: term
memory: guest={memory}, host={memory}
romimage: file={bios}
vgaromimage: file={vga_bios}
cpu: model=corei3_cnl, count={smp}, ips={ips}{quantum}, reset_on_triple_fault=0, ignore_bad_msrs=1
clock: sync=none, time0=1700000000
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=console
parport1: enabled=1, file=printer
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
sound: driver=dummy
mouse: enabled=0
private_colormap: enabled=0
'''

ISOLINUX_CONFIGURATION = '''default lab
prompt 0
timeout 0
label lab
 kernel mboot.c32
 append boot-vmlinux --- vmlinux {args} --- image
'''


class Bochs:
    """A running emulator: its output, as (stream, bytes) of vsock-shell's frames."""

    def __init__(self, directory):
        self.directory = directory
        self.console = directory / 'console'

    def __enter__(self):
        os.mkfifo(self.directory / 'printer')
        self.printer = os.open(self.directory / 'printer', os.O_RDONLY | os.O_NONBLOCK)
        self.terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 132, 0, 0))
        # This is its controlling terminal: Bochs ends when this process ends, for any reason
        self.process = subprocess.Popen(
            [program('bochs', 'bochs'), '-q', '-f', 'bochsrc', '-rc', 'bochs.rc'], cwd=self.directory,
            stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=os.environ | {'TERM': 'linux', 'LC_ALL': 'C'})
        os.close(inside)
        state.prefer(self.process)
        self.received = b''
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.printer)
        os.close(self.terminal)
        (self.directory / 'printer').unlink()

    def frame(self, deadline):
        """The next frame, or None after the deadline."""
        while True:
            if len(self.received) >= 8:
                stream, length = struct.unpack_from('=II', self.received)
                if len(self.received) >= 8 + length:
                    data = self.received[8:8 + length]
                    self.received = self.received[8 + length:]
                    return stream, data
            if time.monotonic() > deadline:
                return None
            ended = self.process.poll() is not None
            ready = select.select([self.printer, self.terminal], [], [], 0.5)[0]
            if self.terminal in ready:
                with contextlib.suppress(OSError):      # EIO: Bochs has ended
                    os.read(self.terminal, 65536)
            data = os.read(self.printer, 1 << 20) if self.printer in ready else b''
            self.received += data
            if data:
                continue
            if ended or 'Kernel panic' in self.said():
                raise LabError('the host died:\n' + self.last_words())

    def command(self, deadline, streams):
        """Write the output of one command to STREAMS; return its exit status, or None after the deadline."""
        while True:
            # A command that prints forever would never be without a frame
            frame = self.frame(deadline) if time.monotonic() < deadline else None
            if frame is None:
                return None
            stream, data = frame
            if not stream:
                return struct.unpack('=I', data)[0]
            streams[stream - 1].write(data)
            streams[stream - 1].flush()

    def said(self):
        with contextlib.suppress(OSError):
            return self.console.read_text(errors='replace')
        return ''

    def last_words(self):
        lines = self.said().splitlines()[-25:]
        with contextlib.suppress(OSError):
            lines += (self.directory / 'bochs.log').read_text(errors='replace').splitlines()[-5:]
        return '\n'.join(lines)


class IntelHost:
    def __init__(self, directory, tree, build):
        self.directory = directory
        self.scratch = directory / 'scratch'
        self.tree = tree
        self.build = build

    def is_up(self):
        return (self.directory / 'settings').exists()

    def lock(self):
        return state.lock(self.directory)

    def start(self, kernel, image, smp, memory, append):
        """Store the files that jobs boot. Nothing runs between jobs."""
        self.scratch.mkdir()
        settings = {'vmlinux': str(kernel.vmlinux), 'image': str(image), 'smp': smp, 'memory': memory,
                    'append': append}
        (self.directory / 'settings').write_text(json.dumps(settings, indent=1) + '\n')

    def end(self):
        for name in STATE:
            (self.directory / name).unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def remove_directory(self):
        (self.directory / 'lock').unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.directory.rmdir()

    # -- jobs ----------------------------------------------------------------------------------

    def settings(self):
        try:
            return json.loads((self.directory / 'settings').read_text())
        except OSError as error:
            raise LabError('the host is not up: lab up') from error

    def run(self, script, timeout=None):
        """Boot, run shell text, fetch the files that it created. Returns its status."""
        with self.lock():
            settings = self.settings()
            self.make_disc(settings, script)
            quantum = f', quantum={QUANTUM}' if settings['smp'] > 1 else ''
            (self.directory / 'bochsrc').write_text(CONFIGURATION.format(
                bios=BIOS, vga_bios=VGA_BIOS, ips=IPS, quantum=quantum, **settings))
            # Debian's Bochs includes the debugger, and starts in it
            (self.directory / 'bochs.rc').write_text('continue\nquit\n')
            (self.directory / 'console').unlink(missing_ok=True)
            (self.directory / 'printer').unlink(missing_ok=True)
            with Bochs(self.directory) as bochs:
                nothing = io.BytesIO()
                if bochs.command(time.monotonic() + BOOT_SECONDS, (nothing, nothing)) is None:
                    raise LabError('the host did not come up:\n' + bochs.last_words())
                deadline = time.monotonic() + timeout if timeout else float('inf')
                status = bochs.command(deadline, (sys.stdout.buffer, sys.stderr.buffer))
                if status is None:
                    print(f'lab: timeout after {timeout:g} s; files are lost', file=sys.stderr)
                    return 124
                files = io.BytesIO()
                if bochs.command(float('inf'), (files, sys.stderr.buffer)) != 0:
                    raise LabError("the job's files did not come out")
            files.seek(0)
            with tarfile.open(fileobj=files) as archive:
                archive.extractall(self.scratch, [member for member in archive if inside(member)])
        return status

    def make_disc(self, settings, script):
        job = Image('job')
        job.add('run/lab/job', script.encode() + b'\n', 0o100644)
        for path in sorted(self.scratch.rglob('*')):
            name = f'run/lab/scratch/{path.relative_to(self.scratch)}'
            if path.is_dir():
                job.add_directory(name)
            else:
                job.add(name, path, 0o100000 | path.stat().st_mode & 0o777)
        # The kernel unpacks one archive after the other
        with open(self.directory / 'image', 'wb') as both:
            both.write(Path(settings['image']).read_bytes())
            both.writelines(job.records())
        (self.directory / 'isolinux.cfg').write_text(ISOLINUX_CONFIGURATION.format(
            args=f'{KERNEL_ARGS} {settings["append"]}'))
        content = {'isolinux.bin': ISOLINUX, 'isolinux.cfg': 'isolinux.cfg', 'image': 'image',
                   'boot-vmlinux': self.build / 'scripts/lab/boot-vmlinux',
                   'vmlinux': settings['vmlinux']}
        content |= {name: MODULES / name for name in LOADERS}
        made = subprocess.run(
            [program('xorriso', 'xorriso'), '-as', 'mkisofs', '-quiet', '-o', 'disc.iso', '-b',
             'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat', '-no-emul-boot', '-boot-load-size', '4',
             '-boot-info-table', '-graft-points',
             *(f'isolinux/{name}={escaped(source)}' for name, source in content.items())],
            cwd=self.directory, capture_output=True, text=True)
        if made.returncode:
            raise LabError(f'xorriso: {made.stderr.strip()}')

    # -- files ---------------------------------------------------------------------------------

    def copy_out(self, patterns, target):
        paths = {pattern: sorted(self.scratch.glob(pattern)) for pattern in patterns}
        for pattern, found in paths.items():
            if not found:
                print(f'lab: no {pattern} in the scratch directory', file=sys.stderr)
            for path in found:
                if path.is_dir():
                    shutil.copytree(path, target / path.name, dirs_exist_ok=True)
                else:
                    shutil.copyfile(path, target / path.name)
        return int(not all(paths.values()))

    def copy_in(self, paths):
        self.settings()
        for path in paths:
            shutil.copy(path, self.scratch / path.name)
        return 0


def inside(member):
    return member.isfile() and not member.name.startswith('/') and '..' not in Path(member.name).parts


def escaped(path):
    """A path as xorriso needs it in a graft point."""
    return str(path).replace('\\', '\\\\').replace('=', '\\=')


def image(kernel, tree, build, programs, with_guests):
    for name, package in ('bochs', 'bochs'), ('xorriso', 'xorriso'):
        program(name, package)
    for path, package in ((ISOLINUX, 'isolinux'), (MODULES / LOADERS[0], 'syslinux-common'), (BIOS, 'bochsbios'),
                          (VGA_BIOS, 'vgabios')):
        if not path.exists():
            raise LabError(f'no {path}: scripts/dependencies install lab (Debian package {package})')
    guest = initramfs.guest_image(kernel, build, initramfs.INTEL_GUEST_KVM) if with_guests else None
    return initramfs.intel_image(kernel, tree, build, programs, guest)
