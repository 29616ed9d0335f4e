"""Without the service: gone, not to be asked, asleep, or under another clock. What is known is there all the same."""

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from email.utils import formatdate

from harness import (AT_ONCE_S, ELF_FILES, EVERYTHING, RUN_MAX_S, Bench, claim, errno_of, main, read_error, same, sha256,
                     until)
from proxy import PAID_ROUTES, answer, gateway

BACK_MAX_S = 50  # the breaker tries again after 30 s, and what is queued is sent every 15 s
TOKEN_S = 3
FAIL_FAST_S = 1
WAIT_ASKED_MAX_S = 15  # a wait of a second, jitter of 5, a try more
YEAR_S = 365 * 24 * 3600
UNKNOWN = "ab" * 32
RULE = "rule small { condition: filesize < 3 }\n"


def reach(bench: Bench) -> str:
    return bench.read("status").splitlines()[0]


def state_of(bench: Bench, job: str) -> str:
    return bench.read(f"{job}/status").split()[0]


def events(bench: Bench) -> list[str]:
    return [json.loads(line)["event"] for line in bench.read("events").splitlines()]


def know_something(bench: Bench) -> None:
    """A hunt with one sample of it here, another one only known by name."""
    hunt = bench.job("wiper", EVERYTHING)
    (hunt / "samples" / bench.zoo["marked"].sha256).read_bytes()


def what_is_known_reads(bench: Bench) -> None:
    bench.run("ls -lR . && cat README status budget hunts/wiper/rule.yar hunts/wiper/results.tsv "
              "hunts/wiper/SHA256SUMS hunts/wiper/metadata/*.json", seconds=AT_ONCE_S * 5)
    same(sha256(bench.hunt("wiper") / "samples" / bench.zoo["marked"].sha256), bench.zoo["marked"].sha256)
    same(os.stat(bench.sample("pe32")).st_size, bench.zoo["pe32"].size, "size of a sample that is only known")


def what_needs_the_service_fails(bench: Bench) -> None:
    for action, path in ((read_error, bench.sample("pe32")), (read_error, bench.root / "quotas"),
                         (lambda path: errno_of(os.stat, path), bench.root / "samples" / UNKNOWN)):
        same(action(path), "ENETUNREACH", str(path))


# ---- the service is gone ----


@claim
def a_service_that_is_gone_at_the_start_keeps_nobody_from_what_is_known(bench: Bench) -> None:
    know_something(bench)
    bench.unmount()
    bench.proxy.down()
    bench.mount()
    what_is_known_reads(bench)
    what_needs_the_service_fails(bench)
    until(lambda: reach(bench) == "offline", RUN_MAX_S, "status says so")
    started = time.monotonic()
    what_needs_the_service_fails(bench)
    assert time.monotonic() - started < FAIL_FAST_S, "it does not fail fast"
    same(bench.proxy.paid().count(bench.zoo["marked"].sha256), 1)


@claim
def what_is_written_meanwhile_is_sent_once_when_it_is_back(bench: Bench) -> None:
    know_something(bench)
    bench.proxy.down()
    (bench.root / "downloads/two.txt").write_text("".join(bench.zoo[name].sha256 + "\n" for name in ("pe32", "pe64")))
    bench.submit("late", RULE)
    same([state_of(bench, job) for job in ("hunts/late", "downloads/two")], ["queued", "queued"])
    same(reach(bench), "offline")
    what_is_known_reads(bench)
    bench.proxy.up()
    for job in ("hunts/late", "downloads/two"):
        until(lambda: state_of(bench, job) == "done", BACK_MAX_S, f"{job} is done by itself")
    same(reach(bench), "online")
    assert [event for event in events(bench) if event in ("offline", "online")][-2:] == ["offline", "online"]
    bench.remount()
    same([len(bench.proxy.calls(route)) for route in ("hunt", "multidownload", "download")], [2, 1, 1])


@claim
def a_service_that_fails_is_not_offline(bench: Bench) -> None:
    bench.read("quotas")
    bench.proxy.fail("metadata", answer(500, "{}"))
    same(errno_of(os.stat, bench.sample("pe32")), "EREMOTEIO")
    same(reach(bench), "online")
    assert "EREMOTEIO" in bench.read("status"), bench.read("status")
    assert "offline" not in events(bench)


# ---- -o offline ----


@claim
def offline_nothing_leaves_and_what_is_known_reads(bench: Bench) -> None:
    know_something(bench)
    bench.unmount()
    before = len(bench.proxy.calls())
    bench.options.append("offline")
    bench.mount()
    same(reach(bench), "offline", "from the start")
    what_is_known_reads(bench)
    started = time.monotonic()
    what_needs_the_service_fails(bench)
    assert time.monotonic() - started < FAIL_FAST_S, "it does not fail fast"
    assert "-o offline" in bench.read("status"), bench.read("status")
    bench.unmount()
    same(bench.proxy.calls()[before:], [], "calls of a mount that is offline")


@claim
def offline_what_is_written_is_queued_for_a_later_mount(bench: Bench) -> None:
    os.stat(bench.sample("pe32"))
    bench.unmount()
    before = len(bench.proxy.calls())
    bench.options.append("offline")
    bench.mount()
    jobs = ["hunts/late", "downloads/one", "searches/exact/ascii:dark", "searches/fuzzy/ascii:night"]
    bench.submit("late", RULE)
    (bench.root / "downloads/one.txt").write_text(bench.zoo["pe32"].sha256 + "\n")
    bench.run("mkdir searches/exact/ascii:dark searches/fuzzy/ascii:night")
    assert bench.submit("bad", "rule bad {", ok=False).returncode, "our own check needs no service"
    same([state_of(bench, job) for job in jobs], ["queued"] * len(jobs))
    assert "-o offline" in bench.read("hunts/late/error"), bench.read("hunts/late/error")
    bench.remount()
    same([state_of(bench, job) for job in jobs], ["queued"] * len(jobs), "after another mount that is offline")
    same(bench.proxy.calls()[before:], [], "calls of a mount that is offline")
    bench.options.remove("offline")
    bench.remount()
    for job in jobs:
        until(lambda: state_of(bench, job) == "done", BACK_MAX_S, f"{job} is done by itself")
    bench.remount()
    same([call.route for call in bench.proxy.calls(*PAID_ROUTES, "fuzzy")].count("fuzzy"), 1)
    same(sorted(bench.proxy.paid()), sorted(["hunt", "exact", bench.zoo["pe32"].sha256]))


@claim(options=["offline"])
def offline_a_profile_that_knows_nothing_is_usable(bench: Bench) -> None:
    bench.run("ls -lR . && cat README status budget metrics", seconds=AT_ONCE_S * 5)
    what_needs_the_service_fails(bench)
    same(bench.proxy.calls(), [])


@claim(options=["offline"], mounted=False)
def offline_no_credentials_are_needed(bench: Bench) -> None:
    bench.credentials.clear()
    bench.mount()
    same(reach(bench), "offline")
    bench.submit("late", RULE)
    same(state_of(bench, "hunts/late"), "queued")


# ---- asleep ----


def sleep_through(bench: Bench, seconds: float) -> None:
    """Lid closed: the daemon stands still, and what it was connected to hangs up."""
    os.kill(bench.program.pid, signal.SIGSTOP)
    bench.proxy.hang_up()
    wakes = time.monotonic() + seconds
    until(lambda: time.monotonic() > wakes, seconds + AT_ONCE_S, "the night is over")
    os.kill(bench.program.pid, signal.SIGCONT)


@claim(engine=["--token-lifetime", str(TOKEN_S)])
def the_first_calls_after_a_sleep_work(bench: Bench) -> None:
    know_something(bench)
    for first in (lambda: bench.job("late", ELF_FILES),
                  lambda: bench.sample("text").read_bytes(),
                  lambda: os.stat(bench.sample("pdf")),
                  lambda: bench.read("quotas"),
                  lambda: bench.run("mkdir searches/exact/ascii:dark")):
        sleep_through(bench, TOKEN_S + 0.5)
        first()
    same(reach(bench), "online")
    same([event for event in events(bench) if event in ("offline", "unauthorized", "failed")], [])
    same(sorted(bench.proxy.paid()), sorted(["hunt", "hunt", "exact", bench.zoo["marked"].sha256,
                                             bench.zoo["text"].sha256]))


# ---- another clock ----


@claim
def a_wait_that_the_service_asks_for_is_counted_on_its_clock(bench: Bench) -> None:
    bench.read("quotas")
    for now, name in ((time.time() + 3 * YEAR_S, "pe32"), (time.time() - 3 * YEAR_S, "pe64")):
        bench.proxy.fail("metadata", gateway(429, "API rate limit exceeded.", Date=formatdate(now, usegmt=True),
                                             X_Ratelimit_Retryafter=str(int(now) + 1)), times=1)
        started = time.monotonic()
        same(os.stat(bench.sample(name)).st_size, bench.zoo[name].size)
        assert time.monotonic() - started < WAIT_ASKED_MAX_S, "it waits for a moment of another year"


@claim
def what_was_absent_under_a_clock_that_ran_ahead_is_asked_for_again(bench: Bench) -> None:
    unknown = bench.root / "samples" / UNKNOWN
    for _ in range(2):
        same(errno_of(os.stat, unknown), "ENOENT")
    same(len(bench.proxy.calls("metadata")), 1, "it is believed for a while")
    bench.unmount()
    [database] = bench.state.glob("*/*.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        same(connection.execute("UPDATE sample SET checked = checked + ? WHERE digest = ?",
                                (YEAR_S, bytes.fromhex(UNKNOWN))).rowcount, 1)
    bench.mount()
    same(errno_of(os.stat, unknown), "ENOENT")
    same(len(bench.proxy.calls("metadata")), 2, "and not for a year")


if __name__ == "__main__":
    main()
