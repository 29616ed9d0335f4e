"""The process ends at every named step of what it does (src/util/fault.h), and the next mount finds everything right.

After each end: what the service accepted is known, or its entry is failed and never sent again; budget, audit and the
engine's count agree; what is local is whole; no temporary is left.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from faults import STATUS, Faults, main
from harness import (JOB_MAX_S, STOP_MAX_S, Bench, claim, errno_of, malqueryfs, mount_flags, read_error, same, sha256,
                     until)
from ledger import Ledger
from proxy import Call
from samples import Zoo

CHUNKED = 300_000  # bytes: several chunks, and several pieces on the way
PLENTY = {"downloads": 500, "hunts": 500}
PAID = ["budget=500:500", "reserve=0"]
STATE_NAMES = {"audit.jsonl", "lock", "locks", "seal.key", "state.db", "state.db-shm", "state.db-wal"}
CACHE_NAMES = re.compile(r"archives|damaged|in-use|sealed-by|tmp|[0-9a-f]{2}")

SUBMIT = ("SUBMIT_QUEUED", "SUBMIT_BEGUN", "SPEND_BEGUN", "SUBMIT_SENT", "SUBMIT_ACCEPTED", "SPEND_SETTLED", "AUDIT_WRITTEN",
          "AUDIT_SYNCED")
DOWNLOAD = ("SPEND_BEGUN", "DOWNLOAD_BEGUN", "DOWNLOAD_ARRIVING", "DOWNLOAD_ARRIVED", "SEAL_WRITTEN", "SEAL_FINISHED",
            "COMMIT_SYNCED", "COMMIT_RENAMED", "DOWNLOAD_STORED", "SPEND_SETTLED", "AUDIT_WRITTEN", "AUDIT_SYNCED",
            "DOWNLOAD_SETTLED")
IMPORT = ("SUBMIT_SENT", "SUBMIT_ACCEPTED", "IMPORT_FETCHED", "UNPACK_STORED", "IMPORT_UNPACKED", "IMPORT_FINISHED")
SCHEDULE = ("SCHEDULE_SENT", "SCHEDULE_ACCEPTED", "UNPACK_STORED", "IMPORT_FINISHED")
EVICT = ("EVICT_CHOSEN", "EVICT_REMOVED")
ROTATE = ("ROTATE_MADE", "ROTATE_BOTH", "ROTATE_SEALED", "ROTATE_ALL_SEALED", "ROTATE_NAMED", "ROTATE_ADOPTED",
          "PUT_WRITTEN", "PUT_PLACED", "SEAL_WRITTEN", "COMMIT_SYNCED", "COMMIT_RENAMED")
RECOVER = ("SPEND_SETTLED", "AUDIT_WRITTEN", "AUDIT_SYNCED")
START = ("MIGRATE_RUN", "MIGRATE_COMMITTED", "PUT_WRITTEN", "PUT_PLACED")


def pool(zoo: Zoo) -> None:
    for number in range(60):
        zoo.add(f"pool-{number}", os.urandom(CHUNKED))


class Crashes:
    """One bench that goes through many ends."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.faults = Faults(bench)
        self.ledger = Ledger(bench, PLENTY)
        self.unread = [sample for sample in bench.zoo if sample.path.name.startswith("pool-")]

    def end_at(self, point: str, act: Callable[[], object], skip: int = 0) -> None:
        """Mounted; `act` passes the point, and the mount ends there. It may fail then."""
        self.faults.arm(point, skip=skip)
        errno_of(act)
        self.wait_end(point)
        self.faults.disarm(point)

    def wait_end(self, point: str) -> None:
        until(lambda: not self.bench.program.is_running(), JOB_MAX_S, f"the end at {point}")
        same(self.bench.program.wait(), STATUS, f"exit status at {point}")
        self.bench.program = None
        until(lambda: not mount_flags(self.bench.root), STOP_MAX_S, "the mount is gone")

    def check(self, point: str) -> None:
        """Mounted again."""
        self.ledger.agree(f"after {point}")
        for call in self.bench.proxy.calls("hunt", "exact", "multidownload"):
            if call.status == 200 and b'"reqid"' in call.answer:
                self.check_known(point, call)
                self.check_audit(point, call)
        for name in os.listdir(self.bench.root / "samples"):
            same(sha256(self.bench.root / "samples" / name), name, f"after {point}")
        self.check_files(point)
        self.bench.run("ls -lR . && cat status metrics budget && cat requests/*/status hunts/*.yar downloads/*.txt || :")

    def check_known(self, point: str, call: Call) -> None:
        """Its id is there, or the entry with this text is failed."""
        if call.reqid in os.listdir(self.bench.root / "requests"):
            return
        words = [self.word(entry) for entry in self.entries() if self.is_of(entry, call)]
        assert words in (["failed"], []) and (words or call.route == "multidownload"), f"after {point}: {call} is {words}"

    def check_audit(self, point: str, call: Call) -> None:
        """Nobody has to guess about what has its id on disk: it is paid, and the audit names it."""
        lines = [(line["outcome"], line["cost"] > 0) for line in self.ledger.audit() if line["id"] == call.reqid]
        wanted = [("paid", True)] if call.reqid in os.listdir(self.bench.root / "requests") else []
        same(lines, wanted, f"the audit after {point}: {call}")

    def entries(self) -> list[Path]:
        return [entry for name in ("hunts", "downloads") for entry in (self.bench.root / name).iterdir() if entry.is_dir()]

    def is_quiet(self) -> bool:
        places = [*self.entries(), *(self.bench.root / "requests").iterdir()]
        return all(self.word(place) in ("done", "failed") for place in places if (place / "status").exists())

    def word(self, entry: Path) -> str:
        return (entry / "status").read_text().split()[0]

    def is_of(self, entry: Path, call: Call) -> bool:
        [text] = [path.read_text() for path in entry.parent.glob(f"{entry.name}.*")]
        return text.strip() in (call.json.get("yara_rule", "").strip(), "\n".join(call.json.get("samples", [])))

    def check_files(self, point: str) -> None:
        state, cache = self.bench.state / "default", self.bench.cache / "default"
        same(set(os.listdir(state)) - STATE_NAMES, set(), f"left in the state after {point}")
        left = [name for name in os.listdir(cache) if not CACHE_NAMES.fullmatch(name)]
        left += [path for part in ("tmp", "damaged") for path in (cache / part).iterdir()]
        same(left, [], f"left in the cache after {point}")

    # what a user does

    def hunt(self, number: int) -> Path:
        text = f"rule r{number} {{ condition: filesize < {number + 10} }}\n"
        (self.bench.root / "hunts" / f"r{number}.yar").write_text(text)
        return self.bench.root / "hunts" / f"r{number}"

    def list(self, number: int) -> None:
        names = [self.unread.pop().sha256 for _ in range(2)]
        (self.bench.root / "downloads" / f"l{number}.txt").write_text("\n".join(names) + "\n")

    def read(self) -> None:
        read_error(self.bench.sample(self.unread.pop()))


@claim(options=PAID, is_bounded=True, mounted=False)
def submitting(bench: Bench) -> None:
    crashes = Crashes(bench)
    for number, point in enumerate(SUBMIT):
        bench.mount()
        crashes.end_at(point, lambda: crashes.hunt(number))
        bench.mount()
        entry = bench.root / "hunts" / f"r{number}"
        word = until(lambda: crashes.word(entry) not in ("queued", "sending") and crashes.word(entry), JOB_MAX_S, "a word")
        sent = [call for call in bench.proxy.calls("hunt") if f"rule r{number} " in call.json["yara_rule"]]
        crashes.check(point)
        same((len(sent), word == "failed"), (0, True) if point in ("SUBMIT_BEGUN", "SPEND_BEGUN") else
             (1, point == "SUBMIT_SENT"), f"calls, failed after {point}")
        bench.unmount()


@claim(options=PAID, is_bounded=True, mounted=False, prepare=pool)
def downloading(bench: Bench) -> None:
    crashes = Crashes(bench)
    for point, skip in [*((point, 0) for point in DOWNLOAD), ("SEAL_WRITTEN", 1), ("DOWNLOAD_ARRIVING", 5)]:
        sample = crashes.unread[-1]
        bench.mount()
        crashes.end_at(point, crashes.read, skip)
        bench.mount()
        crashes.check(point)
        same(bench.sample(sample).read_bytes() == sample.path.read_bytes(), True, f"read after {point}")
        n_calls = len([call for call in bench.proxy.calls("download") if call.ids == [sample.sha256]])
        is_stored = point in ("COMMIT_RENAMED", "DOWNLOAD_STORED", "SPEND_SETTLED", "AUDIT_WRITTEN", "AUDIT_SYNCED",
                              "DOWNLOAD_SETTLED")
        same(n_calls, 1 if is_stored or point in ("SPEND_BEGUN", "DOWNLOAD_BEGUN") else 2, f"calls, {point}")
        bench.unmount()


def unpacking_at(bench: Bench, points: tuple[str, ...], act: Callable[[Crashes, int], None]) -> None:
    crashes = Crashes(bench)
    for number, point in enumerate(points):
        bench.mount()
        crashes.end_at(point, lambda: act(crashes, number))
        bench.mount()
        until(crashes.is_quiet, JOB_MAX_S, f"all is done after {point}")
        crashes.check(point)
        bench.unmount()
    same(len({call.body for call in bench.proxy.calls("multidownload")}), len(bench.proxy.calls("multidownload")),
         "no list is sent twice")


@claim(options=PAID, is_bounded=True, mounted=False, prepare=pool)
def unpacking_a_list(bench: Bench) -> None:
    unpacking_at(bench, IMPORT, Crashes.list)


@claim(options=[*PAID, "transport=zip"], is_bounded=True, mounted=False, prepare=pool)
def unpacking_one_sample(bench: Bench) -> None:
    unpacking_at(bench, SCHEDULE, lambda crashes, _: crashes.read())


@claim(options=[*PAID, "cache_size=1M"], is_bounded=True, mounted=False, prepare=pool)
def evicting(bench: Bench) -> None:
    crashes = Crashes(bench)
    for point in EVICT:
        bench.mount()
        while len(os.listdir(bench.root / "samples")) < 3:
            crashes.read()
        crashes.end_at(point, lambda: [crashes.read() for _ in range(3)])
        bench.mount()
        crashes.check(point)
        bench.unmount()


@claim(options=PAID, is_bounded=True, mounted=False, prepare=pool)
def changing_the_key(bench: Bench) -> None:
    crashes = Crashes(bench)
    bench.mount()
    for _ in range(3):
        crashes.read()
    n_paid = len(bench.proxy.paid())
    bench.unmount()
    key = bench.state / "default" / "seal.key"
    for point, skip in [*((point, 0) for point in ROTATE), ("ROTATE_SEALED", 1), ("PUT_WRITTEN", 1), ("PUT_WRITTEN", 2),
                        ("PUT_PLACED", 2)]:
        before = key.read_bytes()
        crashes.faults.arm(point, skip=skip)
        same(rotate(bench), STATUS, f"exit status at {point}")
        crashes.faults.disarm(point)
        if (bench.state / "default" / "seal.key.next").exists():
            bench.mount()  # with both keys, or after the last step
            for name in os.listdir(bench.root / "samples"):
                same(sha256(bench.root / "samples" / name), name, f"after {point}")
            same(len(os.listdir(bench.root / "samples")), 3)
            bench.unmount()
        if key.read_bytes() == before:
            same(rotate(bench), 0, f"exit status after {point}")
        assert key.read_bytes() != before, f"the same key after {point}"
        bench.mount()
        crashes.check(point)
        same(len(os.listdir(bench.root / "samples")), 3)
        bench.unmount()
    same(len(bench.proxy.paid()), n_paid)


def rotate(bench: Bench) -> int:
    places = f"state_dir={bench.state},cache_dir={bench.cache}"
    return subprocess.run([malqueryfs(), "--rotate-key", "-o", places], check=False, stdout=subprocess.DEVNULL,
                          env={**bench.environment, "MQFS_FAULTS": str(bench.faults)}).returncode


@claim(options=PAID, is_bounded=True, mounted=False)
def starting(bench: Bench) -> None:
    """Each version of the state, and each small file, of a profile that is new."""
    crashes = Crashes(bench)
    for point in START:
        n_ends = 0
        while start_ends(bench, crashes, point, n_ends):
            n_ends += 1
        assert n_ends >= 2, f"{point} was passed {n_ends} times"
        bench.unmount()
        for place in (bench.state, bench.cache):
            place.rename(place.with_name(f"{place.name}-{point}"))


def start_ends(bench: Bench, crashes: Crashes, point: str, skip: int) -> bool:
    """False: it passed the point less often, and is mounted."""
    for place in (bench.state, bench.cache):
        if place.exists() and skip:
            subprocess.run(["rm", "-r", place], check=True)
    crashes.faults.arm(point, skip=skip)
    try:
        bench.mount()
    except AssertionError:
        assert crashes.faults.fired(point), "it ended elsewhere"
    is_ended = bool(crashes.faults.fired(point))
    crashes.faults.disarm(point)
    if is_ended:
        bench.mount()  # on what is left of it
        crashes.check(point)
        bench.unmount()
    return is_ended


@claim(options=PAID, is_bounded=True, mounted=False, prepare=pool)
def settling_what_an_end_has_left(bench: Bench) -> None:
    crashes = Crashes(bench)
    for number, point in enumerate(RECOVER):
        for before, act in (("SUBMIT_SENT", lambda: crashes.hunt(number)), ("DOWNLOAD_ARRIVING", crashes.read)):
            bench.mount()
            crashes.end_at(before, act)
            crashes.faults.arm(point)
            try:
                bench.mount()
            except AssertionError:  # before it was seen
                bench.program = None
            else:
                crashes.wait_end(point)
            same(crashes.faults.fired(point), 1, f"ends at {point}")
            crashes.faults.disarm(point)
            bench.mount()
            crashes.check(f"{before} and {point}")
            bench.unmount()


if __name__ == "__main__":
    main()
