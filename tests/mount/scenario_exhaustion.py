"""What runs out or fails is an errno and an event; the mount lives, and nothing that was paid for is lost."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
from collections.abc import Callable

from disk import Failing, Small
from faults import Faults, every_failure, lives, main
from harness import (ELF_FILES, EVERYTHING, JOB_MAX_S, START_MAX_S, Bench, Program, claim, claim_of_root, errno_of, malqueryfs,
                     mount_flags, read_error, same, until)
from ledger import Ledger
from nobody import AS_NOBODY, as_nobody, nobody_mounts
from proxy import Stall
from samples import Zoo

N_BIG = 150
SIZE = 150_000
PAID = ["budget=500:500", "reserve=0"]
PLENTY = {"downloads": 500, "hunts": 500}
TROUBLE = r"level=err .*(No space left|disk is full|disk I/O|Input/output|memory|ENOMEM|EIO|ENOSPC|EMFILE)"


def bigs(zoo: Zoo) -> None:
    for number in range(N_BIG):
        zoo.add(f"big{number}", os.urandom(SIZE))


def events(bench: Bench, word: str) -> list[dict]:
    return [event for event in map(json.loads, bench.read("events").splitlines()) if event["event"] == word]


def is_right(bench: Bench, name: str) -> bool:
    return bench.sample(name).read_bytes() == bench.zoo[name].content


@claim_of_root(prepare=bigs, options=PAID, is_bounded=True)
def a_cache_without_room_is_enospc_before_anything_is_paid(bench: Bench) -> None:
    with Small(bench.cache, "8M") as disk:
        bench.mount()
        assert is_right(bench, "big0")
        disk.fill()
        same(read_error(bench.sample("big1")), "ENOSPC")
        same(bench.proxy.paid(), [bench.zoo["big0"].sha256])
        same([event["errno"] for event in events(bench, "failed")], ["ENOSPC"])
        assert is_right(bench, "big0")
        lives(bench)
        disk.clear()
        assert is_right(bench, "big1")
        Ledger(bench, PLENTY).agree("with room again")
        bench.unmount()


@claim_of_root(prepare=bigs, options=PAID, is_bounded=True)
def a_download_that_has_begun_has_its_room(bench: Bench) -> None:
    """Else it would be paid for a second time."""
    for number, options in enumerate(([], ["cache=plain"])):
        with Small(bench.cache, "8M") as disk:
            bench.options += options
            bench.mount()
            stall = bench.proxy.fail("download", Stall(), times=1)
            reader = bench.start("sha256sum", bench.sample(f"big{number}"))
            assert stall.arrived.wait(JOB_MAX_S)
            disk.fill()
            stall.release()
            same(reader.communicate(timeout=JOB_MAX_S)[0].split()[0].decode(), bench.zoo[f"big{number}"].sha256)
            bench.unmount()
    same(bench.proxy.paid(), [bench.zoo[f"big{number}"].sha256 for number in range(2)])


@claim_of_root(prepare=bigs, options=PAID, is_bounded=True, trouble=TROUBLE)
def a_state_without_room_is_enospc_and_nothing_is_sent_that_could_not_be_noted(bench: Bench) -> None:
    with Small(bench.state, "4M") as disk:
        bench.mount()
        assert is_right(bench, "big0")
        disk.fill()
        rule = "rule large { condition: filesize < 10 } //" + "x" * 900_000  # more than what is free in files that exist
        same(errno_of((bench.root / "hunts" / "large.yar").write_text, rule), "ENOSPC")
        lives(bench)
        same(bench.proxy.calls("hunt"), [])
        assert is_right(bench, "big0")
        disk.clear()
        same(bench.job("after", ELF_FILES).name, "after")
        assert is_right(bench, "big1")
        Ledger(bench, PLENTY).agree("with room again")
        bench.unmount()


@claim_of_root(options=PAID, is_bounded=True, trouble=TROUBLE)
def a_state_that_fills_up_before_the_id_is_noted_is_never_sent_again(bench: Bench) -> None:
    with Small(bench.state, "4M") as disk:
        bench.mount()
        stall = bench.proxy.fail("hunt", Stall(), times=1)
        writer = bench.start("sh", "-c", "printf 'rule one { condition: filesize < 10 }' > hunts/one.yar")
        assert stall.arrived.wait(JOB_MAX_S)
        disk.fill()
        stall.release()
        writer.wait(JOB_MAX_S)
        lives(bench)
        disk.clear()
        bench.remount()
        until(lambda: not bench.read("hunts/one/status").startswith("queued"), JOB_MAX_S, "a word")
        known = bench.proxy.calls("hunt")[0].reqid in os.listdir(bench.root / "requests")
        assert known or bench.read("hunts/one/status").startswith("failed")
        Ledger(bench, PLENTY).agree("with room again")
        same(len(bench.proxy.calls("hunt")), 1)
        bench.unmount()


@claim_of_root
def a_state_that_cannot_be_written_is_said_in_one_line(bench: Bench) -> None:
    with Small(bench.state, "4M"):
        subprocess.run(["mount", "-o", "remount,ro", bench.state], check=True)
        program = Program([malqueryfs(), "-f", "-o", f"base_url={bench.proxy.url},state_dir={bench.state},"
                           f"cache_dir={bench.cache}", bench.root], {**bench.environment, **bench.credentials},
                          bench.directory / "said")
        same(program.wait(START_MAX_S), 7, "exit status")
        [line] = (bench.directory / "said").read_text().splitlines()
        assert "Read-only file system" in line, line
        same(mount_flags(bench.root), None)


@claim_of_root(prepare=bigs, options=PAID, is_bounded=True, trouble=TROUBLE)
def a_disk_that_turns_read_only_spends_nothing_and_loses_nothing(bench: Bench) -> None:
    if reason := Failing.why_not():
        print(f"skipped: {reason}")
        return
    with Failing(bench.directory / "disk", "32M") as disk:
        bench.state, bench.cache = disk.place / "state", disk.place / "cache"
        bench.mount()
        assert is_right(bench, "big0")
        same(bench.job("before", ELF_FILES).name, "before")
        paid = bench.proxy.paid()
        os.stat(bench.sample("big1"))
        disk.fail()
        for _ in range(3):
            same([read_error(bench.sample(name)) for name in ("big1", "big2")], ["EROFS", "EROFS"])
            same(errno_of((bench.root / "hunts" / "late.yar").write_text, "rule late { condition: true }"), "EROFS")
            assert is_right(bench, "big0")
            lives(bench)
        same(bench.proxy.paid(), paid, "paid")
        same({event["errno"] for event in events(bench, "failed")}, {"EROFS"})
        bench.unmount()
        lines = [line for line in log_lines(bench) if "Read-only" in line]
        assert 3 <= len(lines) < 30, lines
        disk.repair()
        bench.mount()
        assert is_right(bench, "big0") and is_right(bench, "big1")
        same(bench.job("after", EVERYTHING).name, "after")
        same(bench.run("ls hunts").stdout.split(), ["after", "after.yar", "before", "before.yar"])
        Ledger(bench, PLENTY).agree("with a disk that can be written again")
        bench.unmount()


@claim_of_root(prepare=bigs, options=PAID, is_bounded=True, trouble=TROUBLE)
def without_descriptors_a_sample_is_emfile_and_comes_later(bench: Bench) -> None:
    bench.mount()
    assert is_right(bench, "big0")
    limits = resource.prlimit(bench.program.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(bench.program.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    same(read_error(bench.sample("big1")), "EMFILE")
    bench.run("ls -l . && cat status budget")
    resource.prlimit(bench.program.pid, resource.RLIMIT_NOFILE, limits)
    same(bench.proxy.paid(), [bench.zoo["big0"].sha256])
    assert is_right(bench, "big1")
    Ledger(bench, PLENTY).agree("with descriptors again")


def log_lines(bench: Bench) -> list[str]:
    return (bench.logs / "malqueryfs.log").read_text().splitlines()


@claim_of_root(prepare=bigs)
def without_more_threads_a_mount_goes_on_with_those_it_has(bench: Bench) -> None:
    """Those of libfuse are made when they are needed; root has no such limit, so another user mounts."""
    nobody_mounts(bench)
    as_nobody(bench, f"prlimit --pid {bench.program.pid} --nproc=1:")
    n_lines = len(log_lines(bench))
    stall = bench.proxy.fail("download", Stall())
    readers = [subprocess.Popen([*AS_NOBODY, "sha256sum", bench.sample(f"big{number % 4}")], stdout=subprocess.PIPE)
               for number in range(40)]
    assert stall.arrived.wait(JOB_MAX_S)
    for _ in range(5):
        as_nobody(bench, "cd mnt && ls -l . samples hunts && cat status budget metrics events && df .")
    as_nobody(bench, "cd mnt && printf 'rule r { condition: filesize < 10 }' > hunts/r.yar && cat hunts/r/wait")
    stall.release()
    for number, reader in enumerate(readers):
        out, _ = reader.communicate(timeout=JOB_MAX_S)
        same(out.split()[0].decode(), bench.zoo[f"big{number % 4}"].sha256)
    same(len(bench.proxy.paid()), 5)
    said = [line for line in log_lines(bench)[n_lines:] if not line.startswith("level=info")]
    assert len(said) < 10, said
    as_nobody(bench, f"prlimit --pid {bench.program.pid} --nproc=200:")
    as_nobody(bench, f"sha256sum {bench.sample('big9')}")


@claim(mounted=False)
def without_threads_a_mount_says_so_in_one_line(bench: Bench) -> None:
    faults = Faults(bench)
    skip = 0
    while True:
        faults.arm("THREAD", skip=skip, code=errno.EAGAIN)
        try:
            bench.mount()
            until(lambda: errno_of(bench.read, "status") is None or not bench.program.is_running(), START_MAX_S, "an end")
        except AssertionError:
            pass
        if not faults.fired("THREAD"):
            break
        assert bench.program is None or bench.program.wait(START_MAX_S), "a failure is no success"
        bench.program = None
        until(lambda: not mount_flags(bench.root), START_MAX_S, "the mount is gone")
        skip += 1
    assert skip > 3, f"{skip} threads"
    said = [line for line in log_lines(bench) if not line.startswith("level=info")]
    same(len(said), skip, f"lines: {said}")


def reading(bench: Bench) -> Callable[[int], str | None]:
    """Another sample each time."""
    return lambda nth: read_error(bench.sample(f"big{nth}"))


def all_come(bench: Bench, n: int) -> None:
    """At the next try: what was paid for and came is here, what did not is bought again."""
    for number in range(n):
        assert is_right(bench, f"big{number}"), number


@claim(mounted=False, prepare=bigs, trouble=TROUBLE)
def any_failed_write_is_an_errno(bench: Bench) -> None:
    n = every_failure(bench, "WRITE", errno.EIO, reading(bench))
    assert n > 3, n
    all_come(bench, n)


@claim(mounted=False, prepare=bigs, trouble=TROUBLE)
def any_failed_read_is_an_errno_and_the_sample_stays(bench: Bench) -> None:
    n = every_failure(bench, "READ", errno.EIO, reading(bench))
    assert n > 1, n
    all_come(bench, n)
    same(len(bench.proxy.paid()), len(set(bench.proxy.paid())), "bought once")
    same(list((bench.cache / "default" / "damaged").iterdir()), [])


@claim(mounted=False, prepare=bigs, trouble=TROUBLE)
def any_failed_open_or_rename_is_an_errno(bench: Bench) -> None:
    n = every_failure(bench, "OPEN", errno.EMFILE, reading(bench))
    assert n > 3, n
    all_come(bench, n)
    bench.unmount()
    assert every_failure(bench, "RENAME", errno.ENOSPC, lambda nth: read_error(bench.sample(f"big{n + 1 + nth}"))) == 1


@claim(mounted=False, prepare=bigs, trouble=TROUBLE)
def any_failed_sync_is_an_errno(bench: Bench) -> None:
    n = every_failure(bench, "SYNC", errno.EIO, reading(bench))
    assert n > 3, n
    all_come(bench, n)


@claim(mounted=False, prepare=bigs, trouble=TROUBLE)
def any_failed_allocation_of_a_hunt_is_an_errno(bench: Bench) -> None:
    def hunt(nth: int) -> str | None:
        return errno_of((bench.root / "hunts" / f"r{nth}.yar").write_text,
                        f"rule r{nth} {{ condition: filesize < {nth + 10} }}\n")

    assert every_failure(bench, "MEMORY", errno.ENOMEM, hunt) > 10
    sent = [call.json["yara_rule"] for call in bench.proxy.calls("hunt")]
    same(len(sent), len(set(sent)), "no rule is sent twice")


@claim(mounted=False, prepare=bigs, trouble=TROUBLE)
def any_failed_allocation_of_a_download_is_an_errno(bench: Bench) -> None:
    n = every_failure(bench, "MEMORY", errno.ENOMEM, reading(bench))
    assert n > 5, n
    all_come(bench, n)


if __name__ == "__main__":
    main()
