"""Spending is bounded: by the budget, by the reserve, by the month; what was spent is written down, whoever dies."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import (ELF_FILES, EVERYTHING, JOB_MAX_S, RUN_MAX_S, STOP_MAX_S, Bench, claim, errno_of, main, read_error,
                     same, until)
from proxy import Stall, answer, reset_after

MANY = 100
FIRST_DOWNLOADS, FIRST_HUNTS = 10, 20  # of a new profile


def many(zoo) -> None:
    for number in range(MANY):
        zoo.add(f"many-{number}", f"sample number {number}\n".encode() * 50)


def rule(name: str) -> str:
    return f"rule {name} {{ condition: filesize > 1 }}\n"


def budget(bench: Bench) -> dict[str, str]:
    return dict(line.split("\t") for line in bench.read("budget").splitlines())


def events(bench: Bench, kind: str) -> list[dict]:
    return [event for event in map(json.loads, bench.read("events").splitlines()) if event["event"] == kind]


def audit(bench: Bench) -> list[dict]:
    return [json.loads(line) for line in next(bench.state.glob("*/audit.jsonl")).read_text().splitlines()]


def error_after(bench: Bench, command: str) -> str:
    """What the shell says of a command that must fail."""
    result = bench.run(command, ok=False)
    assert result.returncode, f"`{command}` succeeded"
    return result.stderr


# ---- budget ----


@claim(is_bounded=True)
def the_eleventh_open_is_edquot_and_nothing_is_sent(bench: Bench) -> None:
    samples = bench.zoo.costly
    same(budget(bench), {"downloads": str(FIRST_DOWNLOADS), "hunts": str(FIRST_HUNTS)})
    for sample in samples[:FIRST_DOWNLOADS]:
        same(bench.sample(sample).read_bytes(), sample.content)
    same(budget(bench)["downloads"], "0")
    assert "Disk quota exceeded" in error_after(bench, f"cat samples/{samples[10].sha256}")
    same(read_error(bench.sample(samples[10])), "EDQUOT")
    same(bench.sample(samples[0]).read_bytes(), samples[0].content, "what is local costs nothing")
    same(bench.proxy.paid(), [sample.sha256 for sample in samples[:FIRST_DOWNLOADS]])
    assert "echo +1 > budget" in events(bench, "exhausted")[-1]["reason"]
    bench.run("echo 5 > budget")
    same([read_error(bench.sample(sample)) for sample in samples[10:]], [None] * 5 + ["EDQUOT"] * (len(samples) - 15))
    same(bench.proxy.paid(), [sample.sha256 for sample in samples[:15]])


@claim(is_bounded=True)
def the_budget_takes_the_words_of_its_page(bench: Bench) -> None:
    for words, wanted in (("25", ("25", "20")), ("+10", ("35", "20")), ("hunts 3", ("35", "3")),
                          ("hunts +3", ("35", "6")), ("downloads 0", ("0", "6")), ("unlimited", ("unlimited", "6")),
                          ("+5", ("unlimited", "6"))):
        bench.run(f"echo '{words}' > budget")
        same(tuple(budget(bench).values()), wanted, words)
    bench.run("printf '7\\nhunts 9\\n' | dd of=budget bs=1k 2>/dev/null")
    same(tuple(budget(bench).values()), ("7", "9"))
    for words in ("-1", "many", "hunts", "hunts -2", "1 2", "1000000001", "hunts x\n3"):
        same(errno_of((bench.root / "budget").write_text, words), "EINVAL", words)
    same(tuple(budget(bench).values()), ("7", "9"))
    same(events(bench, "budget")[0]["program"] != "", True, "who set it")
    assert bench.run("ls -l budget").stdout.startswith("-rw-------"), "its mode"


@claim(is_bounded=True, options=["budget=1:1"])
def a_hunt_beyond_the_budget_is_edquot_from_close(bench: Bench) -> None:
    bench.submit("first", rule("first"))
    result = bench.submit("second", rule("second"), ok=False)
    assert result.returncode and "Disk quota exceeded" in result.stderr, result.stderr
    same(bench.read("hunts/second/status").split()[0], "rejected")
    assert "echo hunts +1 > budget" in bench.read("hunts/second/error"), bench.read("hunts/second/error")
    assert "Disk quota exceeded" in error_after(bench, "mkdir searches/exact/ascii:storm")
    bench.run("mkdir searches/fuzzy/ascii:storm")  # free
    same(bench.proxy.paid(), ["hunt"])
    bench.run("echo 'hunts +1' > budget && echo retry > hunts/second/ctl")
    assert bench.wait("second").startswith("done")
    same(bench.proxy.paid(), ["hunt", "hunt"])
    same(budget(bench), {"downloads": "1", "hunts": "0"})


@claim(is_bounded=True, options=["budget=2"])
def a_batch_that_does_not_fit_is_refused_whole(bench: Bench) -> None:
    bench.job("all", EVERYTHING)
    (bench.inbox / "case.txt").write_text("".join(f"{bench.zoo[n].sha256}\n" for n in ("pe32", "pe64", "pdf")))
    assert "Disk quota exceeded" in error_after(bench, f"cp {bench.inbox}/case.txt downloads/")
    assert "Disk quota exceeded" in error_after(bench, "sh -c '/bin/echo fetch all > hunts/all/ctl'")
    same(bench.proxy.paid(), ["hunt"])
    same(budget(bench)["downloads"], "2")
    bench.run("echo fetch 2 > hunts/all/ctl")
    costly = {sample.sha256 for sample in bench.zoo.costly}
    until(lambda: len(costly.intersection(os.listdir(bench.root / "samples"))) == 2, JOB_MAX_S, "two samples")
    same((len(bench.proxy.paid()), budget(bench)["downloads"]), (3, "0"))


@claim(is_bounded=True)
def budgets_survive_remounts_and_are_shared_by_mounts(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    bench.submit("first", rule("first"))
    bench.remount()
    same(budget(bench), {"downloads": "9", "hunts": "19"})
    bench.kill()
    bench.mount()
    same(budget(bench), {"downloads": "9", "hunts": "19"})
    other = bench.directory / "other"
    other.mkdir()
    second = bench.start_mount(other)
    (other / "samples" / bench.zoo["pe64"].sha256).read_bytes()
    same(budget(bench)["downloads"], "8")
    bench.run("echo 1 > budget")
    same((other / "budget").read_text(), "downloads\t1\nhunts\t19\n")
    bench.run(f"fusermount3 -u {other}", cwd=bench.directory)
    same(second.wait(), 0)


@claim(is_bounded=True, options=["budget=3:unlimited"])
def the_option_sets_the_budget(bench: Bench) -> None:
    same(budget(bench), {"downloads": "3", "hunts": "unlimited"})
    bench.run("echo 9 > budget")
    bench.remount()
    same(budget(bench), {"downloads": "9", "hunts": "unlimited"}, "told the same again")
    bench.options[:] = ["budget=:4"]
    bench.remount()
    same(budget(bench), {"downloads": "9", "hunts": "4"})


@claim(is_bounded=True, mounted=False)
def a_wrong_option_is_one_line_and_a_code(bench: Bench) -> None:
    for option in ("budget=ten", "budget=1:2:3", "reserve=101", "reserve=x", "reserve="):
        result = bench.run(f"FALCON_CLIENT_ID=a FALCON_CLIENT_SECRET=b {os.environ['MALQUERYFS']} -f"
                           f" -o base_url={bench.proxy.url},state_dir={bench.state},cache_dir={bench.cache},{option}"
                           f" {bench.root}", ok=False, cwd=bench.directory)
        assert result.returncode in (1, 2) and len(result.stderr.splitlines()) == 1, (option, result)
    same(bench.proxy.paid(), [])


@claim(is_bounded=True, options=["budget=1"])
def what_was_surely_not_charged_is_given_back(bench: Bench) -> None:
    bench.proxy.fail("download", answer(404, '{"meta":{},"errors":[{"code":404,"message":"no"}],"resources":[]}',
                                        content_type="application/json"), times=1)
    same(read_error(bench.sample("pe32")), "ENODATA")
    same(budget(bench)["downloads"], "1")
    same(audit(bench)[-1]["outcome"], "free")


@claim(is_bounded=True, options=["budget=5"])
def a_cut_download_counts_and_is_tried_once_more(bench: Bench) -> None:
    bench.proxy.fail("download", reset_after)
    sample = bench.sample("pe32")
    same([read_error(sample), read_error(sample)], ["EREMOTEIO", "EREMOTEIO"])
    bench.kill()
    bench.mount()
    same(read_error(sample), "EREMOTEIO", "the third time, by another mount")
    same(len(bench.proxy.calls("download")), 2)
    same(budget(bench)["downloads"], "3")
    same([line["outcome"] for line in audit(bench)], ["unsure", "unsure"])
    bench.proxy.heal("download")
    bench.run(f"printf '%s\\n' {bench.zoo['pe32'].sha256} > downloads/again.txt")
    until(lambda: bench.read("downloads/again/status").startswith("done"), JOB_MAX_S, "a list brings it")
    same(sample.read_bytes(), bench.zoo["pe32"].content)
    for path in bench.cache.rglob(bench.zoo["pe32"].sha256):
        path.unlink()  # as if evicted
    same(read_error(sample), None, "it arrived: the tries before do not count any more")


@claim(is_bounded=True, options=["budget=2"])
def a_kill_in_a_download_counts_it_once(bench: Bench) -> None:
    stall = bench.proxy.fail("download", Stall(), times=1)
    reader = bench.start("cat", bench.sample("pe32"))
    assert stall.arrived.wait(RUN_MAX_S), "nothing is sent"
    same(budget(bench)["downloads"], "1", "the intent counts")
    bench.kill()
    stall.release()
    reader.wait(RUN_MAX_S)
    bench.mount()
    same(budget(bench)["downloads"], "1")
    until(lambda: audit(bench), RUN_MAX_S, "the next mount settles it")
    line = audit(bench)[0]
    same((line["outcome"], line["cost"], line["pid"], line["program"]), ("unsure", 1, reader.pid, "cat"))
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    same(budget(bench)["downloads"], "0")


# ---- reserve and month ----


@claim(is_bounded=True, options=["budget=unlimited:unlimited"], engine=["--download-limit", "15", "--hunt-limit", "5"])
def the_last_tenth_of_the_month_is_kept(bench: Bench) -> None:
    errors = [read_error(bench.sample(sample)) for sample in bench.zoo.costly]
    same(errors, [None] * 13 + ["EDQUOT"] * (len(errors) - 13))  # a tenth of 15, rounded up, is 2
    same(len(bench.proxy.paid()), 13)
    assert "reserve" in bench.read("status") and "until" in bench.read("status"), bench.read("status")
    assert events(bench, "exhausted")[-1]["until"], "until when"
    for number in range(4):
        bench.submit(f"r{number}", rule(f"r{number}"))
    assert "Disk quota exceeded" in bench.submit("r4", rule("r4"), ok=False).stderr
    bench.options.append("reserve=0")
    bench.remount()
    samples = bench.zoo.costly
    same([read_error(bench.sample(sample)) for sample in samples[13:]], [None, None] + ["EDQUOT"] * (len(samples) - 15))
    same(len(bench.proxy.paid()), 13 + 4 + 2)


@claim(is_bounded=True, options=["budget=unlimited", "reserve=0"], engine=["--download-limit", "2"])
def a_used_up_month_is_told_and_not_asked_again(bench: Bench) -> None:
    samples = bench.zoo.costly
    same([read_error(bench.sample(sample)) for sample in samples[:6]], [None, None] + ["EDQUOT"] * 4)
    same(len(bench.proxy.calls("download")), 2, "the month is known: nobody asks")
    assert len(bench.proxy.calls("quotas")) <= 6, "quotas are not asked for each refusal"


@claim(is_bounded=True)
def a_429_without_a_time_is_the_quota_and_no_loop(bench: Bench) -> None:
    body = '{"meta":{"trace_id":"t"},"errors":[{"code":429,"message":"quota exceeded"}],"resources":[]}'
    bench.proxy.fail("download", answer(429, body, content_type="application/json", x_ratelimit_limit="6000",
                                        x_ratelimit_remaining="5990"))
    bench.proxy.fail("hunt", answer(429, body, content_type="application/json", x_ratelimit_limit="6000",
                                    x_ratelimit_remaining="5990"))
    same(read_error(bench.sample("pe32")), "EDQUOT")
    assert "Disk quota exceeded" in bench.submit("one", ELF_FILES, ok=False).stderr
    same((len(bench.proxy.calls("download")), len(bench.proxy.calls("hunt"))), (1, 1))
    same([event["until"][:2] for event in events(bench, "exhausted")], ["20", "20"])
    same(budget(bench), {"downloads": "10", "hunts": "20"})


@claim(is_bounded=True)
def quotas_are_read_at_mount_and_after_spending(bench: Bench) -> None:
    until(lambda: len(bench.proxy.calls("quotas")) == 1, RUN_MAX_S, "at mount")
    until(lambda: "downloads 0/1000" in bench.read("status"), RUN_MAX_S, "in status")
    bench.sample("pe32").read_bytes()
    until(lambda: "downloads 1/1000" in bench.read("status"), RUN_MAX_S, "after spending")
    usage = os.statvfs(bench.root)
    same((usage.f_files, usage.f_ffree), (1000, 999), "df -i")
    same(len(bench.proxy.calls("quotas")), 2)


# ---- together ----


@claim(prepare=many)
def two_mounts_and_64_readers_pay_once_for_each(bench: Bench) -> None:
    other = bench.directory / "other"
    other.mkdir()
    second = bench.start_mount(other)
    wanted = [sample for sample in bench.zoo if sample.path.name.startswith("many-")]
    wrong: list[str] = []

    def read_all(root, first: int) -> None:
        for place in range(MANY):
            sample = wanted[(place + first) % MANY]
            if (root / "samples" / sample.sha256).read_bytes() != sample.content:
                wrong.append(sample.sha256)

    with ThreadPoolExecutor(64) as pool:
        for reader in [pool.submit(read_all, (bench.root, other)[n % 2], n * 3) for n in range(64)]:
            reader.result()
    same(wrong, [])
    same(sorted(bench.proxy.paid()), sorted(sample.sha256 for sample in wanted))
    bench.run(f"fusermount3 -u {other}", cwd=bench.directory)
    same(second.wait(), 0)
    same(sorted(line["seq"] for line in audit(bench)), list(range(1, MANY + 1)))
    same(sorted(line["sha256"] for line in audit(bench)), sorted(bench.proxy.paid()))


@claim(is_bounded=True, options=["budget=5"])
def a_crowd_at_the_last_unit_spends_it_once(bench: Bench) -> None:
    samples = bench.zoo.costly
    barrier = threading.Barrier(len(samples))

    def read(sample) -> str | None:
        barrier.wait()
        return read_error(bench.sample(sample))

    with ThreadPoolExecutor(len(samples)) as pool:
        errors = list(pool.map(read, samples))
    same(sorted(map(str, errors)), ["EDQUOT"] * (len(samples) - 5) + ["None"] * 5)
    same((len(bench.proxy.paid()), budget(bench)["downloads"]), (5, "0"))


# ---- audit ----


@claim
def the_audit_replayed_is_what_the_engine_was_paid_for(bench: Bench) -> None:
    cat = bench.start("cat", bench.sample("pe32"))
    same(cat.communicate(timeout=RUN_MAX_S)[0], bench.zoo["pe32"].content)
    (bench.inbox / "all.yar").write_text(EVERYTHING)
    cp = bench.start("cp", bench.inbox / "all.yar", "hunts/")
    same(cp.wait(RUN_MAX_S), 0)
    mkdir = bench.start("mkdir", "searches/exact/ascii:storm")
    same(mkdir.wait(RUN_MAX_S), 0)
    (bench.inbox / "case.txt").write_text("".join(f"{bench.zoo[n].sha256}\n" for n in ("pe32", "pe64", "pdf")))
    install = bench.start("install", bench.inbox / "case.txt", "downloads/")
    same(install.wait(RUN_MAX_S), 0)
    assert bench.wait("all").startswith("done")
    (bench.inbox / "fetch").write_text(f"fetch {bench.zoo['text'].sha256}\n")
    dd = bench.start("dd", f"if={bench.inbox}/fetch", "of=hunts/all/ctl", "status=none")
    same(dd.wait(RUN_MAX_S), 0)
    (bench.inbox / "moved.yar").write_text(rule("moved"))
    python = bench.start("python3", "-c", "import os; open('hunts/.t','w').write('rule r { condition: filesize > 2 }');"
                         "os.rename('hunts/.t', 'hunts/moved.yar')")
    same(python.wait(RUN_MAX_S), 0)
    lines = audit(bench)
    units = {call.reqid: call.units for call in bench.proxy.calls("multidownload")}
    replayed = []
    for line in lines:
        replayed += units[line["id"]] if line["operation"] == "multi-download" else [line["sha256"] or line["name"]]
        same(len(units.get(line["id"], [1])), line["cost"], "cost")
    names = {"all": "hunt", "ascii:storm": "exact", "moved": "hunt"}
    same(sorted(names.get(one, one) for one in replayed), sorted(bench.proxy.paid()))
    same([(line["operation"], line["pid"], line["uid"]) for line in lines],
         [("download", cat.pid, 0), ("hunt", cp.pid, 0), ("exact-search", mkdir.pid, 0),
          ("multi-download", install.pid, 0), ("multi-download", dd.pid, 0), ("hunt", python.pid, 0)])
    same([line["program"] for line in lines][:5], ["cat", "cp", "mkdir", "install", "dd"])
    assert lines[5]["program"].startswith("python3"), lines[5]
    same([line["outcome"] for line in lines], ["paid"] * 6)
    same([line["verified"] for line in lines], [True, None, None, None, None, None])
    same((lines[0]["month_used"], lines[0]["month_limit"]), (1, 1000))
    same(oct(next(bench.state.glob("*/audit.jsonl")).stat().st_mode & 0o777), "0o600")


if __name__ == "__main__":
    main()
