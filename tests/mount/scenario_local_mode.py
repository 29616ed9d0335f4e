"""`malqueryfs --local DIR MOUNTPOINT`: the first mount, without an account."""

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from harness import (AT_ONCE_S, EVERYTHING, RUN_MAX_S, START_MAX_S, STOP_MAX_S, Bench, claim, main, malqueryd,
                     malqueryfs, mount_flags, parent_of, processes_of, same, until)

END_MAX_S = 1.5  # from a signal to the last process; clearly less than the 2 s that users are promised


def mount_local(bench: Bench) -> subprocess.CompletedProcess[str]:
    path = f"{os.path.dirname(malqueryd())}:{bench.environment['PATH']}"
    arguments = [malqueryfs(), "--local", bench.zoo.directory, bench.root]
    return subprocess.run(arguments, timeout=START_MAX_S, text=True, env={**bench.environment, "PATH": path}, cwd="/",
                          stdin=subprocess.DEVNULL, capture_output=True)


def unmount_local(bench: Bench) -> None:
    bench.run(f"fusermount3 -u {bench.root}", cwd=bench.directory)
    until(lambda: not ours(bench), STOP_MAX_S, f"no process is left: {ours(bench)}")


def ours(bench: Bench) -> dict[int, str]:
    """Processes of the local mount; the engine of the bench, which is not used here, does not count."""
    return {pid: line for pid, line in processes_of(bench.directory).items() if pid != bench.engine.pid}


def is_an_index(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        return bool(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'file'").fetchall())


@claim(mounted=False)
def it_returns_when_the_mount_is_usable(bench: Bench) -> None:
    result = mount_local(bench)
    same((result.returncode, result.stderr), (0, ""))
    assert mount_flags(bench.root), "nothing is mounted"
    bench.run("ls -l . hunts samples && cat README status quotas", seconds=AT_ONCE_S * 2)
    unmount_local(bench)


@claim(mounted=False)
def the_whole_job_works_without_credentials(bench: Bench) -> None:
    mount_local(bench)
    hunt = bench.job("all", EVERYTHING)
    bench.run("cd hunts/all/samples && sha256sum -c --quiet ../SHA256SUMS", seconds=RUN_MAX_S)
    same(sorted(os.listdir(hunt / "samples")), sorted(sample.sha256 for sample in bench.zoo))
    same(bench.proxy.calls(), [], "the private engine is used, no other")
    same(bench.read("quotas").splitlines()[:2], ["hunts\t1/unlimited", f"downloads\t{len(bench.zoo.costly)}/unlimited"])
    assert f"downloads {len(bench.zoo.costly)}/unlimited hunts 1/unlimited until" in bench.read("status"), bench.read("status")
    unmount_local(bench)
    mount_local(bench)
    assert bench.read("hunts/all/status").startswith("done"), "the hunt is there after a second mount"
    same(bench.sample("marked").read_bytes() == bench.zoo["marked"].content, True)
    unmount_local(bench)


@claim(mounted=False)
def a_file_that_is_added_is_found_by_the_next_hunt(bench: Bench) -> None:
    mount_local(bench)
    late = bench.zoo.add("late", b"a latecomer to the zoo")
    names = (f"try_{number}" for number in itertools.count())

    def is_found() -> bool:
        name = next(names)
        hunt = bench.job(name, f'rule {name} {{ strings: $a = "a latecomer" condition: $a }}')
        return (hunt / "hashes.txt").read_text().split() == [late.sha256]

    until(is_found, RUN_MAX_S, "the new file is found")
    unmount_local(bench)


@claim(mounted=False)
def nothing_is_left_when_the_filesystem_is_killed(bench: Bench) -> None:
    mount_local(bench)
    [daemon] = [pid for pid in ours(bench) if parent_of(pid) not in ours(bench)]
    os.kill(daemon, signal.SIGKILL)
    until(lambda: not ours(bench), STOP_MAX_S, "the private engine and the helper end with their filesystem")
    assert not mount_flags(bench.root), "the dead mount is left"


@claim(mounted=False)
def an_engine_that_hangs_does_not_delay_the_end(bench: Bench) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        mount_local(bench)
        bench.run("cat quotas")
        [daemon] = [pid for pid in ours(bench) if parent_of(pid) not in ours(bench)]
        [engine] = [pid for pid, line in ours(bench).items() if "--exit-with-stdin" in line]
        os.kill(engine, signal.SIGSTOP)
        os.kill(daemon, number)
        until(lambda: not ours(bench), END_MAX_S, f"everything ends on {number.name}")
        assert not mount_flags(bench.root)


@claim(mounted=False)
def an_engine_that_is_not_installed_is_one_clear_line(bench: Bench) -> None:
    alone = bench.directory / "alone"
    alone.mkdir()
    shutil.copy2(malqueryfs(), alone)
    result = subprocess.run([alone / "malqueryfs", "--local", bench.zoo.directory, bench.root], timeout=START_MAX_S,
                            text=True, env={**bench.environment, "PATH": str(alone)}, cwd="/", capture_output=True)
    assert result.returncode and "installed beside malqueryfs" in result.stderr, result
    same(result.stderr.count("\n"), 1, f"lines: {result.stderr}")
    assert not mount_flags(bench.root) and not ours(bench), "something is left"


@claim(mounted=False)
def an_engine_that_refuses_has_its_own_words_passed_on(bench: Bench) -> None:
    mount_local(bench)
    unmount_local(bench)
    indexes = [path for path in bench.directory.rglob("*.db") if path.parent != bench.directory and is_an_index(path)]
    same(len(indexes), 1, f"indexes: {indexes}")
    with closing(sqlite3.connect(indexes[0])) as database:
        database.execute("PRAGMA user_version = 999")
    result = mount_local(bench)
    assert result.returncode and "the index is of a newer version (999)" in result.stderr, result
    same(result.stderr.count("\n"), 1, f"lines: {result.stderr}")
    assert not mount_flags(bench.root) and not ours(bench), "something is left"


@claim(mounted=False)
def a_directory_that_is_not_there_is_one_clear_line(bench: Bench) -> None:
    result = subprocess.run([malqueryfs(), "--local", bench.directory / "nowhere", bench.root], timeout=START_MAX_S,
                            env=bench.environment, text=True, capture_output=True)
    assert result.returncode, result
    same(result.stderr.count("\n"), 1, result.stderr)
    assert "nowhere" in result.stderr, result
    assert not mount_flags(bench.root)


if __name__ == "__main__":
    main()
