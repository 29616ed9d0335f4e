"""Reading what is local: whole files, first bytes, and a scanner over many."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

from bench import Missing, Race, below, faster_than, row, within
from world import KIB, MIB, World, rss_bytes

BLOCK = 128 * KIB  # what cat and cp read at a time
FIRST_BLOCK = 4 * KIB
SMALL_FILES = 200
LIST_MAX = 1000  # samples of one list


def local(world: World, directory: Path):
    """A mount in which all files of the directory are local and sealed; shared by the rows."""
    def make():
        url = world.keep(world.service(directory))
        ours = world.keep(world.mount(url))
        names = os.listdir(directory)
        for number, start in enumerate(range(0, len(names), LIST_MAX)):
            (world.directory / "list.txt").write_text("\n".join(names[start:start + LIST_MAX]) + "\n")
            world.run("cp", world.directory / "list.txt", ours / f"downloads/{number}.txt")
            last = (ours / f"downloads/{number}/wait").read_text().splitlines()[-1]
            assert last.startswith("done"), last
        for name in os.listdir(directory):
            world.run("cmp", ours / "samples" / name, directory / name)
        return ours

    return world.once(("local", directory), make)


def peers(world: World, race: Race, directory: Path) -> dict[str, Path]:
    """Everybody's view of the directory, each kept where the peer keeps what it has read."""
    views = {"malqueryfs": lambda: local(world, directory) / "samples", "native": lambda: directory}
    views |= {name: lambda mount=mount: world.once((mount.__name__, directory), lambda: world.keep(mount(directory)))
              for name, mount in (("bare", world.bare), ("bare-sealed", world.bare_sealed), ("httpdirfs", world.httpdirfs),
                                  ("rclone", world.rclone), ("sshfs", world.sshfs))}
    found = {}
    for name, view in views.items():
        try:
            found[name] = view()
        except Missing as what:
            race.leave_out(name, what)
    return found


def race_of_reads(world: World, race: Race, how: str, size: int, rounds: int) -> None:
    directory = world.noise(1, size)
    [name] = os.listdir(directory)
    for contestant, place in peers(world, race, directory).items():
        world.reader("whole", BLOCK, place / name, directory / name)  # into the peer's own cache
        race.add(contestant, lambda place=place: world.reader(how, BLOCK, place / name, directory / name)[0])
    race.run(rounds)


FIRST_GOALS = [faster_than("bare", 0.7), faster_than("httpdirfs", 1), faster_than("rclone", 6), faster_than("sshfs", 8)]
AGAIN_GOALS = [faster_than("native", 0.45), faster_than("httpdirfs", 5), faster_than("rclone", 25)]


@row("read-first-16M", "first read of a sealed sample, 16 MiB", "s", FIRST_GOALS, control="bare-sealed")
def read_first_16m(world: World, race: Race) -> None:
    race_of_reads(world, race, "forget", 16 * MIB, 21)


@row("read-first-256M", "first read of a sealed sample, 256 MiB", "s", FIRST_GOALS, control="bare-sealed")
def read_first_256m(world: World, race: Race) -> None:
    race_of_reads(world, race, "forget", (32 if world.quick else 256) * MIB, 9)


@row("read-again-16M", "repeated read, 16 MiB", "s", AGAIN_GOALS, control="bare")
def read_again_16m(world: World, race: Race) -> None:
    race_of_reads(world, race, "whole", 16 * MIB, 21)


@row("read-again-256M", "repeated read, 256 MiB", "s", AGAIN_GOALS, control="bare")
def read_again_256m(world: World, race: Race) -> None:
    race_of_reads(world, race, "whole", (32 if world.quick else 256) * MIB, 9)


@row("first-byte", "open to first byte of a local sample, warm", "s",
     [within("bare", 1.3, "p50"), within("bare", 2, "p99"), faster_than("httpdirfs", 3, "p50"),
      faster_than("sshfs", 10, "p50"), faster_than("rclone", 25, "p50")], control="bare-sealed")
def first_byte(world: World, race: Race) -> None:
    directory = world.noise(20 if world.quick else SMALL_FILES, 20 * KIB)

    def once(place: Path) -> dict[str, float]:
        times = statistics.quantiles(world.reader("first", FIRST_BLOCK, place, directory), n=100)
        return {"p50": times[49], "p99": times[98]}

    for contestant, place in peers(world, race, directory).items():
        race.add(contestant, lambda place=place: once(place))
    race.run(7)


RULE = """rule rare { strings: $a = "a text that no sample has" $b = { 6D 71 ?? 66 73 00 11 22 } condition: any of them }
"""


@row("yara", "yara -r -p2 over 5,000 local samples, second pass", "s", [within("native", 1.15)], control="bare-sealed")
def yara_second_pass(world: World, race: Race) -> None:
    directory = world.noise(50 if world.quick else 5000, 40 * KIB)
    rule = world.directory / "rare.yar"
    rule.write_text(RULE)

    def scan(place: Path) -> None:
        world.run("yara", "-r", "-p", "2", rule, place)

    ours = local(world, directory) / "samples"
    with world.bare(directory) as bare, world.bare_sealed(directory) as sealed:  # what FUSE itself takes for it
        for contestant, place in (("malqueryfs", ours), ("native", directory), ("bare", bare), ("bare-sealed", sealed)):
            scan(place)
            race.add(contestant, lambda place=place: scan(place))
        race.run(7)


@row("memory-rest", "memory of the daemon at rest", "bytes", [below(60 * MIB)])
def memory_at_rest(world: World, race: Race) -> None:
    with world.service(world.noise(1, 16 * MIB)) as url, world.mount(url) as ours:
        os.listdir(ours)
        race.add("malqueryfs", lambda: float(rss_bytes(ours.program.pid)))
        race.run(1)
