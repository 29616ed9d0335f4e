"""What the tools work on: the zoo of the scenarios, and files of the kinds that the tools are for."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

from samples import EICAR_HALVES, Zoo

TEST_FILES = Path("/usr/share/clamav-testfiles")  # harmless programs, packed and wrapped in many ways
TEST_FILE_MAX_BYTES = 1 << 20  # the few larger ones are installers of the same program
PIXELS = 32

# kind: names in the zoo, as far as they are there
KINDS = {
    "elf": ("true", "echo", "head", "cut"),
    "pe": ("clam.exe", "clam-upx.exe", "clam-nsis.exe", "clam-aspack.exe", "clam.ea05.exe"),
    "pdf": ("whole.pdf", "clam.pdf"),
    "doc": ("clam.ole.doc",),
    "ole": ("clam.ole.doc", "clam.ppt"),
    "ppt": ("clam.ppt",),
    "zip": ("stored.zip", "packed.zip", "clam.zip"),
    "7z": ("clam.7z", "stored.zip", "packed.zip"),
    "json": ("report.json", "more.json"),
    "png": ("picture.png",),
    "text": ("text", "script.sh", "script.py", "wide.txt"),
}


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = (b"\0" + b"\x20\x40\x60" * PIXELS) * PIXELS
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", PIXELS, PIXELS, 8, 2, 0, 0, 0))
            + chunk(b"tEXt", b"Comment\0a stormy picture") + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b""))


def _pdf() -> bytes:
    """One empty page, with a cross-reference table that is right."""
    objects = (b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Resources << >> >>",
               b"<< /Title (A stormy page) >>")
    file, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (file + b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, table)
            + b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(file)))


def _zip(method: int, members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def prepare(zoo: Zoo) -> None:
    """A `prepare` of Bench."""
    members = {"readme.txt": b"dark and stormy\n", "bin/true": zoo["true"].content, "eicar.com": zoo["eicar"].content}
    report = {"name": "stone", "sizes": list(range(500)), "hashes": {"sha256": zoo["true"].sha256}}
    for name, content in {
        "picture.png": _png(), "whole.pdf": _pdf(),
        "stored.zip": _zip(zipfile.ZIP_STORED, members), "packed.zip": _zip(zipfile.ZIP_DEFLATED, members),
        "report.json": json.dumps(report).encode(), "more.json": json.dumps({**report, "name": "drill"}).encode(),
        "script.sh": b"#!/bin/sh\necho dark and stormy\n", "script.py": b"#!/usr/bin/env python3\nprint('stormy')\n",
        "wide.txt": b"\xff\xfe" + "dark and stormy, two bytes each\n".encode("utf-16-le"),
        "twin": b"dark and stormy, of one size. 1\n" * 64, "twin.2": b"dark and stormy, of one size. 2\n" * 64,
    }.items():
        zoo.add(name, content)
    if TEST_FILES.is_dir():
        for path in sorted(TEST_FILES.iterdir()):
            if path.stat().st_size <= TEST_FILE_MAX_BYTES:
                zoo.add(path.name, path.read_bytes())


def yara_rules() -> str:
    """Several rules, with modules, for the tools; the hunt itself has one."""
    return "\n".join((
        'import "pe"', 'import "hash"',
        "rule elf { condition: uint32be(0) == 0x7F454C46 }",
        "rule pe_file : windows { condition: pe.is_pe and pe.number_of_sections < 100 }",
        'rule stormy { strings: $a = "dark and stormy" ascii wide nocase condition: $a }',
        'rule small { condition: filesize < 4KB and hash.md5(0, filesize) != "" }',
        "rule at_the_end { condition: filesize > 16 and uint8(filesize - 1) == 0x0A }",
    )) + "\n"


def clamav_signatures(zoo: Zoo) -> dict[str, str]:
    """A database, file by file: two patterns, and the hash of a whole file."""
    patterns = {"Test.Stormy": b"dark and stormy", "Test.Eicar": EICAR_HALVES[1].encode()}
    return {
        "test.ndb": "".join(f"{name}:0:*:{pattern.hex()}\n" for name, pattern in patterns.items()),
        "test.hsb": f"{zoo['pe64'].sha256}:{zoo['pe64'].size}:Test.Pe64:73\n",
    }
