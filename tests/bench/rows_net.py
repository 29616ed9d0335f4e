"""What comes over the wire: a large download, an archive of many samples, a hunt in malqueryd."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from bench import Race, faster_than, row, within
from harness import CREDENTIALS
from proxy import EngineConnection
from world import HERE, KIB, MIB, World, python, tool

POLL_S = 0.01
JOB_MAX_S = 300
EVERYTHING = {"limit": 100_000}
HUNT_RULE = """rule rare {
    strings: $a = "a text that no sample has" $b = { 6D 71 ?? 66 73 00 11 22 } $c = { 00 01 02 [2-4] 55 }
    condition: any of them
}
"""


class Client:
    """As a script would call the service: curl for bytes, one connection for requests and polls. A new process every few
    milliseconds would take the cores from the service that is measured."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.connection = EngineConnection(url)
        self.base = url if url.startswith("http") else "http://localhost"
        self.way = () if url.startswith("http") else ("--unix-socket", url.removeprefix("unix:"))
        self.token = world.place("token") / "token"
        form = self.token.with_name("form")
        form.write_text(f"client_id={CREDENTIALS['FALCON_CLIENT_ID']}&client_secret={CREDENTIALS['FALCON_CLIENT_SECRET']}")
        self.header = ""
        self.token.write_text(json.loads(self.curl("oauth2/token", "-d", f"@{form}"))["access_token"])
        self.header = f"Authorization: Bearer {self.token.read_text()}"

    def curl(self, path: str, *arguments: str | Path) -> str:
        header = ("-H", self.header) if self.header else ()
        return self.world.run(tool("curl"), "-sSf", *self.way, *header, *arguments, f"{self.base}/{path}").stdout

    def ask(self, method: str, path: str, body: dict | None = None) -> dict:
        headers = {"Authorization": self.header.split(": ", 1)[1], "Content-Type": "application/json"}
        self.connection.request(method, f"/{path}", json.dumps(body) if body else None, headers)
        return json.load(self.connection.getresponse())

    def submit(self, path: str, body: dict) -> str:
        """The id of the request."""
        return self.ask("POST", path, body)["meta"]["reqid"]

    def finish(self, reqid: str) -> set[str]:
        """Its results, once it is done."""
        end = time.monotonic() + JOB_MAX_S
        while time.monotonic() < end:
            answer = self.ask("GET", f"malquery/entities/requests/v1?ids={reqid}")
            if answer["meta"]["status"] != "inprogress":
                assert answer["meta"]["status"] == "done", answer["meta"]
                return {one["sha256"] for one in answer["resources"] or []}
            time.sleep(POLL_S)
        raise AssertionError(f"request {reqid} does not end")

    def hunt(self, rule: str) -> set[str]:
        return self.finish(self.submit("malquery/queries/hunt/v1", {"options": EVERYTHING, "yara_rule": rule}))

    def search(self, text: str) -> set[str]:
        patterns = [{"type": "ascii", "value": text}]
        return self.finish(self.submit("malquery/queries/exact-search/v1", {"options": EVERYTHING, "patterns": patterns}))


@row("download-100M", "download of one sample of 100 MiB, durable; only the Python client verifies it as well", "s",
     [within("curl -o; sync", 1.3), faster_than("python3-requests", 3)])
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
