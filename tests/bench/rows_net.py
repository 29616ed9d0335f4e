"""What comes over the wire: a large download, an archive of many samples, a hunt in malqueryd."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from bench import Race, faster_than, row, within
from service import Client
from world import HERE, KIB, MIB, World, python, tool

HUNT_RULE = """rule rare {
    strings: $a = "a text that no sample has" $b = { 6D 71 ?? 66 73 00 11 22 } $c = { 00 01 02 [2-4] 55 }
    condition: any of them
}
"""


@row("download-100M", "download of one sample of 100 MiB, durable; only the Python client verifies it as well", "s",
     [within("curl -o; sync", 1.3), faster_than("python3-requests", 3)], control="curl -o; sync")
def download(world: World, race: Race) -> None:
    size, rounds = (4 * MIB, 1) if world.quick else (100 * MIB, 5)
    directory = world.noise(rounds, size)
    names = sorted(os.listdir(directory))
    out = world.place("curl") / "out"
    with world.service(directory, is_tcp=True) as url, world.mount(url) as ours:
        client, mine, theirs, others = Client(world, url), iter(names), iter(names), iter(names)

        def open_it() -> float:
            name = next(mine)
            started = time.monotonic()
            with (ours / "samples" / name).open("rb", buffering=0) as sample:
                sample.read(1)
            seconds = time.monotonic() - started
            world.run("cmp", ours / "samples" / name, directory / name)
            return seconds

        def curl() -> float:
            name = next(theirs)
            started = time.monotonic()
            client.curl(f"malquery/entities/download-files/v1?ids={name}", "-o", out)
            world.run("sync", out)
            seconds = time.monotonic() - started
            world.run("cmp", out, directory / name)
            out.unlink()
            return seconds

        def requests() -> float:
            name = next(others)
            started = time.monotonic()
            world.run(python("requests"), HERE / "client.py", url, client.token, out.parent, name)
            seconds = time.monotonic() - started
            world.run("cmp", out.with_name(name), directory / name)
            out.with_name(name).unlink()
            return seconds

        race.add("malqueryfs", open_it, before=os.sync)
        race.add("curl -o; sync", curl, before=os.sync)
        race.add("python3-requests", requests, before=os.sync)
        race.run(rounds)


def checks_names(world: World, names: list[str]) -> Path:
    """For sha256sum -c: each file is named as its digest."""
    sums = world.directory / "SHA256SUMS"
    sums.write_text("".join(f"{name}  {name}\n" for name in names))
    return sums


@row("fetch-1000", "1,000 samples of 100 KiB: the archive of a request that is done, fetched, unpacked, verified, durable", "s",
     [faster_than("7z x; sha256sum; sync", 1.2), faster_than("unzip; sha256sum; sync", 1.2),
      faster_than("bsdtar; sha256sum; sync", 1.2)])
def fetch(world: World, race: Race) -> None:
    """The request is of another client, so that what is timed has no pause before a poll in it."""
    n = 20 if world.quick else 1000
    directory = world.noise(n, 100 * KIB)
    names = sorted(os.listdir(directory))
    sums = checks_names(world, names)
    seven, archive = tool("7zz"), world.place("archive") / "many.zip"
    world.run(seven, "a", "-tzip", "-mx0", "-pinfected", archive, ".", cwd=directory)
    with world.service(directory) as url:
        client = Client(world, url)

        def ours() -> float:
            reqid = client.submit("malquery/entities/samples-multidownload/v1", {"samples": names})
            client.finish(reqid)
            os.sync()
            with world.mount(url) as mount:
                started = time.monotonic()
                last = (mount / "requests" / reqid / "wait").read_text().splitlines()[-1]
                seconds = time.monotonic() - started
                assert last.startswith("done"), last
                local = os.listdir(mount / "samples")
                assert len(local) == n, f"{len(local)} of {n} are local"
                for name in names[:: max(1, n // 20)]:
                    assert hashlib.sha256((mount / "samples" / name).read_bytes()).hexdigest() == name
                return seconds

        def unpack(program: str, *arguments: str | Path) -> Callable[[], None]:
            def theirs() -> None:
                place = world.place("unpacked")
                world.run(tool(program), *arguments, archive, cwd=place)
                world.run("sha256sum", "--quiet", "-c", sums, cwd=place)
                world.run("sync", "-f", place)
                shutil.rmtree(place)

            return theirs

        race.add("malqueryfs", ours, before=os.sync)
        race.add("7z x; sha256sum; sync", unpack("7zz", "x", "-pinfected"), before=os.sync)
        race.add("unzip; sha256sum; sync", unpack("unzip", "-q", "-P", "infected"), before=os.sync)
        race.add("bsdtar; sha256sum; sync", unpack("bsdtar", "--passphrase", "infected", "-x", "-f"), before=os.sync)
        race.run(5)


@row("hunt", "a hunt over 2,000 samples, 200 KiB each", "s", [faster_than("yara -r -p2", 0.95)], ours="malqueryd")
def hunt(world: World, race: Race) -> None:
    directory = world.noise(50 if world.quick else 2000, 200 * KIB)
    rule = world.directory / "hunt.yar"
    rule.write_text(HUNT_RULE)
    with world.service(directory) as url:
        client = Client(world, url)
        found: dict[str, set[str]] = {}

        def ours() -> None:
            found["malqueryd"] = client.hunt(HUNT_RULE)

        def theirs() -> None:
            lines = world.run(tool("yara"), "-r", "-p", "2", rule, directory).stdout.splitlines()
            found["yara"] = {Path(line.split(maxsplit=1)[1]).name for line in lines}

        race.add("malqueryd", ours)
        race.add("yara -r -p2", theirs)
        race.run(5)
    assert found["malqueryd"] == found["yara"], "not the same samples"


@row("exact", "ten exact searches for texts of single files, over 2 GiB of programs and libraries", "s",
     [faster_than("rg -F", 5)], ours="malqueryd")
def exact(world: World, race: Race) -> None:
    directory = world.programs((16 if world.quick else 2048) * MIB)
    texts = some_texts(directory, 10)
    with world.service(directory) as url:
        client = Client(world, url)

        def ours() -> None:
            found["malqueryd"] = [client.search(text) for text in texts]

        def theirs() -> None:
            found["rg"] = [set(map(os.path.basename, world.run(
                tool("rg"), "-F", "-l", "-a", "-uuu", "--no-messages", "--", text, directory, ok=(0, 1)).stdout.splitlines()))
                for text in texts]

        found: dict[str, list[set[str]]] = {}
        race.add("malqueryd", ours)
        race.add("rg -F", theirs)
        race.run(5)
    assert found["malqueryd"] == found["rg"], "not the same samples"


def some_texts(directory: Path, n: int) -> list[str]:
    """Words of sixteen letters or more, each of another file."""
    chance = random.Random(n)
    texts: list[str] = []
    files = sorted(directory.iterdir())
    while len(texts) < n:
        words = re.findall(rb"[A-Za-z_]{16,40}", chance.choice(files).read_bytes())
        if words:
            texts.append(chance.choice(words).decode())
    return texts
