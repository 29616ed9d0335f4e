"""`events` tells what happened, once, to everybody who reads, follows or polls it; and nobody who looks pays for it."""

import json
import os
import select
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from harness import (AT_ONCE_S, CLIENT_ID, CLIENT_SECRET, RUN_MAX_S, STOP_MAX_S, Bench, claim, errno_of, main, read_error,
                     same, until)
from proxy import Stall, answer, gateway

UNKNOWN = "0123456789abcdef" * 4
POLL_MAX_MS = RUN_MAX_S * 1000
READERS = 8
EVENTS_MAX_BYTES = 4 << 20  # CACHE_EVENTS_MAX_BYTES
LOOKERS = 4

# Reads to the end and polls; prints a line before it waits and one for what poll(2) then says.
POLLER = """
import os, select, sys
fd = os.open("events", os.O_RDONLY)
while os.read(fd, 65536):
    pass
poll = select.poll()
poll.register(fd, select.POLLIN)
print("waiting", flush=True)
print([event for _, event in poll.poll()], flush=True)
"""


def events(bench: Bench) -> list[dict]:
    return [json.loads(line) for line in bench.read("events").splitlines()]


def words(bench: Bench) -> list[str]:
    return [event["event"] for event in events(bench)]


def download(bench: Bench, name: str) -> str:
    bench.sample(name).read_bytes()
    return bench.zoo[name].sha256


def is_asleep(pid: int) -> bool:
    """True when the process waits in poll(2), or sleeps otherwise."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "S"


@contextmanager
def opened_at_the_end(bench: Bench):
    fd = os.open(bench.root / "events", os.O_RDONLY)
    try:
        while os.read(fd, 65536):
            pass
        yield fd
    finally:
        os.close(fd)


# ---- reading ----


@claim
def a_download_is_one_line_of_json(bench: Bench) -> None:
    same(bench.read("events"), "", "before anything happened")
    download(bench, "pe32")
    download(bench, "pe32")
    (event,) = events(bench)
    same(sorted(event), ["bytes", "event", "sha256", "time"])
    same((event["event"], event["sha256"], event["bytes"]), ("downloaded", bench.zoo["pe32"].sha256, bench.zoo["pe32"].size))
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim
def every_tool_reads_the_same_and_ends(bench: Bench) -> None:
    for name in ("pe32", "pe64", "text"):
        download(bench, name)
    text = bench.read("events")
    same(os.stat(bench.root / "events").st_size, len(text))
    for tool in ("cat events", "head -n 9 events", "tail -n 9 events", "tail -c +1 events", "dd if=events bs=7 2>/dev/null",
                 "cp events /dev/stdout", "grep -r event events"):
        same(bench.run(tool, seconds=AT_ONCE_S * 2).stdout, text, tool)
    same(bench.run("wc -c < events").stdout.strip(), str(len(text)))
    same(len(bench.proxy.paid()), 3)


@claim
def nobody_writes_it(bench: Bench) -> None:
    same(os.stat(bench.root / "events").st_mode & 0o777, 0o400)
    same(errno_of(open, bench.root / "events", "a"), "EROFS")
    same(bench.proxy.paid(), [])


@claim
def a_new_mount_begins_with_nothing(bench: Bench) -> None:
    download(bench, "pe32")
    bench.remount()
    same(bench.read("events"), "")
    same(len(bench.proxy.paid()), 1)


# ---- more than is kept ----


def look(bench: Bench, n: int) -> None:
    """Opens that are refused: each is an event, and costs nobody anything."""
    paths = [bench.sample(name) for name in ("pe64", "pdf", "eicar", "marked")]
    for number in range(n):
        same(errno_of(os.open, paths[number % len(paths)], os.O_RDONLY | os.O_NOATIME), "EACCES")


def follow(bench: Bench, is_over: threading.Event) -> bytes:
    """All that a reader sees who waits in poll(2)."""
    text = b""
    with (bench.root / "events").open("rb", buffering=0) as file:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        while piece := file.read(1 << 20) or poll.poll(100) or not is_over.is_set():
            text += piece if isinstance(piece, bytes) else b""
    return text


@claim(limit_s=120)
def when_there_are_too_many_the_oldest_go_and_a_reader_sees_none_twice(bench: Bench) -> None:
    """A follower misses none of them; who did not read for long misses the oldest."""
    is_over = threading.Event()
    download(bench, "text")  # a line of another length
    look(bench, 9)
    with (bench.root / "events").open("rb", buffering=0) as late, ThreadPoolExecutor(LOOKERS + 1) as threads:
        first = late.read(1 << 20)
        follower = threads.submit(follow, bench, is_over)
        n_each = EVENTS_MAX_BYTES * 5 // 4 // (len(first) // 10) // LOOKERS + 1
        for looker in [threads.submit(look, bench, n_each) for _ in range(LOOKERS)]:
            looker.result()
        is_over.set()
        told = follower.result()
        same(told.count(b"\n"), 10 + n_each * LOOKERS, "what the follower has seen")
        assert len(told) > EVENTS_MAX_BYTES, len(told)
        rest = b"".join(iter(lambda: late.read(1 << 20), b""))
        same((told.startswith(first), told.endswith(rest), len(rest) <= EVENTS_MAX_BYTES), (True, True, True), "who was away")
        same(errno_of(bench.run, "ls -l . samples && cat status"), None)
    kept = (bench.root / "events").read_bytes()  # by one who comes when nobody has it open
    same((len(kept), told.endswith(kept)), (os.stat(bench.root / "events").st_size, True), "what is kept")
    assert EVENTS_MAX_BYTES // 2 < len(kept) <= EVENTS_MAX_BYTES, len(kept)
    same({json.loads(line)["event"] for line in kept.splitlines()}, {"denied"})
    download(bench, "pe32")
    same(words(bench)[-1], "downloaded", "the newest")
    same(bench.proxy.paid(), [bench.zoo[name].sha256 for name in ("text", "pe32")])
    audit = next(bench.state.glob("*/audit.jsonl")).read_bytes().splitlines()
    same(len(audit), told.count(b"\n") + 1, "lines of the audit: none of those is dropped")


# ---- following ----


def followed(bench: Bench, *arguments: str) -> None:
    first = download(bench, "pe32")
    tail = bench.start("tail", *arguments, "-s", "0.1", "events")
    try:
        same(json.loads(tail.stdout.readline())["sha256"], first, "what is there already")
        for name in ("pe64", "text", "pdf"):
            same(json.loads(tail.stdout.readline())["sha256"] if download(bench, name) else "", bench.zoo[name].sha256, name)
    finally:
        tail.terminate()
    same(tail.communicate(timeout=RUN_MAX_S), (b"", b""), "what else tail says")
    same(len(bench.proxy.paid()), 4)


@claim
def tail_f_follows(bench: Bench) -> None:
    followed(bench, "-n", "+1", "-f")


@claim
def tail_capital_f_follows(bench: Bench) -> None:
    followed(bench, "-F")


@claim
def several_follow_at_their_own_pace(bench: Bench) -> None:
    readers = [(bench.root / "events").open() for _ in range(READERS)]
    told = [[] for _ in readers]
    for round_number, name in enumerate(("pe32", "pe64", "text", "pdf")):
        download(bench, name)
        for number, reader in enumerate(readers):
            if round_number % (number + 1) == 0:
                told[number] += reader.readlines()
    for reader, lines in zip(readers, told):
        same("".join(lines + reader.readlines()), bench.read("events"))
        reader.close()
    same(len(bench.proxy.paid()), 4)


# ---- poll(2) ----


@claim
def poll_wakes_for_an_event_and_for_nothing_else(bench: Bench) -> None:
    with opened_at_the_end(bench) as fd:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        same(poll.poll(0), [], "nothing is new")
        os.stat(bench.sample("pe32"))
        same(poll.poll(300), [], "stat is no event")
        thread = threading.Timer(0.2, download, (bench, "pe32"))
        thread.start()
        same(poll.poll(POLL_MAX_MS), [(fd, select.POLLIN)])
        thread.join()
        assert json.loads(os.read(fd, 65536))["event"] == "downloaded"
        same(poll.poll(0), [], "it was read")
    same(len(bench.proxy.paid()), 1)


@claim
def epoll_wakes_level_and_edge_triggered(bench: Bench) -> None:
    with opened_at_the_end(bench) as level, opened_at_the_end(bench) as edge, select.epoll() as epoll:
        epoll.register(level, select.EPOLLIN)
        epoll.register(edge, select.EPOLLIN | select.EPOLLET)
        for name in ("pe32", "pe64", "text"):
            same(epoll.poll(0), [], "nothing is new")
            download(bench, name)
            ready: set[int] = set()
            while ready != {level, edge}:
                woken = epoll.poll(RUN_MAX_S)
                assert woken, f"only {ready} of {level, edge} woke up for {name}"
                ready |= {fd for fd, _ in woken}
            for fd in (level, edge):
                assert bench.zoo[name].sha256 in os.read(fd, 65536).decode()
            until(lambda: not epoll.poll(0), AT_ONCE_S, "the last edge is over")
    same(len(bench.proxy.paid()), 3)


@claim
def what_is_kept_is_ready_at_once(bench: Bench) -> None:
    download(bench, "pe32")
    with (bench.root / "events").open() as file:
        same(select.select([file], [], [], 0)[0], [file])
        file.read()
        same(select.select([file], [], [], 0)[0], [])
    same(len(bench.proxy.paid()), 1)


@claim
def other_files_are_always_ready(bench: Bench) -> None:
    download(bench, "pe32")
    for path in ("status", "README", f"samples/{bench.zoo['pe32'].sha256}"):
        with (bench.root / path).open("rb") as file:
            poll = select.poll()
            poll.register(file, select.POLLIN | select.POLLOUT)
            same(poll.poll(0), [(file.fileno(), select.POLLIN | select.POLLOUT)], path)
    same(len(bench.proxy.paid()), 1)


@claim
def many_poll_and_all_wake(bench: Bench) -> None:
    pollers = [bench.start("python3", "-c", POLLER) for _ in range(READERS)]
    for poller in pollers:
        same(poller.stdout.readline(), b"waiting\n")
    until(lambda: all(is_asleep(poller.pid) for poller in pollers), RUN_MAX_S, "all of them wait")
    download(bench, "pe32")
    for poller in pollers:
        same(poller.communicate(timeout=RUN_MAX_S)[0].decode().strip(), str([select.POLLIN]))
    same(len(bench.proxy.paid()), 1)


@claim
def a_poller_that_is_killed_or_closes_leaves_nothing(bench: Bench) -> None:
    for _ in range(READERS):
        poller = bench.start("python3", "-c", POLLER)
        same(poller.stdout.readline(), b"waiting\n")
        poller.kill()
        poller.communicate(timeout=RUN_MAX_S)
    for _ in range(2000):  # more than can be waited for at the same time
        with opened_at_the_end(bench) as fd, select.epoll() as epoll:
            epoll.register(fd, select.EPOLLIN)
    with opened_at_the_end(bench) as fd:
        same(select.select([fd], [], [], 0)[0], [])
        download(bench, "pe32")
        same(select.select([fd], [], [], RUN_MAX_S)[0], [fd])
    same(len(bench.proxy.paid()), 1)


@claim
def unmounting_ends_who_polls(bench: Bench) -> None:
    poller = bench.start("python3", "-c", POLLER)
    same(poller.stdout.readline(), b"waiting\n")
    until(lambda: is_asleep(poller.pid), RUN_MAX_S, "it waits")
    bench.program.process.send_signal(signal.SIGTERM)
    same(bench.program.wait(STOP_MAX_S), 0, "exit status after SIGTERM")
    bench.program = None
    poller.communicate(timeout=RUN_MAX_S)
    same(bench.proxy.paid(), [])


# ---- what is an event ----


@claim
def a_failed_download_is_one_event_however_many_wait(bench: Bench) -> None:
    stall = bench.proxy.fail("download", Stall(), times=1)
    path = bench.sample("pe32")
    os.stat(path)
    with ThreadPoolExecutor(READERS) as pool:
        reads = [pool.submit(read_error, path) for _ in range(READERS)]
        stall.arrived.wait(RUN_MAX_S)
        bench.engine.kill()
        stall.release()
        errors = {read.result() for read in reads}
    same(len(errors), 1, f"all fail alike: {errors}")
    failed = [event for event in events(bench) if event["event"] == "failed"]
    same([(event["sha256"], event["errno"]) for event in failed], [(bench.zoo["pe32"].sha256, errors.pop())])
    assert failed[0]["reason"], failed
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim
def a_refusal_has_the_trace_id_and_no_secret(bench: Bench) -> None:
    os.stat(bench.sample("pe32"))
    bench.proxy.fail("download", gateway(403, "access denied, authorization failed"))
    same(read_error(bench.sample("pe32")), "EACCES")
    same(words(bench), ["unauthorized", "failed"])
    for event in events(bench):
        same((event["errno"], bool(event["reason"]), bool(event["trace"])), ("EACCES", True, True))
    bench.proxy.heal("download")
    download(bench, "pe32")
    same(words(bench), ["unauthorized", "failed", "online", "downloaded"])
    text = bench.read("events") + (bench.logs / "malqueryfs.log").read_text()
    assert CLIENT_ID not in text and CLIENT_SECRET not in text and "access_token" not in text
    same(len(bench.proxy.paid()), 1, "a refusal costs nothing")


@claim
def going_offline_is_told_once(bench: Bench) -> None:
    """And being back, by itself, in scenario_offline.py: that takes its time."""
    os.stat(bench.sample("pe32"))
    bench.proxy.down()
    same([errno_of(os.stat, bench.sample(name)) for name in ("pe64", "text", "pdf")], ["ENETUNREACH"] * 3)
    same(words(bench), ["offline"])
    same(bench.proxy.paid(), [])


@claim
def a_service_that_fails_is_not_offline(bench: Bench) -> None:
    bench.proxy.fail("metadata", answer(500, "out of order"))
    same(errno_of(os.stat, bench.sample("pe64")), "EREMOTEIO")
    same((words(bench), bench.read("status").split()[0]), ([], "online"))


@claim
def no_way_to_the_service_is_told_once_however_many_notice(bench: Bench) -> None:
    bench.proxy.down()
    with ThreadPoolExecutor(READERS) as pool:
        errors = set(pool.map(lambda number: errno_of(os.stat, bench.root / "samples" / f"{number:064x}"), range(READERS)))
    same(errors, {"ENETUNREACH"})
    same([(event["event"], event["errno"]) for event in events(bench)], [("offline", "ENETUNREACH")])
    same(bench.proxy.paid(), [])


@claim(engine=["--download-limit", "1"])
def a_used_up_quota_is_told_once(bench: Bench) -> None:
    download(bench, "pe32")
    same([read_error(bench.sample(name)) for name in ("pe64", "text")], ["EDQUOT"] * 2)
    same(words(bench), ["downloaded", "exhausted", "failed", "failed"])
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim
def damage_on_disk_is_told_once_and_not_bought_again(bench: Bench) -> None:
    sha256 = download(bench, "marked")
    bench.remount()
    (sealed,) = [path for path in bench.cache.rglob(sha256) if path.is_file()]
    os.chmod(sealed, 0o600)
    with sealed.open("r+b") as file:
        file.seek(150_000)
        file.write(bytes(16))
    same(read_error(bench.sample("marked")), "EIO")
    same(words(bench), ["damaged"])
    same(read_error(bench.sample("marked")), "EIO", "set aside")
    same([(event["event"], event["sha256"], event["errno"]) for event in events(bench)],
         [("damaged", sha256, "EIO"), ("failed", sha256, "EIO")])
    same(bench.proxy.paid(), [sha256])


@claim
def what_was_not_known_is_no_event(bench: Bench) -> None:
    same(errno_of(os.stat, bench.root / "samples" / UNKNOWN), "ENOENT")
    same(read_error(bench.root / "samples" / UNKNOWN), "ENOENT")
    same(words(bench), [])
    same(bench.proxy.paid(), [])


if __name__ == "__main__":
    main()
