"""Many programs at the same time, and none of them pays twice or sees half of anything."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import struct
import subprocess
from contextlib import closing
from concurrent.futures import ThreadPoolExecutor

from harness import (ELF_FILES, EVERYTHING, JOB_MAX_S, RUN_MAX_S, STOP_MAX_S, Bench, claim, main, mount_flags, same, until)
from proxy import Stall, delay, rate_limited

END_MAX_S = 2  # what is promised
F_OFD_SETLK = 37  # the module knows it from Python 3.9 on, but not on every build

@claim
def the_same_text_at_the_same_time_is_one_hunt(bench: Bench) -> None:
    bench.proxy.fail("hunt", delay(1))
    writers = []
    for number in range(6):
        (bench.inbox / f"copy{number}.yar").write_text(ELF_FILES)
        writers.append(bench.start("cp", bench.inbox / f"copy{number}.yar", "hunts/"))
    for writer in writers:
        same((writer.wait(RUN_MAX_S), writer.stderr.read()), (0, b""))
    same(bench.proxy.paid(), ["hunt"])
    until(lambda: all(bench.read(f"hunts/copy{number}/status").startswith("done") for number in range(6)), JOB_MAX_S,
          "all are done")


@claim
def different_rules_at_the_same_time_are_one_hunt_each(bench: Bench) -> None:
    count = 20
    for number in range(count):
        (bench.inbox / f"rule{number}.yar").write_text(ELF_FILES.replace("elf_files", f"r{number}"))
    bench.run("; ".join(f"cp {bench.inbox}/rule{number}.yar hunts/ &" for number in range(count)).replace("&;", "&")
              + " wait")
    same(len(bench.proxy.paid()), count)
    same(len({call.json["yara_rule"] for call in bench.proxy.calls("hunt")}), count)
    until(lambda: all(bench.read(f"hunts/rule{number}/status").startswith("done") for number in range(count)),
          JOB_MAX_S, "all are done")
    same(len({bench.read(f"hunts/rule{number}/id") for number in range(count)}), count, "ids")


@claim
def readers_of_everything_see_whole_files(bench: Bench) -> None:
    hunt = bench.job("all", EVERYTHING)
    samples = list(bench.zoo) * 8

    def read(sample) -> bool:
        return (hunt / "samples" / sample.sha256).read_bytes() == sample.content

    with ThreadPoolExecutor(32) as pool:
        same(list(pool.map(read, samples)), [True] * len(samples))
    same(sorted(bench.proxy.paid()[1:]), sorted(sample.sha256 for sample in bench.zoo.costly))


@claim
def a_reader_of_a_rule_that_is_being_written_does_not_disturb(bench: Bench) -> None:
    with open(bench.root / "hunts" / "slow.yar", "w") as writer:
        writer.write("rule slow {\n")
        writer.flush()
        same(bench.read("hunts/slow.yar"), "rule slow {\n")
        bench.run("cat hunts/slow.yar && ls -l hunts")
        same(bench.proxy.calls("hunt"), [])
        writer.write("  condition: filesize > 1 }\n")
    same([call.json["yara_rule"] for call in bench.proxy.calls("hunt")], ["rule slow {\n  condition: filesize > 1 }\n"])


@claim
def a_rule_that_is_open_here_shows_what_was_written_there(bench: Bench) -> None:
    """Two mounts of one profile. Who has it open, to read or to write, keeps no old text alive for those who come."""
    first = 'rule shared { condition: filesize == 1 }\n'
    bench.job("shared", first)
    other = bench.directory / "other"
    other.mkdir()
    program = bench.start_mount(other)
    here, there = bench.root / "hunts/shared.yar", other / "hunts/shared.yar"
    with here.open("r+") as writer:
        same(writer.read(), first)
        for number in range(2, 5):
            text = first.replace("== 1", f"== {number}")
            (bench.inbox / "shared.yar").write_text(text)
            bench.run(f"cp {bench.inbox}/shared.yar {there}")
            with here.open() as reader:
                same((reader.read(), os.stat(here).st_size), (text, len(text)), "while it is open")
                same(here.read_text(), text, "while it is read")
        bench.run(f"echo '// and more' >> {here}")
        same(there.read_text(), text + "// and more\n", "added to what is there now")
    same(here.read_text(), text + "// and more\n")
    bench.run(f"mv hunts/shared.yar hunts/moved.yar && cmp hunts/moved.yar {other}/hunts/moved.yar")
    same(bench.proxy.paid(), ["hunt"], "all of it is drafts")
    bench.run(f"fusermount3 -u {other}", cwd=bench.directory)
    program.wait()


@claim
def a_rate_limited_hunt_is_sent_once(bench: Bench) -> None:
    bench.proxy.fail("hunt", rate_limited(-30), times=3)
    bench.submit("wiper", ELF_FILES)
    until(lambda: bench.read("hunts/wiper/status").startswith("done"), JOB_MAX_S, "it is sent when the limit is over")
    same(bench.proxy.paid(), ["hunt"])


@claim
def unmounting_does_not_wait_for_a_submission(bench: Bench) -> None:
    stall = bench.proxy.fail("hunt", Stall(), times=1)
    (bench.inbox / "wiper.yar").write_text(ELF_FILES)
    writer = bench.start("cp", bench.inbox / "wiper.yar", "hunts/")
    assert stall.arrived.wait(RUN_MAX_S), "nothing is sent"
    bench.program.process.send_signal(signal.SIGTERM)
    same(bench.program.wait(STOP_MAX_S), 0, "exit status after SIGTERM")
    bench.program = None
    writer.communicate(timeout=RUN_MAX_S)
    stall.release()
    bench.mount()
    same(bench.read("hunts/wiper/status").split()[0], "failed", "nobody knows whether it was accepted")
    same(len(bench.proxy.calls("hunt")), 1, "hunts sent")


@claim
def a_kill_during_a_download_leaves_nothing_half(bench: Bench) -> None:
    sample = bench.zoo["noise-3145728"]
    stall = bench.proxy.fail("download", Stall(), times=1)
    reader = bench.start("cat", bench.sample(sample))
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    bench.kill()
    reader.communicate(timeout=RUN_MAX_S)
    stall.release()
    bench.mount()
    same(os.listdir(bench.root / "samples"), [])
    same(bench.sample(sample).read_bytes() == sample.content, True)
    bench.unmount()
    left = [path for path in bench.cache.rglob("*") if path.is_file() and path.stat().st_size and
            sample.sha256 not in path.name and path.name != "sealed-by"]
    same(left, [], "temporary files")


@claim(engine=["--token-lifetime", "5"])
def tokens_of_a_short_life_are_renewed(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    bench.run("cd hunts/all/samples && sha256sum -c --quiet ../SHA256SUMS")
    same(len(bench.proxy.paid()), 1 + len(bench.zoo.costly))


# ---- a process of the same profile that has something and does not go on ----


def ends_in_time(bench: Bench, waiting: list[subprocess.Popen]) -> None:
    """Everything that waits is answered, and the mount ends by itself within what is promised."""
    bench.program.process.send_signal(signal.SIGTERM)
    same(bench.program.wait(END_MAX_S), 0, "exit status")
    bench.program = None
    same(mount_flags(bench.root), None, "what is mounted")
    for one in waiting:
        one.communicate(timeout=STOP_MAX_S)
        assert one.returncode, "it cannot have succeeded"


def stuck(bench: Bench, *arguments: str) -> subprocess.Popen | None:
    """The tool, when it does not end at once."""
    process = bench.start(*arguments)
    try:
        process.communicate(timeout=0.3)
    except subprocess.TimeoutExpired:
        return process
    return None


@claim(trouble="level=err .*database is locked")
def who_has_the_state_keeps_no_mount_from_ending(bench: Bench) -> None:
    os.stat(bench.sample("pdf"))
    with closing(sqlite3.connect(next(bench.state.glob("*/state.db")), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [bench.start("cat", bench.sample(name)) for name in ("pe32", "pe64", "text", "pdf")]
        waiting.append(bench.start("cp", bench.zoo["text"].path, "hunts/text.yar"))
        waiting.append(until(lambda: stuck(bench, "cat", "budget"), RUN_MAX_S, "somebody waits for the state"))
        ends_in_time(bench, waiting)
        other.execute("ROLLBACK")
    bench.mount()
    for name in ("pe32", "pdf"):
        same(bench.sample(name).read_bytes() == bench.zoo[name].content, True, name)
    same(len(bench.proxy.paid()), 2)


@claim(options=["cache_size=1M"])
def who_evicts_and_is_stopped_keeps_no_mount_from_ending(bench: Bench) -> None:
    names = ("pe32", "pe64", "text")
    for name in names:
        os.stat(bench.sample(name))
    with next(bench.cache.glob("*/in-use")).open("r+b") as other:
        second_part = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1, 1, 0)  # struct flock
        fcntl.fcntl(other, F_OFD_SETLK, second_part)
        waiting = [bench.start("cat", bench.sample(name)) for name in names]
        until(lambda: all(is_parked(bench, name) for name in names), RUN_MAX_S, "all wait for room")
        ends_in_time(bench, waiting)
    bench.mount()
    for name in names:
        same(bench.sample(name).read_bytes() == bench.zoo[name].content, True, name)
    same(len(bench.proxy.paid()), len(names))


def is_parked(bench: Bench, name: str) -> bool:
    """A download has the lock of its digest while it waits for room."""
    return any(bench.zoo[name].sha256 == path.name for path in bench.state.glob("*/locks/*"))


if __name__ == "__main__":
    main()
