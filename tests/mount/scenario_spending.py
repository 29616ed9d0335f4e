"""Ways to spend twice, unasked, or for nothing, that must not exist; and what was paid for that must not be lost."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable

from harness import (EVERYTHING, JOB_MAX_S, STOP_MAX_S, Bench, claim, errno_of, main, mount_flags, read_error, same,
                     until)
from proxy import PAID_ROUTES, Stall, answer, delay, failed_job, gateway, reset_after, rewrite

RENAME_NOREPLACE = 1
AT_FDCWD = -100


def rule(name: str) -> str:
    return f"rule {name} {{ condition: filesize > 1 }}\n"


def hashes(bench: Bench, *names: str) -> str:
    return "".join(bench.zoo[name].sha256 + "\n" for name in names)


def put(bench: Bench, name: str, text: str) -> None:
    (bench.root / "downloads" / f"{name}.txt").write_text(text)


def finished(bench: Bench, path: str) -> str:
    return bench.run(f"cat '{path}/wait'", seconds=JOB_MAX_S).stdout.splitlines()[-1]


def together(*actions: Callable[[], object]) -> None:
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOB_MAX_S)


# ---- what a program did not ask for ----


@claim
def what_costs_has_a_connection_that_nothing_has_used(bench: Bench) -> None:
    """On a kept connection that turns out to be dead libcurl sends again by itself, and each time may be charged."""
    os.stat(bench.sample("pe64"))
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    put(bench, "list", hashes(bench, "text", "pdf"))
    same(finished(bench, "downloads/list").split()[0], "done")
    bench.job("all", EVERYTHING)
    bench.run("mkdir 'searches/exact/ascii:This program'")
    paid = bench.proxy.calls(*PAID_ROUTES)
    same(sorted({call.route for call in paid}), sorted(PAID_ROUTES), "each kind of paid call")
    same([str(call) for call in paid if call.nth], [], "paid calls on a connection that was in use before")
    assert any(call.nth for call in bench.proxy.calls()), "no connection is kept, so this proves nothing"


@claim(trouble="reset|closed without|may have been accepted")
def a_paid_call_that_is_cut_off_is_sent_once(bench: Bench) -> None:
    """Each on top of connections that are kept."""
    kinds = {"download": lambda: read_error(bench.sample("pe32")),
             "multidownload": lambda: errno_of(put, bench, "list", hashes(bench, "text")),
             "hunt": lambda: errno_of((bench.root / "hunts/x.yar").write_text, rule("x")),
             "exact": lambda: errno_of(os.mkdir, bench.root / "searches/exact/ascii:This program")}
    for route, pay in kinds.items():
        os.stat(bench.sample("pe64" if route == "download" else "pe32"))
        bench.proxy.fail(route, reset_after)
        same(pay(), "EREMOTEIO", route)
        bench.proxy.heal(route)
        same(len(bench.proxy.calls(route)), 1, f"{route}: calls")


@claim
def the_close_of_one_of_two_writers_sends_nothing(bench: Bench) -> None:
    path = bench.root / "hunts/x.yar"
    first = os.open(path, os.O_CREAT | os.O_WRONLY)
    second = os.open(path, os.O_WRONLY)
    os.write(second, rule("x").encode())
    os.close(first)
    time.sleep(1)  # the release comes after close() has returned
    same(bench.proxy.paid(), [])
    os.write(second, b"// the rest\n")
    os.close(second)
    same([call.json["yara_rule"] for call in bench.proxy.calls("hunt")], [rule("x") + "// the rest\n"])


@claim
def retry_does_not_send_a_draft(bench: Bench) -> None:
    bench.job("w", EVERYTHING)
    (bench.root / "hunts/w.yar").write_text(rule("half"))
    bench.run("echo retry > hunts/w/ctl")
    same(bench.read("hunts/w/status").split()[0], "draft")
    same(bench.proxy.paid(), ["hunt"])


@claim(trouble="reset|closed without|may have been accepted")
def the_same_text_again_is_not_sent_when_it_may_have_been_accepted(bench: Bench) -> None:
    path = bench.root / "hunts/x.yar"
    bench.proxy.fail("hunt", reset_after, times=1)
    same(errno_of(path.write_text, rule("x")), "EREMOTEIO")
    same(bench.read("hunts/x/status").split()[0], "failed")
    for _ in range(2):
        same(errno_of(path.write_text, rule("x")), "EREMOTEIO", "the same text again")
    same(len(bench.proxy.calls("hunt")), 1, "calls")
    bench.run("echo retry > hunts/x/ctl")
    same(finished(bench, "hunts/x").split()[0], "done")
    same(len(bench.proxy.calls("hunt")), 2, "calls after retry")


@claim
def a_file_that_is_renamed_while_it_is_written_is_sent_once_under_its_new_name(bench: Bench) -> None:
    fd = os.open(bench.root / "hunts/early.yar", os.O_CREAT | os.O_WRONLY)
    os.write(fd, rule("x").encode())
    os.rename(bench.root / "hunts/early.yar", bench.root / "hunts/late.yar")
    os.write(fd, b"// the rest\n")
    os.close(fd)
    same(finished(bench, "hunts/late").split()[0], "done")
    same([call.json["yara_rule"] for call in bench.proxy.calls("hunt")], [rule("x") + "// the rest\n"])
    same(sorted(os.listdir(bench.root / "hunts")), [".defaults", "late", "late.yar"])


@claim
def the_directory_of_a_hunt_is_not_renamed_and_nothing_is_sent(bench: Bench) -> None:
    bench.job("w", EVERYTHING)
    same(errno_of(os.rename, bench.root / "hunts/w", bench.root / "hunts/other"), "EPERM")
    same(errno_of(os.rename, bench.root / "hunts/w", bench.root / "hunts/other.yar"), "EPERM")
    same(sorted(os.listdir(bench.root / "hunts")), [".defaults", "w", "w.yar"])
    same(bench.proxy.paid(), ["hunt"])


@claim
def noreplace_onto_a_new_name_sends_once_and_succeeds(bench: Bench) -> None:
    (bench.root / "hunts/.x.tmp").write_text(rule("x"))
    libc = ctypes.CDLL(None, use_errno=True)
    r = libc.renameat2(AT_FDCWD, os.fsencode(bench.root / "hunts/.x.tmp"), AT_FDCWD,
                       os.fsencode(bench.root / "hunts/w.yar"), RENAME_NOREPLACE)
    same((r, ctypes.get_errno() if r else 0), (0, 0))
    same(sorted(os.listdir(bench.root / "hunts")), [".defaults", "w", "w.yar"])
    same(len(bench.proxy.calls("hunt")), 1)


# ---- one hash, one download ----


@claim
def an_open_while_a_list_is_being_sent_buys_nothing_twice(bench: Bench) -> None:
    bench.sample("pe32").stat()
    bench.proxy.fail("multidownload", delay(2), times=1)
    together(lambda: put(bench, "c", hashes(bench, "pe32")),
             lambda: (time.sleep(0.7), same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)))
    assert finished(bench, "downloads/c").startswith("done results=1 missing=0")
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim
def a_list_while_a_sample_is_being_read_buys_nothing_twice(bench: Bench) -> None:
    bench.sample("pe32").stat()
    bench.proxy.fail("download", delay(2), times=1)
    together(lambda: bench.sample("pe32").read_bytes(),
             lambda: (time.sleep(0.7), put(bench, "c", hashes(bench, "pe32"))))
    assert finished(bench, "downloads/c").startswith("done results=1 missing=0")
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim
def two_lists_that_overlap_buy_what_they_share_once(bench: Bench) -> None:
    bench.proxy.fail("multidownload", delay(1), times=2)
    together(lambda: put(bench, "a", hashes(bench, "pe32", "text")), lambda: put(bench, "b", hashes(bench, "pe32", "pdf")))
    for name in ("a", "b"):
        assert finished(bench, f"downloads/{name}").startswith("done results=2 missing=0")
        same(len(os.listdir(bench.root / "downloads" / name / "samples")), 2)
    same(sorted(bench.proxy.paid()), sorted(bench.zoo[name].sha256 for name in ("pe32", "text", "pdf")))


@claim(engine=["--job-delay-ms", "6000"])
def opens_of_a_list_that_is_under_way_hold_nobody_up(bench: Bench) -> None:
    names = [f"noise-{size}" for size in (1, 4096, 131072, 131073)] + ["text", "pdf", "pe32", "pe64", "marked"]
    put(bench, "c", hashes(bench, *names))
    readers = [bench.start("sha256sum", bench.sample(name)) for name in names]
    time.sleep(0.5)
    started = time.monotonic()
    same(bench.sample("eicar").read_bytes(), bench.zoo["eicar"].content)
    assert time.monotonic() - started < 4, "an unrelated open waited for the list"
    for reader, name in zip(readers, names):
        same(reader.communicate(timeout=JOB_MAX_S)[0].split()[0].decode(), bench.zoo[name].sha256)
    same(len(bench.proxy.paid()), len(names) + 1)


# ---- what was paid for is not given up ----


@claim(trouble="archive|import")
def one_404_does_not_end_a_download(bench: Bench) -> None:
    bench.proxy.fail("fetch", gateway(404, "Could not find sample archive"), times=1)
    put(bench, "c", hashes(bench, "pe32"))
    assert finished(bench, "downloads/c").startswith("done results=1 missing=0")
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim(trouble="archive|import|JSON")
def a_page_of_a_middlebox_does_not_end_a_download(bench: Bench) -> None:
    bench.proxy.fail("fetch", answer(200, b"<html>blocked</html>", Content_Type="text/html"), times=2)
    put(bench, "c", hashes(bench, "pe32"))
    assert finished(bench, "downloads/c").startswith("done results=1 missing=0")
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim
def a_failed_download_has_no_results_and_says_what_is_missing(bench: Bench) -> None:
    bench.proxy.fail("requests", failed_job("disk full"))
    put(bench, "c", hashes(bench, "pe32"))
    assert finished(bench, "downloads/c").startswith("failed")
    assert bench.read("downloads/c/missing.txt").startswith(bench.zoo["pe32"].sha256 + "\t")
    same(bench.read("downloads/c/runs.tsv").splitlines()[1].split("\t")[2:], ["failed", "0"])


@claim
def a_submission_of_a_mount_that_was_killed_is_failed_and_retry_sends_it(bench: Bench) -> None:
    other = bench.directory / "other"
    other.mkdir()
    second = bench.start_mount(other)
    stall = bench.proxy.fail("hunt", Stall(), times=1)
    (bench.inbox / "w.yar").write_text(rule("w"))
    copier = bench.start("cp", bench.inbox / "w.yar", other / "hunts/w.yar")
    assert stall.arrived.wait(STOP_MAX_S)
    second.kill()
    until(lambda: not mount_flags(other), STOP_MAX_S, "its helper unmounts")
    copier.communicate(timeout=STOP_MAX_S)
    stall.release()
    until(lambda: bench.read("hunts/w/status").startswith("failed"), JOB_MAX_S, "the other mount says so")
    bench.run("echo retry > hunts/w/ctl")
    assert finished(bench, "hunts/w").startswith("done")


@claim(engine=["--job-delay-ms", "5000"])
def a_request_in_progress_is_not_removed(bench: Bench) -> None:
    bench.submit("w", EVERYTHING)
    reqid = bench.read("hunts/w/id").strip()
    same(errno_of(os.rmdir, bench.root / "requests" / reqid), "EBUSY")
    assert finished(bench, "hunts/w").startswith("done")
    os.rmdir(bench.root / "requests" / reqid)


@claim
def a_search_that_is_refused_later_does_not_vanish(bench: Bench) -> None:
    bench.sample("pe32").stat()
    bench.proxy.down()
    (bench.root / "searches/exact/ascii:trickbot").mkdir()
    bench.proxy.fail("exact", gateway(403, "access denied"))
    bench.proxy.up()
    until(lambda: bench.read("searches/exact/ascii:trickbot/status").startswith("rejected"), JOB_MAX_S, "rejected")
    assert "access denied" in bench.read("searches/exact/ascii:trickbot/error")


# ---- the right bytes ----


@claim
def the_first_reader_after_a_list_gets_the_whole_file(bench: Bench) -> None:
    bench.proxy.fail("metadata", rewrite(lambda body: body["resources"][0].update(filesize=1000)), times=1)
    for _ in range(3):  # the first answer is provisional; later ones the kernel keeps
        same(os.stat(bench.sample("marked")).st_size, 1000, "as the service says")
    put(bench, "c", hashes(bench, "marked"))
    finished(bench, "downloads/c")
    same(bench.sample("marked").read_bytes() == bench.zoo["marked"].content, True)
    same(os.stat(bench.sample("marked")).st_size, bench.zoo["marked"].size)


if __name__ == "__main__":
    main()
