# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The source of the kernel of host and guests: Debian's package, or KERNEL and KERNEL_MODULES."""
import fcntl
import hashlib
import lzma
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import debian

CACHE = Path(os.environ.get('TSC_OFFSET_CACHE') or
             Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'tsc-offset')

# Most of the package's size, which an emulated machine does not need.
UNUSED = ['sound', 'drivers/gpu', 'drivers/net', 'drivers/media', 'drivers/scsi', 'drivers/usb',
          'drivers/iio', 'drivers/staging', 'drivers/infiniband']

# The packages that linux-image-amd64 depends on: one with image and modules, or one for each
KERNEL_PACKAGES = r'linux-(image|binary|modules)-\d.*'


class LabError(Exception):
    """An error with advice for the user in its text."""


class Kernel:
    def __init__(self, vmlinux, modules):
        self.vmlinux = vmlinux
        self.modules = modules      # a directory with *.ko below it, or None


def find():
    """The kernel to boot, as an uncompressed vmlinux: booting it through PVH takes half the time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        image, modules = os.environ.get('KERNEL'), os.environ.get('KERNEL_MODULES')
        if modules and not image:
            raise LabError('KERNEL_MODULES without KERNEL')
        if not image:
            return debian_kernel()
        if modules and not Path(modules).is_dir():
            raise LabError(f'KERNEL_MODULES={modules} is not a directory')
        return Kernel(uncompressed(Path(image).resolve()), modules and Path(modules).resolve())


def debian_kernel():
    """The newest kernel package in the cache, fetched if missing. It is never installed."""
    have = sorted(CACHE.glob('kernel/*/vmlinux'), key=lambda path: path.stat().st_mtime)
    if have:
        return Kernel(have[-1], have[-1].parent / 'lib/modules')
    for program in ('apt-get', 'apt-cache', 'dpkg-deb'):
        if not shutil.which(program):
            raise LabError(f'no {program}, hence no Debian kernel: give KERNEL=FILE '
                           'and KERNEL_MODULES=DIR')
    packages = [name for name in debian.needed(['linux-image-amd64'], KERNEL_PACKAGES) if name != 'linux-image-amd64']
    if not packages:
        raise LabError('apt knows no linux-image-amd64: run apt-get update')

    part = CACHE / 'kernel.part'
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        debian.apt('download', *packages, directory=part)
    except subprocess.CalledProcessError as error:
        raise LabError(f'apt-get download {" ".join(packages)}: {error.stderr.strip()}') from error
    debs = sorted(part.glob('*.deb'))
    for deb in debs:
        unpack(deb, part)
        deb.unlink()
    # Debian 13 and sid have the modules in /usr, and newer kernels their image, too
    if not (part / 'lib/modules').is_dir():
        (part / 'lib').mkdir()
        (part / 'usr/lib/modules').rename(part / 'lib/modules')
    extract(next(path for path in sorted(part.rglob('vmlinuz*')) if path.is_file()), part / 'vmlinux')
    (CACHE / 'kernel').mkdir(exist_ok=True)
    final = CACHE / 'kernel' / debs[0].stem
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    return Kernel(final / 'vmlinux', final / 'lib/modules')


def unpack(deb, directory):
    """Remove the files of the package that no emulated machine needs"""
    reader = subprocess.Popen(['dpkg-deb', '--fsys-tarfile', deb], stdout=subprocess.PIPE)
    subprocess.run(['tar', '-x', '-C', directory, *(f'--exclude=./{root}lib/modules/*/kernel/{tree}'
                                                    for root in ('', 'usr/') for tree in UNUSED)],
                   stdin=reader.stdout, check=True)
    if reader.wait():
        raise LabError(f'dpkg-deb could not unpack {deb.name}')


def uncompressed(image):
    """IMAGE itself if it is an ELF file, else the decompressed contents of the bzImage."""
    try:
        with open(image, 'rb') as file:
            if file.read(4) == b'\x7fELF':
                return image
        stat = image.stat()
    except OSError as error:
        raise LabError(f'KERNEL={image}: {error.strerror}') from error
    key = hashlib.sha256(f'{image} {stat.st_mtime_ns} {stat.st_size}'.encode()).hexdigest()[:16]
    target = CACHE / f'vmlinux-{key}'
    if not target.exists():
        extract(image, target)
    return target


def extract(image, target):
    """Unpack the payload of a bzImage (Documentation/x86/boot.rst: payload_offset and _length)."""
    data = image.read_bytes()
    if data[0x202:0x206] != b'HdrS' and data[0x1fe:0x200] != b'\x55\xaa':
        raise LabError(f'{image} is neither a bzImage nor a vmlinux')
    offset, length = struct.unpack_from('<II', data, 0x248)
    start = ((data[0x1f1] or 4) + 1) * 512 + offset
    payload = data[start:start + length]
    if payload[:6] == b'\xfd7zXZ\0':
        elf = lzma.LZMADecompressor().decompress(payload)
    elif payload[:2] == b'\x1f\x8b':
        elf = zlib.decompressobj(31).decompress(payload)
    elif payload[:4] == b'\x28\xb5\x2f\xfd' and shutil.which('zstd'):
        # the payload ends with its unpacked size, which zstd would report as garbage
        elf = subprocess.run(['zstd', '-dcq'], input=payload[:-4], capture_output=True).stdout
    else:
        elf = b''
    if elf[:4] != b'\x7fELF':
        raise LabError(f'cannot unpack {image} (gzip and xz are known, zstd if zstd is '
                       'installed): give its vmlinux')
    part = target.with_suffix('.part')
    part.write_bytes(elf)
    part.rename(target)
