# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""How much memory a command needs at its largest.

The kernel's ru_maxrss of a process begins with what its parent had when it was forked, exec or not: of a command that
a large Python starts it is Python's. So a small process starts it here, and tells.
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
    """Its exit status, and the KiB of memory that it had at most; 8 MiB or so at least, as Python has"""
    told, tell = os.pipe()
    with os.fdopen(told) as told:
        done = subprocess.run([sys.executable, '-I', '-S', '-c', LAUNCHER, str(tell), *map(str, words)],
                              pass_fds=[tell], **more)
        os.close(tell)
        return done.returncode, int(told.read())
