# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The initramfs images of host and guest, rebuilt only if something in them changed."""
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from kernel import CACHE, LabError

HERE = Path(__file__).resolve().parent
BOOT = ['virtio_pci', '9pnet_virtio', '9p', 'msr']
SYSTEMD = ['overlay']
KVM = ['kvm', 'kvm_amd', 'vhost_vsock']
INTEL_BOOT = ['msr']
INTEL_KVM = ['kvm', 'kvm_intel', 'vhost_vsock']
GUEST = ['virtio_mmio', 'virtio_pci', 'vmw_vsock_virtio_transport', 'msr']
# These are loaded when a guest runs a guest of its own
GUEST_KVM = ['kvm', 'kvm_amd']
INTEL_GUEST_KVM = ['kvm', 'kvm_intel']

# Files that QEMU loads at run time for the machine types of guest-up
QEMU_ROMS = ['bios-256k.bin', 'bios-microvm.bin', 'kvmvapic.bin', 'linuxboot.bin', 'linuxboot_dma.bin', 'pvh.bin']


class Image:
    """An archive that is being made: its files by their paths."""

    def __init__(self, name):
        self.name = name
        self.files = {}         # path -> (mode, source file or bytes)

    def add(self, path, source, mode=0o100755):
        self.files[path.lstrip('/')] = (mode, source)

    def add_directory(self, path):
        self.add(path, b'', 0o040755)

    def add_busybox(self):
        busybox = program('busybox', 'busybox-static')
        self.add('bin/busybox', busybox)
        applets = subprocess.run([busybox, '--list'], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != 'busybox':
                self.add(f'bin/{applet}', b'busybox', 0o120777)
        for path in ('proc', 'sys', 'dev', 'tmp', 'run', 'newroot'):
            self.add_directory(path)

    def add_program(self, path, source):
        """Add a program with its shared libraries."""
        self.add(path, source)
        listed = subprocess.run(['ldd', source], capture_output=True, text=True).stdout
        for library in re.findall(r'(/\S+) \(0x', listed):
            self.add(library, library)
        # glibc loads it at run time, for pthread_exit(): ldd does not list it
        for library in ('/lib/x86_64-linux-gnu/libgcc_s.so.1', '/usr/lib64/libgcc_s.so.1'):
            if 'libc.so' in listed and Path(library).exists():
                self.add(library, library)

    def add_from_root(self, directory, root, path):
        """Add a program of another system with its libraries there, for chroot."""
        # The name in the root may be an absolute link
        loader = next(root.glob('usr/lib/*-linux-gnu/ld-linux-*.so.*'))
        libraries = loader.parent
        listed = subprocess.run([loader, '--library-path', libraries, '--list', root / path],
                                capture_output=True, text=True, check=True).stdout
        names = re.findall(r'(\S+) => ', listed)
        for name in names + ['libgcc_s.so.1']:
            self.add(f'{directory}/{libraries.relative_to(root)}/{name}', libraries / name)
        self.add(f'{directory}/lib64/{loader.name}', loader)
        self.add(f'{directory}/{path}', root / path)

    def add_modules(self, order, names, modules, directory='mod'):
        """Add modules, and a file with the ORDER of loading them."""
        paths = resolve(names, modules) if modules else []
        for path in paths:
            packed = path.suffix == '.xz'
            self.add(f'{directory}/{module_file(path)}',
                     lzma.decompress(path.read_bytes()) if packed else path, 0o100644)
        text = ''.join(module_file(path) + '\n' for path in paths)
        self.add(f'{directory}/{order}', text.encode(), 0o100644)

    def build(self):
        """Write the image, and return its path. The contents determine its name."""
        key = hashlib.sha256()
        for path, (mode, source) in sorted(self.files.items()):
            if not isinstance(source, bytes):
                stat = os.stat(source)
                source = f'{source} {stat.st_mtime_ns} {stat.st_size}'.encode()
            key.update(f'{path} {mode:o} {len(source)} '.encode() + source)
        directory = CACHE / 'image'
        directory.mkdir(exist_ok=True)
        image = directory / f'{self.name}-{key.hexdigest()[:16]}.cpio'
        if image.exists():
            image.touch()
            return image
        week_ago = time.time() - 7 * 86400
        for old in directory.glob('*.cpio'):
            if old.stat().st_mtime < week_ago:
                old.unlink()
        part = image.with_suffix(f'.{os.getpid()}')
        # Not compressed: under emulation decompressing costs more than reading.
        part.write_bytes(b''.join(self.records()))
        part.rename(image)
        return image

    def records(self):
        """cpio's "newc" format: a header of hexadecimal fields, name and data, padded to 4."""
        paths = set(self.files)
        for path in self.files:
            paths.update(str(parent) for parent in Path(path).parents if str(parent) != '.')
        for number, path in enumerate(sorted(paths) + ['TRAILER!!!'], 1):
            mode, source = self.files.get(path, (0o040755, b''))
            data = source if isinstance(source, bytes) else Path(source).read_bytes()
            name = path.encode() + b'\0'
            fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
            head = b'070701' + b''.join(b'%08X' % field for field in fields) + name
            yield head + b'\0' * (-len(head) % 4) + data + b'\0' * (-len(data) % 4)


def program(name, package):
    path = shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    if not path:
        raise LabError(f'no {name}: scripts/dependencies install lab (Debian package {package})')
    return path


def module_file(path):
    return path.name.removesuffix('.xz')


def resolve(names, modules):
    """Paths of the modules and of all their dependencies, in the order of loading."""
    index = {module_file(path).removesuffix('.ko').replace('-', '_'): path
             for pattern in ('*.ko', '*.ko.xz') for path in modules.rglob(pattern)}
    done = {}

    def visit(name):
        path = index.get(name)
        if path is None or name in done:
            return              # absent ones are built into the kernel
        data = path.read_bytes()
        if path.suffix == '.xz':
            data = lzma.decompress(data)
        depends = re.search(rb'\0depends=([^\0]*)\0', data)
        for other in depends.group(1).decode().split(',') if depends else []:
            visit(other.replace('-', '_'))
        done[name] = path

    for name in names:
        visit(name)
    return list(done.values())


def host_image(kernel):
    image = Image('host')
    image.add_busybox()
    image.add('init', HERE / 'host/init')
    image.add_modules('boot', BOOT, kernel.modules)
    image.add_modules('systemd', SYSTEMD, kernel.modules)
    image.add_modules('kvm', KVM, kernel.modules)
    return image.build()


def guest_image(kernel, build, kvm):
    image = Image('guest')
    image.add_busybox()
    image.add('init', HERE / 'guest/init')
    image.add('bin/agent', HERE / 'guest/agent')
    for name in ('hold-tracepoints', 'on-each-cpu'):
        image.add(f'bin/{name}', HERE / 'host' / name)
    image.add_modules('boot', GUEST, kernel.modules)
    image.add_modules('kvm', kvm, kernel.modules)
    trace_cmd = os.environ.get('TRACE_CMD') or program('trace-cmd', 'trace-cmd')
    image.add_program('bin/trace-cmd', trace_cmd)
    if os.environ.get('GUEST_ROOT'):
        image.add_from_root('other', Path(os.environ['GUEST_ROOT']), 'usr/bin/trace-cmd')
    for name in ('probe', 'move-tsc', 'vsock-shell', 'tiny-guest'):
        image.add_program(f'bin/{name}', build / 'scripts/lab' / name)
    return image.build()


def intel_image(kernel, tree, build, programs, guest):
    """A host without shares. The project's files have the same paths as outside; GUEST is None or an image."""
    image = Image('intel')
    image.add_busybox()
    image.add('init', HERE / 'host/batch-init')
    image.add_modules('boot', INTEL_BOOT, kernel.modules, 'run/lab/mod')
    image.add_modules('kvm', INTEL_KVM, kernel.modules, 'run/lab/mod')
    for name in ('guest', 'scratch', 'home'):
        image.add_directory(f'run/lab/{name}')
    shared = {'tree': tree, 'build': build}
    image.add_program('bin/bash', program('bash', 'bash'))
    for name in ('flock', 'tar', 'trace-cmd', *programs):
        path = Path(program(name, name)).resolve() if '/' not in name else Path(name).resolve()
        if not path.is_file():
            raise LabError(f'{path} is not a file')
        image.add_program(f'usr/bin/{Path(name).name}', path)
    for path in sorted((tree / 'scripts/lab/host').iterdir()):
        if path.is_file():
            image.add(str(path), path)
    for name in ('probe', 'move-tsc', 'vsock-shell', 'vm-offsets', 'tiny-guest', 'parallel-port',
                 'exact-offset.so'):
        path = build / 'scripts/lab' / name
        image.add_program(str(path), path)
    # The first process has no PATH yet
    for name in ('vsock-shell', 'parallel-port'):
        image.add_program(f'bin/{name}', build / 'scripts/lab' / name)
    for name in ('tool/tsc-offset', 'plugin/plugin_kvm_tsc_offset.so'):
        image.add_program(str(build / name), build / name)
    if guest:
        image.add_program('usr/bin/qemu-system-x86_64', program('qemu-system-x86_64', 'qemu-system-x86'))
        for name in QEMU_ROMS:
            for directory in ('/usr/share/qemu', '/usr/share/seabios'):
                if Path(directory, name).exists():
                    image.add(f'{directory}/{name}', Path(directory, name), 0o100644)
        image.add('run/lab/share/guest/kernel', kernel.vmlinux, 0o100644)
        image.add('run/lab/share/guest/image', guest, 0o100644)
        shared['guest-image'] = '/run/lab/share/guest/kernel\n/run/lab/share/guest/image'
    for name, text in shared.items():
        image.add(f'run/lab/share/{name}', f'{text}\n'.encode(), 0o100644)
    return image.build()
