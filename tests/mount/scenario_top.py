"""`malqueryfs --top`, and the file `transfers`: what is under way is seen, and looking costs nothing and keeps nothing
busy."""

import os
import re
import signal
import subprocess
import time

from harness import (ELF_FILES, EVERYTHING, JOB_MAX_S, RUN_MAX_S, Bench, claim, main, malqueryfs, processes_of, same, until)
from proxy import html_502, trickle
from terminal import Terminal

BIG = "noise-3145728"
SLOW = (256 * 1024, 0.3)  # bytes and pause: 3 MiB in four seconds
LOOKS_S = 3


def top(bench: Bench, *arguments: str, seconds: float = RUN_MAX_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run([malqueryfs(), "--top", *arguments], env=bench.environment, cwd=bench.directory,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False)


def rows(bench: Bench) -> list[list[str]]:
    header, *lines = bench.read("transfers").splitlines()
    same(header.split("\t"), ["what", "have", "size", "rate"])
    return [line.split("\t") for line in lines]


def viewer_of(bench: Bench) -> int:
    [viewer] = [pid for pid, words in processes_of(bench.root).items() if words.startswith(f"{malqueryfs()} --top")]
    return viewer


@claim
def transfers_grow_and_go(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    sample = bench.zoo[BIG]
    same(rows(bench), [])
    bench.proxy.fail("download", trickle(*SLOW), times=1)
    reader = bench.start("cat", bench.sample(BIG))
    seen: list[int] = []

    def has_grown() -> bool:
        for what, have, size, _ in rows(bench):
            same((what, int(size)), (sample.sha256, sample.size))
            seen.append(int(have))
        return len(set(seen)) > 2

    until(has_grown, RUN_MAX_S, "three different sizes")
    same(seen, sorted(seen), "bytes only grow")
    reader.communicate(timeout=RUN_MAX_S)
    same(rows(bench), [], "what is here is no transfer any more")


@claim
def an_archive_is_a_transfer_of_its_request(bench: Bench) -> None:
    bench.proxy.fail("fetch", trickle(16 * 1024, 0.2), times=1)
    bench.run(f"echo {bench.zoo['marked'].sha256} > downloads/case.txt")
    found = until(lambda: rows(bench), RUN_MAX_S, "the archive is under way")
    same((found[0][0], found[0][2]), (bench.read("downloads/case/id").strip(), "0"))
    bench.run("cat downloads/case/wait", seconds=JOB_MAX_S)


@claim
def what_fails_is_no_transfer_any_more(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    bench.proxy.fail("download", html_502)
    bench.run(f"cat {bench.sample('text')}", ok=False)
    same(rows(bench), [])


@claim(engine=["--job-delay-ms", "18000"])
def waiting_shows_that_it_goes_on(bench: Bench) -> None:
    bench.submit("wiper", ELF_FILES)
    lines = bench.run("cat hunts/wiper/wait", seconds=JOB_MAX_S).stdout.splitlines()
    elapsed = [int(re.search(r"elapsed=(\d+)", line)[1]) for line in lines if line.startswith("inprogress")]
    assert len(elapsed) >= 2 and elapsed[-1] >= 10, lines
    assert lines[-1].startswith("done"), lines


@claim
def without_a_terminal_it_prints_once(bench: Bench) -> None:
    bench.job("wiper", ELF_FILES)
    result = top(bench, bench.root)
    same(result.returncode, 0, result.stderr)
    for text in (f"malqueryfs  {bench.root}  online", "hunts [------------] 1/1000", "TRANSFERS  0\n",
                 "REQUESTS   0 in progress, 1 done, 0 failed\n", " hunts/wiper              done results=", "EVENTS\n",
                 " finished id "):
        assert text in result.stdout, f"{text!r} is not in:\n{result.stdout}"
    assert "\033" not in result.stdout


@claim
def looking_asks_nothing_and_keeps_nothing_busy(bench: Bench) -> None:
    bench.job("wiper", ELF_FILES)
    with Terminal(bench, malqueryfs(), "--top", str(bench.root)) as terminal:
        terminal.see("hunts/wiper")
        asked = bench.proxy.asked()
        time.sleep(LOOKS_S)  # the claim is about what does not happen
        same(bench.proxy.asked(), asked)
        same(os.readlink(f"/proc/{viewer_of(bench)}/cwd"), "/")
        bench.program.process.terminate()
        same(bench.program.wait(), 0)
        bench.program = None
        terminal.see(f"malqueryfs: the mount at '{bench.root}' went away")
        same(terminal.wait(), 5)
        assert "REQUESTS" not in terminal.screen(), terminal.screen()


@claim
def a_screen_lives_resizes_and_gives_the_terminal_back(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    with Terminal(bench, "sh", "-c", f"stty -a; {malqueryfs()} --top {bench.root}; echo left; stty -a") as terminal:
        terminal.see("q quits")
        bench.proxy.fail("download", trickle(*SLOW), times=1)
        reader = bench.start("cat", bench.sample(BIG))
        terminal.search(re.compile(rf"{bench.zoo[BIG].sha256} \[#+-+\] +\d+ % of 3\.0M"))
        terminal.resize(60, 12)
        terminal.search(re.compile(rf"^ {bench.zoo[BIG].sha256[:16]} \[#+-*\]", re.MULTILINE))
        same(terminal.screen().splitlines()[-1], "q quits")
        same(len(terminal.screen().splitlines()), 12)
        terminal.resize(120, 40)
        terminal.see("EVENTS")
        reader.communicate(timeout=RUN_MAX_S)
        terminal.type("q")
        same(terminal.wait(), 0)
        before, after = terminal.screen().split("left")
        assert " echo " in after and " icanon " in after, after
        assert "q quits" not in before, before


@claim
def signals_give_the_terminal_back(bench: Bench) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Terminal(bench, malqueryfs(), "--top", str(bench.root)) as terminal:
            terminal.see("  online  ")
            os.kill(viewer_of(bench), number)
            same(terminal.wait(), 0, str(number))
            assert "q quits" not in terminal.screen(), terminal.screen()


@claim
def a_stop_gives_the_terminal_back_until_it_goes_on(bench: Bench) -> None:
    command = f"set -m; {malqueryfs()} --top {bench.root}; echo stopped; read -r go; fg"
    with Terminal(bench, "bash", "-c", command) as terminal:
        terminal.see("  online  ")
        terminal.press("C-z")
        terminal.see("stopped")
        terminal.type("go\n")
        terminal.see("q quits")
        terminal.press("q")
        same(terminal.wait(), 0)


@claim
def a_mount_that_hangs_does_not_keep_the_screen(bench: Bench) -> None:
    quiet = "env", f"ASAN_OPTIONS={bench.environment.get('ASAN_OPTIONS', '')}:detect_leaks=0"  # it waits for all threads
    with Terminal(bench, *quiet, malqueryfs(), "--top", str(bench.root)) as terminal:
        terminal.see("  online  ")
        os.kill(bench.program.pid, signal.SIGSTOP)
        try:
            terminal.see("no answer from the mount for")
            terminal.press("q")
            same(terminal.wait(), 0)
        finally:
            os.kill(bench.program.pid, signal.SIGCONT)


@claim
def what_is_no_mount_is_said(bench: Bench) -> None:
    for place in (bench.inbox, bench.directory / "nowhere"):
        result = top(bench, place)
        same((result.returncode, result.stdout, result.stderr.count("\n")), (5, "", 1), str(place))
        assert str(place) in result.stderr, result.stderr
    same(top(bench).returncode, 1)


@claim(options=["offline"])
def offline_is_looked_at_too(bench: Bench) -> None:
    assert "  offline  " in top(bench, bench.root).stdout


if __name__ == "__main__":
    main()
