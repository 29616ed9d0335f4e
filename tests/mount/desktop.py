"""A desktop without a screen: an X server and a session bus, on which file managers and what they start run for real.

    with Desktop(bench) as desktop:
        thunar = desktop.start("thunar", bench.hunt("all"))
        until(lambda: desktop.copied("thunar"), DESKTOP_MAX_S, "it shows the folder")
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness import RUN_MAX_S, STOP_MAX_S, Bench, until

DESKTOP_MAX_S = 40  # for what a file manager does with a folder, under a sanitizer on a busy machine
TERM_MAX_S = 2
SCREEN = "1024x768x24"
THUMBNAILER = "org.freedesktop.thumbnails.Thumbnailer1"


def _look(file: Path) -> bytes:
    """Nothing, when the process is gone."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _is_over(process: Path) -> bool:
    """Its last thread is gone, and with it its files; a zombie that nobody reaps has none."""
    threads = [_look(stat) for stat in process.glob("task/*/stat")]
    return all(not stat or _fields(stat)[0] in b"ZX" for stat in threads)


def _fields(stat: bytes) -> list[bytes]:
    """Of proc_pid_stat(5), from the state on: the name before it may hold anything."""
    return stat.rpartition(b")")[2].split()


class Desktop:
    """The end of the `with` block is the end of all that was started on it, also through its bus. `prefix` is a command
    that runs the session: setpriv, for another user's."""

    def __init__(self, bench: Bench, prefix: tuple[str, ...] = ()) -> None:
        self._directory = bench.directory
        self._prefix = prefix
        self._bus = f"unix:path={bench.directory}/bus"
        self._children: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **bench.environment, "DBUS_SESSION_BUS_ADDRESS": self._bus, "GDK_BACKEND": "x11",
            "GSETTINGS_BACKEND": "keyfile", "GVFS_DISABLE_FUSE": "1", "NO_AT_BRIDGE": "1", "GTK_A11Y": "none",
            "GSK_RENDERER": "cairo",  # others draw each frame with all the processor there is
            "QT_QPA_PLATFORM": "offscreen", "TMPDIR": str(bench.home),  # tracker leaves out what is in TMPDIR
        }

    def __enter__(self) -> Desktop:
        try:
            number = self._serve("Xvfb", "-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp", "-ac",
                                 "-noreset")  # or it begins anew when its last client leaves, while one is coming
            self.environment["DISPLAY"] = f":{number}"
            self._serve("dbus-daemon", "--session", "--nofork", f"--address={self._bus}", "--print-address")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def start(self, *command: str | Path, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """A program of the session, in the background."""
        child = subprocess.Popen([*self._prefix, *map(str, command)], env=self.environment, cwd="/", stdout=stdout,
                                 start_new_session=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._children.append(child)
        return child

    def run(self, *command: str | Path, ok: bool = True) -> str:
        """What a program of the session prints."""
        result = subprocess.run([*self._prefix, *map(str, command)], env=self.environment, cwd="/", text=True,
                                capture_output=True, stdin=subprocess.DEVNULL, timeout=RUN_MAX_S)
        if ok and result.returncode:
            raise AssertionError(f"{command} ended with {result.returncode}: {result.stderr.strip()}")
        return result.stdout

    def titles(self) -> list[str]:
        """Of the windows that are to be seen."""
        windows = self.run("xdotool", "search", "--onlyvisible", "--class", ".", ok=False).split()
        return [self.run("xdotool", "getwindowname", window, ok=False).strip() for window in windows]

    def copied(self, window_class: str) -> list[str]:
        """Names of the files that a user gets who selects all in the file manager and copies it."""
        self.run("xdotool", "search", "--onlyvisible", "--class", window_class,
                 "windowfocus", "key", "ctrl+a", "key", "ctrl+c", ok=False)
        uris = self.run("xclip", "-o", "-selection", "clipboard", "-t", "text/uri-list", ok=False).split()
        return sorted(Path(unquote(urlsplit(uri).path)).name for uri in uris)

    def ask_for_thumbnails(self, paths: list[Path], media_type: str) -> None:
        """As a file manager does that knows the type of the files from elsewhere."""
        self.run("gdbus", "call", "--session", "--dest", THUMBNAILER, "--object-path",
                 "/org/freedesktop/thumbnails/Thumbnailer1", "--method", f"{THUMBNAILER}.Queue",
                 str([path.as_uri() for path in paths]), str([media_type] * len(paths)), "normal", "foreground", "0")

    def _serve(self, *command: str) -> str:
        """The first line of a server, which says that it is there."""
        server = self.start(*command, stdout=subprocess.PIPE)
        return server.stdout.readline().decode().strip()

    def _members(self) -> list[int]:
        """Whoever is in a session of our children, or has the address of this bus in the environment: what the bus starts
        is no child of ours and may have a session of its own; during execve(2) an environment looks empty."""
        sessions = {b"%d" % child.pid for child in self._children}
        mark = f"DBUS_SESSION_BUS_ADDRESS={self._bus}\0".encode()

        def is_member(process: Path) -> bool:
            stat = _look(process / "stat")
            return bool(stat) and (_fields(stat)[3] in sessions or mark in _look(process / "environ"))

        return [int(entry.name) for entry in Path("/proc").iterdir()
                if entry.name.isdigit() and is_member(entry) and not _is_over(entry)]

    def _end(self) -> None:
        """Politely at first: an X server takes its socket and its lock with it."""
        until_killed = time.monotonic() + TERM_MAX_S

        def is_over() -> bool:
            for pid in (members := self._members()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM if time.monotonic() < until_killed else signal.SIGKILL)
            return not members

        until(is_over, TERM_MAX_S + STOP_MAX_S, "the desktop ends")
        for child in self._children:
            child.wait(STOP_MAX_S)
