"""samples/: every sample by its hash. The listing is what is local, looking is free, reading downloads once."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from calendar import timegm
from contextlib import closing
from pathlib import Path
from time import strptime

from harness import EVERYTHING, JOB_MAX_S, Bench, claim, errno_of, main, read_error, same
from proxy import gateway
from samples import LABELS

NOBODY = "0123456789abcdef" * 4
MALFORMED = ("new", "0" * 32, "0" * 40, NOBODY[:-1], NOBODY + "0", NOBODY + ".json", NOBODY + ".zip", "g" + NOBODY[1:],
             "." + NOBODY[1:], f" {NOBODY[1:]}", NOBODY[:-1] + "\u0660", ".hidden", "...")
BLOCK_BYTES = 512


def midnight(day: str) -> int:
    return timegm(strptime(day, "%Y/%m/%d"))


def listed(bench: Bench) -> list[str]:
    return sorted(os.listdir(bench.root / "samples"))


def metadata_asked(bench: Bench) -> list[str]:
    return [digest for call in bench.proxy.calls("metadata") for digest in call.ids]


def attributes(path: Path) -> tuple:
    """All that stat() tells but for the device, which is another after a remount."""
    seen = os.stat(path)
    return (seen.st_ino, oct(seen.st_mode), seen.st_nlink, seen.st_uid, seen.st_gid, seen.st_size, seen.st_blocks,
            seen.st_atime, seen.st_mtime, seen.st_ctime)


# ---- the listing ----


@claim
def the_listing_is_exactly_what_is_local(bench: Bench) -> None:
    same(listed(bench), [])
    hunt = bench.job("wiper", EVERYTHING)
    bench.run("stat hunts/wiper/samples/*")
    same(listed(bench), [], "known is not local")
    (hunt / "samples" / bench.zoo["empty"].sha256).read_bytes()
    bench.sample("pe32").read_bytes()
    (bench.root / "downloads/case.txt").write_text(bench.zoo["text"].sha256 + "\n")
    assert bench.run("cat downloads/case/wait", seconds=JOB_MAX_S).stdout.splitlines()[-1].startswith("done")
    local = sorted(bench.zoo[name].sha256 for name in ("empty", "pe32", "text"))
    for _ in range(2):
        same(listed(bench), local)
        for entry in os.scandir(bench.root / "samples"):
            assert entry.is_file(follow_symlinks=False), entry.name
            same(entry.inode(), os.stat(entry.path).st_ino, entry.name)
        bench.remount()
    n_paid = len(bench.proxy.paid())
    bench.run("sha256sum samples/* && find samples -type f -size +0 && grep -rl stormy samples")
    same(len(bench.proxy.paid()), n_paid, "any scanner may have it")


@claim
def the_listing_needs_no_service(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    n_calls = len(bench.proxy.asked())
    bench.run("ls -la samples && find samples && du -a samples && ls samples/ | wc -l")
    same(len(bench.proxy.asked()), n_calls)


# ---- attributes ----


@claim
def stat_is_exact_and_free(bench: Bench) -> None:
    for sample in bench.zoo:
        seen = os.stat(bench.sample(sample))
        same(seen.st_size, sample.size, sample.path.name)
        same(oct(seen.st_mode), oct(stat.S_IFREG | 0o400), sample.path.name)
        same((seen.st_nlink, seen.st_uid, seen.st_gid), (1, os.getuid(), os.getgid()), sample.path.name)
        same(seen.st_blocks, -(-sample.size // BLOCK_BYTES), sample.path.name)
        said = json.loads(bench.read(f"metadata/{sample.sha256}.json"))
        same((seen.st_mtime, said["filesize"]), (midnight(said["first_seen"]), sample.size), sample.path.name)
    for name, (_, _, first_seen) in LABELS.items():
        same(os.stat(bench.sample(name)).st_mtime, midnight(first_seen), name)
    same(sorted(metadata_asked(bench)), sorted(sample.sha256 for sample in bench.zoo), "each was asked for once")
    same(bench.proxy.paid(), [])


@claim
def reading_changes_no_attribute(bench: Bench) -> None:
    for name in ("marked", "empty", "noise-131073"):
        before = attributes(bench.sample(name))
        bench.sample(name).read_bytes()
        for _ in range(2):
            same(attributes(bench.sample(name)), before, name)
            bench.remount()


@claim
def one_sample_is_one_inode_wherever_it_is(bench: Bench) -> None:
    sample = bench.zoo["pe32"]
    hunt = bench.job("wiper", EVERYTHING)
    (bench.root / "downloads/case.txt").write_text(sample.sha256 + "\n")
    bench.run("cat downloads/case/wait", seconds=JOB_MAX_S)
    reqid = bench.read("hunts/wiper/id").strip()
    places = [bench.root / "samples", hunt / "samples", hunt / "by-label/malware", hunt / "by-family/Stone Drill",
              hunt / "by-year/2019", bench.root / "requests" / reqid / "samples", bench.root / "downloads/case/samples"]
    first = attributes(places[0] / sample.sha256)
    for _ in range(2):
        for place in places:
            same(attributes(place / sample.sha256), first, str(place))
        bench.remount()
    other = os.stat(bench.sample("pe64")).st_ino
    described = os.stat(bench.root / "metadata" / f"{sample.sha256}.json").st_ino
    same(len({first[0], other, described}), 3, "and other files are others")


# ---- names ----


@claim
def upper_case_is_the_same_file(bench: Bench) -> None:
    sample = bench.zoo["marked"]
    upper = bench.root / "samples" / sample.sha256.upper()
    same(attributes(upper), attributes(bench.sample(sample)))
    same(metadata_asked(bench), [sample.sha256], "sent in lower case")
    same(upper.read_bytes(), sample.content)
    same(bench.sample(sample).read_bytes(), sample.content)
    same(listed(bench), [sample.sha256])
    same(bench.proxy.paid(), [sample.sha256])


@claim
def a_malformed_name_is_enoent_without_a_call(bench: Bench) -> None:
    for name in MALFORMED:
        path = bench.root / "samples" / name
        same((errno_of(os.stat, path), read_error(path)), ("ENOENT", "ENOENT"), name)
    same(errno_of(os.stat, bench.root / "samples" / ("a" * 256)), "ENAMETOOLONG")
    same(bench.proxy.calls("metadata", "download"), [])


@claim
def an_unknown_hash_is_enoent_and_asked_for_once(bench: Bench) -> None:
    path = bench.root / "samples" / NOBODY
    same(errno_of(os.stat, path), "ENOENT")
    for _ in range(2):
        same((errno_of(os.stat, path), read_error(path)), ("ENOENT", "ENOENT"))
        same(errno_of(os.stat, bench.root / "samples" / NOBODY.upper()), "ENOENT")
        same(errno_of(os.stat, bench.root / "metadata" / f"{NOBODY}.json"), "ENOENT")
        bench.remount()
    same(metadata_asked(bench), [NOBODY])
    same(listed(bench), [])
    same(bench.proxy.paid(), [])


@claim(trouble="unreachable|connect|no way")
def a_service_that_is_away_is_no_denial(bench: Bench) -> None:
    bench.sample("pdf").read_bytes()
    bench.proxy.down()
    same(errno_of(os.stat, bench.sample("text")), "ENETUNREACH")
    same(bench.sample("pdf").read_bytes(), bench.zoo["pdf"].content, "what is local stays readable")
    bench.proxy.up()
    bench.remount()  # which forgets that it is down
    same(os.stat(bench.sample("text")).st_size, bench.zoo["text"].size)


# ---- bytes ----


@claim
def reading_downloads_once_for_ever(bench: Bench) -> None:
    names = ("text", "pe64", "noise-131072", "noise-131073", "empty")
    for _ in range(2):
        for name in names:
            same(bench.sample(name).read_bytes(), bench.zoo[name].content, name)
            bench.run(f"sha256sum samples/{bench.zoo[name].sha256} && cat samples/{bench.zoo[name].sha256.upper()}")
        bench.remount()
    bench.proxy.down()
    for name in names:
        same(bench.sample(name).read_bytes(), bench.zoo[name].content, "no service is needed any more")
    bench.proxy.up()
    costly = [bench.zoo[name].sha256 for name in names[:-1]]  # all but the empty one
    same([call.ids for call in bench.proxy.calls("download")], [[digest] for digest in costly])
    same(sorted(bench.proxy.paid()), sorted(costly))


@claim(prepare=lambda zoo: zoo.add("noise", os.urandom(10_001)))
def a_size_that_turns_wrong_later_cuts_no_byte(bench: Bench) -> None:
    """A list may say another size of a sample that is here, whose pages the kernel has, and which is being read."""
    path = bench.sample("noise")
    whole = bench.zoo["noise"].content
    wrong = len(whole) // 2 + 1
    same(path.read_bytes(), whole)
    [database] = bench.state.glob("*/*.db")
    with path.open("rb", buffering=0) as file:
        same(file.read(16), whole[:16])
        with closing(sqlite3.connect(database)) as connection, connection:
            same(connection.execute("UPDATE sample SET size = ? WHERE digest = ?",
                                    (wrong, bytes.fromhex(bench.zoo["noise"].sha256))).rowcount, 1)
        bench.run("ls -l samples")
        same(os.stat(path).st_size, len(whole), "what stat() says")
        same(os.pread(file.fileno(), len(whole), 0), whole, "through the old descriptor")
        same(path.read_bytes(), whole, "through a new one")
    same(bench.proxy.paid(), [bench.zoo["noise"].sha256])


@claim
def parts_are_read_from_any_offset(bench: Bench) -> None:
    sample = bench.zoo["noise-3145728"]
    with open(bench.sample(sample), "rb") as file:
        for offset, length in ((sample.size - 1, 10), (131071, 2), (131072, 131073), (0, 1), (sample.size, 1)):
            same(os.pread(file.fileno(), length, offset), sample.content[offset : offset + length], f"at {offset}")
    same(bench.proxy.paid(), [sample.sha256])


@claim
def one_that_cannot_be_delivered_keeps_its_attributes(bench: Bench) -> None:
    bench.proxy.fail("download", gateway(404, "sample not found"))
    for _ in range(2):
        same(read_error(bench.sample("text")), "ENODATA")
        same(os.stat(bench.sample("text")).st_size, bench.zoo["text"].size)
        bench.remount()
    same(listed(bench), [])
    same(len(bench.proxy.calls("download")), 1)


# ---- nothing here can be changed ----


@claim
def nothing_can_be_written_removed_or_made(bench: Bench) -> None:
    path = bench.sample("text")
    path.read_bytes()
    directory = path.parent
    new = directory / "new"
    refused = {
        "write": (lambda: os.open(path, os.O_WRONLY), "EROFS"),
        "read and write": (lambda: os.open(path, os.O_RDWR), "EROFS"),
        "append": (lambda: os.open(path, os.O_WRONLY | os.O_APPEND), "EROFS"),
        "truncate": (lambda: os.truncate(path, 0), "EROFS"),
        "create": (lambda: os.open(new, os.O_CREAT | os.O_WRONLY), "EROFS"),
        "create a hash": (lambda: os.open(directory / NOBODY, os.O_CREAT | os.O_EXCL | os.O_WRONLY), "EEXIST"),
        "unlink": (lambda: os.unlink(path), "EROFS"),
        "rename": (lambda: os.rename(path, new), "EROFS"),
        "rename into hunts": (lambda: os.rename(path, bench.root / "hunts/new.yar"), "EROFS"),
        "rename over it": (lambda: os.rename(bench.sample("pdf"), path), "EROFS"),
        "mkdir": (lambda: os.mkdir(new), "EROFS"),
        "rmdir of a file": (lambda: os.rmdir(path), "ENOTDIR"),
        "rmdir": (lambda: os.rmdir(directory), "EPERM"),
        "link": (lambda: os.link(path, new), "EROFS"),
        "symlink": (lambda: os.symlink(bench.inbox, new), "EROFS"),
        "mkfifo": (lambda: os.mkfifo(new), "EROFS"),
        "chmod": (lambda: os.chmod(path, 0o700), "EROFS"),
        "utime": (lambda: os.utime(path, (0, 0)), "EROFS"),
        "setxattr": (lambda: os.setxattr(path, "user.malquery.label", b"clean"), "ENOTSUP"),
    }
    before = attributes(path)
    for name, (action, wanted) in refused.items():
        same(errno_of(action), wanted, name)
    same(attributes(path), before)
    same(path.read_bytes(), bench.zoo["text"].content)
    same(listed(bench), [bench.zoo["text"].sha256])
    same(bench.proxy.paid(), [bench.zoo["text"].sha256])


@claim
def nothing_can_be_executed(bench: Bench) -> None:
    program = bench.sample("true")
    program.read_bytes()
    same(errno_of(os.execv, program, ["true"]), "EACCES")
    assert not os.access(program, os.X_OK)
    result = bench.run(f"samples/{bench.zoo['true'].sha256}", ok=False)
    same((result.returncode, "ermission denied" in result.stderr), (126, True), result.stderr)
    bench.run(f"cp samples/{bench.zoo['true'].sha256} {bench.inbox}/copy")
    same(os.stat(bench.inbox / "copy").st_mode & 0o111, 0, "nor is a copy, at first")


if __name__ == "__main__":
    main()
