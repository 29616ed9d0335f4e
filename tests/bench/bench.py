"""Rows: what is measured, against whom, and what it has to come to.

A row is a function in a file rows_<topic>.py; `run` finds it there:

    @row("read-first-16M", "first read of a sealed sample, 16 MiB", "s", [faster_than("bare", 0.7)])
    def read_first(world: World, race: Race) -> None:
        with world.mount() as ours, world.bare(world.zoo) as bare:
            race.add("malqueryfs", lambda: read(ours / name))
            race.add("bare", lambda: read(bare / name), before=drop_caches)
            race.run(rounds=9)

- The first argument is the row's name for `--rows`, the second what the table says, the third the unit: "s" or "bytes".
- A contestant is a callable. What it returns is the measure in that unit; None: how long it took is; a dict of several
  measures, of which each has a line of its own in the table and which goals name. `before` is not measured.
- Ours is called "malqueryfs" (or "malqueryd"); `row(..., ours=)` says which one the goals are about.
- `row(..., control=)` names the contestant that does nothing but what cannot be left out, on the same kernel and
  libraries. Of a goal that is missed, the table says what the control comes to, if it misses it as well.
- race.run() goes around all contestants, each time in another order, so that what the machine does meanwhile happens to
  all. A ratio is the median of the ratios of the rounds, not a ratio of medians.
- Whatever is measured is also checked, by the contestant itself and outside of what is timed: raise, when a byte is
  wrong. A row that raises fails the whole run.
- `world.quick`: small data, and race.run() makes one round, whatever it is asked for. Nobody judges then.
- A contestant that raises Missing, because its program is not here, is left out, and the table says so.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Measure = float | dict[str, float] | None


class Missing(Exception):
    """Something that the row needs is not here."""


@dataclass(frozen=True)
class Goal:
    peer: str | None  # None: the limit is of the value itself
    limit: float
    is_speed: bool = False  # the ratio is that of speeds: larger is better
    measure: str = ""

    def is_met(self, came_to: float) -> bool:
        return came_to >= self.limit if self.is_speed else came_to <= self.limit


def faster_than(peer: str, times: float, measure: str = "") -> Goal:
    """At least `times` as fast as the peer; 0.7 may take a bit longer."""
    return Goal(peer, times, True, measure)


def within(peer: str, times: float, measure: str = "") -> Goal:
    """At most `times` what the peer takes."""
    return Goal(peer, times, False, measure)


def below(limit: float, measure: str = "") -> Goal:
    """At most `limit`, in the unit of the row."""
    return Goal(None, limit, False, measure)


@dataclass
class Race:
    """Contestants and what was measured of them: values[measure][contestant], one value a round."""

    is_quick: bool = False
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _contestants: list[tuple[str, Callable[[], Measure], Callable[[], object] | None]] = field(default_factory=list)

    def add(self, name: str, contestant: Callable[[], Measure], before: Callable[[], object] | None = None) -> None:
        self._contestants.append((name, contestant, before))

    def run(self, rounds: int) -> None:
        for number in range(1 if self.is_quick else rounds):
            turn = number % len(self._contestants)
            for one in self._contestants[turn:] + self._contestants[:turn]:
                try:
                    self._turn(*one)
                except Missing as what:
                    self.leave_out(one[0], what)
                    self._contestants.remove(one)
        self._contestants.clear()

    def leave_out(self, name: str, what: Missing) -> None:
        self.notes.append(f"without {name}: {what} is not here")

    def _turn(self, name: str, contestant: Callable[[], Measure], before: Callable[[], object] | None) -> None:
        if before:
            before()
        started = time.monotonic()
        measured = contestant()
        seconds = time.monotonic() - started
        self._note(name, seconds if measured is None else measured)

    def _note(self, name: str, measured: float | dict[str, float]) -> None:
        for measure, value in (measured if isinstance(measured, dict) else {"": measured}).items():
            self.values.setdefault(measure, {}).setdefault(name, []).append(value)

    def median(self, name: str, measure: str = "") -> float:
        return statistics.median(self.values[measure][name])

    def spread(self, name: str, measure: str = "") -> float:
        """Half of what lies between the quartiles, as a part of the median."""
        values = self.values[measure][name]
        if len(values) < 3 or not self.median(name, measure):
            return 0.0
        low, _, high = statistics.quantiles(values, n=4)
        return (high - low) / 2 / self.median(name, measure)

    def ratio(self, ours: str, peer: str, measure: str = "") -> float:
        """What ours takes, as a multiple of what the peer takes."""
        both = zip(self.values[measure][ours], self.values[measure][peer], strict=True)
        return statistics.median(a / b if b else float("inf") for a, b in both)


@dataclass(frozen=True)
class Row:
    name: str
    work: str
    unit: str
    goals: tuple[Goal, ...]
    measure: Callable
    ours: str
    control: str

    def verdicts(self, race: Race) -> list[tuple[Goal, float, bool]]:
        """Each goal whose peer took part, what it came to, and whether it is met."""
        found = []
        for goal in self.goals:
            values = race.values.get(goal.measure, {})
            if self.ours not in values or (goal.peer and goal.peer not in values):
                continue
            came_to = race.ratio(self.ours, goal.peer, goal.measure) if goal.peer else race.median(self.ours, goal.measure)
            if goal.is_speed:
                came_to = 1 / came_to
            found.append((goal, came_to, goal.is_met(came_to)))
        return found

    def limit(self, race: Race, goal: Goal) -> float | None:
        """What the control comes to where the goal is asked of it; None: there is none, or it meets the goal."""
        values = race.values.get(goal.measure, {})
        if goal.peer in (None, self.control) or not {self.control, goal.peer} <= values.keys():
            return None
        came_to = race.ratio(self.control, goal.peer, goal.measure)
        if goal.is_speed:
            came_to = 1 / came_to
        return None if goal.is_met(came_to) else came_to


rows: list[Row] = []


def row(name: str, work: str, unit: str, goals: list[Goal] | tuple[Goal, ...] = (), ours: str = "malqueryfs",
        control: str = "") -> Callable:
    def add(measure: Callable) -> Callable:
        rows.append(Row(name, work, unit, tuple(goals), measure, ours, control))
        return measure

    return add
