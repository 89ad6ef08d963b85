# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The peak memory of a command.

The kernel's ru_maxrss of a process begins with its parent's value at the fork, with or without exec: a child of a large
Python has Python's value. Therefore a small process starts the command and reports its value.
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
    """The command's exit status, and its peak memory in KiB; at least about 8 MiB, which Python itself needs"""
    told, tell = os.pipe()
    with os.fdopen(told) as told:
        done = subprocess.run([sys.executable, '-I', '-S', '-c', LAUNCHER, str(tell), *map(str, words)],
                              pass_fds=[tell], **more)
        os.close(tell)
        return done.returncode, int(told.read())
