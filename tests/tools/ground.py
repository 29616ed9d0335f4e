"""Where a tool is tried: a mount with one finished hunt, and a plain copy of its samples."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from harness import EVERYTHING, START_MAX_S, Bench, Program, until
from kinds import KINDS, clamav_signatures, yara_rules
from table import Tool

HERE = Path(__file__).resolve().parent
TOOL_MAX_S = 120


def _copy_status(of: Path, to: Path) -> None:
    """Mode and time, which are no content."""
    status = of.stat()
    to.chmod(status.st_mode & 0o7777)
    os.utime(to, ns=(status.st_mtime_ns, status.st_mtime_ns))


class Ground:
    """`mount` and `copy` are directories with the same files in `samples`: there what the filesystem serves, here bytes
    that never went through it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.mount = bench.job("all", EVERYTHING)
        self.copy = bench.directory / "copy"
        self.names = sorted(os.listdir(self.mount / "samples"))
        self._make_copy(self.copy / "samples")
        self._make_copy(bench.directory / "plain")
        self._words = {"plain": bench.directory / "plain", "programs": HERE / "programs", **self._instruct(), **self._kinds()}

    def _make_copy(self, place: Path) -> None:
        place.mkdir(parents=True)
        for name in self.names:
            (place / name).write_bytes(self.bench.zoo.by_hash(name).content)
            _copy_status(self.mount / "samples" / name, place / name)
        _copy_status(self.mount / "samples", place)

    def _instruct(self) -> dict[str, Path]:
        """What the scanners are told to look for, and clamd where to listen."""
        inbox = self.bench.inbox
        signatures = inbox / "signatures"
        signatures.mkdir()
        for name, text in clamav_signatures(self.bench.zoo).items():
            (signatures / name).write_text(text)
        (inbox / "rules.yar").write_text(yara_rules())
        self._socket = self.bench.directory / "clamd.sock"
        (inbox / "clamd.conf").write_text(f"LocalSocket {self._socket}\nDatabaseDirectory {signatures}\n"
                                          f"TemporaryDirectory {self.bench.directory}\nForeground yes\nSelfCheck 0\n")
        return {"rules": inbox / "rules.yar", "signatures": signatures, "clamd": inbox / "clamd.conf"}

    def _kinds(self) -> dict[str, str]:
        found = {sample.path.name: sample.sha256 for sample in self.bench.zoo}
        kinds = {kind: [found[name] for name in names if name in found] for kind, names in KINDS.items()}
        kinds["samples"] = self.names
        return {kind: " ".join(f"samples/{name}" for name in names) for kind, names in kinds.items()}

    def command(self, tool: Tool, out: str = "") -> str:
        return tool.command.format(out=out, **self._words)

    def given(self, tool: Tool) -> int:
        """How many samples it gets, by name or with their directory."""
        command = self.command(tool)
        return sum(name in command for name in self.names) or len(self.names)

    def result(self, tool: Tool, place: Path) -> str:
        """Output, messages and exit status of the tool in `place`, without what differs in each run."""
        with tempfile.TemporaryDirectory(dir=self.bench.directory, prefix="out-") as out:
            run = self.bench.run(self.command(tool, out), ok=False, cwd=place, seconds=TOOL_MAX_S)
        text = f"{run.stdout}\n{run.stderr}".replace(str(place), "PLACE").replace(out, "OUT")
        lines = [line for line in text.split("\n") if line and not (tool.drop and re.search(tool.drop, line))]
        return "\n".join([*(sorted(lines) if tool.unordered else lines), f"exit status {run.returncode}"])

    def make_all_remote(self) -> None:
        self.bench.unmount()
        shutil.rmtree(self.bench.cache)
        self.bench.mount()

    def start_clamd(self) -> Program:
        """Of this user, as one starts it by hand."""
        arguments = ["clamd", "-c", self._words["clamd"]]
        clamd = Program(arguments, self.bench.environment, self.bench.logs / "clamd.log")
        until(lambda: self._socket.exists() or not clamd.is_running(), START_MAX_S, "clamd listens")
        assert clamd.is_running(), f"clamd ended with {clamd.wait()}"
        return clamd
