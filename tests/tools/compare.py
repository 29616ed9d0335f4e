"""The tools of every day on a mount and on plain copies of the same files: table.py says which, this runs and compares.

    MALQUERYFS=… MALQUERYD=… python3 compare.py [--full] [--write] [NAME...]

Each tool runs three times: beside the plain copies; on the mount with no sample local, where each sample that it opens
is paid for once and nothing else is; and on the mount again, which pays nothing. A tool that is not installed is named
as left out. --full tries also what needs a large package, and the editors and file managers, which have scenarios of
their own; --write keeps the table in RESULTS.md, when all is as it has to be.
"""

from __future__ import annotations

import argparse
import difflib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MOUNT = HERE.parent / "mount"
sys.path.insert(0, str(MOUNT))

from ground import Ground  # noqa: E402
from harness import SKIP, Bench, malqueryfs, why_skip  # noqa: E402
from kinds import prepare  # noqa: E402
from ledger import Engine  # noqa: E402
from opens import Opens  # noqa: E402
from table import TOOLS, Tool  # noqa: E402

SCENARIO_MAX_S = 900
DIFF_LINES = 20
LINE_CHARACTERS = 200  # of a line that is shown of a difference
RESULTS = HERE / "RESULTS.md"
HEADER = ("tool", "version", "files", "same result", "opens", "paid calls", "paid again", "remark")
SCENARIOS = {  # scenario: name, packages; one|other: as in packaging/dependencies
    "editors": ("vim, nano and emacs write rules", "vim nano emacs-nox"),
    "walkers": ("Nautilus, Thunar and indexers look", "nautilus thunar tumbler tracker-miner-fs baloo6|baloo-kf5"),
}


@dataclass
class Row:
    """A line of the table; `problem` is what is wrong with it."""

    name: str
    version: str
    files: str = ""
    same: str = ""
    opens: str = ""
    paid: str = ""
    paid_again: str = ""
    remark: str = ""
    problem: str = ""

    def cells(self) -> tuple[str, ...]:
        return (self.name, self.version, self.files, self.same, self.opens, self.paid, self.paid_again, self.remark)


def installed() -> dict[str, str]:
    """Version by package."""
    lines = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    words = [line.split() for line in lines]
    return {one[1]: one[2] for one in words if one[0] == "installed"}


def missing(packages: str, versions: dict[str, str]) -> list[str]:
    return [package for package in packages.split() if package not in versions]


def version_of(packages: str, versions: dict[str, str]) -> str:
    return versions[packages.split()[0]]


# ---- one tool ----


def difference(wanted: str, got: str, when: str) -> str:
    lines = [*difflib.unified_diff(wanted.split("\n"), got.split("\n"), "plain copies", when, lineterm="", n=1)]
    return "\n".join(line[:LINE_CHARACTERS] for line in lines[:DIFF_LINES])


def try_tool(ground: Ground, engine: Engine, tool: Tool, version: str) -> Row:
    wanted = ground.result(tool, ground.copy)
    ground.make_all_remote()
    before = engine.counts()["downloads"]
    with Opens(ground.mount / "samples") as opens:
        first = ground.result(tool, ground.mount)
    between = engine.counts()["downloads"]
    again = ground.result(tool, ground.mount)
    after = engine.counts()["downloads"]
    is_same = first == again == wanted
    costly = sum(ground.bench.zoo.by_hash(name).size > 0 for name in opens.names)
    problems = {
        f"its result has no {tool.shows!r}: {wanted[-DIFF_LINES * LINE_CHARACTERS:]}":
            not re.search(tool.shows, wanted, re.MULTILINE),
        difference(wanted, first, "mount"): first != wanted and not tool.differs,
        difference(wanted, again, "mount, again"): again != wanted and not tool.differs,
        "it has the same result, and the table says that it differs": is_same and tool.differs,
        f"{opens.count} opens": tool.opens_nothing != (opens.count == 0),
        f"{costly} samples with bytes opened and {between - before} paid for": costly != between - before,
        f"{after - between} paid for when all was local": after != between,
    }
    return Row(tool.name, version, str(ground.given(tool)), "yes" if is_same else "no", str(opens.count),
               str(between - before), str(after - between), tool.differs,
               "\n".join(problem for problem, is_one in problems.items() if is_one))


@contextmanager
def clamd_for(ground: Ground, tools: list[Tool]) -> Iterator[None]:
    if not any("{clamd}" in tool.command for tool in tools):
        yield
        return
    clamd = ground.start_clamd()
    try:
        yield
    finally:
        clamd.kill()


def try_tools(tools: list[Tool], versions: dict[str, str]) -> Iterator[Row]:
    bench = Bench(engine=["--download-limit", "1000000"], prepare=prepare)
    try:
        with bench:
            ground, engine = Ground(bench), Engine(bench)
            with clamd_for(ground, tools):
                for tool in tools:
                    yield try_tool(ground, engine, tool, version_of(tool.packages, versions))
    except Exception:
        print(bench.report())
        raise
    bench.remove()


# ---- what has a scenario ----


def try_scenario(scenario: str, versions: dict[str, str]) -> Row:
    name, packages = SCENARIOS[scenario]
    run = subprocess.run([sys.executable, f"scenario_{scenario}.py"], cwd=MOUNT, timeout=SCENARIO_MAX_S,
                         stdin=subprocess.DEVNULL, capture_output=True, text=True)
    verdicts = re.findall(r"^(ok|FAIL)  ", run.stdout, re.MULTILINE)
    is_right = run.returncode == 0 and "ok" in verdicts
    row_versions = ", ".join(versions[package] for package in packages.replace("|", " ").split() if package in versions)
    remark = f"{verdicts.count('ok')} of {len(verdicts)} claims of scenario_{scenario}.py"
    return Row(name, row_versions, remark=remark, problem="" if is_right else run.stdout + run.stderr)


# ---- the table ----


def platform_line() -> str:
    def first_line(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]

    debian = Path("/etc/debian_version").read_text().strip()
    return f"Debian {debian}, Linux {platform.release()}, {first_line('fusermount3', '--version')}, " \
           f"{first_line(malqueryfs(), '--version')}."


def write(rows: list[Row], left_out: list[str]) -> None:
    lines = ["# Tools on a mount", "",
             "Written by `tests/tools/run`; do not edit. Each tool ran beside plain copies of the files and then on a mount on "
             "which", "none of them was local. *Opens* and *paid calls* are those of this first run on the mount: each sample "
             "that is opened is", "paid for once. *Paid again* are those of the same command once more.", "",
             platform_line(), "",
             f"| {' | '.join(HEADER)} |", f"|{' --- |' * len(HEADER)}"]
    lines += [f"| {' | '.join(row.cells())} |" for row in rows]
    lines += ["", *(f"Left out: {one}." for one in left_out)] if left_out else []
    RESULTS.write_text("\n".join(lines) + "\n")


def show(row: Row) -> None:
    verdict = "FAIL" if row.problem else "ok"
    print(f"{verdict:4}  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row.cells(), (34, 24, 5, 4, 5, 5, 2, 0))),
          flush=True)
    if row.problem:
        print(row.problem, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if reason := why_skip():
        print(reason)
        return SKIP
    if not shutil.which("dpkg-query"):
        print("skipped: the versions of the tools are those of Debian packages")
        return SKIP
    versions = installed()
    wanted = [tool for tool in TOOLS if (tool.name in arguments.names or not arguments.names)
              and (arguments.full or not tool.is_full)]
    tools = [tool for tool in wanted if not missing(tool.packages, versions)]
    left_out = [f"{tool.name} (not installed: {', '.join(missing(tool.packages, versions))})"
                for tool in wanted if tool not in tools]
    rows = []
    print("      " + "  ".join(HEADER))
    for row in try_tools(tools, versions):
        rows.append(row)
        show(row)
    for scenario in SCENARIOS if arguments.full else ():
        rows.append(try_scenario(scenario, versions))
        show(rows[-1])
    for one in left_out:
        print(f"left out: {one}")
    failed = [row.name for row in rows if row.problem]
    if arguments.write and not failed:
        write(rows, left_out)
    print(f"{len(rows) - len(failed)} passed, {len(failed)} failed, {len(left_out)} left out")
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
