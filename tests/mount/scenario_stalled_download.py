"""A download that hangs stops nobody but those who wait for it, and they can leave."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from harness import AT_ONCE_S, RUN_MAX_S, STOP_MAX_S, Bench, claim, main, read_error, same, until
from proxy import Stall

# Opens a file through libc, because Python would repeat an interrupted open by itself; says with what it ended.
OPEN_WITH_HANDLER = """
import ctypes, errno, signal, sys
signal.signal(getattr(signal, sys.argv[1]), lambda *_: None)
libc = ctypes.CDLL(None, use_errno=True)
print("ready", flush=True)
fd = libc.open(sys.argv[2].encode(), 0)
print("opened" if fd >= 0 else errno.errorcode[ctypes.get_errno()], flush=True)
"""


@contextmanager
def at_once(what: str):
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    assert seconds < AT_ONCE_S, f"{what} took {seconds:.1f} s"


def stalled(bench: Bench, name: str) -> Stall:
    """A download of this sample is going to hang; its metadata is known."""
    os.stat(bench.sample(name))
    return bench.proxy.fail("download", Stall(), times=1)


def open_with_handler(bench: Bench, signal_name: str, name: str) -> subprocess.Popen[bytes]:
    opener = bench.start(sys.executable, "-c", OPEN_WITH_HANDLER, signal_name, bench.sample(name))
    same(opener.stdout.readline(), b"ready\n")
    return opener


@claim
def everything_else_answers_at_once(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    bench.submit("elf", "rule elf { condition: uint32(0) == 0x464c457f }\n")
    stall = stalled(bench, "marked")
    reader = bench.start("cat", bench.sample("marked"))
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    with at_once("ls -l of everything"):
        bench.run("ls -l . hunts samples hunts/elf")
    with at_once("stat of the sample itself"):
        same(os.stat(bench.sample("marked")).st_size, bench.zoo["marked"].size)
    with at_once("a local sample"):
        same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    with at_once("status"):
        bench.run("cat status hunts/elf/status README")
    with at_once("df"):
        bench.run("df . && df -i .")
    with at_once("metadata of another sample"):
        os.stat(bench.sample("pdf"))
    with at_once("a rule that is refused"):
        bench.submit("bad", "rule bad {", ok=False)
    stall.release()
    same(reader.communicate(timeout=RUN_MAX_S)[0] == bench.zoo["marked"].content, True, "bytes after the stall")
    same(bench.proxy.paid().count(bench.zoo["marked"].sha256), 1)


@claim
def a_hundred_waiting_readers_do_not_slow_ls(bench: Bench) -> None:
    stall = stalled(bench, "marked")
    readers = [bench.start("cat", bench.sample("marked")) for _ in range(100)]
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    until(lambda: all(open(f"/proc/{reader.pid}/comm").read() == "cat\n" for reader in readers), RUN_MAX_S, "readers")
    with at_once("ls -l"):
        bench.run("ls -l . hunts samples")
    stall.release()
    for reader in readers:
        same(len(reader.communicate(timeout=RUN_MAX_S)[0]), bench.zoo["marked"].size)
    same(bench.proxy.paid(), [bench.zoo["marked"].sha256])


@claim
def ctrl_c_ends_the_wait_and_not_the_download(bench: Bench) -> None:
    stall = stalled(bench, "marked")
    leaver, stayer = (bench.start("cat", bench.sample("marked")) for _ in range(2))
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    leaver.send_signal(signal.SIGINT)
    same(leaver.wait(AT_ONCE_S), -signal.SIGINT, "end of the interrupted cat")
    same(stayer.poll(), None, "the other cat still waits")
    stall.release()
    same(stayer.communicate(timeout=RUN_MAX_S)[0] == bench.zoo["marked"].content, True, "bytes of the other")
    same(bench.proxy.paid(), [bench.zoo["marked"].sha256])


@claim
def a_download_that_everybody_left_is_still_kept(bench: Bench) -> None:
    stall = stalled(bench, "marked")
    leaver = bench.start("cat", bench.sample("marked"))
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    leaver.send_signal(signal.SIGINT)
    leaver.wait(AT_ONCE_S)
    stall.release()
    until(lambda: bench.zoo["marked"].sha256 in os.listdir(bench.root / "samples"), RUN_MAX_S, "the sample is local")
    same(bench.sample("marked").read_bytes() == bench.zoo["marked"].content, True, "bytes")
    same(bench.proxy.paid(), [bench.zoo["marked"].sha256])


@claim
def a_handled_sigint_is_eintr(bench: Bench) -> None:
    stall = stalled(bench, "marked")
    opener = open_with_handler(bench, "SIGINT", "marked")
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    opener.send_signal(signal.SIGINT)
    with at_once("the interrupted open"):
        same(opener.communicate(timeout=RUN_MAX_S)[0], b"EINTR\n")
    stall.release()


@claim
def sigurg_and_sigchld_never_fail_an_open(bench: Bench) -> None:
    for name, signal_name in {"marked": "SIGURG", "pdf": "SIGCHLD", "text": "SIGWINCH"}.items():
        stall = stalled(bench, name)
        opener = open_with_handler(bench, signal_name, name)
        assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
        for _ in range(5):
            opener.send_signal(getattr(signal, signal_name))
            time.sleep(0.05)  # a storm, not one signal
        same(opener.poll(), None, "still waits")
        stall.release()
        same(opener.communicate(timeout=RUN_MAX_S)[0], b"opened\n", signal_name)


@claim
def sigint_after_sigurg_still_ends_the_wait(bench: Bench) -> None:
    stall = stalled(bench, "marked")
    opener = open_with_handler(bench, "SIGURG", "marked")
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    opener.send_signal(signal.SIGURG)
    time.sleep(0.2)  # the kernel tells the daemon of the first signal only
    opener.send_signal(signal.SIGKILL)
    same(opener.wait(AT_ONCE_S), -signal.SIGKILL)
    stall.release()


@claim
def unmounting_does_not_wait_for_the_download(bench: Bench) -> None:
    stall = stalled(bench, "marked")
    errors: list[str | None] = []
    reader = threading.Thread(target=lambda: errors.append(read_error(bench.sample("marked"))))
    reader.start()
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    bench.program.process.send_signal(signal.SIGTERM)
    same(bench.program.wait(STOP_MAX_S), 0, "exit status after SIGTERM")
    reader.join(STOP_MAX_S)
    assert errors and errors[0], errors
    bench.program = None
    stall.release()
    bench.mount()
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)


if __name__ == "__main__":
    main()
