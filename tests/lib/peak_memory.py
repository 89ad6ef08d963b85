# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The peak memory of a command.

The kernel's ru_maxrss of a process begins with its parent's value at the fork, with or without exec: for a child of a
large Python it is Python's. A small process therefore starts the command here, and reports it.
"""
import os
import subprocess
import sys

LAUNCHER = '''
import os, sys
status, usage = os.wait4(os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ), 0)[1:]
os.write(int(sys.argv[1]), b"%d" % usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) & 0xff)
'''


def peak_memory(*words, **more):
    """Its exit status, and its peak memory in KiB; at least about 8 MiB, which Python has"""
    told, tell = os.pipe()
    with os.fdopen(told) as told:
        done = subprocess.run([sys.executable, '-I', '-S', '-c', LAUNCHER, str(tell), *map(str, words)],
                              pass_fds=[tell], **more)
        os.close(tell)
        return done.returncode, int(told.read())
