"""Who waits can leave, who leaves stops nobody, and nothing that was paid for is lost: many waiters, signals, time
limits, and the end of the mount with everything under way."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

from harness import (AT_ONCE_S, EVERYTHING, JOB_MAX_S, RUN_MAX_S, STOP_MAX_S, Bench, claim, claim_of_root, errno_of, main,
                     mount_flags, same, sha256, until)
from proxy import PAID_ROUTES, Stall, trickle

N_WAITERS = 1000
N_DISTINCT = 300
LOOKS = 5
STORM_SIGNALS = 200
END_MAX_S = 2  # of the daemon after a signal, whatever is under way
OPEN_LIMIT_S = 60
TRICKLE = (4096, 1.4)  # bytes and pause: the sample of 200 KB takes 70 s, and never stalls
LIST_OF = ("pdf", "text")

# Opens each path in a thread of its own, through libc, because Python would repeat an interrupted open by itself. The
# signals that are named first have a handler; ends with a line of what the opens came to.
OPENERS = """
import ctypes, errno, signal, sys, threading
names, paths = sys.argv[1].split(), sys.argv[2:]
for name in names:
    signal.signal(getattr(signal, name), lambda *_: None)
if "SIGALRM" in names:
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
libc = ctypes.CDLL(None, use_errno=True)
results = []
def open_it(path):
    fd = libc.open(path.encode(), 0)
    results.append("opened" if fd >= 0 else errno.errorcode[ctypes.get_errno()])
if len(paths) == 1:
    print("ready", flush=True)
    open_it(paths[0])
else:
    threading.stack_size(128 * 1024)
    threads = [threading.Thread(target=open_it, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()
print(*sorted(results), flush=True)
"""


def pool(zoo) -> None:
    for number in range(N_DISTINCT):
        zoo.add(f"pool-{number}", f"sample {number} of the pool\n".encode() * 20)


def pooled(bench: Bench) -> list:
    return [sample for sample in bench.zoo if sample.path.name.startswith("pool-")]


@contextmanager
def at_once(what: str, seconds: float = AT_ONCE_S):
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert took < seconds, f"{what} took {took:.2f} s"


def stalled(bench: Bench, route: str = "download", times: int | None = None) -> Stall:
    return bench.proxy.fail(route, Stall(), times=times)


def arrived(stall: Stall) -> None:
    assert stall.arrived.wait(RUN_MAX_S), "the call that is to stall"


def start_openers(bench: Bench, signals: str, *paths) -> subprocess.Popen[bytes]:
    opener = bench.start(sys.executable, "-c", OPENERS, signals, *paths)
    same(opener.stdout.readline(), b"ready\n")
    return opener


def is_local(bench: Bench, sample) -> bool:
    return sample.sha256 in os.listdir(bench.root / "samples")


def everything_local_is_immediate(bench: Bench) -> None:
    for _ in range(LOOKS):
        with at_once("ls -l"):
            bench.run("ls -l . hunts samples")
        with at_once("stat"):
            os.stat(bench.sample("pe32"))
        with at_once("a local read"):
            same(sha256(bench.sample("true")), bench.zoo["true"].sha256)
        with at_once("status"):
            bench.read("status")


# ---- many who wait ----


@claim(prepare=pool, limit_s=120)
def a_thousand_waiters_slow_nobody_down(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    bench.sample("true").read_bytes()
    stall = stalled(bench)
    distinct = [bench.sample(sample) for sample in pooled(bench)]
    one = distinct[0]
    opener = start_openers(bench, "", *distinct, *[one] * (N_WAITERS - len(distinct)))
    arrived(stall)
    everything_local_is_immediate(bench)
    same(opener.poll(), None, "they still wait")
    stall.release()
    same(opener.communicate(timeout=RUN_MAX_S)[0].split(), [b"opened"] * N_WAITERS)
    paid = bench.proxy.paid()
    same(sorted(paid), sorted(["hunt", bench.zoo["true"].sha256, *(sample.sha256 for sample in pooled(bench))]))


@claim(prepare=pool)
def a_thousand_who_are_killed_leave_at_once(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    bench.sample("true").read_bytes()
    stall = stalled(bench)
    distinct = [bench.sample(sample) for sample in pooled(bench)]
    opener = start_openers(bench, "", *distinct, *[distinct[0]] * (N_WAITERS - len(distinct)))
    arrived(stall)
    with at_once("the end of all of them", AT_ONCE_S * 2):
        opener.kill()
        opener.communicate()
    everything_local_is_immediate(bench)
    stall.release()
    begun = {call.ids[0] for call in bench.proxy.calls("download")}
    until(lambda: begun <= set(os.listdir(bench.root / "samples")), RUN_MAX_S, "what had begun is here")


@claim(prepare=pool)
def what_everybody_left_before_it_began_is_not_bought(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    bench.sample("true").read_bytes()
    stall = stalled(bench)
    opener = start_openers(bench, "", *[bench.sample(sample) for sample in pooled(bench)])
    arrived(stall)
    everything_local_is_immediate(bench)  # and is asked for behind the opens
    opener.kill()
    opener.communicate(timeout=AT_ONCE_S * 2)
    everything_local_is_immediate(bench)
    begun = bench.proxy.paid()
    assert len(begun) < N_DISTINCT / 2, "too many at once for this claim"
    stall.release()
    same(sha256(bench.sample("pe32")), bench.zoo["pe32"].sha256)  # behind all of them, so that their turn has come
    same(sorted(bench.proxy.paid()), sorted([*begun, bench.zoo["pe32"].sha256]))


@claim
def what_waits_for_a_verdict_keeps_no_directory_locked(bench: Bench) -> None:
    stalls = [stalled(bench, route) for route in ("exact", "hunt")]
    bench.read("quotas")
    bench.run("echo 'rule r { condition: filesize < 7 }' > hunts/.r.swp")
    tools = [bench.start("mkdir", "searches/exact/ascii:dark"), bench.start("mv", "hunts/.r.swp", "hunts/r.yar")]
    for stall in stalls:
        arrived(stall)
    with at_once("ls of directories in which something is being made"):
        bench.run("ls searches/exact hunts")
    for tool, stall in zip(tools, stalls):
        same(tool.wait(AT_ONCE_S), 0, "it goes on in the background")
        stall.release()
    for job in ("searches/exact/ascii:dark", "hunts/r"):
        until(lambda: bench.read(f"{job}/status").startswith("done"), JOB_MAX_S, f"{job} is done")
    same(sorted(bench.proxy.paid()), ["exact", "hunt"])


# ---- signals ----


@claim
def storms_of_harmless_signals_fail_no_open(bench: Bench) -> None:
    os.stat(bench.sample("marked"))
    stall = stalled(bench, times=1)
    names = ("SIGURG", "SIGCHLD", "SIGALRM", "SIGUSR1", "SIGWINCH")
    openers = {name: start_openers(bench, name, bench.sample("marked")) for name in names}
    arrived(stall)
    for _ in range(STORM_SIGNALS):
        for name, opener in openers.items():
            opener.send_signal(getattr(signal, name))
        time.sleep(0.001)  # a storm that lasts for several looks of the daemon
    same([name for name, opener in openers.items() if opener.poll() is not None], [], "who has left")
    stall.release()
    for name, opener in openers.items():
        same(opener.communicate(timeout=RUN_MAX_S)[0], b"opened\n", name)
    same(bench.proxy.paid(), [bench.zoo["marked"].sha256])


@claim
def deadly_signals_end_a_wait_at_once_also_in_a_storm(bench: Bench) -> None:
    os.stat(bench.sample("marked"))
    stall = stalled(bench, times=1)
    deadly = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL)
    leavers = {number: start_openers(bench, "SIGURG SIGALRM", bench.sample("marked")) for number in deadly}
    leavers[signal.SIGINT] = bench.start("cat", bench.sample("marked"))  # Python has a handler for this one
    arrived(stall)
    for number, leaver in leavers.items():
        leaver.send_signal(signal.SIGURG)
        with at_once(number.name):
            leaver.send_signal(number)
            same(leaver.wait(RUN_MAX_S), -number, number.name)
    stall.release()
    until(lambda: is_local(bench, bench.zoo["marked"]), RUN_MAX_S, "the download went on")
    same(sha256(bench.sample("marked")), bench.zoo["marked"].sha256)
    same(bench.proxy.paid(), [bench.zoo["marked"].sha256])


# ---- time ----


@claim(limit_s=OPEN_LIMIT_S * 2)
def after_a_minute_the_opener_goes_and_the_download_goes_on(bench: Bench) -> None:
    os.stat(bench.sample("marked"))
    bench.proxy.fail("download", trickle(*TRICKLE), times=1)
    started = time.monotonic()
    same(errno_of(lambda: open(bench.sample("marked"), "rb")), "ETIMEDOUT")
    took = time.monotonic() - started
    assert OPEN_LIMIT_S - 1 < took < OPEN_LIMIT_S + AT_ONCE_S, f"after {took:.1f} s"
    until(lambda: is_local(bench, bench.zoo["marked"]), RUN_MAX_S, "it is there afterwards")
    same(sha256(bench.sample("marked")), bench.zoo["marked"].sha256)
    same(bench.proxy.paid(), [bench.zoo["marked"].sha256])


# ---- the end of the mount ----


class Busy:
    """A mount with everything under way: a job that is polled, readers of `wait` and `events`, downloads, a list, an
    archive, a rule and a search on their way, metadata, quotas, a local file that is open."""

    STALLS = ("download", "metadata", "requests", "fetch", "hunt", "exact")

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.job("all", EVERYTHING)
        bench.sample("true").read_bytes()
        self.held = open(bench.sample("true"), "rb")
        self.local = open(bench.root / "hunts/all/rule.yar", "rb")
        (bench.root / "downloads/list.txt").write_text("".join(bench.zoo[name].sha256 + "\n" for name in LIST_OF))
        bench.submit("polled", "rule polled { condition: filesize < 5 }\n")
        self.stalls = {route: stalled(bench, route) for route in self.STALLS}
        self.tools = [
            bench.start("cat", bench.sample("marked")),
            bench.start("cat", bench.sample("marked")),
            bench.start("cat", bench.sample("pe32")),
            bench.start("stat", bench.root / "samples" / ("ab" * 32)),
            bench.start("cat", "hunts/polled/wait"),
            bench.start("tail", "-f", "events"),
            bench.start("mkdir", "searches/exact/ascii:dark"),
            bench.start("/bin/sh", "-c", "echo 'rule sent { condition: filesize < 9 }' > hunts/sent.yar"),
        ]
        for route in ("download", "metadata", "hunt", "exact", "requests"):
            arrived(self.stalls[route])

    def let_go(self) -> None:
        errno_of(self.held.close)  # of a mount that is gone
        errno_of(self.local.close)
        for stall in self.stalls.values():
            stall.release()
        for tool in self.tools:
            tool.kill()
            tool.communicate(timeout=STOP_MAX_S)
        for route in self.STALLS:
            self.bench.proxy.heal(route)


def ends_in_time(bench: Bench, end: Callable[[Bench], None]) -> None:
    busy = Busy(bench)
    with at_once("the end of the daemon", END_MAX_S):
        end(bench)
        same(bench.program.wait(), 0, "exit status")
    bench.program = None
    until(lambda: not mount_flags(bench.root), AT_ONCE_S, "it is unmounted")
    busy.let_go()
    calls = bench.proxy.calls(*PAID_ROUTES)
    bench.mount()
    jobs = {name: bench.run(f"tail -n 1 hunts/{name}/wait", seconds=JOB_MAX_S).stdout.split()[0]
            for name in ("all", "polled", "sent")}
    same(jobs, {"all": "done", "polled": "done", "sent": "failed"}, "nobody knows of the one that was on its way")
    until(lambda: bench.read("downloads/list/status").split()[0] == "done", JOB_MAX_S, "the list is done")
    for name in ("true", *LIST_OF):
        same(sha256(bench.sample(name)), bench.zoo[name].sha256, name)
    same(bench.proxy.calls(*PAID_ROUTES), calls, "calls that cost, of the next mount by itself")
    lines = [json.loads(line) for line in next(bench.state.glob("*/audit.jsonl")).read_text().splitlines()]
    same([line["seq"] for line in lines], list(range(1, len(lines) + 1)))
    charged = sum(line["cost"] for line in lines if line["outcome"] in ("paid", "unsure"))
    same(charged, sum(len(call.units) for call in calls), "units in the audit: what was under way is unsure")
    for name in ("marked", "pe32"):  # the user's word: opened once more
        same(sha256(bench.sample(name)), bench.zoo[name].sha256, name)


@claim
def sigterm_ends_it_with_everything_under_way(bench: Bench) -> None:
    ends_in_time(bench, lambda bench: bench.program.process.terminate())


@claim
def sigint_ends_it_with_everything_under_way(bench: Bench) -> None:
    ends_in_time(bench, lambda bench: bench.program.process.send_signal(signal.SIGINT))


@claim_of_root
def a_forced_unmount_ends_it_with_everything_under_way(bench: Bench) -> None:
    bench.mount()
    ends_in_time(bench, lambda bench: subprocess.run(["umount", "-f", "-l", bench.root], check=True))


if __name__ == "__main__":
    main()
