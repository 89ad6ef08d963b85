# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A lab's state directory, for any emulator."""
import contextlib
import fcntl
from pathlib import Path

from kernel import LabError


@contextlib.contextmanager
def lock(directory):
    """Lock out other commands that change the same lab."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / 'lock', 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(f'another command is at work on {directory}') from error
        yield


def prefer(emulator):
    """Give an emulator, the leader of its session, more CPU time than other work on this machine, which would stop the
    clocks of its machine. This needs privileges, and is optional."""
    with contextlib.suppress(OSError):
        Path(f'/proc/{emulator.pid}/autogroup').write_text('-15')
