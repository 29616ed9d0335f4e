"""One of the many programs of tests/soak: random operations on the mounts, every byte compared with the truth.

Each operation goes to one of the mounts of the profile, so that what was done through one shows through all. The
daemons die, restart and meet faults all the time, so any operation may fail; but only with an errno of the list, and what
succeeds must be right. A worker reads its orders as JSON from its input and prints what it did, and what was wrong, as JSON.
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
SHOWN_MAX_S = 10  # until what was written through one mount shows through the others
RESULTS_LIMIT = 1000
WRONG_MAX = 20  # that are told
HELD_MAX = 4
HUNTS_MAX = 40  # of one worker; then one is forgotten for each that is new
LISTS_MAX = 20
SEARCHES_MAX = 20
ZIP_SIZE_MAX = 100_000  # Python's own unpacking is slow
ZIP_PASSWORD = b"infected"

# While the service fails, the daemon dies, or there is no mount at all.
MAY_FAIL = {"ENOENT", "ENOTCONN", "ECONNABORTED", "ENETUNREACH", "ETIMEDOUT", "EREMOTEIO", "EBADMSG", "EAGAIN", "ENOSPC",
            "EINTR", "ECANCELED", "EKEYREJECTED", "EEXIST", "EINVAL", "EBADF"}


class Worker:
    def __init__(self, orders: dict) -> None:
        self.roots = [Path(root) for root in orders["roots"]]
        self.root = self.roots[0]  # of the operation
        self.name = orders["name"]
        self.random = random.Random(orders["seed"])
        self.until = time.monotonic() + orders["seconds"]
        self.truth: dict[str, dict] = orders["truth"]
        self.hashes = sorted(self.truth)
        self.hunts: dict[str, int] = {}  # name: all samples smaller than so many bytes
        self.searches: dict[str, str] = {}  # directory: the only sample with that marker
        self.lists: dict[str, set[str]] = {}  # name: what was asked for
        self.forgotten: list[str] = []  # requests that we may have dropped
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

    def some_of(self, names: dict) -> str | None:
        return self.random.choice(list(names) or [None])

    def some_local(self) -> str | None:
        local = os.listdir(self.root / "samples")
        self.check(set(local) <= set(self.truth), f"samples/ has {set(local) - set(self.truth)}")
        return self.random.choice(local) if local else None

    def new_name(self) -> str:
        return f"{self.name}_{self.random.getrandbits(40):x}"

    # what users do: samples

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

    def read_piece(self) -> None:
        """One part of a file, as a scanner reads it, of the same sample through two mounts."""
        sha256 = self.some_local()
        if not sha256:
            return
        start = self.random.randrange(self.truth[sha256]["size"] + 1)
        pieces = []
        for root in self.random.sample(self.roots, min(2, len(self.roots))):
            with (root / "samples" / sha256).open("rb") as file:
                file.seek(start)
                pieces.append(file.read(4096))
        self.check(len(set(pieces)) == 1 and len(pieces[0]) == min(4096, self.truth[sha256]["size"] - start),
                   f"{sha256} at {start} differs from mount to mount")

    def metadata(self) -> None:
        sha256 = self.some()
        known = json.loads((self.root / "metadata" / f"{sha256}.json").read_bytes())
        self.check((known["sha256"], known["filesize"]) == (sha256, self.truth[sha256]["size"]), f"metadata {known}")

    def xattr(self) -> None:
        sha256 = self.some()
        value = os.getxattr(self.root / "samples" / sha256, "user.malquery.sha256").decode()
        self.check(value == sha256, f"the attribute of {sha256} is {value}")

    def zip(self) -> None:
        sha256 = self.some_local()
        if not sha256 or self.truth[sha256]["size"] > ZIP_SIZE_MAX:
            return
        content = (self.root / "zips" / f"{sha256}.zip").read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self.check_bytes(archive.read(archive.namelist()[0], ZIP_PASSWORD), sha256, "zips/")

    # hunts

    def hunt(self) -> None:
        if len(self.hunts) >= HUNTS_MAX:
            self.delete()
        name, size = self.new_name(), self.random.randint(1, 2000)
        text = f"rule {name} {{ condition: filesize < {size} }}\n"
        self.hunts[name] = size
        (self.root / "hunts" / f"{name}.yar").write_text(text)

    def draft(self) -> None:
        """A changed rule is a draft, and reads back as it was written; through another mount in a moment, when the
        kernel has told it that an earlier writer there is done. What fails stays in the memory of one mount, so nobody
        looks at it again."""
        name = self.some_of(self.hunts)
        if not name:
            return
        size = self.hunts.pop(name)
        path = self.root / "hunts" / f"{name}.yar"
        text = f"rule {name} {{ condition: filesize < {size} }} // {self.random.getrandbits(32)}\n"
        before = path.read_text()
        self.check(before.startswith(f"rule {name} "), f"{path.name} reads {before!r}")
        is_in_place = self.random.random() < 0.5
        if is_in_place:
            path.write_text(text)
        else:  # as editors save
            scratch = path.with_name(f".{path.name}.swp")
            scratch.write_text(text)
            scratch.rename(path)
        self.check(path.read_text() == text, f"{path.name} does not read back")
        for root in self.roots:
            if (copy := root / "hunts" / path.name).exists():
                self.check(self.reads_soon(copy, text), f"{path} was {'written' if is_in_place else 'renamed'} to {text!r}, "
                           f"before {before!r}; {copy} reads {copy.read_text()!r}, {path} {path.read_text()!r}")
        self.hunts[name] = size

    def reads_soon(self, path: Path, text: str) -> bool:
        until_s = time.monotonic() + SHOWN_MAX_S
        while path.read_text() != text:
            if time.monotonic() > until_s:
                return False
            time.sleep(PAUSE_MAX_S)
        return True

    def done_hunt(self) -> tuple[Path, set[str]] | None:
        """A finished one, and what it has to have found."""
        name = self.some_of(self.hunts)
        if not name or (self.root / "hunts" / name / "status").read_text().split()[0] != "done":
            return None
        return self.root / "hunts" / name, {sha256 for sha256, facts in self.truth.items()
                                            if facts["size"] < self.hunts[name]}

    def results(self) -> None:
        """What a finished hunt found is all that there is to find, and nothing else."""
        if found := self.done_hunt():
            hunt, wanted = found
            got = (hunt / "hashes.txt").read_text().split()
            self.check(len(got) == len(set(got)) and set(got) == wanted,
                       f"hunts/{hunt.name}: {len(got)} results, {len(wanted)} are right")

    def views(self) -> None:
        """The same results in another form."""
        if not (found := self.done_hunt()):
            return
        hunt, wanted = found
        view = self.random.choice(("results.tsv", "results.jsonl", "SHA256SUMS", "samples", "metadata", "by-type", "by-year"))
        self.detail = f" {view}"
        if view == "results.tsv":
            got = [line.split("\t")[0] for line in (hunt / view).read_text().splitlines()[1:]]
        elif view == "results.jsonl":
            got = [json.loads(line)["sha256"] for line in (hunt / view).read_text().splitlines()]
        elif view == "SHA256SUMS":
            got = [line.split()[0] for line in (hunt / view).read_text().splitlines()]
        elif view.startswith("by-"):
            got = [sha256 for group in os.listdir(hunt / view) for sha256 in os.listdir(hunt / view / group)]
        else:
            got = [name.removesuffix(".json") for name in os.listdir(hunt / view)]
        self.check(len(got) == len(wanted) and set(got) == wanted, f"{hunt.name}/{view}: {len(got)} of {len(wanted)}")

    def result_sample(self) -> None:
        """A local sample, by a name below a hunt."""
        if not (found := self.done_hunt()):
            return
        hunt, wanted = found
        if local := sorted(wanted & set(os.listdir(self.root / "samples"))):
            sha256 = self.random.choice(local)
            self.check_bytes((hunt / "samples" / sha256).read_bytes(), sha256, f"hunts/{hunt.name}/samples/")

    def control(self) -> None:
        name = self.some_of(self.hunts)
        if name:
            word = self.random.choice(("run", "retry", "fetch 1", "fetch 2", f"fetch {self.some()}"))
            (self.root / "hunts" / name / "ctl").write_text(word + "\n")

    def note(self) -> None:
        name = self.some_of(self.hunts)
        if not name:
            return
        text = f"note {self.random.getrandbits(32)} of a soak"
        (self.root / "hunts" / name / "ctl").write_text(text + "\n")
        got = (self.random.choice(self.roots) / "hunts" / name / "note").read_text()
        self.check(got == text.removeprefix("note ") + "\n", f"hunts/{name}/note is {got!r}")

    def wait_and_leave(self) -> None:
        """Somebody waits, and is ended."""
        name = self.some_of(self.hunts)
        if not name:
            return
        waiter = subprocess.Popen(["cat", self.root / "hunts" / name / "wait"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        time.sleep(self.random.uniform(0, WAIT_KILL_MAX_S))
        waiter.send_signal(self.random.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))
        waiter.wait(HANG_MAX_S)

    def delete(self) -> None:
        """What was being forgotten when the daemon died is there or not; nobody looks at it again."""
        name = self.some_of(self.hunts)
        if not name:
            return
        del self.hunts[name]
        if self.random.random() < 0.5:
            (self.root / "hunts" / f"{name}.yar").unlink()
        else:
            (self.root / "hunts" / name / "ctl").write_text("forget\n")
        self.check(not (self.root / "hunts" / name).exists(), f"hunts/{name} is still there")

    # lists and searches

    def fetch_list(self) -> None:
        if len(self.lists) >= LISTS_MAX:
            name = self.some_of(self.lists)
            del self.lists[name]
            (self.root / "downloads" / f"{name}.txt").unlink()
        name, wanted = self.new_name(), self.random.sample(self.hashes, self.random.randint(1, 5))
        self.lists[name] = set(wanted)
        (self.root / "downloads" / f"{name}.txt").write_text("\n".join(wanted) + "\n")

    def list_results(self) -> None:
        """Each came, or is missing for a reason."""
        name = self.some_of(self.lists)
        if not name or (self.root / "downloads" / name / "status").read_text().split()[0] != "done":
            return
        place = self.root / "downloads" / name
        got = (place / "hashes.txt").read_text().split()
        missing = [line.split()[0] for line in (place / "missing.txt").read_text().splitlines()]
        self.check(set(got) | set(missing) == self.lists[name], f"downloads/{name}: {got} {missing} of {self.lists[name]}")

    def archive(self) -> None:
        """The archive as it came; fetched again when it was evicted."""
        name = self.some_of(self.lists)
        if not name:
            return
        content = (self.root / "downloads" / name / "archive.zip").read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [member.filename for member in archive.infolist() if member.file_size < ZIP_SIZE_MAX]
            for member in names[:1]:
                digest = hashlib.sha256(archive.read(member, ZIP_PASSWORD)).hexdigest()
                self.check(digest in self.lists[name], f"downloads/{name}/archive.zip has {digest}")

    def search(self) -> None:
        if len(self.searches) >= SEARCHES_MAX:
            place = self.some_of(self.searches)
            del self.searches[place]
            (self.root / place).rmdir()
        sha256 = self.some()
        marker = self.truth[sha256]["marker"]
        if not marker:
            return
        place = f"searches/{self.random.choice(('exact', 'fuzzy'))}/ascii:{marker}"
        self.searches[place] = sha256
        (self.root / place).mkdir()

    def search_results(self) -> None:
        place = self.some_of(self.searches)
        if not place or (self.root / place / "status").read_text().split()[0] != "done":
            return
        got = (self.root / place / "hashes.txt").read_text().split()
        self.check(self.searches[place] in got, f"{place} lacks its sample")
        if "/exact/" in place:
            self.check(len(got) == 1, f"{place}: {got}")

    # requests

    def some_request(self) -> Path | None:
        requests = os.listdir(self.root / "requests")
        return self.root / "requests" / self.random.choice(requests) if requests else None

    def request(self) -> None:
        """One of anybody."""
        request = self.some_request()
        if not request:
            return
        name = self.random.choice(("status", "id", "options", "runs.tsv", "results.tsv", "response.json", "hashes.txt"))
        content = (request / name).read_text()
        if name == "id":
            self.check(content.strip() == request.name, f"requests/{request.name}/id is {content!r}")

    def forget_request(self) -> None:
        request = self.some_request()
        if not request or (request / "status").read_text().split()[0] not in ("done", "failed"):
            return
        self.forgotten.append(request.name)
        if self.random.random() < 0.5:
            request.rmdir()
        else:
            (request / "ctl").write_text("forget\n")
        self.check(request.name not in os.listdir(request.parent), f"{request} is still there")

    # the rest of the tree

    def list(self) -> None:
        place = self.random.choice([".", "hunts", "samples", "metadata", "requests", "downloads", "zips", "searches/exact",
                                    "searches/fuzzy", *(f"hunts/{name}" for name in self.hunts)])
        self.detail = "" if place.startswith("hunts/") else f" {place}"
        for entry in os.scandir(self.root / place):
            entry.stat(follow_symlinks=False)

    def events(self) -> None:
        for line in (self.root / "events").read_text().splitlines():
            self.check("event" in json.loads(line), f"event {line!r}")

    def small_files(self) -> None:
        for name in ("README", "status", "budget", "metrics", "hunts/.defaults"):
            self.check(bool((self.root / name).read_text()), f"{name} is empty")
        self.check(os.statvfs(self.root).f_bsize > 0, "no block size")

    def budget(self) -> None:
        (self.root / "budget").write_text(self.random.choice(("+0\n", "hunts +0\n")))

    # the loop

    OPERATIONS = {"stat": 15, "read": 8, "read_local": 20, "read_held": 5, "read_piece": 4, "metadata": 8, "xattr": 4,
                  "zip": 4, "hunt": 4, "draft": 3, "results": 10, "views": 6, "result_sample": 4, "control": 3, "note": 2,
                  "wait_and_leave": 3, "delete": 1, "fetch_list": 2, "list_results": 4, "archive": 1, "search": 2,
                  "search_results": 4, "request": 3, "forget_request": 1, "list": 10, "events": 3, "small_files": 6,
                  "budget": 1}

    def one(self, name: str) -> None:
        operation: Callable[[], None] = getattr(self, name)
        started = time.monotonic()
        self.detail = ""
        self.root = self.random.choice(self.roots)
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
               "forgotten": worker.forgotten, "wrong": worker.wrong}, sys.stdout)


if __name__ == "__main__":
    main()
