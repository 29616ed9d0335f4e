"""The table of a run, and its plot."""

from __future__ import annotations

import platform
import subprocess
from bench import Goal, Race, Row

PACKAGES = ("libfuse3-3", "libfuse3-4", "libssl3", "libssl3t64", "libsqlite3-0", "httpdirfs", "rclone", "sshfs",
            "openssh-sftp-server", "nginx", "yara", "ripgrep", "7zip", "unzip", "libarchive-tools", "curl",
            "python3-requests", "coreutils", "findutils")
SCALES = {"s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")), "bytes": ((1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes"))}


def amount(value: float, unit: str) -> str:
    scale, name = next((pair for pair in SCALES[unit] if value >= pair[0]), SCALES[unit][-1])
    return f"{value / scale:.3g} {name}" if value / scale < 1000 else f"{value / scale:.0f} {name}"


def times(ratio: float) -> str:
    return f"{ratio:.3g}" if ratio < 100 else f"{ratio:.0f}"


def _goal_text(goal: Goal, unit: str) -> str:
    if goal.peer is None:
        return f"≤ {amount(goal.limit, unit)}"
    return f"≥ {goal.limit:g} × its speed" if goal.is_speed else f"≤ {goal.limit:g} × its {'time' if unit == 's' else 'size'}"


def _lines_of(row: Row, race: Race) -> list[str]:
    """One line for each contestant; ours first, the others with the goal that is about them."""
    lines = []
    for measure, values in race.values.items():
        work = f"{row.work}, {measure}" if measure else row.work
        verdicts = [verdict for verdict in row.verdicts(race) if verdict[0].measure == measure]
        for name in sorted(values, key=lambda name: name != row.ours):
            mine = [verdict for verdict in verdicts if verdict[0].peer == (None if name == row.ours else name)]
            for goal, came_to, is_met in mine or [(None, None, None)]:
                if goal:
                    ratio = times(came_to) if goal.peer else ""
                elif name != row.ours and row.ours in values:
                    ratio = f"{times(1 / race.ratio(row.ours, name, measure))}"
                else:
                    ratio = ""
                lines.append("| " + " | ".join([
                    work if name == row.ours or row.ours not in values else "", name,
                    amount(race.median(name, measure), row.unit), f"± {race.spread(name, measure) * 100:.0f} %", ratio,
                    _goal_text(goal, row.unit) if goal else "", {True: "yes", False: "**no**", None: ""}[is_met]]) + " |")
    return lines


def table(results: list[tuple[Row, Race]]) -> str:
    lines = ["| work | who | median | spread | ours against it | goal | met |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row, race in results:
        lines += _lines_of(row, race)
        lines += [f"| | _{note}_ | | | | | |" for note in race.notes]
    return "\n".join(lines)


def versions() -> str:
    shown = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}\n", *PACKAGES], capture_output=True, text=True,
                           check=False).stdout if _has_dpkg() else ""
    packages = sorted(line for line in shown.splitlines() if len(line.split()) == 2)
    return f"Linux {platform.release()}; " + ", ".join(packages)


def _has_dpkg() -> bool:
    import shutil
    return shutil.which("dpkg-query") is not None
