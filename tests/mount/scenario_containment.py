"""Live malware stays where it is: in memory and behind the mount, for its owner alone, and never to be run."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import EVERYTHING, JOB_MAX_S, Bench, claim, errno_of, main, same, until

PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/log", "/var/spool", "/var/cache")  # disk and what is backed by swap
FILE_MAX_BYTES = 256 << 20
CHUNK_BYTES = 1 << 20
NOBODY = 65534


def fresh_files(bench: Bench, since: float) -> Iterator[Path]:
    """What was written since where our processes may write: the bench, but for the zoo, which is the engine's and plain;
    files that a library leaves right in a place for temporaries; a directory there that is called as our programs are.
    The directories of others are theirs: how long it takes to read them is a matter of luck."""
    for place in PLACES:
        for directory, below, names in os.walk(place):
            below[:] = [name for name in below if Path(directory, name) not in (bench.root, bench.zoo.directory)
                        and (directory != place or name == bench.directory.name or name.startswith("malquery"))]
            for name in names:
                path = Path(directory, name)
                try:
                    status = path.lstat()
                except OSError:
                    continue
                if status.st_mtime >= since - 1 and 0 < status.st_size < FILE_MAX_BYTES and path.is_file() \
                        and not path.is_symlink():
                    yield path


def holds(path: Path, marker: bytes) -> bool:
    tail = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                if marker in tail + chunk:
                    return True
                tail = chunk[-len(marker):]
    except OSError:
        pass
    return False


@claim
def a_marker_is_found_nowhere(bench: Bench) -> None:
    """Single opens, an archive that is fetched and unpacked, a zip that is made: all of them of marked samples."""
    since = time.time()
    marker = bench.zoo.marker.encode()
    control = bench.inbox / "control"
    control.write_bytes(b"x" * 1000 + marker)
    same(bench.sample("marked").read_bytes(), bench.zoo["marked"].content)
    bench.job("all", EVERYTHING)
    bench.run("echo fetch all > hunts/all/ctl")
    until(lambda: len(os.listdir(bench.root / "samples")) == len(bench.zoo), JOB_MAX_S, "all are local")
    assert (bench.root / "zips" / f"{bench.zoo['marked'].sha256}.zip").stat().st_size > 0
    bench.run("cat zips/*.zip downloads/all/archive.zip samples/* > /dev/null")
    with tempfile.NamedTemporaryFile(dir="/var/tmp", buffering=0) as outside:
        outside.write(b"x" * CHUNK_BYTES + marker)
        for _ in range(2):  # with the mount, and after it
            found = [path for path in fresh_files(bench, since) if holds(path, marker)]
            same(sorted(found), sorted([control, Path(outside.name)]), "files with plain bytes of a sample")
            if bench.program:
                bench.unmount()
    journal = subprocess.run(["dmesg"], capture_output=True, check=False).stdout
    assert marker not in journal


@claim
def a_sample_cannot_be_run(bench: Bench) -> None:
    path = bench.sample("true")
    path.read_bytes()
    same(errno_of(os.execv, path, ["true"]), "EACCES")
    same(bench.run(f"samples/{path.name}", ok=False).stderr.strip().rsplit(": ", 1)[1], "Permission denied")
    same(bench.run(f"/lib64/ld-linux-x86-64.so.2 {path}", ok=False).returncode != 0, True, "mapped as a program")
    same(errno_of(path.chmod, 0o700), "EROFS")


def as_nobody(action) -> int:
    """The exit status of `action` in a process without rights: its errno."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            action()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@claim
def another_user_gets_eacces(bench: Bench) -> None:
    bench.directory.chmod(0o755)
    eacces = 13
    same(as_nobody(lambda: os.listdir(bench.inbox.parent)), 0, "the way there")
    for action in (lambda: os.listdir(bench.root), lambda: os.stat(bench.root), lambda: (bench.root / "status").read_text(),
                   lambda: bench.sample("pe32").read_bytes(), lambda: os.listdir(bench.state),
                   lambda: os.listdir(bench.cache)):
        same(as_nobody(action), eacces)
    same(bench.proxy.paid(), [])


if __name__ == "__main__":
    main()
