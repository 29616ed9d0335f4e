"""Archives of multi-downloads that the proxy replaces: what is in them comes out whole and right, or not at all."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import JOB_MAX_S, Bench, claim, main, same, until
from proxy import Exchange, Reply
from samples import Sample, pool, pooled

SEVEN_ZIP = shutil.which("7zz") or "7z"  # Debian 12 and 13 call it differently
PASSWORD = "infected"
BOMB_BYTES = 1 << 28
FOREIGN = b"what nobody asked for\n" * 50

warnings.filterwarnings("ignore", "Duplicate name", module="zipfile")  # one of them has two, on purpose


# ---- how an archive of two samples may look ----


class NoSeek(io.RawIOBase):
    """Where zipfile cannot go back, it writes data descriptors."""

    def __init__(self, to: io.BytesIO) -> None:
        self._to = to

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        return self._to.write(data)


def packed(*members: tuple[str | zipfile.ZipInfo, bytes], to: Callable[[io.BytesIO], object] = lambda body: body,
           compression: int = zipfile.ZIP_DEFLATED, zip64: bool = False) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(to(body), "w", compression) as archive:
        for name, content in members:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            info.compress_type = compression
            with archive.open(info, "w", force_zip64=zip64) as member:
                member.write(content)
    return body.getvalue()


def named(*samples: Sample) -> list[tuple[str, bytes]]:
    return [(sample.sha256, sample.content) for sample in samples]


def sealed(*options: str, password: str = PASSWORD) -> Callable[[Path, Sample, Sample], bytes]:
    """By 7-Zip, with a password."""

    def make(place: Path, a: Sample, b: Sample) -> bytes:
        for sample in (a, b):
            (place / sample.sha256).write_bytes(sample.content)
        subprocess.run([SEVEN_ZIP, "a", "-tzip", f"-p{password}", *options, "a.zip", a.sha256, b.sha256], cwd=place,
                       check=True, stdout=subprocess.DEVNULL)
        return (place / "a.zip").read_bytes()

    return make


def kind_of(mode: int, name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3  # Unix
    info.external_attr = mode << 16
    return info


def spoilt(place: Path, a: Sample, b: Sample) -> bytes:
    """One byte of the second member is another."""
    body = packed(*named(a, b), compression=zipfile.ZIP_STORED)
    middle = body.index(b.content) + b.size // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def without_checksum(place: Path, a: Sample, b: Sample) -> bytes:
    """The same with the checksum to it: only the hash tells."""
    return packed(*named(a), (b.sha256, b.content[:-1] + b"!"))


def mislabelled(place: Path, a: Sample, b: Sample) -> bytes:
    """Names and bytes exchanged: the bytes count."""
    return packed((a.sha256, b.content), (b.sha256, a.content))


def lying_bomb(place: Path, a: Sample, b: Sample) -> bytes:
    """Zeros under the name of the second, said to be as long as it is."""
    body = packed(*named(a), (b.sha256, bytes(BOMB_BYTES)))
    return body.replace(BOMB_BYTES.to_bytes(4, "little"), b.size.to_bytes(4, "little"))


@dataclass(frozen=True)
class Variant:
    name: str
    make: Callable[[Path, Sample, Sample], bytes]
    arrive: str | None  # which of the two; None: it is no archive, and is fetched again and again


VARIANTS = [
    Variant("ZipCrypto, stored", sealed("-mem=ZipCrypto", "-mx=0"), "ab"),
    Variant("ZipCrypto, packed", sealed("-mem=ZipCrypto", "-mx=9"), "ab"),
    Variant("AES-256, packed", sealed("-mem=AES256", "-mx=9"), "ab"),
    Variant("AES-128, stored", sealed("-mem=AES128", "-mx=0"), "ab"),
    Variant("another password", sealed("-mem=AES256", password="guess"), ""),
    Variant("another password, ZipCrypto", sealed("-mem=ZipCrypto", password="guess"), ""),
    Variant("no password", lambda place, a, b: packed(*named(a, b)), "ab"),
    Variant("zip64", lambda place, a, b: packed(*named(a, b), zip64=True), "ab"),
    Variant("data descriptors", lambda place, a, b: packed(*named(a, b), to=NoSeek), "ab"),
    Variant("names that are paths", lambda place, a, b: packed(("../../../../../tmp/mq-evil", a.content),
                                                                ("/tmp/mq-evil", b.content)), "ab"),
    Variant("names with backslashes", lambda place, a, b: packed(("..\\..\\mq-evil", a.content),
                                                                  ("C:\\mq-evil", b.content)), "ab"),
    Variant("names without end", lambda place, a, b: packed(("n" * 60_000, a.content), ("/" * 60_000, b.content)),
            "ab"),
    Variant("names exchanged", mislabelled, "ab"),
    Variant("links and directories beside them",
            lambda place, a, b: packed((kind_of(stat.S_IFLNK | 0o777, "mq-evil"), b"/etc/passwd"),
                                       (kind_of(stat.S_IFDIR | 0o755, "dir/"), b""), *named(a, b)), "ab"),
    Variant("others beside them", lambda place, a, b: packed(("0" * 64, FOREIGN), ("mq-evil", FOREIGN), *named(a, b)),
            "ab"),
    Variant("the second missing", lambda place, a, b: packed(*named(a)), "a"),
    Variant("nothing in it", lambda place, a, b: packed(), ""),
    Variant("the second spoilt", spoilt, "a"),
    Variant("the second of another hash", without_checksum, "a"),
    Variant("the first twice, once wrong", lambda place, a, b: packed((a.sha256, FOREIGN), *named(a, b)), "ab"),
    Variant("a bomb", lambda place, a, b: packed(*named(a), (b.sha256, bytes(BOMB_BYTES))), "a"),
    Variant("a bomb that lies", lying_bomb, "a"),
    Variant("an archive in an archive", lambda place, a, b: packed(("x.zip", packed(*named(b))), *named(a)), "a"),
    Variant("cut in the middle", lambda place, a, b: packed(*named(a, b))[:-40], None),
    Variant("cut to nothing", lambda place, a, b: b"", None),
    Variant("no archive", lambda place, a, b: FOREIGN, None),
    Variant("only the head of one", lambda place, a, b: b"PK\x03\x04" + bytes(4096), None),
]


# ---- the claim ----


class Archives:
    """All variants at once on one mount: a list of two samples for each, and its archive from here."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        fresh = pooled(bench.zoo)
        self.pairs = {variant.name: (next(fresh), next(fresh)) for variant in VARIANTS}
        self.bodies: dict[str, bytes] = {}
        for number, variant in enumerate(VARIANTS):
            place = bench.directory / f"pack{number}"
            place.mkdir()
            self.bodies[variant.name] = variant.make(place, *self.pairs[variant.name])
            shutil.rmtree(place)
        self.of_request: dict[str, bytes] = {}

    def fault(self, exchange: Exchange) -> Reply:
        until(lambda: exchange.call.ids[0] in self.of_request, JOB_MAX_S, "whose request it is")
        return Reply(200, {"Content-Type": "application/zip"}, self.of_request[exchange.call.ids[0]])

    def place(self, number: int) -> Path:
        return self.bench.root / "downloads" / f"l{number}"

    def submit(self) -> None:
        for number, variant in enumerate(VARIANTS):
            (self.bench.root / "downloads" / f"l{number}.txt").write_text(
                "".join(f"{sample.sha256}\n" for sample in self.pairs[variant.name]))
            self.of_request[(self.place(number) / "id").read_text().strip()] = self.bodies[variant.name]

    def were_fetched(self, numbers: list[int]) -> bool:
        answers = [call.answer for call in self.bench.proxy.calls("fetch")]
        return all(self.bodies[VARIANTS[number].name] in answers for number in numbers)

    def look(self, number: int, arrived: list[Sample]) -> None:
        """As many as came, byte by byte, and a reason for the others."""
        place = self.place(number)
        until(lambda: (place / "status").read_text().startswith("done"), JOB_MAX_S, "done")
        missing = (place / "missing.txt").read_text().splitlines()
        same(sorted(os.listdir(place / "samples")), sorted(sample.sha256 for sample in arrived), f"came; {missing}")
        for sample in arrived:
            same((place / "samples" / sample.sha256).read_bytes() == sample.content, True, "bytes")
            same((place / "samples" / sample.sha256).stat().st_size, sample.size, "size")
        same(len(missing), 2 - len(arrived), "reasons")


@claim(prepare=pool, limit_s=100)
def what_is_in_an_archive_comes_out_right_or_not_at_all(bench: Bench) -> None:
    archives = Archives(bench)
    bench.proxy.fail("fetch", archives.fault)
    archives.submit()
    problems = []

    def look(number: int, wanted: str) -> None:
        variant = VARIANTS[number]
        pair = dict(zip("ab", archives.pairs[variant.name]))
        try:
            archives.look(number, [pair[letter] for letter in wanted if letter in pair])
        except Exception as error:
            problems.append(f"{variant.name}: {error}")

    later = [number for number, variant in enumerate(VARIANTS) if variant.arrive is None]
    for number in range(len(VARIANTS)):
        if number not in later:
            look(number, VARIANTS[number].arrive)
    until(lambda: archives.were_fetched(later), JOB_MAX_S, "they were fetched")
    same([(archives.place(number) / "status").read_text().split()[0] for number in later], ["inprogress"] * len(later),
         "what is no archive is fetched again")
    bench.proxy.heal("fetch")
    for number in later:
        look(number, "ab")
    assert not problems, "\n".join(problems)
    evil = [*bench.directory.rglob("mq-evil*"), *Path("/tmp").glob("mq-evil*")]
    same(evil, [], "names are no paths")
    asked = [sample.sha256 for pair in archives.pairs.values() for sample in pair]
    same(sorted(bench.proxy.paid()), sorted(asked), "each paid for once")


if __name__ == "__main__":
    main()
