"""A mount of another user than root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness import (CREDENTIALS, JOB_MAX_S, NOBODY, START_MAX_S, Bench, Program, fuse_for_everybody, malqueryd,
                     malqueryfs, until)

AS_NOBODY = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]


def sh_as_nobody(bench: Bench, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AS_NOBODY, "/bin/sh", "-c", command], cwd=bench.directory, env=bench.environment, text=True,
                          timeout=JOB_MAX_S, capture_output=True)


def as_nobody(bench: Bench, command: str) -> None:
    result = sh_as_nobody(bench, command)
    assert result.returncode == 0, f"`{command}` ended with {result.returncode}: {result.stderr}"


def give_to_nobody(bench: Bench) -> None:
    """The whole bench, and programs that they may execute wherever ours are."""
    for directory in (bench.state, bench.cache, bench.directory / "bin"):
        directory.mkdir()
    for program in (malqueryfs(), malqueryd()):
        shutil.copy2(program, bench.directory / "bin")
    subprocess.run(["chown", "-hR", f"{NOBODY}:{NOBODY}", bench.directory], check=True)


def nobody_mounts(bench: Bench, *arguments: str | Path) -> None:
    """The bench's mount, but of another user."""
    if not (bench.directory / "bin").exists():
        give_to_nobody(bench)
    options = f"base_url={bench.proxy.url},state_dir={bench.state},cache_dir={bench.cache},budget=unlimited"
    with fuse_for_everybody():
        bench.program = Program(
            [*AS_NOBODY, bench.directory / "bin/malqueryfs", "-f", "-o", options, *arguments, bench.root],
            {**bench.environment, **CREDENTIALS}, bench.logs / "malqueryfs.log")
        is_served = lambda: sh_as_nobody(bench, f"stat {bench.root}/README").returncode == 0
        until(lambda: is_served() or not bench.program.is_running(), START_MAX_S, "the mount, and not a stale one")
    assert bench.program.is_running(), f"malqueryfs ended with {bench.program.wait()}"
