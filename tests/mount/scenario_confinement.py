"""The daemon gives up whatever serving needs no more, and every way of ending it still unmounts, for root and for
anybody else; its helper takes away what is dead, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from harness import (CREDENTIALS, EVERYTHING, NOBODY, START_MAX_S, STOP_MAX_S, Bench, claim, claim_of_root, errno_of,
                     helper_of, main, malqueryfs, mount_flags, processes_of, same, until)
from nobody import as_nobody, nobody_mounts

END_MAX_S = 2  # what is promised
ALL_ON = re.compile(r"landlock=abi\d+ seccomp=on no_new_privs=on capabilities=none dumpable=no")
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def status_of(path: Path) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in (path / "status").read_text().splitlines() if ":\t" in line)


def confined(bench: Bench) -> str:
    [line] = [line for line in bench.read("status").splitlines() if line.startswith("confined\t")]
    return line.split("\t")[1]


def is_over(bench: Bench, pid: int, within: float) -> None:
    until(lambda: not Path(f"/proc/{pid}").exists() or status_of(Path(f"/proc/{pid}"))["State"].startswith("Z"), within,
          "the daemon is gone")
    same(mount_flags(bench.root), None, "what is mounted")


def end_by(bench: Bench, number: int) -> None:
    helper = helper_of(bench.program.pid)
    bench.program.process.send_signal(number)
    same(bench.program.wait(END_MAX_S), 0, "exit status")
    same(mount_flags(bench.root), None, "what is mounted")
    assert not Path(f"/proc/{helper}").exists(), "the helper is left"
    assert "fuse: " not in bench.program.log.read_text(), "libfuse has tried to unmount"
    bench.program = None


# ---- what is given up ----


@claim
def no_thread_has_a_right_left(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    tasks = list(Path(f"/proc/{bench.program.pid}/task").iterdir())
    assert len(tasks) > 4, tasks
    for task in tasks:
        status = status_of(task)
        same((status["NoNewPrivs"], status["CoreDumping"]), ("1", "0"), f"{task}")
        if "seccomp=on" in confined(bench):
            same(status["Seccomp"], "2", f"{task}")
        if os.geteuid() == 0:
            same({int(status[name], 16) for name in CAPABILITIES}, {0}, f"{task}")


@claim
def status_and_log_say_how_far_it_goes(bench: Bench) -> None:
    line = confined(bench)
    assert ALL_ON.fullmatch(line) or "unavailable" in line, line
    assert line in (bench.logs / "malqueryfs.log").read_text(), "no line of the log"


@claim(options=["confine=off"])
def it_can_be_switched_off(bench: Bench) -> None:
    same(confined(bench), "off")
    status = status_of(Path(f"/proc/{bench.program.pid}"))
    same((status["NoNewPrivs"], status["Seccomp"]), ("0", "0"))
    end_by(bench, signal.SIGTERM)


@claim
def a_program_with_two_descriptors_does_not_send_half_of_a_file(bench: Bench) -> None:
    """Only the helper may see the other one."""
    with open(bench.root / "hunts" / "half.yar", "w") as file:
        file.write("rule half {\n")
        file.flush()
        os.close(os.dup(file.fileno()))
        same(bench.proxy.calls("hunt"), [], "sent by the first close")
        file.write("  condition: filesize > 1\n}\n")
    same(len(bench.proxy.calls("hunt")), 1, "hunts")


# ---- the end ----


@claim
def a_signal_unmounts(bench: Bench) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        end_by(bench, number)
        bench.mount()


@claim
def a_signal_unmounts_what_somebody_works_in(bench: Bench) -> None:
    worker = bench.start("sleep", "60")
    try:
        end_by(bench, signal.SIGTERM)
    finally:
        worker.kill()
        worker.wait()


@claim
def what_a_killed_daemon_leaves_is_taken_away(bench: Bench) -> None:
    os.listdir(bench.root / "hunts")
    helper = helper_of(bench.program.pid)
    bench.program.kill()
    bench.program = None
    until(lambda: not Path(f"/proc/{helper}").exists(), END_MAX_S, "the helper is done")
    same(mount_flags(bench.root), None, "what is mounted")


@claim
def another_mount_in_its_place_stays(bench: Bench) -> None:
    first, helper = bench.program, helper_of(bench.program.pid)
    os.kill(first.pid, signal.SIGSTOP)
    bench.run(f"fusermount3 -uz {bench.root}", cwd=bench.directory)
    bench.mount()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    until(lambda: not Path(f"/proc/{helper}").exists(), STOP_MAX_S, "the first helper is done")
    assert mount_flags(bench.root), "the second mount is gone"
    bench.run("ls hunts")


@claim
def an_end_without_its_helper_is_an_end(bench: Bench) -> None:
    os.kill(helper_of(bench.program.pid), signal.SIGKILL)
    bench.submit("all", EVERYTHING)  # closing asks the helper, which is gone
    bench.program.process.terminate()
    same(bench.program.wait(END_MAX_S), 0, "exit status")
    bench.program = None
    assert mount_flags(bench.root), "who has unmounted?"
    bench.mount()
    until(lambda: errno_of(os.stat, bench.root / "README") is None, STOP_MAX_S, "the new mount")


# ---- anybody ----


@claim_of_root
def anybody_can_work_and_has_no_right_left(bench: Bench) -> None:
    nobody_mounts(bench)
    process = Path(f"/proc/{bench.program.pid}")
    status = status_of(process)
    same({int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}, {0})
    same((status["NoNewPrivs"], status["Uid"].split()[0]), ("1", str(NOBODY)))
    same((process / "environ").stat().st_uid, 0, "owner of its files in /proc: root, when it cannot be dumped")
    rule = bench.inbox / "all.yar"
    rule.write_text(EVERYTHING)
    as_nobody(bench, f"cp {rule} {bench.root}/hunts/ && tail -n 1 {bench.root}/hunts/all/wait | grep ^done")
    as_nobody(bench, f"cd {bench.root}/hunts/all/samples && sha256sum --quiet -c ../SHA256SUMS")
    as_nobody(bench, f"grep -Ex 'passthrough.off: (only root may|built with a libfuse before 3.17)' {bench.root}/status")
    as_nobody(bench, f"fusermount3 -u {bench.root}")
    same(bench.program.wait(END_MAX_S), 0, "exit status")
    is_over(bench, bench.program.pid, END_MAX_S)
    bench.program = None


@claim_of_root
def a_signal_unmounts_for_anybody(bench: Bench) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        nobody_mounts(bench)
        end_by(bench, number)


@claim_of_root
def what_a_killed_daemon_leaves_is_taken_away_for_anybody(bench: Bench) -> None:
    nobody_mounts(bench)
    bench.kill()
    nobody_mounts(bench)
    os.kill(helper_of(bench.program.pid), signal.SIGKILL)
    bench.program.kill()
    assert mount_flags(bench.root), "a stale mount"
    nobody_mounts(bench)
    end_by(bench, signal.SIGTERM)


def ours(bench: Bench) -> dict[int, str]:
    return {pid: line for pid, line in processes_of(bench.directory).items() if pid != bench.engine.pid}


def private_engine(bench: Bench) -> tuple[int, Path]:
    """Its pid, and the directory of its socket."""
    [(pid, line)] = [(pid, line) for pid, line in ours(bench).items() if "--exit-with-stdin" in line]
    return pid, Path(re.search(r"--socket (\S+)/engine", line)[1])


@claim_of_root
def a_private_engine_works_and_ends_for_anybody(bench: Bench) -> None:
    shutil.copytree(bench.zoo.directory, bench.directory / "local")
    nobody_mounts(bench, "--local", bench.directory / "local")
    same(len(ours(bench)), 3, f"daemon, helper and engine: {ours(bench)}")
    _, place = private_engine(bench)
    as_nobody(bench, f"ls {bench.root}/hunts && cat {bench.root}/quotas")
    end_by(bench, signal.SIGTERM)
    same(ours(bench), {}, "processes that are left")
    assert not place.exists(), f"{place} is left"


@claim_of_root
def a_private_engine_that_hangs_is_ended(bench: Bench) -> None:
    shutil.copytree(bench.zoo.directory, bench.directory / "local")
    nobody_mounts(bench, "--local", bench.directory / "local")
    engine, place = private_engine(bench)
    os.kill(engine, signal.SIGSTOP)
    bench.program.process.terminate()
    same(bench.program.wait(STOP_MAX_S), 0, "exit status")
    bench.program = None
    same(ours(bench), {}, "processes that are left")
    assert not place.exists(), f"{place} is left"


@claim_of_root
def a_cache_of_somebody_else_is_one_clear_line(bench: Bench) -> None:
    """Root could not use it either once its capabilities are gone."""
    bench.mount()
    bench.unmount()
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", bench.cache], check=True)
    options = f"base_url={bench.proxy.url},state_dir={bench.state},cache_dir={bench.cache}"
    result = subprocess.run([malqueryfs(), "-o", options, bench.root], text=True, timeout=START_MAX_S,
                            env={**bench.environment, **CREDENTIALS}, capture_output=True, cwd=bench.directory)
    same((result.returncode, result.stderr.count("\n")), (7, 1), result.stderr)
    assert "belongs to another user" in result.stderr, result.stderr
    same(mount_flags(bench.root), None, "what is mounted")


if __name__ == "__main__":
    main()
