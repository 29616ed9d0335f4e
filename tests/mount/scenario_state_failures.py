"""What fails below the state database is an errno; the mount lives, nothing is spent twice, and afterwards all works."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from faults import Faults, every_failure, lives, main
from harness import ELF_FILES, EVERYTHING, JOB_MAX_S, Bench, claim, errno_of, read_error, same, until
from ledger import Ledger
from proxy import Exchange, Reply
from samples import Zoo

N_SAMPLES = 150
PAID = ["budget=500:500", "reserve=0"]
PLENTY = {"downloads": 500, "hunts": 500}
FOR_EVER = 1_000_000
SYNCS_BEFORE = 3  # of the draft, what is to be sent, and the intent to spend
TROUBLE = r"level=err .*(state database|disk I/O|disk is full|is full)"


def samples(zoo: Zoo) -> None:
    for number in range(N_SAMPLES):
        zoo.add(f"s{number}", os.urandom(1000))


def reading(bench: Bench) -> Callable[[int], str | None]:
    return lambda nth: read_error(bench.sample(f"s{nth}"))


def hunting(bench: Bench) -> Callable[[int], str | None]:
    return lambda nth: errno_of((bench.root / "hunts" / f"r{nth}.yar").write_text,
                                f"rule r{nth} {{ condition: filesize < {nth + 10} }}\n")


def is_settled(bench: Bench, ledger: Ledger) -> bool:
    """What the budget lacks is in the audit; the engine, which allows few logins, is not asked for that."""
    left = sum(int(line.split("\t")[1]) for line in bench.read("budget").splitlines())
    return sum(PLENTY.values()) - left == sum(line["cost"] for line in ledger.audit())


def all_is_well(bench: Bench, n: int) -> None:
    """Each sample comes, a hunt is done, no rule went out twice, and the three ledgers agree."""
    for number in range(n):
        same(bench.sample(f"s{number}").read_bytes(), bench.zoo[f"s{number}"].content)
    same(bench.job("after", ELF_FILES).name, "after")
    ledger = Ledger(bench, PLENTY)
    until(lambda: is_settled(bench, ledger), JOB_MAX_S, "what could not be noted is found, and noted")
    until(lambda: not {"queued", "sending"} & {line.split()[0] for line in states(bench)}, JOB_MAX_S, "all have a verdict")
    ledger.agree("when nothing fails any more")
    sent = [call.json["yara_rule"] for call in bench.proxy.calls("hunt")]
    same(len(sent), len(set(sent)), "no rule is sent twice, however late")


def states(bench: Bench) -> list[str]:
    return [path.read_text() for path in (bench.root / "hunts").glob("*/status")]


@claim(mounted=False, prepare=samples, options=PAID, is_bounded=True, trouble=TROUBLE)
def any_failed_write_below_a_download_is_an_errno(bench: Bench) -> None:
    n = every_failure(bench, "DB_WRITE", errno.EIO, reading(bench))
    assert n > 3, n
    all_is_well(bench, n)


@claim(mounted=False, prepare=samples, options=PAID, is_bounded=True, trouble=TROUBLE)
def any_failed_sync_below_a_download_is_an_errno(bench: Bench) -> None:
    n = every_failure(bench, "DB_SYNC", errno.EIO, reading(bench))
    assert n > 1, n
    all_is_well(bench, n)


@claim(mounted=False, prepare=samples, options=PAID, is_bounded=True, trouble=TROUBLE)
def any_full_disk_below_a_hunt_is_an_errno(bench: Bench) -> None:
    n = every_failure(bench, "DB_WRITE", errno.ENOSPC, hunting(bench))
    assert n > 3, n
    all_is_well(bench, 3)


@claim(mounted=False, prepare=samples, options=PAID, is_bounded=True, trouble=TROUBLE)
def any_failed_sync_below_a_hunt_is_an_errno(bench: Bench) -> None:
    n = every_failure(bench, "DB_SYNC", errno.EIO, hunting(bench))
    assert n > 1, n
    all_is_well(bench, 3)


@claim(mounted=False, options=PAID, is_bounded=True, trouble=TROUBLE)
def the_rule_and_its_intent_are_on_the_disk_before_a_hunt_leaves(bench: Bench) -> None:
    """And its id before close() has returned. What is not synced a power cut takes away, and then it is paid for twice."""
    faults = Faults(bench)
    bench.mount()
    bench.job("first", ELF_FILES)
    synced = []

    def note(exchange: Exchange) -> Reply:
        synced.append(faults.passed("DB_SYNC"))
        return exchange.forward()

    bench.proxy.fail("hunt", note)
    faults.count("DB_SYNC")
    same(hunting(bench)(0), None)
    at_close = faults.passed("DB_SYNC")
    assert synced[0] >= SYNCS_BEFORE and at_close > synced[0], f"syncs: {synced[0]} before it left, {at_close} at close()"
    for nth in range(SYNCS_BEFORE):
        bench.run("cat hunts/*/wait")
        n_calls = len(bench.proxy.calls("hunt"))
        faults.arm("DB_SYNC", skip=nth)
        same(hunting(bench)(1 + nth), "EIO", f"sync {nth} fails")
        same(len(bench.proxy.calls("hunt")), n_calls, f"calls, when sync {nth} failed")
    faults.disarm("DB_SYNC")
    all_is_well(bench, 0)


@claim(mounted=False, prepare=samples, options=PAID, is_bounded=True, trouble=TROUBLE)
def a_state_that_fails_for_a_while_spends_nothing_and_then_works(bench: Bench) -> None:
    """EROFS is what a disk says that the kernel has turned read-only, with files that are open for writing."""
    faults = Faults(bench)
    bench.mount()
    same(read_error(bench.sample("s0")), None)
    for code in (errno.EIO, errno.EROFS, errno.ENOSPC):
        paid = bench.proxy.paid()
        hunts = len(bench.proxy.calls("hunt"))
        for fault in ("DB_WRITE", "DB_SYNC"):
            faults.arm(fault, times=FOR_EVER, code=code)
        refused = read_error(bench.sample("s1")), hunting(bench)(code)
        assert set(refused) <= {"EIO", "EROFS", "ENOSPC"}, refused
        same(read_error(bench.sample("s0")), None, "what is here is served")
        lives(bench)
        same(bench.proxy.paid(), paid, "downloads")
        same(len(bench.proxy.calls("hunt")), hunts, "hunts")
        for fault in ("DB_WRITE", "DB_SYNC"):
            faults.disarm(fault)
    until(lambda: read_error(bench.sample("s1")) is None, JOB_MAX_S, "the sample comes")
    all_is_well(bench, 3)


@claim(mounted=False, prepare=samples, options=PAID, is_bounded=True, trouble=TROUBLE)
def a_state_that_cannot_be_read_is_an_errno(bench: Bench) -> None:
    """What is not known for this moment is not taken for what is not there."""
    faults = Faults(bench)
    bench.mount()
    same(bench.sample("s0").read_bytes(), bench.zoo["s0"].content)
    os.stat(bench.sample("s1"))
    bench.job("before", EVERYTHING)
    looks = [lambda: sorted(os.listdir(bench.root / "hunts")), lambda: len(os.listdir(bench.root / "requests")),
             lambda: bench.read("hunts/before/status"), lambda: bench.read("hunts/before/hashes.txt"),
             lambda: os.stat(bench.sample("s0")).st_size, lambda: os.stat(bench.sample("s1")).st_size,
             lambda: bench.read(f"metadata/{bench.zoo['s1'].sha256}.json"), lambda: bench.sample("s0").read_bytes()]
    bench.remount()
    right = [look() for look in looks]
    bench.remount()
    n_calls = len(bench.proxy.asked())
    faults.arm("DB_READ", times=FOR_EVER)
    seen = [outcome(look) for look in looks]
    assert faults.fired("DB_READ") and "EIO" in seen, f"nothing had to be read: {seen}"
    same([one for one, truth in zip(seen, right) if one not in (truth, "EIO")], [], "neither right nor an error")
    same(len(bench.proxy.asked()), n_calls, "calls")
    faults.disarm("DB_READ")
    lives(bench)
    same([look() for look in looks], right, "afterwards")
    all_is_well(bench, 3)


def outcome(look: Callable[[], object]) -> object:
    """What it sees, or its errno."""
    seen = []
    return errno_of(lambda: seen.append(look())) or seen[0]


if __name__ == "__main__":
    main()
