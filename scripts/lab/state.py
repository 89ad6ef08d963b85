# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A lab's state directory, for any emulator."""
import contextlib
import fcntl

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
