#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset vms on this machine, with KVM VMs in processes that have the command lines of VMMs.

Other VMs of this machine may exist as well. Vsock addresses need a guest: see lab/vms.py.
"""
import ctypes
import glob
import json
import os
import re
import socket
import subprocess
import sys
import threading
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, NOBODY, USAGE, Case
import manual
from kvm_tracing import Tool, Vm, main_live, read

DEBUGFS = '/sys/kernel/debug/kvm'
TRACEFS = '/sys/kernel/tracing'
PR_SET_DUMPABLE = 4


def vmm():
    """A VMM: it has a VM, listens on sockets, of which the last is its vsock, and ends with its input"""
    sockets = [socket.socket(socket.AF_UNIX) for _ in os.environ['SOCKETS'].split()]
    for listener, path in zip(sockets, os.environ['SOCKETS'].split()):
        listener.bind(path)
        listener.listen()

    def serve():
        while True:
            connection, _ = sockets[-1].accept()
            port = re.match(rb'CONNECT (\d+)\n', connection.recv(64))
            if port and int(port[1]) == int(os.environ['PORT']):
                connection.send(b'OK 1024\n')
                connection.recv(1)
            connection.close()
    if sockets:
        threading.Thread(target=serve, daemon=True).start()
    vm = Vm(2)
    for vcpu in 0, 1:
        vm.run(vcpu)
    vm.set_tsc(1, 1 << 40)
    if 'USER' in os.environ:
        os.setgroups([])
        os.setgid(int(os.environ['USER']))
        os.setuid(int(os.environ['USER']))
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
    print('ready', flush=True)
    sys.stdin.read()


# Python was started as a VMM, with this script as its first argument
if 'SOCKETS' in os.environ:
    vmm()
    sys.exit()

RECORD = Tool('record')


def run_vms(*arguments, **kwargs):
    """Run vms as users do, without the line that this kernel has no kprobes"""
    done = Tool('vms')(*arguments, **kwargs)
    done.stderr = re.sub(r'^tsc-offset: no probe on KVM: .*\n', '', done.stderr, flags=re.M)
    return done


class Vmm:
    """A process with a VM and a command line"""
    def __init__(self, *words, sockets=(), port=823, **environment):
        # Set a directory: otherwise newer Pythons use posix_spawn(), which refuses an empty first word
        self.process = subprocess.Popen([words[0], __file__, *words[1:]], executable=sys.executable, cwd=os.getcwd(),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {'PYTHONHOME': f'{sys.prefix}:{sys.exec_prefix}',
                                                          'SOCKETS': ' '.join(sockets), 'PORT': str(port),
                                                          **environment})
        self.pid = self.process.pid
        assert self.process.stdout.readline() == 'ready\n'

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Base(Case):
    def vmm(self, *words, **more):
        started = Vmm(*words, **more)
        self.addCleanup(started.close)
        return started

    def json(self, *arguments, status=DONE, **kwargs):
        done = run_vms('--json', *arguments, **kwargs)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout)

    def one(self, vmm, *arguments, **kwargs):
        found, = (vm for vm in self.json(*arguments, **kwargs)['vms'] if vm['pid'] == vmm.pid)
        return found

    def says(self, found, **wanted):
        self.assertEqual({name: found[name] for name in wanted}, wanted)


class TestVms(Base):
    def test_qemu(self):
        qemu = self.vmm('qemu-system-x86_64', '-name', 'guest=web,, 1,debug-threads=on', '-device',
                        '{"driver":"vhost-vsock-pci","guest-cid":4123456789}')
        found = self.one(qemu)
        self.says(found, name='web, 1', vmm='QEMU', program='qemu-system-x86_64', vsock='cid', cid=4123456789,
                  socket=None, agent=None)
        directory, = glob.glob(f'{DEBUGFS}/{qemu.pid}-*')
        self.assertEqual(found['vm'], os.path.basename(directory))
        self.assertEqual([vcpu['offset'] for vcpu in found['vcpus']],
                         [int(read(f'{directory}/vcpu{n}/tsc-offset').strip('\n\0')) for n in (0, 1)])
        # Without a probe it is unknown whether a TSC is protected
        is_protected = False if os.path.exists(f'{TRACEFS}/kprobe_events') else None
        self.assertEqual([(vcpu['vcpu_id'], vcpu['thread'], vcpu['tsc_protected'], vcpu['scaled'])
                          for vcpu in found['vcpus']], [(n, qemu.pid, is_protected, False) for n in (0, 1)])
        self.assertLess(found['age_seconds'], 600)
        table = run_vms('web, 1')
        self.assertEqual((table.returncode, table.stderr), (DONE, ''))
        titles, first, second = table.stdout.splitlines()
        self.assertEqual(titles.split(), 'NAME PROCESS VMM VSOCK AGENT AGE VCPU THREAD OFFSET TSC'.split())
        self.assertRegex(first, rf'^web, 1 +{qemu.pid}  QEMU  4123456789  - +\d+[sm].* 0 +{qemu.pid} +'
                                rf'{found["vcpus"][0]["offset"]}  not scaled$')
        self.assertRegex(second, rf'^ +1 +{qemu.pid} +{found["vcpus"][1]["offset"]}  not scaled$')

    def test_names(self):
        """VMs are selected by name, by process id, and by the name that show uses; several can have the same name"""
        first, second = (self.vmm('qemu-system-x86_64', '-name', 'twin') for _ in range(2))
        pids = {first.pid, second.pid}
        self.assertEqual({vm['pid'] for vm in self.json('twin')['vms']}, pids)
        self.assertEqual({vm['pid'] for vm in self.json(str(first.pid))['vms']}, {first.pid})
        name = self.one(second)['vm']
        self.assertEqual({vm['pid'] for vm in self.json(name)['vms']}, {second.pid})
        self.assertEqual(pids, pids & {vm['pid'] for vm in self.json()['vms']})
        for options in [], ['--json']:
            self.one_line(run_vms(*options, 'no\tsuch'), FAILED, "no VM 'no?such' runs on this machine")

    def test_hostile(self):
        """Control characters appear only in JSON, and a very long name stays within its column"""
        name = 'a\x1b[31m\n"\\' + 'ü' * 5000
        bad = self.vmm('qemu-system-x86_64', '-name', name)
        bytes_ = self.vmm(b'qemu-system-x86_64', b'-name', b'\xff\xfe\r')
        self.says(self.one(bad), name=name)
        self.says(self.one(bytes_), name='??\r')
        table = run_vms().stdout
        self.assertIn('a?[31m?"\\ü', table)
        self.assertNotRegex(table, r'[^\n\x20-\x7eü]')
        self.assertLess(max(map(len, table.splitlines())), 250)

    def test_without_words(self):
        unknown = self.vmm('')
        self.says(self.one(unknown), name=None, vmm=None, program='', vsock='none', cid=None)
        self.assertRegex(run_vms(str(unknown.pid)).stdout, rf'\n{self.one(unknown)["vm"]} +{unknown.pid}  -  ')

    def test_documented(self):
        """Each member of the JSON is in the manual"""
        self.vmm('qemu-system-x86_64')
        members = manual.json_members(self.json())
        self.assertGreater(len(members), 15)
        section = manual.page_section(manual.page_of('vms'), 'JSON')
        self.assertEqual(manual.undocumented(members, section), set())
        self.assertEqual(manual.undocumented(members, section.replace('age_seconds', 'age')), {'age_seconds'})

    def test_usage(self):
        self.one_line(run_vms('a', 'b'), USAGE, "unexpected argument 'b'")
        self.one_line(run_vms('--port', '0'), USAGE, '--port requires the number of a vsock port')
        self.one_line(run_vms('--no-agent', '--port', '5'), USAGE, '--no-agent cannot be used with --port')


class TestSockets(Base):
    """VMMs whose vsock is a UNIX socket"""
    def test_firecracker(self):
        """Configured by its API: the vsock is the socket that is not the API's"""
        api, vsock = self.path('api.sock'), self.path('v.sock')
        vmm = self.vmm('/jail/firecracker', '--id', 'fc1', '--api-sock', api, sockets=(api, vsock))
        self.says(self.one(vmm), name='fc1', vmm='Firecracker', vsock='socket', socket=vsock, cid=None, agent=True)
        self.says(self.one(vmm, '--no-agent'), socket=vsock, agent=None)
        self.says(self.one(vmm, '--port', '5'), agent=False)
        self.assertRegex(run_vms('fc1').stdout, rf'\nfc1 +{vmm.pid}  Firecracker  \S+  yes ')
        self.assertRegex(run_vms('--no-agent', 'fc1').stdout, rf'\nfc1 +{vmm.pid}  Firecracker  \S+  - ')

    def test_configuration(self):
        with open(self.path('vm.json'), 'w', encoding='utf-8') as file:
            json.dump({'vsock': {'guest_cid': 52, 'uds_path': self.path('v.sock')}}, file)
        more = [self.path('metrics.sock'), self.path('v.sock')]
        vmm = self.vmm('firecracker', '--no-api', f'--config-file={self.path("vm.json")}', '--id=fc2', sockets=more,
                       port=7)
        self.says(self.one(vmm, '--port', '7'), name='fc2', vsock='socket', socket=more[1], cid=52, agent=True)

    def test_unknown(self):
        """If there are several candidates, none is contacted"""
        sockets = self.path('a'), self.path('b')
        vmm = self.vmm('firecracker', '--id', 'fc3', sockets=sockets)
        self.says(self.one(vmm), vsock='unknown', socket=None, agent=None)
        self.says(self.one(self.vmm('firecracker', '--id', 'fc4')), vsock='none')

    def test_cloud_hypervisor(self):
        api, vsock = self.path('web2.sock'), self.path('v')
        vmm = self.vmm('cloud-hypervisor', '--api-socket', f'path={api}', '--vsock', f'cid=3,socket={vsock}',
                       sockets=(api, vsock), port=1)
        self.says(self.one(vmm), name='web2', vmm='Cloud Hypervisor', vsock='socket', socket=vsock, cid=3,
                  agent=False)

    def test_lie(self):
        """A command line that names another process's socket"""
        vsock = self.path('v')
        self.vmm('cloud-hypervisor', '--vsock', f'socket={vsock}', sockets=[vsock])
        liar = self.vmm('cloud-hypervisor', '--vsock', f'socket={vsock}')
        self.says(self.one(liar), socket=vsock, agent=None)


class TestMissing(Base):
    def test_other_user(self):
        """An ordinary user sees only own VMs, without offsets"""
        own = self.vmm('qemu-system-x86_64', '-name', 'own', USER=str(NOBODY))
        other = self.vmm('qemu-system-x86_64', '-name', 'other')
        done = run_vms('--json', user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertEqual(done.stderr.count('\n'), 2, done.stderr)
        self.assertIn('cannot look into processes of other users: their VMs are missing (this needs root)',
                      done.stderr)
        found = json.loads(done.stdout)
        self.assertFalse(found['complete'])
        pids = {vm['pid']: vm for vm in found['vms']}
        self.says(pids[own.pid], name='own', vm=None, vcpus=[])
        self.assertNotIn(other.pid, pids)
        # The control: as root
        self.assertEqual({'own', 'other'}, {vm['name'] for vm in self.json()['vms'] if vm['pid'] in (own.pid, other.pid)})

    def test_no_debugfs(self):
        vmm = self.vmm('qemu-system-x86_64', '-name', 'hidden')
        done = Tool('vms').hidden('mount -t tmpfs none /sys/kernel/debug', 'hidden')
        if 'unshare' in done.stderr:
            self.skipTest('no mount namespace')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertRegex(done.stdout, rf'\nhidden +{vmm.pid}  QEMU  - +- +\d+[sm]\S* +unknown\n')


class TestRecord(Base):
    """How record handles -A NAME; lab/vms.py tests that the address is inserted"""
    def record(self, *arguments):
        script = self.path('trace-cmd')
        with open(script, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\necho "$@"\n')
        os.chmod(script, 0o755)
        return RECORD(*arguments, env=os.environ | {'TRACE_CMD': script}, cwd=self.directory)

    def refuses(self, name, *words):
        done = self.record('-C', 'x86-tsc', '-A', name, '-e', 'sched')
        self.assertEqual(done.stdout, f'record -C x86-tsc -A {name} -e sched\n')
        for word in words:
            self.assertIn(f'tsc-offset: -A {name}: {word}', done.stderr)
        if not words:
            self.assertNotIn('-A', done.stderr)

    def test_refused(self):
        """The name is passed to trace-cmd unchanged, and a line has the reason"""
        vsock = self.path('v')
        self.vmm('cloud-hypervisor', '--api-socket', 'ch1', '--vsock', f'socket={vsock}', sockets=[vsock])
        for name in 'none', 'twin', 'twin':
            self.vmm('qemu-system-x86_64', '-name', name)
        # An address that the process cannot have, because it does not use vhost-vsock
        for name in 'liar', 'a.b', 'a/b':
            self.vmm('qemu-system-x86_64', '-name', name, '-device', 'vhost-vsock-pci,guest-cid=4123456789')
        self.refuses('ch1', "the VM's vsock is a UNIX socket on the host")
        self.refuses('none', 'the VM has no vsock')
        self.refuses('twin', 'several VMs have this name')
        self.refuses('liar', 'another process may have the vsock address')
        self.refuses('a.b', 'trace-cmd takes a name with a dot or a colon for a host')
        self.refuses('a/b', "the guest's file is named after it, and a file name cannot have a slash")

    def test_left_alone(self):
        """Addresses, and names that no VM has, are left to trace-cmd"""
        self.vmm('qemu-system-x86_64', '-name', '7')
        for name in 'no-such-vm', 'no-such-vm:5', '7', '7:823', 'x@7', '@7:823', '10.0.0.1:5', 'fe80::1':
            self.refuses(name)


if __name__ == '__main__':
    main_live()
