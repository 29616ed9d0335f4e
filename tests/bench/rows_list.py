"""Listing many results, and what they cost: time to mount, memory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import state
from bench import Race, below, faster_than, row, within
from harness import Program, mount_flags, until
from world import KIB, MIB, Mount, World, drop_dentries, rss_bytes, tree_bytes

RESULTS = 100_000
PEER_FILES = 10_000


def n_results(world: World) -> int:
    return 2000 if world.quick else RESULTS


def url_of(world: World) -> str:
    """A service that has next to nothing."""
    return world.once("small service", lambda: world.keep(world.service(world.noise(1, 64 * KIB))))


def filled(world: World, n: int) -> Path:
    return world.once(("filled", n), lambda: state.fill(world, url_of(world), n))


def native(world: World, n: int) -> Path:
    return world.once(("native", n), lambda: state.native(world, n))


def shell(world: World, command: str, place: Path) -> str:
    return world.run("/bin/sh", "-c", command, cwd=place).stdout


def views(world: World) -> dict[str, Path]:
    def make() -> dict[str, Path]:
        n = n_results(world)
        ours = world.keep(world.mount(url_of(world), filled(world, n)))
        bare = world.keep(world.bare(native(world, n)))
        return {"malqueryfs": ours / "requests" / state.request_of(0) / "samples",
                "native": native(world, n), "bare": bare}

    return world.once("views", make)


def race_of_lists(world: World, race: Race, command: str, check: str, rounds: int, is_cold: bool) -> None:
    """`check` prints the same lines for everybody, whatever their order."""
    def lines(place: Path) -> list[str]:
        return sorted(shell(world, check, place).splitlines())

    wanted = lines(views(world)["native"])
    for contestant, place in views(world).items():
        def once(place: Path = place) -> None:
            shell(world, f"{command} > /dev/null", place)

        race.add(contestant, once, drop_dentries if is_cold else once)
    race.run(rounds)
    for contestant, place in views(world).items():
        assert lines(place) == wanted, f"{contestant} does not print what `{check}` prints of plain files"


LS = "ls -l"
LS_CHECK = "ls -ln --time-style=+%s | sed -n '2,$s/^[^ ]* *[^ ]* //p'"  # without `total`, mode and links
FIND = "find . -type f -size +400k -newermt 2018-01-01"


@row("ls-first", "`ls -l` of 100,000 results, first time", "s", [within("native", 0.7)], control="bare")
def ls_first(world: World, race: Race) -> None:
    race_of_lists(world, race, LS, LS_CHECK, 7, True)


@row("ls-again", "`ls -l` of 100,000 results, again", "s", [within("native", 1)], control="bare")
def ls_again(world: World, race: Race) -> None:
    race_of_lists(world, race, LS, LS_CHECK, 7, False)


@row("find-first", "`find -size -newermt` over 100,000 results, first time", "s", [within("native", 1)], control="bare")
def find_first(world: World, race: Race) -> None:
    race_of_lists(world, race, FIND, FIND, 7, True)


@row("find-again", "`find -size -newermt` over 100,000 results, again", "s", [within("native", 1)], control="bare")
def find_again(world: World, race: Race) -> None:
    race_of_lists(world, race, FIND, FIND, 7, False)


@row("ls-peers", "`ls -l` of 10,000 files just mounted", "s",
     [faster_than("rclone", 1), faster_than("httpdirfs", 1), faster_than("sshfs", 1)])
def ls_peers(world: World, race: Race) -> None:
    n = 200 if world.quick else PEER_FILES
    directory = native(world, n)
    mounts = {"rclone": lambda: world.rclone(directory), "httpdirfs": lambda: world.httpdirfs(directory, ready=False),
              "sshfs": lambda: world.sshfs(directory)}

    def lists(place: Path) -> float:
        started = time.monotonic()
        printed = shell(world, "ls -l | wc -l", place)
        seconds = time.monotonic() - started
        assert printed.strip() == str(n + 1), printed
        return seconds

    def ours() -> float:
        with world.mount(url_of(world), filled(world, n)) as place:
            return lists(place / "requests" / state.request_of(0) / "samples")

    def peer(mount) -> float:
        with mount() as place:
            return lists(place)

    race.add("malqueryfs", ours)
    for name, mount in mounts.items():
        race.add(name, lambda mount=mount: peer(mount))
    race.run(2)


@row("memory", "memory of the daemon, 100,000 results listed", "bytes",
     [below(120 * MIB, "resident"), below(250, "each result")])
def memory(world: World, race: Race) -> None:
    n = n_results(world)
    with world.mount(url_of(world), filled(world, n)) as ours:
        before = rss_bytes(ours.program.pid)
        shell(world, "ls -l > /dev/null", ours / "requests" / state.request_of(0) / "samples")
        after = rss_bytes(ours.program.pid)
        race.add("malqueryfs", lambda: {"resident": float(after), "most": float(rss_bytes(ours.program.pid, "VmHWM")),
                                        "each result": (after - before) / n})
        race.run(1)


def seconds_to_mount(world: World, command: list[str | Path], place: Path, is_usable) -> float:
    """From exec to the first answer."""
    started = time.monotonic()
    program = Program(command, world.environment, world.directory / "mount.log")
    try:
        until(lambda: mount_flags(place) and is_usable(), 60, "usable")
        return time.monotonic() - started
    finally:
        world.unmount(place)
        program.wait(20)


@row("mount", "mount: exec to usable, 100,000 known results", "s",
     [below(0.15), faster_than("rclone", 1), faster_than("sshfs", 1), faster_than("httpdirfs", 1)])
def mount(world: World, race: Race) -> None:
    n = n_results(world)
    directory = world.noise(1, 64 * KIB)
    [name] = os.listdir(directory)
    samples = f"requests/{state.request_of(0)}/samples/{state.digest(n - 1).hex()}"
    commands = {"malqueryfs": (samples, lambda place: [world.malqueryfs, "-f", *world.mount_options(
                    url_of(world), filled(world, n)), place]),
                "rclone": (name, lambda place: world.rclone_command(directory, place)),
                "httpdirfs": (name, lambda place: world.httpdirfs_command(directory, place)),
                "sshfs": (name, lambda place: world.sshfs_command(directory, place))}
    for contestant, (known, command) in commands.items():
        def once(known: str = known, command=command) -> float:
            place = world.place("mount")
            return seconds_to_mount(world, command(place), place, lambda: (place / known).exists())

        race.add(contestant, once)
    race.run(5)


SIZES = {"1k": 1000, "10k": 10_000, "100k": 100_000, "1M": 1_000_000}


@row("growth", "growth with the number of results", "s",
     [within("100k", 15, "`ls -l`"), within("100k", 15, "mount")], ours="1M")
def growth(world: World, race: Race) -> None:
    """A million are ten requests, and ten times 100,000 are at most fifteen times the work."""
    sizes = {"1k": 1000, "10k": 10_000} if world.quick else SIZES
    for name, n in sizes.items():
        race.add(name, lambda n=n: grown(world, n))
    race.run(1)
    for name, n in sizes.items():
        place = filled(world, n)
        race.notes.append(f"{name}: {tree_bytes(place) / n:.0f} bytes a result on disk, "
                          f"{world.once(('resident', n), lambda: 0) / MIB:.0f} MiB resident once listed")


def grown(world: World, n: int) -> dict[str, float]:
    place = Mount(world.place("mount"))
    command = [world.malqueryfs, "-f", *world.mount_options(url_of(world), filled(world, n)), place]
    started = time.monotonic()
    program = Program(command, world.environment, world.directory / "growth.log")
    try:
        until(lambda: mount_flags(place) and (place / "metadata").exists(), 60, "usable")
        mounted = time.monotonic()
        found = shell(world, "for one in requests/*/samples; do ls -l $one | sed 1d; done | wc -l", place).strip()
        assert found == str(n), f"{found} of {n} listed"
        listed = time.monotonic()
        world.once(("resident", n), lambda: rss_bytes(program.pid))
        known = shell(world, "ls -f metadata | grep -c json", place).strip()
        assert known == str(n), f"{known} of {n} in metadata"
        return {"mount": mounted - started, "`ls -l`": listed - mounted, "`ls metadata`": time.monotonic() - listed}
    finally:
        world.unmount(place)
        program.wait(20)
