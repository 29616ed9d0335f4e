"""What comes over the wire: a large download, an archive of many samples, a hunt in malqueryd."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from bench import Race, faster_than, row, within
from harness import CREDENTIALS
from world import KIB, MIB, World, tool

POLL_S = 0.01
JOB_MAX_S = 300
HUNT_RULE = """rule rare {
    strings: $a = "a text that no sample has" $b = { 6D 71 ?? 66 73 00 11 22 } $c = { 00 01 02 [2-4] 55 }
    condition: any of them
}
"""


class Client:
    """curl, as a script would call the service."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.socket = world, url.removeprefix("unix:")
        form = world.place("token") / "form"
        form.write_text(f"client_id={CREDENTIALS['FALCON_CLIENT_ID']}&client_secret={CREDENTIALS['FALCON_CLIENT_SECRET']}")
        self.header = ""
        token = json.loads(self.curl("oauth2/token", "-d", f"@{form}"))["access_token"]
        self.header = f"Authorization: Bearer {token}"

    def curl(self, path: str, *arguments: str | Path) -> str:
        header = ("-H", self.header) if self.header else ()
        return self.world.run(tool("curl"), "-sSf", "--unix-socket", self.socket, *header, *arguments,
                              f"http://localhost/{path}").stdout

    def hunt(self, rule: str) -> set[str]:
        body = self.world.directory / "hunt.json"
        body.write_text(json.dumps({"options": {"limit": 100_000}, "yara_rule": rule}))
        meta = json.loads(self.curl("malquery/queries/hunt/v1", "-H", "Content-Type: application/json", "-d", f"@{body}"))
        path = f"malquery/entities/requests/v1?ids={meta['meta']['reqid']}"
        end = time.monotonic() + JOB_MAX_S
        while time.monotonic() < end:
            answer = json.loads(self.curl(path))
            if answer["meta"]["status"] != "inprogress":
                assert answer["meta"]["status"] == "done", answer["meta"]
                return {one["sha256"] for one in answer["resources"] or []}
            time.sleep(POLL_S)
        raise AssertionError("the hunt does not end")


@row("download-100M", "download of one sample of 100 MiB, durable; the peer does not verify it", "s",
     [within("curl -o; sync", 1.3)])
def download(world: World, race: Race) -> None:
    size, rounds = (4 * MIB, 1) if world.quick else (100 * MIB, 5)
    directory = world.noise(rounds, size)
    names = sorted(os.listdir(directory))
    out = world.place("curl") / "out"
    with world.service(directory) as url, world.mount(url) as ours:
        client, mine, theirs = Client(world, url), iter(names), iter(names)

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

        race.add("malqueryfs", open_it, before=os.sync)
        race.add("curl -o; sync", curl, before=os.sync)
        race.run(rounds)


@row("fetch-1000", "1,000 samples of 100 KiB by a list, from cp to done; 2 s of it are the pause before the first poll", "s",
     [faster_than("7z x; sha256sum; sync", 1.2)])
def fetch(world: World, race: Race) -> None:
    n = 20 if world.quick else 1000
    directory = world.noise(n, 100 * KIB)
    names = sorted(os.listdir(directory))
    wanted = world.directory / "many.txt"
    wanted.write_text("\n".join(names) + "\n")
    sums = world.directory / "SHA256SUMS"
    sums.write_text("".join(f"{name}  {name}\n" for name in names))
    seven, archive = tool("7zz"), world.place("archive") / "many.zip"
    world.run(seven, "a", "-tzip", "-mx0", "-pinfected", archive, ".", cwd=directory)
    with world.service(directory) as url:

        def ours() -> float:
            with world.mount(url) as mount:
                started = time.monotonic()
                world.run("cp", wanted, mount / "downloads/many.txt")
                last = (mount / "downloads/many/wait").read_text().splitlines()[-1]
                seconds = time.monotonic() - started
                assert last.startswith("done"), last
                local = os.listdir(mount / "samples")
                assert len(local) == n, f"{len(local)} of {n} are local"
                for name in names[:: max(1, n // 20)]:
                    assert hashlib.sha256((mount / "samples" / name).read_bytes()).hexdigest() == name
                return seconds

        def theirs() -> None:
            place = world.place("7z")
            world.run(seven, "x", "-pinfected", f"-o{place}", archive)
            world.run("sha256sum", "--quiet", "-c", sums, cwd=place)
            world.run("sync", "-f", place)

        race.add("malqueryfs", ours, before=os.sync)
        race.add("7z x; sha256sum; sync", theirs, before=os.sync)
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
