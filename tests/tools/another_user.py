"""clamd as Debian starts it, a service of another user, and what clamdscan of the mount's owner gets from it. Only root can
try this, since it becomes that user."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mount"))

from harness import EVERYTHING, NOBODY, SKIP, START_MAX_S, Bench, Program, claim_of_root, main, same, until  # noqa: E402
from kinds import clamav_signatures  # noqa: E402


def start_clamd(bench: Bench) -> Program:
    signatures = bench.directory / "signatures"
    signatures.mkdir()
    for name, text in clamav_signatures(bench.zoo).items():
        (signatures / name).write_text(text)
    home = bench.directory / "clamd"
    home.mkdir()
    shutil.chown(home, NOBODY, NOBODY)
    bench.directory.chmod(0o755)
    config = bench.directory / "clamd.conf"
    config.write_text(f"LocalSocket {home}/sock\nDatabaseDirectory {signatures}\nTemporaryDirectory {home}\nForeground yes\n"
                      "SelfCheck 0\n")
    program = Program(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "clamd", "-c", config],
                      bench.environment, bench.logs / "clamd.log")
    until(lambda: (home / "sock").exists() or not program.is_running(), START_MAX_S, "clamd listens")
    return program


def scan(bench: Bench, *how: str) -> tuple[int, str]:
    """Exit status and output of clamdscan over samples/ of a hunt; 1: something was found, 2: an error."""
    result = subprocess.run(["clamdscan", "--no-summary", "-c", bench.directory / "clamd.conf", *how,
                             bench.hunt("all") / "samples"], env=bench.environment, timeout=60, text=True,
                            capture_output=True)
    return result.returncode, result.stdout + result.stderr


def found(output: str) -> set[str]:
    return set(re.findall(r"Test\.\w+", output))


ALL = {"Test.Stormy", "Test.Eicar", "Test.Pe64"}
NOTHING: set[str] = set()


def try_each(bench: Bench) -> list[tuple[str, int, set[str], int]]:
    """What it is asked with, its exit status, what it found, and the calls that were paid for."""
    bench.mount()
    bench.job("all", EVERYTHING)
    clamd = start_clamd(bench)
    tried = []
    try:
        for how in ("", "--fdpass", "--stream"):
            before = len(bench.proxy.paid())
            status, output = scan(bench, *filter(None, [how]))
            tried.append((how, status, found(output), len(bench.proxy.paid()) - before))
    finally:
        clamd.kill()
    return tried


@claim_of_root
def a_stream_reaches_it_and_a_descriptor_is_paid_for_in_vain(bench: Bench) -> None:
    """The kernel lets another user read from a descriptor that was passed, but not look at what it is of."""
    same(try_each(bench), [("", 2, NOTHING, 0), ("--fdpass", 2, NOTHING, len(bench.zoo.costly)), ("--stream", 1, ALL, 0)])


@claim_of_root(options=["allow_other"])
def allow_other_lets_descriptors_through(bench: Bench) -> None:
    """And not more: samples are readable by their owner alone."""
    same(try_each(bench), [("", 2, NOTHING, 0), ("--fdpass", 1, ALL, len(bench.zoo.costly)), ("--stream", 1, ALL, 0)])


if __name__ == "__main__":
    if not shutil.which("clamd"):
        print("skipped: clamd is not installed")
        sys.exit(SKIP)
    main()
