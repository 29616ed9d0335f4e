"""What the kernel keeps of a listing, and that nobody ever sees an old one."""

from __future__ import annotations

import os
from pathlib import Path

from harness import EVERYTHING, JOB_MAX_S, Bench, claim, claim_of_root, main, mount_flags, same, until

NAME = 64  # bytes of each name in these listings
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


@claim
def rewinding_shows_what_is_there_now(bench: Bench) -> None:
    directory = opened(bench.root / "samples")
    same(os.listdir(directory), [])
    for n, name in enumerate(("pe32", "pe64"), 1):
        bench.sample(name).read_bytes()
        same(len(os.listdir(directory)), n)  # of the same stream, from its beginning
    os.close(directory)


if __name__ == "__main__":
    main()
