"""One of the many programs of tests/soak: random operations on the mount, every byte compared with the truth.

The daemon dies, restarts and meets faults all the time, so any operation may fail; but only with an errno of the list,
and what succeeds must be right. A worker reads its orders as JSON from its input and prints what it did, and what was
wrong, as JSON.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

HANG_MAX_S = 90  # no operation may take longer: 60 s is the longest limit of ours
WAIT_KILL_MAX_S = 1
PAUSE_MAX_S = 0.05
RESULTS_LIMIT = 1000
WRONG_MAX = 20  # that are told
HELD_MAX = 4

# While the service fails, the daemon dies, or there is no mount at all.
MAY_FAIL = {"ENOENT", "ENOTCONN", "ECONNABORTED", "ENETUNREACH", "ETIMEDOUT", "EREMOTEIO", "EBADMSG", "EAGAIN", "ENOSPC",
            "EINTR", "ECANCELED", "EKEYREJECTED", "EEXIST", "EINVAL", "EBADF"}


class Worker:
    def __init__(self, orders: dict) -> None:
        self.root = Path(orders["root"])
        self.name = orders["name"]
        self.random = random.Random(orders["seed"])
        self.until = time.monotonic() + orders["seconds"]
        self.truth: dict[str, dict] = orders["truth"]
        self.hashes = sorted(self.truth)
        self.hunts: dict[str, int] = {}  # name: all samples smaller than so many bytes
        self.searches: dict[str, str] = {}  # directory: the only sample with that marker
        self.rules: dict[str, str] = {}  # what the last write that succeeded left in a draft
        self.held: list[tuple[io.BufferedReader, str]] = []
        self.counts: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.slowest: dict[str, float] = {}
        self.detail = ""  # of the operation, for the figures
        self.n_checks = 0
        self.wrong: list[str] = []

    # the truth

    def check(self, is_right: bool, what: str) -> None:
        self.n_checks += 1
        if not is_right:
            self.wrong.append(f"{self.name}: {what}")

    def check_bytes(self, content: bytes, sha256: str, where: str) -> None:
        self.check(hashlib.sha256(content).hexdigest() == sha256, f"{where} {sha256}: {len(content)} wrong bytes")

    def some(self) -> str:
        return self.random.choice(self.hashes)

    def some_local(self) -> str | None:
        local = os.listdir(self.root / "samples")
        self.check(set(local) <= set(self.truth), f"samples/ has {set(local) - set(self.truth)}")
        return self.random.choice(local) if local else None

    def new_name(self) -> str:
        return f"{self.name}_{self.random.getrandbits(40):x}"

    # what users do

    def list(self) -> None:
        place = self.random.choice([".", "hunts", "samples", "metadata", "requests", "downloads", "zips",
                                    *(f"hunts/{name}" for name in self.hunts)])
        self.detail = "" if place.startswith("hunts/") else f" {place}"
        for entry in os.scandir(self.root / place):
            entry.stat(follow_symlinks=False)

    def stat(self) -> None:
        sha256 = self.some()
        size = os.stat(self.root / "samples" / sha256).st_size
        self.check(size == self.truth[sha256]["size"], f"size of {sha256}: {size}")

    def read(self) -> None:
        sha256 = self.some()
        self.check_bytes((self.root / "samples" / sha256).read_bytes(), sha256, "samples/")

    def read_local(self) -> None:
        sha256 = self.some_local()
        if sha256:
            self.check_bytes((self.root / "samples" / sha256).read_bytes(), sha256, "samples/")

    def read_held(self) -> None:
        """A file that stays open, over evictions and the death of the daemon."""
        if len(self.held) >= HELD_MAX:
            self.held.pop(0)[0].close()
        sha256 = self.some()
        self.held.append(((self.root / "samples" / sha256).open("rb"), sha256))
        file, sha256 = self.random.choice(self.held)
        file.seek(0)
        self.check_bytes(file.read(), sha256, "an open file")

    def metadata(self) -> None:
        sha256 = self.some()
        known = json.loads((self.root / "metadata" / f"{sha256}.json").read_bytes())
        self.check((known["sha256"], known["filesize"]) == (sha256, self.truth[sha256]["size"]), f"metadata {known}")

    def hunt(self) -> None:
        name, size = self.new_name(), self.random.randint(1, 2000)
        text = f"rule {name} {{ condition: filesize < {size} }}\n"
        self.hunts[name] = size
        (self.root / "hunts" / f"{name}.yar").write_text(text)

    def draft(self) -> None:
        """A changed rule is a draft, and reads back as it was written."""
        name = self.random.choice(list(self.hunts) or [None])
        if not name:
            return
        path = self.root / "hunts" / f"{name}.yar"
        text = f"rule {name} {{ condition: filesize < {self.hunts[name]} }} // {self.random.getrandbits(32)}\n"
        before = path.read_text()
        self.check(before.startswith(f"rule {name} "), f"{path.name} reads {before!r}")
        path.write_text(text)
        if path.exists():
            self.check(path.read_text() == text, f"{path.name} does not read back")

    def results(self) -> None:
        """What a finished hunt found is all that there is to find, and nothing else."""
        name = self.random.choice(list(self.hunts) or [None])
        if not name:
            return
        hunt = self.root / "hunts" / name
        if (hunt / "status").read_text().split()[0] != "done":
            return
        wanted = {sha256 for sha256, facts in self.truth.items() if facts["size"] < self.hunts[name]}
        got = (hunt / "hashes.txt").read_text().split()
        self.check(len(got) == len(set(got)) and set(got) == wanted,
                   f"hunts/{name}: {len(got)} results, {len(wanted)} are right")

    def control(self) -> None:
        name = self.random.choice(list(self.hunts) or [None])
        if name:
            word = self.random.choice(("run", "retry", "fetch 1", "fetch 2", "note of a soak", f"fetch {self.some()}"))
            (self.root / "hunts" / name / "ctl").write_text(word + "\n")

    def fetch_list(self) -> None:
        wanted = self.random.sample(self.hashes, self.random.randint(1, 5))
        (self.root / "downloads" / f"{self.new_name()}.txt").write_text("\n".join(wanted) + "\n")

    def search(self) -> None:
        sha256 = self.some()
        marker = self.truth[sha256]["marker"]
        if not marker:
            return
        place = f"searches/{self.random.choice(('exact', 'fuzzy'))}/ascii:{marker}"
        self.searches[place] = sha256
        (self.root / place).mkdir()

    def search_results(self) -> None:
        place = self.random.choice(list(self.searches) or [None])
        if not place or (self.root / place / "status").read_text().split()[0] != "done":
            return
        got = (self.root / place / "hashes.txt").read_text().split()
        self.check(self.searches[place] in got, f"{place} lacks its sample")
        if "/exact/" in place:
            self.check(len(got) == 1, f"{place}: {got}")

    def zip(self) -> None:
        sha256 = self.some_local()
        if not sha256 or self.truth[sha256]["size"] > 100_000:
            return
        content = (self.root / "zips" / f"{sha256}.zip").read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self.check_bytes(archive.read(archive.namelist()[0], b"infected"), sha256, "zips/")

    def events(self) -> None:
        for line in (self.root / "events").read_text().splitlines():
            self.check("event" in json.loads(line), f"event {line!r}")

    def small_files(self) -> None:
        for name in ("README", "status", "budget", "metrics"):
            self.check(bool((self.root / name).read_text()), f"{name} is empty")

    def wait_and_leave(self) -> None:
        """Somebody waits, and is ended."""
        name = self.random.choice(list(self.hunts) or [None])
        if not name:
            return
        waiter = subprocess.Popen(["cat", self.root / "hunts" / name / "wait"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        time.sleep(self.random.uniform(0, WAIT_KILL_MAX_S))
        waiter.send_signal(self.random.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))
        waiter.wait(HANG_MAX_S)

    def delete(self) -> None:
        name = self.random.choice(list(self.hunts) or [None])
        if name:
            (self.root / "hunts" / f"{name}.yar").unlink()
            del self.hunts[name]

    # the loop

    OPERATIONS = {"list": 10, "stat": 15, "read": 8, "read_local": 20, "read_held": 5, "metadata": 8, "hunt": 4, "draft": 3,
                  "results": 10, "control": 3, "fetch_list": 2, "search": 2, "search_results": 4, "zip": 4, "events": 3,
                  "small_files": 6, "wait_and_leave": 3, "delete": 1}

    def one(self, name: str) -> None:
        operation: Callable[[], None] = getattr(self, name)
        started = time.monotonic()
        self.detail = ""
        self.counts[name] += 1
        try:
            operation()
        except OSError as error:
            word = errno.errorcode.get(error.errno or 0, str(error))
            self.failed[word] += 1
            self.check(word in MAY_FAIL, f"{name}: {word} {error.filename}")
        took = time.monotonic() - started
        key = name + self.detail
        self.slowest[key] = max(took, self.slowest.get(key, 0))
        self.check(took < HANG_MAX_S, f"{name} took {took:.0f} s")

    def run(self) -> None:
        names, weights = list(self.OPERATIONS), list(self.OPERATIONS.values())
        while time.monotonic() < self.until and len(self.wrong) < WRONG_MAX:
            self.one(self.random.choices(names, weights)[0])
            time.sleep(self.random.uniform(0, PAUSE_MAX_S))
        for file, _ in self.held:
            file.close()


def main() -> None:
    worker = Worker(json.load(sys.stdin))
    worker.run()
    json.dump({"counts": worker.counts, "failed": worker.failed, "slowest": worker.slowest, "checks": worker.n_checks,
               "wrong": worker.wrong}, sys.stdout)


if __name__ == "__main__":
    main()
