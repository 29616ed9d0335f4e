"""The bench on which every claim is tried: a zoo, malqueryd, the proxy, and malqueryfs on a real mount.

A scenario is a file scenario_<name>.py full of claims and ends with `if __name__ == "__main__": main()`:

    @claim(engine=["--download-limit", "1"])
    def a_used_up_quota_is_edquot(bench: Bench) -> None:
        ...

Each claim gets a bench of its own, in a directory of its own, and nothing is left of it afterwards. A claim fails when
it raises, when a program logs `level=err` or a sanitizer report, exits with another status than 0, or leaves a mount or
a process. Claims named on the command line run alone; MQFS_KEEP=1 keeps the directories.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy import Proxy
from samples import Sample, Zoo

NOBODY = 65534  # a user and a group
SKIP = 77  # CTest's SKIP_RETURN_CODE
CLIENT_ID = "0123456789abcdef0123456789abcdef"
CLIENT_SECRET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
CREDENTIALS = {"FALCON_CLIENT_ID": CLIENT_ID, "FALCON_CLIENT_SECRET": CLIENT_SECRET}

PATIENCE = float(os.environ.get("MALQUERYFS_PATIENCE", "1"))  # what takes so many times as long is no hang: TSan
START_MAX_S = 20 * PATIENCE  # of either program, under a sanitizer on a busy machine
STOP_MAX_S = 5 * PATIENCE
RUN_MAX_S = 30 * PATIENCE
JOB_MAX_S = 40 * PATIENCE
CLAIM_MAX_S = 60
AT_ONCE_S = 2  # what must not wait for the network
POLL_S = 0.01
LOG_TAIL_LINES = 40

TROUBLE = re.compile(
    r"\blevel=err\b|ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed"
)
HOME_PLACES = {
    "XDG_STATE_HOME": ".local/state",
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
    "XDG_RUNTIME_DIR": "run",
}
PASSED_ENVIRONMENT = ("PATH", "GCOV_ERROR_FILE", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
SANITIZERS = ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")

EVERYTHING = "rule everything { condition: filesize < 100MB }\n"
ELF_FILES = "rule elf_files { strings: $magic = { 7F 45 4C 46 } condition: $magic at 0 }\n"


# ---- small helpers ----


def same(got: object, wanted: object, what: str = "") -> None:
    if got != wanted:
        raise AssertionError(f"{what}\n      got {got!r}\n   wanted {wanted!r}")


def until(condition: Callable[[], object], seconds: float, what: str) -> object:
    """The first true value of `condition`, asked for again and again for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(POLL_S)
    return value


def errno_of(action: Callable[..., object], *args: object) -> str | None:
    """"ENOENT", when `action` fails so; None, when it does not fail."""
    try:
        action(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def read_error(path: Path | str) -> str | None:
    return errno_of(lambda: Path(path).read_bytes())


def sha256(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def mount_flags(mountpoint: Path) -> str | None:
    """Type and options of what is mounted there, None when nothing is."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == str(mountpoint):
            return f"{fields[fields.index('-') + 1]} {fields[5]}"
    return None


def _look(read: Callable[[], bytes]) -> bytes:
    """Nothing, when the process is gone or closed to us."""
    try:
        return read()
    except OSError:
        return b""


def processes_of(directory: Path) -> dict[int, str]:
    """Processes that name `directory` in their arguments or work in it; never this one."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        arguments = os.fsdecode(_look(lambda: (entry / "cmdline").read_bytes())).replace("\0", " ").strip()
        place = os.fsdecode(_look(lambda: os.fsencode(os.readlink(entry / "cwd"))))
        if str(directory) in arguments or Path(place).is_relative_to(directory):
            found[int(entry.name)] = arguments
    return found


def parent_of(pid: int) -> int:
    """0 of a process that is gone."""
    found = re.search(rb"^PPid:\t(\d+)", _look(lambda: Path(f"/proc/{pid}/status").read_bytes()), re.MULTILINE)
    return int(found[1]) if found else 0


def helper_of(pid: int) -> int:
    """The process beside the daemon `pid` that unmounts; not the private engine, nor a child that becomes fusermount3."""
    def named_so() -> list[int]:
        children = [int(entry.name) for entry in Path("/proc").iterdir()
                    if entry.name.isdigit() and parent_of(int(entry.name)) == pid]
        return [child for child in children if _look((Path(f"/proc/{child}") / "comm").read_bytes) == b"malqueryfs\n"]

    until(lambda: len(named_so()) == 1, START_MAX_S, "a helper and no other child")
    return named_so()[0]


@contextlib.contextmanager
def fuse_for_everybody() -> Iterator[None]:
    """As udev makes it; a machine without udev gives /dev/fuse to root alone. One claim at a time, or the mode that is
    put back would be that of another."""
    with open("/dev/fuse", "rb") as device:
        fcntl.flock(device, fcntl.LOCK_EX)
        mode = stat.S_IMODE(os.stat("/dev/fuse").st_mode)
        os.chmod("/dev/fuse", mode | 0o666)
        try:
            yield
        finally:
            os.chmod("/dev/fuse", mode)


class Program:
    """One of our two programs in the foreground, its stderr in a log; ended by its pid and never by a name."""

    def __init__(self, arguments: Sequence[str | Path], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *map(str, arguments)],
                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_running(self) -> bool:
        return self.process.poll() is None

    def first_line(self) -> str:
        ready, _, _ = select.select([self.process.stdout], [], [], START_MAX_S)
        line = self.process.stdout.readline().decode().strip() if ready else ""
        assert line, f"{self.log.name}: no line within {START_MAX_S} s, exit status {self.process.poll()}"
        return line

    def wait(self, seconds: float = STOP_MAX_S) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.is_running():
            self.process.kill()
        self.process.wait(STOP_MAX_S)


# ---- the bench ----


class Bench:
    """`engine` and `options` are further arguments of the two programs, `prepare` adds to the zoo, `trouble` is a
    pattern of log lines that are right in this claim, `mounted` says whether the mount is there from the start, and
    `is_bounded` leaves budget and reserve as they are for users: claims about other things are not bounded by them."""

    def __init__(self, engine: Sequence[str] = (), options: Sequence[str] = (), mounted: bool = True,
                 prepare: Callable[[Zoo], None] | None = None, trouble: str | None = None,
                 is_bounded: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mq-", dir="/tmp"))  # short: Unix sockets have 108 bytes
        self.root = self.directory / "mnt"
        self.state = self.directory / "state"
        self.cache = self.directory / "cache"
        self.logs = self.directory / "logs"
        self.inbox = self.directory / "in"
        self.home = self.directory / "home"
        self.faults = self.directory / "faults"  # faults.py
        for directory in (self.root, self.logs, self.inbox, self.home):
            directory.mkdir()
        self.zoo = Zoo(self.directory / "zoo")
        if prepare:
            prepare(self.zoo)
        self.options = [*([] if is_bounded else ["budget=unlimited:unlimited", "reserve=0"]), *options]
        self.credentials = dict(CREDENTIALS)
        self.engine_arguments = list(engine)
        self.program: Program | None = None
        self.engine: Program | None = None
        self.proxy: Proxy | None = None
        self._mounted = mounted
        self._right_trouble = re.compile(trouble) if trouble else None

    def __enter__(self) -> Bench:
        try:
            self.start_engine()
            if self._mounted:
                self.mount()
        except BaseException:
            self._end_everything()
            raise
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                self._end_well()
        finally:
            self._end_everything()

    # the two programs

    @property
    def environment(self) -> dict[str, str]:
        """Of the programs, but for the credentials, and of the tools."""
        kept = {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}
        for name in SANITIZERS:
            kept[name] = f"{kept.get(name, '')}:log_path={self.logs}/sanitizer".lstrip(":")
        kept["MQFS_REPORTS"] = os.environ.get("MQFS_REPORTS", str(self.logs))  # what is confined may write its report there, too
        places = {name: str(self.home / place) for name, place in HOME_PLACES.items()}
        for place in places.values():
            Path(place).mkdir(mode=0o700, parents=True, exist_ok=True)
        return {**kept, **places, "HOME": str(self.home), "LC_ALL": "C", "TZ": "UTC"}

    def start_engine(self) -> None:
        limits = ["--hunt-limit", "1000", "--download-limit", "1000", "--job-delay-ms", "100", *(["-v"] if PATIENCE > 1 else [])]
        self.engine = Program(
            [malqueryd(), "--socket", self.directory / "d.sock", "--index", self.directory / "index.db",
             "--labels", self.zoo.labels, *limits, *self.engine_arguments, self.zoo.directory],
            {**self.environment, **CREDENTIALS}, self.logs / "malqueryd.log",
        )
        url = self.engine.first_line()
        if PATIENCE > 1:  # it would tell programs that wait less to try again
            until(lambda: "index is complete" in self.engine.log.read_text(), START_MAX_S, "all is indexed")
        self.proxy = Proxy(url)

    def mount(self) -> None:
        self.program = self.start_mount(self.root)

    def start_mount(self, mountpoint: Path, more: Sequence[str] = ()) -> Program:
        """malqueryfs with the one profile of this bench and `more` options, as soon as its mount is there."""
        places = [f"base_url={self.proxy.url}", f"state_dir={self.state}", f"cache_dir={self.cache}"]
        options = [*places, *self.options, *more]
        program = Program(
            [malqueryfs(), "-f", "-o", ",".join(options), mountpoint],
            {**self.environment, **self.credentials, "MQFS_FAULTS": str(self.faults)}, self.logs / "malqueryfs.log",
        )
        until(lambda: mount_flags(mountpoint) or not program.is_running(), START_MAX_S, "the mount")
        assert program.is_running(), f"malqueryfs ended with {program.wait()}"
        return program

    def unmount(self) -> None:
        """Whoever looks into all of /tmp or /proc makes it busy for a moment."""
        until(lambda: not self.run(f"fusermount3 -u {self.root}", ok=False, cwd=self.directory).returncode,
              STOP_MAX_S, "fusermount3 -u")
        status = self.program.wait()
        self.program = None
        same(status, 0, "exit status of malqueryfs after unmount")

    def remount(self) -> None:
        self.unmount()
        self.mount()

    def kill(self) -> None:
        """kill -9, as a crash or the OOM killer does it; its helper unmounts."""
        self.program.kill()
        self.program = None
        until(lambda: not mount_flags(self.root), STOP_MAX_S, "the mount is gone")

    # tools

    def run(self, command: str, *, ok: bool = True, cwd: Path | None = None,
            seconds: float = RUN_MAX_S) -> subprocess.CompletedProcess[str]:
        """A line for /bin/sh, at the root of the mount; `ok` says whether it has to succeed."""
        result = subprocess.run(["/bin/sh", "-c", command], cwd=cwd or self.root, env=self.environment, timeout=seconds,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="surrogateescape")
        if ok and result.returncode:
            raise AssertionError(f"`{command}` ended with {result.returncode}: {result.stderr.strip()}")
        return result

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """A tool in the background, at the root of the mount."""
        return subprocess.Popen(list(map(str, arguments)), cwd=self.root, env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def submit(self, name: str, text: str, *, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """`cp NAME.yar hunts/`"""
        (self.inbox / f"{name}.yar").write_text(text)
        return self.run(f"cp {self.inbox}/{name}.yar hunts/", ok=ok)

    def wait(self, name: str) -> str:
        """The last line of hunts/NAME/wait, read to its end."""
        return self.run(f"cat hunts/{name}/wait", seconds=JOB_MAX_S).stdout.splitlines()[-1]

    def job(self, name: str, text: str) -> Path:
        """A finished hunt's directory."""
        self.submit(name, text)
        line = self.wait(name)
        assert line.startswith("done"), f"hunts/{name}/wait ends with {line!r}"
        return self.hunt(name)

    # places

    def hunt(self, name: str) -> Path:
        return self.root / "hunts" / name

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def sample(self, sample: Sample | str) -> Path:
        """samples/<sha256>, of a sample by its short name or itself."""
        known = self.zoo[sample] if isinstance(sample, str) else sample
        return self.root / "samples" / known.sha256

    # the end

    def _end_well(self) -> None:
        if self.program:
            self.unmount()
        if self.engine.is_running():
            self.engine.process.terminate()
            same(self.engine.wait(), 0, "exit status of malqueryd after SIGTERM")
        left = processes_of(self.directory)
        until(lambda: not processes_of(self.directory), STOP_MAX_S, f"nothing is left of {left}")
        assert not mount_flags(self.root), "left mounted"
        trouble = [line for _, line in self._log_lines() if TROUBLE.search(line) and not self._is_right(line)]
        assert not trouble, "trouble in the logs:\n" + "\n".join(trouble[:LOG_TAIL_LINES])

    def _end_everything(self) -> None:
        for program in filter(None, (self.program, self.engine)):
            program.kill()
        if self.proxy:
            self.proxy.close()
        if mount_flags(self.root):
            subprocess.run(["fusermount3", "-uz", self.root], check=False)
        for pid in processes_of(self.directory):
            os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        if not os.environ.get("MQFS_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def _is_right(self, line: str) -> bool:
        return bool(self._right_trouble and self._right_trouble.search(line))

    def _log_lines(self) -> Iterator[tuple[str, str]]:
        for log in sorted(self.logs.iterdir()):
            for line in log.read_text(errors="replace").splitlines():
                yield log.name, line

    def report(self) -> str:
        """What a developer needs to see of a failed claim."""
        lines = [f"  proxy: {call}" for call in self.proxy.calls()] if self.proxy else []
        lines = lines[-LOG_TAIL_LINES:]
        for log in sorted(self.logs.iterdir()):
            tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            lines += [f"  {log.name}: {line}" for line in tail]
        return "\n".join(lines)


# ---- claims ----


@dataclass(frozen=True)
class Claim:
    test: Callable[[Bench], None]
    bench: dict
    limit_s: float

    @property
    def name(self) -> str:
        return self.test.__name__


_claims: list[Claim] = []


def claim(test: Callable[[Bench], None] | None = None, limit_s: float = CLAIM_MAX_S, **bench: object):
    """Registers a claim; the other keywords are those of Bench."""
    if test is None:
        return lambda function: claim(function, limit_s, **bench)
    _claims.append(Claim(test, bench, limit_s))
    return test


def claim_of_root(test: Callable[[Bench], None] | None = None, **bench: object):
    """One that only root can try, as CI does, since it looks into other processes, mounts a disk or becomes another
    user; not mounted from the start."""
    if test is None:
        return lambda function: claim_of_root(function, **bench)
    return claim(test, mounted=False, **bench) if os.geteuid() == 0 else test


def malqueryfs() -> str:
    return os.environ["MALQUERYFS"]


def malqueryd() -> str:
    return os.environ["MALQUERYD"]


def _try(one: Claim) -> bool:
    started = time.monotonic()
    bench = Bench(**one.bench)
    # A hanging mount would block us in the kernel for good: killing its daemon ends every system call on it.
    watchdog = threading.Timer(one.limit_s * PATIENCE, lambda: bench.program and bench.program.kill())
    watchdog.daemon = True
    watchdog.start()
    try:
        with bench:
            one.test(bench)
        problem = "" if watchdog.is_alive() else f"took more than {one.limit_s * PATIENCE} s"
    except Exception:
        problem = traceback.format_exc()
    watchdog.cancel()
    seconds = time.monotonic() - started
    print(f"{'FAIL' if problem else 'ok'}  {one.name}  {seconds:.1f} s", flush=True)
    if problem:
        print(f"{problem}\n{bench.report()}\n  repro: MALQUERYFS={malqueryfs()} MALQUERYD={malqueryd()} "
              f"python3 {sys.argv[0]} {one.name}", flush=True)
    bench.remove()
    return not problem


def why_skip() -> str | None:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"skipped: /dev/fuse cannot be opened ({error.strerror}), so nothing can be mounted here"
    return None


def main() -> None:
    """Runs the claims; the exit status is CTest's."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # children shall not inherit that it is ignored
    if any(one.bench.get("mounted", True) for one in _claims) and (reason := why_skip()):
        print(reason)
        sys.exit(SKIP)
    wanted = [one for one in _claims if len(sys.argv) == 1 or one.name in sys.argv[1:]]
    assert wanted, f"no such claim; there are {', '.join(one.name for one in _claims)}"
    results = [_try(one) for one in wanted]
    sys.exit(0 if all(results) else 1)
