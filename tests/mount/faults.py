"""What a build with MQFS_FAULTS is told while it runs: where to stop, which call fails (src/util/fault.h)."""

from __future__ import annotations

import errno
import mmap
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import harness
from harness import SKIP, Bench, malqueryfs

HEADER = Path(__file__).parents[2] / "src" / "util" / "fault.h"
STATUS = 86  # FAULT_STATUS
SLOT = struct.Struct("=iii")  # struct fault_slot
COUNTED_MAX = 1_000_000_000
NTH_MAX = 150  # failures that one operation is tried with
REFUSALS = {"EIO", "ENOMEM", "ENOSPC", "EMFILE", "EREMOTEIO", "ENODATA"}


def rows(table: str) -> list[str]:
    """The names in FAULT_POINTS or FAULT_CALLS, in their order."""
    text = re.search(rf"#define {table}\(ROW\)(.*?[^\\])\n", HEADER.read_text(), re.DOTALL)[1]
    return re.findall(r"\bROW\((\w+)\)", text)


POINTS = rows("FAULT_POINTS")
CALLS = rows("FAULT_CALLS")


class Faults:
    """Of one bench: made before the first mount, since each mount maps them when it starts."""

    def __init__(self, bench: Bench) -> None:
        self._slots = {name: place * SLOT.size for place, name in enumerate(POINTS + CALLS)}
        bench.faults.write_bytes(bytes(len(self._slots) * SLOT.size))
        with bench.faults.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 0)

    def arm(self, name: str, *, skip: int = 0, times: int = 1, code: int = errno.EIO) -> None:
        """After `skip` passages the next `times` stop the process, or fail with `code`."""
        self.disarm(name)
        self._put(name, skip, 0, code)
        self._put(name, skip, times, code)

    def disarm(self, name: str) -> None:
        self._put(name, 0, 0, 0)

    def fired(self, name: str) -> int:
        skip, times, _ = SLOT.unpack_from(self._page, self._slots[name])
        return max(0, min(-skip, times))

    def count(self, name: str) -> None:
        """From now on passages are counted, and none fails."""
        self._put(name, COUNTED_MAX, 1, 0)

    def passed(self, name: str) -> int:
        """Passages since count()."""
        return COUNTED_MAX - SLOT.unpack_from(self._page, self._slots[name])[0]

    def _put(self, name: str, *values: int) -> None:
        SLOT.pack_into(self._page, self._slots[name], *values)


def lives(bench: Bench) -> None:
    bench.run("ls -l . samples && cat status budget metrics events")


def every_failure(bench: Bench, fault: str, code: int, act: Callable[[int], str | None]) -> int:
    """`act` with its first call failing, then its second, and so on until none fails any more. Returns how many did."""
    faults = Faults(bench)
    bench.mount()
    for nth in range(NTH_MAX):
        faults.arm(fault, skip=nth, code=code)
        failed = act(nth)
        has_fired = faults.fired(fault)
        faults.disarm(fault)
        assert bench.program.is_running(), f"{fault} {nth}: the mount died"
        assert failed is None or (has_fired and failed in REFUSALS), f"{fault} {nth}: {failed}"
        if not has_fired and failed is None:
            break
    else:
        raise AssertionError(f"{fault}: fails for ever")
    lives(bench)
    assert "\n\n" not in (bench.logs / "malqueryfs.log").read_text(), "an empty line in the log"
    return nth


def main() -> None:
    if b"MQFS_FAULTS" not in Path(malqueryfs()).read_bytes():
        print("skipped: built without MQFS_FAULTS")
        sys.exit(SKIP)
    harness.main()
