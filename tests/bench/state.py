"""A state with many results, without a service that would have to know as many samples: the rows that their answers
would have left are written into the database. The layout of the tables is that of src/store/store_schema.c."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

from world import World

ANSWER_MAX = 100_000  # results of one request; more become several requests
FIRST_SEEN_S = 1_500_000_000
DONE = 1


def digest(number: int) -> bytes:
    return hashlib.sha256(f"result {number}".encode()).digest()


def size_of(number: int) -> int:
    return 1000 + number * 7 % 900_000


def seen_of(number: int) -> int:
    return FIRST_SEEN_S + number * 60


def request_of(number: int) -> str:
    return f"00000000-0000-4000-8000-00000000{number:04x}"


def fill(world: World, url: str, n: int) -> Path:
    """The state directory of a profile that knows `n` samples, each a result of a finished hunt."""
    place = world.place("state")
    with world.mount(url, place):
        pass
    [database] = place.rglob("*.db")
    with sqlite3.connect(database) as db:
        db.executemany(
            "INSERT INTO sample (row, digest, state, checked, size, first_seen, sha1, md5, filetype, label, family)"
            " VALUES (?, ?, 0, 1, ?, ?, ?, ?, 'pe32', 'malware', ?)",
            ((i + 1, digest(i), size_of(i), seen_of(i), digest(i)[:20].hex(), digest(i)[:16].hex(), f"family {i % 97}")
             for i in range(n)))
        for request in range((n + ANSWER_MAX - 1) // ANSWER_MAX):
            first, last = request * ANSWER_MAX, min(n, (request + 1) * ANSWER_MAX)
            db.execute("INSERT INTO request (row, id, kind, state, n_limit, submitted, finished, n_results)"
                       " VALUES (?, ?, 0, ?, ?, 1, 2, ?)", (request + 1, request_of(request), DONE, ANSWER_MAX, last - first))
            db.executemany("INSERT INTO result VALUES (?, ?, ?)",
                           ((request + 1, i - first, i + 1) for i in range(first, last)))
    db.close()
    return place


def native(world: World, n: int) -> Path:
    """The same names, sizes and times as files, all holes."""
    directory = world.place("native")
    for i in range(n):
        path = directory / digest(i).hex()
        with path.open("wb") as file:
            file.truncate(size_of(i))
        os.utime(path, (seen_of(i), seen_of(i)))
        path.chmod(0o400)
    return directory
