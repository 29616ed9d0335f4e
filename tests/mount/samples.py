"""A zoo: a directory of small, real files for the engine, and what every one of them truly is."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ELF_PROGRAMS = ("/usr/bin/true", "/usr/bin/echo", "/usr/bin/head", "/usr/bin/cut")
EICAR_HALVES = ("X5O!P%@AP[4\\PZX54(P^)7CC)7}", "$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")
SIZES = (1, 4096, 131072, 131073, 3 * 1024 * 1024)  # around the page and the sealed chunk of 128 KiB
POOL = 120

# name: label, family, first_seen
LABELS = {
    "pe32": ("malware", "Stone Drill", "2019/03/12"),
    "pe64": ("malware", "Agent/Tesla", "2014/05/09"),
    "eicar": ("pua", "EICAR", "2001/02/03"),
    "true": ("clean", "", "2020/06/09"),
}


@dataclass(frozen=True)
class Sample:
    path: Path
    sha256: str
    size: int

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()


def minimal_pe(machine: int, optional_magic: int, optional_bytes: int) -> bytes:
    """DOS header, PE signature, COFF header and an empty optional header: enough for every type detection."""
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    coff = struct.pack("<HHIIIHH", machine, 0, 0, 0, 0, optional_bytes, 0x0102)
    optional = struct.pack("<H", optional_magic) + bytes(optional_bytes - 2)
    return dos + b"PE\0\0" + coff + optional


def pool(zoo: Zoo) -> None:
    """A `prepare` for claims that need many samples of which nobody has asked for yet."""
    for number in range(POOL):
        zoo.add(f"pool-{number}", f"sample {number} of the pool\n".encode() * (20 + number))


def pooled(zoo: Zoo) -> Iterator[Sample]:
    return iter([sample for sample in zoo if sample.path.name.startswith("pool-")])


class Zoo:
    """Files below `directory`, addressed by a short name: zoo["pe32"].sha256."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.labels = directory.with_name("labels.tsv")
        self.marker = f"marker of one sample {os.urandom(16).hex()}"
        self._samples: dict[str, Sample] = {}
        self._labels = dict(LABELS)
        noise = random.Random(1)

        for program in ELF_PROGRAMS:
            self.add(Path(program).name, Path(program).read_bytes())
        self.add("pe32", minimal_pe(0x014C, 0x010B, 224))
        self.add("pe64", minimal_pe(0x8664, 0x020B, 240))
        self.add("text", b"It was a dark and stormy night.\n" * 9)
        self.add("pdf", b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n")
        self.add("eicar", "".join(EICAR_HALVES).encode())
        self.add("marked", self.marker.encode() + b"\n" + noise.randbytes(200_000) + self.marker.encode())
        self.add("empty", b"")
        for size in SIZES:
            self.add(f"noise-{size}", noise.randbytes(size))
        self._copy("true", "deep/er/same as true")
        self._write_labels()

    def __getitem__(self, name: str) -> Sample:
        return self._samples[name]

    def __iter__(self):
        return iter(self._samples.values())

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def costly(self) -> list[Sample]:
        """All but the empty one, which nobody has to pay for."""
        return [sample for sample in self if sample.size]

    def by_hash(self, sha256: str) -> Sample:
        return next(sample for sample in self if sample.sha256 == sha256)

    def add(self, name: str, content: bytes) -> Sample:
        """One more file; label() says more about it."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._samples[name] = Sample(path, hashlib.sha256(content).hexdigest(), len(content))
        return self._samples[name]

    def label(self, name: str, label: str, family: str, first_seen: str) -> None:
        """What labels.tsv says about a sample."""
        self._labels[name] = (label, family, first_seen)
        self._write_labels()

    def _copy(self, name: str, to: str) -> None:
        path = self.directory / to
        path.parent.mkdir(parents=True)
        shutil.copyfile(self[name].path, path)

    def _write_labels(self) -> None:
        rows = ["sha256\tlabel\tfamily\tfirst_seen"]
        rows += ["\t".join((self[name].sha256, *labels)) for name, labels in self._labels.items()]
        self.labels.write_text("\n".join(rows) + "\n")
