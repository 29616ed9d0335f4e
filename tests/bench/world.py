"""What rows are run in: one directory, our programs, their data, and the peers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mount"))

from harness import CREDENTIALS, Program, mount_flags, until  # noqa: E402

from bench import Missing  # noqa: E402
from service import Client  # noqa: E402

KIB = 1024
MIB = 1024 * KIB
MOUNT_MAX_S = 60
END_MAX_S = 20
TOOL_MAX_S = 600
PROGRAMS = (Path("/usr/bin"), Path("/usr/sbin"), Path("/usr/lib"))
SSHD_PRIVSEP = "/run/sshd"  # sshd(8), run by root, wants it; its package makes it when it starts the service


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not found:
        raise Missing(name)
    return found


def python(module: str) -> str:
    """An interpreter that has this module of Debian's."""
    interpreter = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    if subprocess.run([interpreter, "-c", f"import {module}"], capture_output=True, check=False).returncode != 0:
        raise Missing(f"python3-{module}")
    return interpreter


def drop_dentries() -> None:
    """Forgets names and attributes in the kernel, of all filesystems."""
    _drop(2)


def drop_caches() -> None:
    """And pages: what is read next comes from the disk."""
    _drop(3)


def _drop(what: int) -> None:
    if os.geteuid() != 0:
        raise Missing("root, to drop the kernel's caches")
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text(str(what))


def rss_bytes(pid: int, field: str = "VmRSS") -> int:
    """Resident memory of a process; field VmHWM: the most there ever was."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{field}:")]
    return int(line.split()[1]) * KIB


def tree_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


class Mount(type(Path())):
    """The directory of a mount; of ours, its daemon's process too."""

    program: Program | None = None


class World:
    def __init__(self, quick: bool, build: Path, directory: Path | None = None) -> None:
        self.quick = quick
        self.malqueryfs = build / "malqueryfs"
        self.malqueryd = build / "malqueryd"
        self.directory = Path(tempfile.mkdtemp(prefix="mqb-", dir=directory or "/tmp"))  # short: sockets have 108 bytes
        self._ends = contextlib.ExitStack()
        self._n = 0
        self._kept: dict[object, object] = {}

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # places and data

    def place(self, name: str) -> Path:
        """A new, empty directory."""
        self._n += 1
        path = self.directory / f"{name}-{self._n}"
        path.mkdir()
        return path

    def once(self, key: object, make: Callable[[], object]) -> object:
        """What several rows share: made by the first, there until the end."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def keep(self, context: contextlib.AbstractContextManager) -> object:
        """Enters a context that ends with the world."""
        return self._ends.enter_context(context)

    def noise(self, n: int, size: int) -> Path:
        """A directory of `n` files of random bytes, each named by its SHA-256."""
        def make() -> Path:
            directory = self.place("zoo")
            source = random.Random(n * size)
            for _ in range(n):
                content = b"".join(source.randbytes(min(MIB, size - at)) for at in range(0, size, MIB))
                (directory / hashlib.sha256(content).hexdigest()).write_bytes(content)
            return directory

        return self.once(("noise", n, size), make)

    def programs(self, n_bytes: int) -> Path:
        """Copies of so many bytes of this machine's own programs and libraries, each named by its SHA-256."""
        def make() -> Path:
            directory = self.place("programs")
            left = n_bytes
            for path in sorted(path for root in PROGRAMS for path in root.rglob("*")):
                if left <= 0:
                    break
                if path.is_symlink() or not path.is_file() or not 4 * KIB <= path.stat().st_size <= min(64 * MIB, left):
                    continue
                content = path.read_bytes()
                copy = directory / hashlib.sha256(content).hexdigest()
                left -= 0 if copy.exists() else len(content)
                copy.write_bytes(content)
            return directory

        return self.once(("programs", n_bytes), make)

    def program(self, source: str, packages: Sequence[str] = ()) -> Path:
        """A C file of this directory, compiled."""
        def make() -> Path:
            binary = self.directory / source.removesuffix(".c")
            flags = shlex.split(self.run("pkg-config", "--cflags", "--libs", *packages).stdout) if packages else []
            self.run("cc", "-O2", "-D_GNU_SOURCE", "-o", binary, HERE / source, *flags)
            return binary

        return self.once(("program", source), make)

    # running things

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.directory),
                "XDG_CACHE_HOME": str(self.directory / ".cache"), **CREDENTIALS}

    def run(self, *command: str | Path, cwd: Path | None = None, ok: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(list(map(str, command)), cwd=cwd or self.directory, env=self.environment, text=True,
                                timeout=TOOL_MAX_S, stdin=subprocess.DEVNULL, capture_output=True)
        if result.returncode not in ok:
            raise AssertionError(f"`{shlex.join(map(str, command))}` ended with {result.returncode}: "
                                 f"{(result.stderr or result.stdout).strip()[-500:]}")
        return result

    def reader(self, how: str, block: int, path: Path, reference: Path) -> list[float]:
        """Seconds; every byte is compared with the reference afterwards."""
        lines = self.run(self.program("reader.c"), how, str(block), path, reference).stdout
        return [float(line) for line in lines.split()]

    def free_port(self) -> int:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return one.getsockname()[1]

    # ours

    @contextlib.contextmanager
    def service(self, directory: Path, arguments: Sequence[str] = (), is_tcp: bool = False) -> Iterator[str]:
        """malqueryd over a directory; its base URL, once all is indexed."""
        place = self.place("malqueryd")
        log = place / "log"
        limits = ["--hunt-limit", "1000000", "--download-limit", "1000000", "--job-delay-ms", "0"]
        listen = ("--port", "0") if is_tcp else ("--socket", place / "s")
        program = Program([self.malqueryd, *listen, "--index", place / "index.db", *limits, *arguments, directory],
                          self.environment, log)
        try:
            url = program.first_line()
            Client(self, url).search("a request waits until all is indexed")
            yield url
        finally:
            program.process.terminate()
            program.wait(END_MAX_S)

    @contextlib.contextmanager
    def mount(self, url: str, state: Path | None = None, options: Sequence[str] = ()) -> Iterator[Mount]:
        """malqueryfs on a new directory, without budgets; `state` has what is kept between mounts."""
        place = Mount(self.place("ours"))
        program = Program([self.malqueryfs, "-f", *self.mount_options(url, state or self.place("state"), options), place],
                          self.environment, self.directory / "malqueryfs.log")
        with self._unmounting(place, program):
            place.program = program
            yield place

    def mount_options(self, url: str, state: Path, options: Sequence[str] = ()) -> list[str]:
        words = [f"base_url={url}", f"state_dir={state}/state", f"cache_dir={state}/cache",
                 "budget=unlimited:unlimited", "reserve=0", *options]
        return ["-o", ",".join(words)]

    @contextlib.contextmanager
    def _unmounting(self, place: Path, program: Program) -> Iterator[None]:
        try:
            until(lambda: mount_flags(place) or not program.is_running(), MOUNT_MAX_S, f"a mount on {place}")
            if not program.is_running():
                raise AssertionError(f"{program.process.args} ended: {program.log.read_text()[-1000:]}")
            yield
        finally:
            self.unmount(place)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(END_MAX_S)
            program.kill()

    def unmount(self, place: Path) -> None:
        for _ in range(100):
            if not mount_flags(place) or subprocess.run(["fusermount3", "-u", place], cwd=self.directory,
                                                        capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.05)
        subprocess.run(["fusermount3", "-uz", place], cwd=self.directory, check=False)

    # peers, each showing a flat directory of files

    def _peer(self, name: str, command: Callable[[Path], list[str | Path]], ready: str) -> contextlib.AbstractContextManager[Mount]:
        @contextlib.contextmanager
        def mounted() -> Iterator[Mount]:
            place = Mount(self.place(name))
            program = Program(command(place), self.environment, self.directory / f"{name}.log")
            with self._unmounting(place, program):
                place.program = program
                until(lambda: not ready or (place / ready).exists(), MOUNT_MAX_S, f"{name} shows its files")
                yield place

        return mounted()

    def bare(self, directory: Path) -> contextlib.AbstractContextManager[Mount]:
        program = self.program("bare.c", ["fuse3", "libcrypto"])
        return self._peer("bare", lambda place: [program, directory, place], "")

    def bare_sealed(self, directory: Path) -> contextlib.AbstractContextManager[Mount]:
        program = self.program("bare.c", ["fuse3", "libcrypto"])
        return self._peer("bare-sealed", lambda place: [program, "--sealed", directory, place], "")

    def sshfs_command(self, directory: Path, place: Path) -> list[str | Path]:
        """Over ssh to a server of its own on the loopback, with the cipher that both choose."""
        return [tool("sshfs"), "-f", "-F", self.once("ssh", lambda: self.keep(self._sshd())), f"here:{directory}", place]

    @contextlib.contextmanager
    def _sshd(self) -> Iterator[Path]:
        """An OpenSSH server until the end of the world; the configuration of a client for the host `here`."""
        sshd = tool("sshd")
        place = self.place("sshd")
        port = self.free_port()
        for name in ("host", "client"):
            self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name)
        (place / "sshd").write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/client.pub\n"
            "StrictModes no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
            "Subsystem sftp internal-sftp\n")
        (place / "ssh").write_text(
            f"Host here\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {place}/client\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {place}/known\n  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n")
        if os.geteuid() == 0:
            Path(SSHD_PRIVSEP).mkdir(mode=0o755, exist_ok=True)
        program = Program([sshd, "-D", "-e", "-f", place / "sshd"], self.environment, place / "log")
        try:
            until(lambda: _answers(port), END_MAX_S, "sshd listens")
            yield place / "ssh"
        finally:
            program.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(END_MAX_S)
            program.kill()

    def sshfs(self, directory: Path) -> contextlib.AbstractContextManager[Mount]:
        return self._peer("sshfs", lambda place: self.sshfs_command(directory, place), _any_name(directory))

    def httpdirfs_command(self, directory: Path, place: Path) -> list[str | Path]:
        return [tool("httpdirfs"), "-f", "--no-range-check", "--cache", "--cache-location", self.place("httpdirfs-cache"),
                self.web(directory), place]

    def httpdirfs(self, directory: Path, ready: bool = True) -> contextlib.AbstractContextManager[Mount]:
        return self._peer("httpdirfs", lambda place: self.httpdirfs_command(directory, place),
                          _any_name(directory) if ready else "")

    def rclone_command(self, directory: Path, place: Path) -> list[str | Path]:
        return [tool("rclone"), "mount", "--config", "/dev/null", "--cache-dir", self.place("rclone-cache"),
                "--vfs-cache-mode", "full", "--read-only", "--dir-cache-time", "1h", "--attr-timeout", "1h",
                "--http-url", self.web(directory), ":http:", place]

    def rclone(self, directory: Path) -> contextlib.AbstractContextManager[Mount]:
        return self._peer("rclone", lambda place: self.rclone_command(directory, place), _any_name(directory))

    def web(self, directory: Path) -> str:
        """nginx over a directory, with listings, until the end of the world; its URL."""
        return self.once(("web", directory), lambda: self.keep(self._nginx(directory)))

    @contextlib.contextmanager
    def _nginx(self, directory: Path) -> Iterator[str]:
        nginx = tool("nginx")
        port = self.free_port()
        place = self.place("nginx")
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = " ".join(f"{kind}_temp_path {place}/{kind};"
                             for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (place / "conf").write_text(
            f"{user} daemon off; worker_processes 2; pid {place}/pid; error_log {place}/error; events {{}}\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; {temporary}\n"
            f"server {{ listen 127.0.0.1:{port}; root {directory}; autoindex on; }} }}\n")
        program = Program([nginx, "-e", place / "error", "-c", place / "conf"], self.environment, place / "log")
        try:
            until(lambda: _answers(port), END_MAX_S, "nginx listens")
            yield f"http://127.0.0.1:{port}/"
        finally:
            program.process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(END_MAX_S)
            program.kill()


def _any_name(directory: Path) -> str:
    return next(iter(sorted(os.listdir(directory))))


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
