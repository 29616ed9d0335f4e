"""Who opens what: the opens in one directory, as the kernel counts them (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

IN_CLOSE_NOWRITE = 0x10
IN_OPEN = 0x20
IN_Q_OVERFLOW = 0x4000
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
READ_BYTES = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Opens:
    """Successful opens of the files in `directory` during the `with` block, by name; opens of itself do not count.
    The kernel keeps one of two equal events that follow each other, so the closes are asked for, too: they are between
    two opens, unless several threads open one file at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.count = 0
        self.names: set[str] = set()

    def __enter__(self) -> Opens:
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        _checked(_libc.inotify_add_watch(self._fd, os.fsencode(self._directory), IN_OPEN | IN_CLOSE_NOWRITE))
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while True:
                self._take(os.read(self._fd, READ_BYTES))
        except BlockingIOError:
            pass  # that was the last
        finally:
            os.close(self._fd)

    def _take(self, events: bytes) -> None:
        at = 0
        while at < len(events):
            _, mask, _, length = EVENT.unpack_from(events, at)
            name = os.fsdecode(events[at + EVENT.size: at + EVENT.size + length].rstrip(b"\0"))
            assert not mask & IN_Q_OVERFLOW, "more opens than the kernel keeps"
            if name and mask & IN_OPEN:
                self.count += 1
                self.names.add(name)
            at += EVENT.size + length
