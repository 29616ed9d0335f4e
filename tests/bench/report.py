"""The table of a run, and its plot."""

from __future__ import annotations

import datetime
import platform
import shutil
import subprocess
from pathlib import Path

from bench import Goal, Race, Row

PACKAGES = ("libfuse3-3", "libfuse3-4", "libssl3", "libssl3t64", "libsqlite3-0", "httpdirfs", "rclone", "sshfs",
            "openssh-server", "nginx", "yara", "ripgrep", "7zip", "unzip", "libarchive-tools", "curl",
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


def _lines_of(row: Row, race: Race, is_judged: bool) -> list[str]:
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
                verdict = _verdict(row, race, goal, is_met) if is_judged and goal else ""
                lines.append("| " + " | ".join([
                    work if name == row.ours or row.ours not in values else "", name,
                    amount(race.median(name, measure), row.unit), f"± {race.spread(name, measure) * 100:.0f} %", ratio,
                    _goal_text(goal, row.unit) if goal else "", verdict]) + " |")
    return lines


def _verdict(row: Row, race: Race, goal: Goal, is_met: bool) -> str:
    if is_met:
        return "yes"
    limit = row.limit(race, goal)
    return "**no**" if limit is None else f"no; {row.control} {times(limit)}"


def table(results: list[tuple[Row, Race]], is_judged: bool = True) -> str:
    lines = ["| work | who | median | spread | ours against it | goal | met |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row, race in results:
        lines += _lines_of(row, race, is_judged)
        lines += [f"| | _{note}_ | | | | | |" for note in race.notes]
    return "\n".join(lines)


def versions() -> str:
    shown = ""
    if shutil.which("dpkg-query"):
        shown = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status} ${Package} ${Version}\n", *PACKAGES],
                               capture_output=True, text=True, check=False).stdout
    packages = sorted(line.removeprefix("installed ") for line in shown.splitlines() if line.startswith("installed "))
    return f"Linux {platform.release()}; " + ", ".join(packages)


def unmet(results: list[tuple[Row, Race]]) -> str:
    """How many goals are met, which are not, and which of these the control misses as well."""
    verdicts = [(f"{row.name} ({goal.peer or 'limit'})", is_met, row.limit(race, goal))
                for row, race in results for goal, _, is_met in row.verdicts(race)]
    met = sum(is_met for _, is_met, _ in verdicts)
    ours = [name for name, is_met, limit in verdicts if not is_met and limit is None]
    control = [name for name, is_met, limit in verdicts if not is_met and limit is not None]
    return (f"{met} of {len(verdicts)} goals are met" + (f"; not: {', '.join(ours)}" if ours else "")
            + (f"; missed by the control as well: {', '.join(control)}" if control else ""))


# ---- what is published ----

MARK = "<!-- made by tests/bench/run --publish -->"
END_MARK = "<!-- end -->"
SHOWN = ("read-first-256M", "ls-first", "first-byte")  # in the plot; the README has these and some more
IN_README = (*SHOWN, "read-again-256M", "ls-again", "yara", "mount", "download-100M", "fetch-1000", "hunt")
BAR_PX, LABEL_PX, LINE_PX, TEXT_PX = 420, 110, 22, 12


def publish(root: Path, results: list[tuple[Row, Race]]) -> None:
    """results/<date>.md, results/rows.svg, and the table between the marks of the README, if it has them."""
    places = root / "tests/bench/results"
    places.mkdir(exist_ok=True)
    today = datetime.date.today().isoformat()
    (places / f"{today}.md").write_text(
        f"# Measured on {today}\n\n{unmet(results)}.\n\n{table(results)}\n\nRatios are medians over interleaved rounds, "
        f"spreads half of what lies between the quartiles. A goal that is missed names the control of its row and what that "
        f"comes to, where it misses the goal as well.\n\n{versions()}\n")
    (places / "rows.svg").write_text(plot(results))
    readme = root / "README.md"
    text = readme.read_text()
    if MARK in text and END_MARK in text:
        before, rest = text.split(MARK, 1)
        readme.write_text(f"{before}{MARK}\n{small_table(results)}\n{END_MARK}{rest.split(END_MARK, 1)[1]}")


def small_table(results: list[tuple[Row, Race]]) -> str:
    """A line for each work: ours, and how many times as long the others take."""
    lines = ["| work | ours | the others take, in multiples of that |", "| --- | --- | --- |"]
    for row, race in results:
        measure = next(iter(race.values), "")
        values = race.values.get(measure, {})
        if row.name not in IN_README or row.ours not in values:
            continue
        others = ", ".join(f"{name} {times(1 / race.ratio(row.ours, name, measure))}" for name in values if name != row.ours)
        work = f"{row.work}, {measure}" if measure else row.work
        lines.append(f"| {work} | {amount(race.median(row.ours, measure), row.unit)} | {others} |")
    return "\n".join(lines)


def plot(results: list[tuple[Row, Race]]) -> str:
    """Bars of the medians of the main rows; those of one row share a scale."""
    drawn, y = [], 2 * TEXT_PX
    for row, race in results:
        measure = next(iter(race.values), "")
        values = race.values.get(measure, {})
        if row.name not in SHOWN or row.ours not in values:
            continue
        drawn.append(f'<text x="0" y="{y}" font-weight="bold">{_escaped(row.work)}, less is better</text>')
        longest = max(race.median(name, measure) for name in values)
        for name in values:
            value = race.median(name, measure)
            width = max(1, BAR_PX * value / longest)
            colour = "#2266aa" if name == row.ours else "#999999"
            y += LINE_PX
            drawn.append(f'<text x="0" y="{y}">{name}</text><rect x="{LABEL_PX}" y="{y - TEXT_PX}" width="{width:.0f}" '
                         f'height="{TEXT_PX + 2}" fill="{colour}"/>'
                         f'<text x="{LABEL_PX + width + 6:.0f}" y="{y}">{amount(value, row.unit)}</text>')
        y += 2 * LINE_PX
    width = LABEL_PX + BAR_PX + LABEL_PX
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}" '
            f'font-family="sans-serif" font-size="{TEXT_PX}">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(drawn) + "\n</svg>\n")


def _escaped(text: str) -> str:
    return text.replace("`", "").replace("&", "&amp;").replace("<", "&lt;")
