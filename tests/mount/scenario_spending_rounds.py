"""Random rounds of spending, faults and kill -9: budget, audit and the engine's own count agree after each.

MQFS_SEED and MQFS_ROUNDS choose other rounds.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable

from harness import JOB_MAX_S, Bench, claim, main, read_error
from ledger import FIRST, Ledger
from proxy import answer, cut, html_502, reset_after, reset_before

ROUNDS = int(os.environ.get("MQFS_ROUNDS", "50"))
SEED = int(os.environ.get("MQFS_SEED", "0"))
POOL = 400
KILL_AFTER_MAX_S = 0.25
OPERATIONS_MAX = 4
FAULTS = {"download": (cut, reset_after, reset_before, html_502, answer(404, "{}", content_type="application/json")),
          "hunt": (reset_after, reset_before, html_502), "multidownload": (reset_after, html_502)}


def pool(zoo) -> None:
    for number in range(POOL):
        zoo.add(f"pool-{number}", f"sample {number} of the pool\n".encode() * 20)


class Rounds:
    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.random = random.Random(seed)
        self.ledger = Ledger(bench, FIRST)
        self.unread = [sample for sample in bench.zoo if sample.path.name.startswith("pool-")]
        self.random.shuffle(self.unread)
        self.n_rules = 0

    # what a user may do in a round; each may fail, and the mount may die under it

    def read(self) -> None:
        read_error(self.bench.sample(self.unread.pop()))

    def read_again(self) -> None:
        read_error(self.bench.sample(self.random.choice(list(self.bench.zoo)[:3])))

    def hunt(self) -> None:
        self.n_rules += 1
        name = f"r{self.n_rules}"
        self.write(f"hunts/{name}.yar", f"rule {name} {{ condition: filesize < {self.n_rules} }}\n")

    def fetch(self) -> None:
        self.n_rules += 1
        wanted = [self.unread.pop().sha256 for _ in range(self.random.randint(1, 4))]
        self.write(f"downloads/l{self.n_rules}.txt", "\n".join(wanted) + "\n")

    def write(self, path: str, text: str) -> None:
        try:
            (self.bench.root / path).write_text(text)
        except OSError:
            pass

    def more(self) -> None:
        """The user's word counts when the write succeeded, which it does while nothing dies."""
        kind, n = self.random.choice(("downloads", "hunts")), self.random.randint(1, 6)
        (self.bench.root / "budget").write_text(f"{kind} +{n}\n")
        self.ledger.given[kind] += n

    # a round

    def act(self) -> None:
        if self.random.random() < 0.4:
            self.more()
        for route, faults in FAULTS.items():
            if self.random.random() < 0.3:
                self.bench.proxy.fail(route, self.random.choice(faults), times=1)
        operations: list[Callable[[], None]] = self.random.choices(
            (self.read, self.read_again, self.hunt, self.fetch), (6, 1, 3, 2), k=self.random.randint(1, OPERATIONS_MAX))
        threads = [threading.Thread(target=operation) for operation in operations]
        for thread in threads:
            thread.start()
        if self.random.random() < 0.6:
            time.sleep(self.random.uniform(0, KILL_AFTER_MAX_S))
            self.bench.kill()
        for thread in threads:
            thread.join(JOB_MAX_S)
        if self.bench.program:
            self.bench.unmount()
        for route in FAULTS:
            self.bench.proxy.heal(route)

    def run(self, n: int) -> None:
        for number in range(n):
            self.bench.mount()
            self.ledger.agree(f"round {number}")
            self.act()


def rounds(bench: Bench, part: int) -> None:
    Rounds(bench, SEED * 10 + part).run(ROUNDS)


@claim(is_bounded=True, mounted=False, prepare=pool)
def the_figures_agree_in_a_first_part(bench: Bench) -> None:
    rounds(bench, 1)


@claim(is_bounded=True, mounted=False, prepare=pool)
def the_figures_agree_in_a_second_part(bench: Bench) -> None:
    rounds(bench, 2)


@claim(is_bounded=True, mounted=False, prepare=pool)
def the_figures_agree_in_a_third_part(bench: Bench) -> None:
    rounds(bench, 3)


@claim(is_bounded=True, mounted=False, prepare=pool)
def the_figures_agree_in_a_fourth_part(bench: Bench) -> None:
    rounds(bench, 4)


if __name__ == "__main__":
    main()
