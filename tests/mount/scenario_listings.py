"""What the kernel keeps of a listing, and that nobody ever sees an old one."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from pathlib import Path

from harness import EVERYTHING, JOB_MAX_S, Bench, claim, claim_of_root, main, mount_flags, same, until

NAME = 64  # bytes of each name in these listings
TWO_NAMES = 2 * (19 + NAME + 5)  # bytes of two entries of getdents64(2)
GETDENTS64 = {"x86_64": 217, "aarch64": 61}
DOTS = (".", "..")
TRIES = 10  # the kernel may drop any page at any moment


def written(bench: Bench) -> int:
    """Bytes that the daemon has written: its answers, and next to nothing else."""
    lines = Path(f"/proc/{bench.program.pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


def listed(directory: int) -> list[str]:
    """A listing by a new open of a directory that is open already: no name is looked up."""
    again = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
    try:
        return sorted(os.listdir(again))
    finally:
        os.close(again)


def answer(bench: Bench, directory: int) -> tuple[list[str], int]:
    """What a listing has, and how many bytes the daemon answers for it."""
    before = written(bench)
    names = listed(directory)
    return names, written(bench) - before


def is_kept(bench: Bench, directory: int, names: list[str]) -> bool:
    """Whether a listing that was just read is read again without the daemon."""
    for _ in range(TRIES):
        again, size = answer(bench, directory)
        same(again, names)
        if size < len(names) * NAME:
            return True
    return False


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@claim_of_root
def results_are_listed_once(bench: Bench) -> None:
    bench.mount()
    hunt = bench.job("all", EVERYTHING)
    wanted = sorted(sample.sha256 for sample in bench.zoo)
    for where, suffix in ("samples", ""), ("metadata", ".json"):
        directory = opened(hunt / where)
        names, size = answer(bench, directory)
        same(names, [name + suffix for name in wanted])
        assert size >= len(names) * NAME, f"{size} bytes are no listing: what is measured?"
        assert is_kept(bench, directory, names), f"{where} is listed by the daemon again and again"
        os.close(directory)


@claim(engine=["--job-delay-ms", "1500"])
def results_that_come_are_seen_at_once(bench: Bench) -> None:
    """Whoever looked before has seen that there were none, here and in another mount of the profile."""
    second_root = bench.directory / "second"
    second_root.mkdir()
    second = bench.start_mount(second_root)
    bench.submit("all", EVERYTHING)
    places = [root / "hunts/all/samples" for root in (bench.root, second_root)]
    open_since = [opened(place) for place in places]
    for place, directory in zip(places, open_since):
        same((os.listdir(place), listed(directory)), ([], []))
    assert bench.wait("all").startswith("done")
    wanted = sorted(sample.sha256 for sample in bench.zoo)
    same(sorted(os.listdir(places[0])), wanted)
    until(lambda: (second_root / "hunts/all/status").read_text().startswith("done"), JOB_MAX_S, "done over there")
    for place, directory in zip(places, open_since):
        for _ in range(2):
            same((sorted(os.listdir(place)), listed(directory), sorted(os.listdir(directory))), (wanted, wanted, wanted))
        os.close(directory)
    bench.run(f"fusermount3 -u {second_root}", cwd=bench.directory)
    same((second.wait(), mount_flags(second_root)), (0, None))


@claim
def another_run_is_another_listing(bench: Bench) -> None:
    hunt = bench.job("all", EVERYTHING)
    for _ in range(2):
        same(len(os.listdir(hunt / "samples")), len(list(bench.zoo)))
    (bench.root / "hunts/all.yar").write_text(EVERYTHING.replace("100MB", "0"))
    (hunt / "ctl").write_text("run\n")
    assert bench.wait("all").startswith("done")
    same(os.listdir(hunt / "samples"), [])


@claim_of_root
def local_samples_are_listed_once(bench: Bench) -> None:
    bench.mount()
    for sample in bench.zoo:
        bench.sample(sample).read_bytes()
    until(lambda: is_settled(bench), 10, "settled")
    for where, suffix in ("samples", ""), ("zips", ".zip"):
        directory = opened(bench.root / where)
        names = listed(directory)
        same(names, sorted(sample.sha256 + suffix for sample in bench.zoo))
        assert is_kept(bench, directory, names), f"{where} is listed by the daemon again and again"
        os.close(directory)


def object_of(bench: Bench, name: str) -> Path:
    [path] = bench.cache.rglob(bench.zoo[name].sha256)
    return path


@claim
def what_comes_and_goes_is_seen_at_once(bench: Bench) -> None:
    """Here, by another mount of the profile, and by hand; also by whoever looked a moment before."""
    second_root = bench.directory / "second"
    second_root.mkdir()
    second = bench.start_mount(second_root)
    local: set[str] = set()

    def look() -> None:
        for _ in range(2):
            for root in (bench.root, second_root):
                same(sorted(os.listdir(root / "samples")), sorted(bench.zoo[name].sha256 for name in local), root.name)
                same(len(os.listdir(root / "zips")), len(local), root.name)

    look()
    for root, name in (bench.root, "pe32"), (second_root, "pe64"), (second_root, "eicar"), (bench.root, "pdf"):
        (root / "samples" / bench.zoo[name].sha256).read_bytes()
        local.add(name)
        look()
    until(lambda: is_settled(bench), 10, "the directories are as old as a listing that is kept")
    look()
    for name in ("pe64", "pe32"):
        object_of(bench, name).unlink()
        local.remove(name)
        look()
    bench.run(f"fusermount3 -u {second_root}", cwd=bench.directory)
    same((second.wait(), mount_flags(second_root)), (0, None))


def is_settled(bench: Bench) -> bool:
    newest = max(path.stat().st_mtime for path in bench.cache.rglob("*") if path.is_dir())
    return time.time() - newest > 1


def some(directory: int, size: int) -> list[str]:
    """The next names, of one getdents64(2) with room for `size` bytes."""
    buffer = ctypes.create_string_buffer(size)
    libc = ctypes.CDLL(None, use_errno=True)
    n = libc.syscall(GETDENTS64[platform.machine()], directory, buffer, size)
    assert n >= 0, os.strerror(ctypes.get_errno())
    names, at = [], 0
    while at < n:
        length = int.from_bytes(buffer.raw[at + 16:at + 18], sys.byteorder)
        names.append(buffer.raw[at + 19:at + length].split(b"\0", 1)[0].decode())
        at += length
    return names


@claim
def whoever_reads_while_names_come_and_go_gets_the_others_once(bench: Bench) -> None:
    """At each place of the listing, with a copy in the kernel and without, and also from a place that was told."""
    names = sorted(sample.sha256 for sample in bench.zoo)
    if platform.machine() not in GETDENTS64:
        return
    for sample in bench.zoo:
        bench.sample(sample).read_bytes()
    until(lambda: is_settled(bench), 10, "settled")
    for n in range(1, len(names), 3):
        gone = [names[0], names[n], names[-1]]
        for _ in range(2):
            same(sorted(os.listdir(bench.root / "samples")), names)
        directory = opened(bench.root / "samples")
        first: list[str] = []
        while len(first) < n:
            first += [name for name in some(directory, TWO_NAMES) if name not in DOTS]
        for name in gone:
            [path] = bench.cache.rglob(name)
            path.rename(bench.directory / name)
        same(sorted(os.listdir(bench.root / "samples")), [name for name in names if name not in gone])
        place = os.lseek(directory, 0, os.SEEK_CUR)
        rest = read_on(directory)
        os.lseek(directory, place, os.SEEK_SET)
        same(read_on(directory), rest, "from a place that was told")
        same(sorted(name for name in first + rest if name not in gone), [name for name in names if name not in gone])
        same(len(set(first + rest)), len(first + rest), "each once")
        os.lseek(directory, 0, os.SEEK_SET)
        os.close(directory)
        for name in gone:
            (bench.directory / name).rename(place_of(bench, name))
        until(lambda: is_settled(bench), 10, "settled")


def place_of(bench: Bench, name: str) -> Path:
    [above] = [path for path in bench.cache.rglob(f"{name[:2]}/{name[2:4]}") if path.is_dir()]
    return above / name


def read_on(directory: int) -> list[str]:
    names: list[str] = []
    while more := some(directory, TWO_NAMES):
        names += more
    return [name for name in names if name not in DOTS]


@claim
def rewinding_shows_what_is_there_now(bench: Bench) -> None:
    directory = opened(bench.root / "metadata")
    same(os.listdir(directory), [])
    for n, name in enumerate(("pe32", "pe64"), 1):
        bench.sample(name).read_bytes()
        same(len(os.listdir(directory)), n)  # of the same stream, from its beginning
    os.close(directory)


if __name__ == "__main__":
    main()
