"""A machine that was suspended for hours: every token has ended, every connection is dead, and the clocks have gone on."""

from __future__ import annotations

import calendar
import hashlib
import os
import re
import signal
import time

from faults import Faults, main
from harness import AT_ONCE_S, ELF_FILES, JOB_MAX_S, RUN_MAX_S, Bench, claim, errno_of, read_error, same, until
from ledger import Ledger
from proxy import Stall

TOKEN_S = 2
HOUR_S = 3600
FRESH_S = 60  # that quotas are believed
TICKS_S = 2  # of the timer of the daemon
FOR_EVER = 1_000_000_000
PAID = ["budget=50:50", "reserve=0"]
GIVEN = {"downloads": 50, "hunts": 50}


class Night:
    """Makes the daemon stand still until its token has ended; then it is some hours later, but not by CLOCK_MONOTONIC."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.faults = Faults(bench)
        self.hours = 0

    def pass_by(self, hours: int) -> None:
        os.kill(self.bench.program.pid, signal.SIGSTOP)
        self.bench.proxy.hang_up()
        self.hours += hours
        self.faults.arm("CLOCK", times=FOR_EVER, code=self.hours * HOUR_S)
        wakes = time.monotonic() + TOKEN_S + 0.5
        until(lambda: time.monotonic() > wakes, TOKEN_S + AT_ONCE_S, "the night is over")
        os.kill(self.bench.program.pid, signal.SIGCONT)


def words(bench: Bench) -> list[str]:
    return [line.split('"event":"')[1].split('"')[0] for line in bench.read("events").splitlines()]


@claim(mounted=False, engine=["--token-lifetime", str(TOKEN_S)], options=PAID, is_bounded=True)
def the_first_read_after_an_hour_works_and_nothing_is_paid_twice(bench: Bench) -> None:
    night = Night(bench)
    bench.mount()
    bench.sample("pe32").read_bytes()
    for hours, name in ((1, "text"), (12, "pdf"), (24 * 40, "pe64")):
        night.pass_by(hours)
        same(read_error(bench.sample(name)), None, f"the first read after {hours} hours")
        assert night.faults.fired("CLOCK"), "nobody has looked at a clock"
        same(read_error(bench.sample("pe32")), None, "what is here is served")
    same(sorted(bench.proxy.paid()), sorted(bench.zoo[name].sha256 for name in ("pe32", "text", "pdf", "pe64")))
    same([word for word in words(bench) if word in ("offline", "unauthorized", "failed")], [])
    Ledger(bench, GIVEN).agree("after the nights")


@claim(mounted=False)
def a_token_that_has_ended_in_the_night_is_not_tried(bench: Bench) -> None:
    """It has half an hour, which CLOCK_MONOTONIC does not see pass."""
    faults = Faults(bench)
    bench.mount()
    bench.sample("pe32").read_bytes()
    same(len(bench.proxy.calls("token")), 1)
    faults.arm("CLOCK", times=FOR_EVER, code=HOUR_S)
    bench.sample("text").read_bytes()
    same(len(bench.proxy.calls("token")), 2, "tokens")
    same([str(call) for call in bench.proxy.calls() if call.status == 401], [])


@claim(mounted=False, engine=["--token-lifetime", str(TOKEN_S), "--job-delay-ms", "4000"], options=PAID, is_bounded=True)
def a_hunt_that_was_under_way_is_followed_and_not_sent_again(bench: Bench) -> None:
    night = Night(bench)
    bench.mount()
    bench.submit("early", ELF_FILES)
    night.pass_by(1)
    until(lambda: bench.read("hunts/early/status").startswith("done"), JOB_MAX_S, "the hunt is done")
    same(len(bench.proxy.calls("hunt")), 1)
    bench.submit("late", ELF_FILES)
    same(len(bench.proxy.calls("hunt")), 1, "the same rule is the same request, an hour later too")
    Ledger(bench, GIVEN).agree("after the night")


class Jumps:
    """A calendar that somebody sets while the daemon works."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.faults = Faults(bench)
        bench.mount()

    def to(self, hours: int) -> None:
        self.hours = hours
        self.faults.arm("CLOCK", times=FOR_EVER, code=hours * HOUR_S)

    def age_s(self, told: str) -> float:
        """Of "asked" in `quotas`, by the calendar of the daemon."""
        asked = re.search(r"^asked\t(\S+)", told, re.MULTILINE)[1]
        return time.time() + self.hours * HOUR_S - calendar.timegm(time.strptime(asked, "%Y-%m-%dT%H:%M:%SZ"))


@claim(mounted=False, options=PAID, is_bounded=True)
def clocks_that_jump_while_awake_cost_nothing(bench: Bench) -> None:
    """Forward as after a suspend, back as when a wrong clock is set right."""
    jumps = Jumps(bench)
    for hours, name in ((30, "text"), (-30, "pdf"), (0, "pe32")):
        jumps.to(hours)
        same(read_error(bench.sample(name)), None, f"{hours} hours")
        bench.run("cat status budget quotas events metrics && ls samples hunts requests")
        assert jumps.faults.fired("CLOCK"), "nobody has looked at a clock"
    same(len(bench.proxy.paid()), 3)
    Ledger(bench, GIVEN).agree("with the right clock again")


@claim(mounted=False)
def what_a_wrong_clock_has_noted_is_asked_for_again(bench: Bench) -> None:
    """It lies ahead once the clock is right, and would be young for as long as that."""
    jumps = Jumps(bench)
    unknown = bench.root / "samples" / hashlib.sha256(b"nobody has this").hexdigest()
    for number, hours in enumerate((30, 0, -30), 1):
        jumps.to(hours)
        told = bench.read("quotas")
        assert abs(jumps.age_s(told)) < FRESH_S, f"{hours} hours: {told}"
        same(errno_of(os.stat, unknown), "ENOENT")
        same(len(bench.proxy.calls("metadata")), number, f"{hours} hours: metadata calls")
        same(errno_of(os.stat, unknown), "ENOENT")
        same(len(bench.proxy.calls("metadata")), number, f"{hours} hours, a moment later: metadata calls")


@claim(mounted=False, engine=["--job-delay-ms", "3000"], options=PAID, is_bounded=True)
def a_clock_that_jumps_ends_no_wait_and_makes_none_longer(bench: Bench) -> None:
    """Of an open() for its download and of the poller for a hunt."""
    jumps = Jumps(bench)
    for name, at_first, then in (("text", 0, 30), ("pdf", 30, 0)):
        jumps.to(at_first)
        bench.submit(name, f"{ELF_FILES}// {name}\n")
        stall = bench.proxy.fail("download", Stall(), times=1)
        reader = bench.start("cat", bench.sample(name))
        assert stall.arrived.wait(RUN_MAX_S), "nothing is sent"
        jumps.to(then)
        began = time.monotonic()
        until(lambda: time.monotonic() > began + TICKS_S, TICKS_S + AT_ONCE_S, "the timer has looked")
        same(reader.poll(), None, "cat, while its download is under way")
        stall.release()
        same(reader.wait(RUN_MAX_S), 0, f"cat, from {at_first} to {then} hours")
        until(lambda: bench.read(f"hunts/{name}/status").startswith("done"), JOB_MAX_S, "the hunt is done")
    same(len(bench.proxy.calls("hunt")), 2)
    Ledger(bench, GIVEN).agree("with the right clock again")


if __name__ == "__main__":
    main()
