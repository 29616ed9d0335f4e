"""requests/: every request of the profile by its id, those of other clients too. All of it is free."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlencode

from harness import (CLIENT_ID, CLIENT_SECRET, ELF_FILES, EVERYTHING, JOB_MAX_S, Bench, claim, errno_of,
                     main, same, until)
from proxy import EngineConnection, Exchange, Reply, answer, failed_job, gateway

UNKNOWN = "01234567-89ab-4def-0123-456789abcdef"
MALFORMED = ("0", "new", "0" * 36, "0" * 64, UNKNOWN[:-1], UNKNOWN + "0", UNKNOWN.replace("-", "_"), UNKNOWN + ".json",
             "g" + UNKNOWN[1:], UNKNOWN.replace("-", ""), f" {UNKNOWN}", "." + UNKNOWN)
HUNT = "/malquery/queries/hunt/v1"
EXACT = "/malquery/queries/exact-search/v1"
MULTI = "/malquery/entities/samples-multidownload/v1"


# ---- another client of the same service, past the proxy and so past its counts ----


def ask_engine(bench: Bench, method: str, path: str, body: str, **headers: str) -> dict:
    connection = EngineConnection(f"unix:{bench.directory}/d.sock")
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def colleague(bench: Bench, path: str, body: dict) -> str:
    """Submits as another client does; the id of the request."""
    login = urlencode({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
    token = ask_engine(bench, "POST", "/oauth2/token", login, Content_Type="application/x-www-form-urlencoded")
    reply = ask_engine(bench, "POST", path, json.dumps(body), Content_Type="application/json",
                       Authorization=f"Bearer {token['access_token']}")
    return reply["meta"]["reqid"]


def colleague_hunts(bench: Bench, rule: str = EVERYTHING) -> str:
    return colleague(bench, HUNT, {"yara_rule": rule, "options": {"limit": 100}})


def colleague_downloads(bench: Bench, *names: str) -> str:
    return colleague(bench, MULTI, {"samples": [bench.zoo[name].sha256 for name in names]})


# ---- small helpers ----


def place(bench: Bench, reqid: str) -> Path:
    return bench.root / "requests" / reqid


def listed(bench: Bench) -> list[str]:
    return sorted(os.listdir(bench.root / "requests"))


def first_word(bench: Bench, directory: str) -> str:
    return bench.read(f"{directory}/status").split()[0]


def finished(bench: Bench, directory: str) -> str:
    return bench.run(f"cat '{directory}/wait'", seconds=JOB_MAX_S).stdout.splitlines()[-1]


def asked(bench: Bench) -> list[list[str]]:
    """The ids of every poll."""
    return [call.ids for call in bench.proxy.calls("requests")]


def unfinished(exchange: Exchange) -> Reply:
    meta = {"query_time": 0.1, "powered_by": "malquery-api", "trace_id": "t", "reqid": exchange.call.ids[0],
            "status": "inprogress"}
    return Reply(200, {"Content-Type": "application/json"}, json.dumps({"meta": meta, "resources": []}).encode())


def events(bench: Bench, name: str) -> list[dict]:
    told = [json.loads(line) for line in bench.read("events").splitlines()]
    return [event for event in told if event["event"] == name]


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


# ---- what is listed, and how it looks ----


@claim
def every_request_of_the_profile_is_listed(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    (bench.root / "searches/exact/words.txt").write_text("ascii: dark and stormy\n")
    (bench.root / "downloads/case.txt").write_text(bench.zoo["text"].sha256 + "\n")
    os.mkdir(bench.root / "searches/fuzzy/ascii:stormy")
    made = ("hunts/wiper", "searches/exact/words", "downloads/case", "searches/fuzzy/ascii:stormy")
    for directory in made:
        assert finished(bench, directory).startswith("done"), directory
    ids = [bench.read(f"{directory}/id").strip() for directory in made]
    for _ in range(2):
        same(listed(bench), sorted(ids))
        for directory, reqid in zip(made, ids):
            same(bench.read(f"requests/{reqid}/id"), reqid + "\n")
            same(first_word(bench, f"requests/{reqid}"), "done")
            same(sorted(os.listdir(place(bench, reqid) / "samples")),
                 sorted(os.listdir(bench.root / directory / "samples")), directory)
            assert place(bench, reqid).is_dir()
        bench.remount()
    same(bench.proxy.paid(), ["hunt", "exact", bench.zoo["text"].sha256])


@claim
def what_was_never_sent_is_no_request(bench: Bench) -> None:
    bench.submit("broken", "rule broken { condition: }\n", ok=False)
    same(first_word(bench, "hunts/broken"), "rejected")
    same(listed(bench), [])
    same(bench.proxy.calls("hunt", "requests"), [])


@claim
def the_layout_is_that_of_the_entry(bench: Bench) -> None:
    hunt = bench.job("wiper", EVERYTHING)
    reqid = bench.read("hunts/wiper/id").strip()
    same(files_below(place(bench, reqid)), files_below(hunt))
    for name in ("rule.yar", "options", "id", "results.tsv", "results.jsonl", "response.json", "hashes.txt",
                 "SHA256SUMS", "runs.tsv"):
        same((place(bench, reqid) / name).read_bytes(), (hunt / name).read_bytes(), name)
    for view in ("samples", "by-label/malware", "by-family/EICAR"):
        mine = {entry.name: entry.stat().st_ino for entry in os.scandir(hunt / view)}
        same({entry.name: entry.stat().st_ino for entry in os.scandir(place(bench, reqid) / view)}, mine, view)
        assert mine, view
    marked = bench.zoo["marked"]
    same((place(bench, reqid) / "samples" / marked.sha256).read_bytes(), marked.content)
    same((hunt / "samples" / marked.sha256).read_bytes(), marked.content)
    same(bench.proxy.paid(), ["hunt", marked.sha256], "one file, one download")


@claim
def nothing_can_be_made_here(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    known = place(bench, bench.read("hunts/wiper/id").strip())
    for path in (bench.root / "requests/new", known / "more", known / "samples/more"):
        same(errno_of(os.mkdir, path), "EROFS", f"mkdir {path}")
        same(errno_of(path.write_text, "text"), "EROFS", f"creat {path}")
    same(errno_of(os.unlink, known), "EISDIR")
    same(errno_of(os.rename, known, bench.root / "requests/new"), "EROFS")
    same(errno_of(os.unlink, known / "status"), "EROFS")
    same(errno_of(os.rmdir, known / "samples"), "EPERM")
    same(bench.proxy.paid(), ["hunt"])


# ---- requests of other clients ----


@claim
def the_hunt_of_another_client_is_adopted_by_looking_it_up(bench: Bench) -> None:
    reqid = colleague_hunts(bench, ELF_FILES)
    same(listed(bench), [], "nobody has looked")
    same(bench.proxy.calls("requests"), [])
    until(lambda: first_word(bench, f"requests/{reqid}") == "done", JOB_MAX_S, "the hunt")
    assert asked(bench) and set(map(tuple, asked(bench))) == {(reqid,)}
    n_calls = len(bench.proxy.asked())
    same(listed(bench), [reqid])
    wanted = sorted(sample.sha256 for sample in bench.zoo if sample.content.startswith(b"\x7fELF"))
    same(sorted(os.listdir(place(bench, reqid) / "samples")), wanted)
    same(sorted(bench.read(f"requests/{reqid}/hashes.txt").split()), wanted)
    same(errno_of(os.stat, place(bench, reqid) / "rule.yar"), "ENOENT", "it was not sent from here")
    bench.run(f"ls -lR requests && find requests -ls && stat requests/{reqid}/*")
    same(len(bench.proxy.asked()), n_calls, "all is known")
    same(len(events(bench, "finished")), 1)
    same(bench.proxy.paid(), [])
    true = bench.zoo["true"]
    same((place(bench, reqid) / "samples" / true.sha256).read_bytes(), true.content)
    same(bench.proxy.paid(), [true.sha256])


@claim
def one_look_is_one_call(bench: Bench) -> None:
    reqid = colleague(bench, EXACT, {"patterns": [{"type": "ascii", "value": "dark and stormy"}],
                                     "options": {"limit": 10}})
    until(lambda: unpolled_is_done(bench, reqid), JOB_MAX_S, "the engine's job")
    assert place(bench, reqid).is_dir()
    same(asked(bench), [[reqid]])
    assert bench.read(f"requests/{reqid}/status").startswith("done results=1")
    bench.remount()
    assert bench.read(f"requests/{reqid}/status").startswith("done results=1")
    same(asked(bench), [[reqid]])
    same(bench.proxy.paid(), [])


def unpolled_is_done(bench: Bench, reqid: str) -> bool:
    """As the other client sees it."""
    login = urlencode({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
    token = ask_engine(bench, "POST", "/oauth2/token", login, Content_Type="application/x-www-form-urlencoded")
    reply = ask_engine(bench, "GET", f"/malquery/entities/requests/v1?ids={reqid}", "",
                       Authorization=f"Bearer {token['access_token']}")
    return reply["meta"]["status"] == "done"


@claim
def one_that_is_in_progress_is_followed(bench: Bench) -> None:
    bench.proxy.fail("requests", unfinished)
    reqid = colleague_hunts(bench)
    same(first_word(bench, f"requests/{reqid}"), "inprogress")
    for name in ("results.tsv", "hashes.txt", "archive.zip", "by-family"):
        same(errno_of(os.stat, place(bench, reqid) / name), "ENOENT", name)
    same(os.listdir(place(bench, reqid) / "samples"), [])
    same(errno_of(os.rmdir, place(bench, reqid)), "EBUSY")
    bench.remount()
    same(listed(bench), [reqid])
    bench.proxy.heal("requests")
    assert finished(bench, f"requests/{reqid}").startswith(f"done results={len(bench.zoo)}")
    same(bench.proxy.paid(), [])


@claim
def a_failed_one_is_adopted_with_its_reason(bench: Bench) -> None:
    bench.proxy.fail("requests", failed_job("the disk is full"), times=1)
    reqid = colleague_hunts(bench)
    assert "error=the disk is full" in bench.read(f"requests/{reqid}/status")
    same(first_word(bench, f"requests/{reqid}"), "failed")
    same(bench.read(f"requests/{reqid}/error"), "the disk is full\n")
    same(errno_of((place(bench, reqid) / "ctl").write_text, "run\n"), "EINVAL", "there is nothing to send again")
    same(len(asked(bench)), 1)
    same(bench.proxy.paid(), [])


@claim
def ids_in_upper_case_are_the_same_directory(bench: Bench) -> None:
    reqid = colleague_hunts(bench)
    upper = os.stat(place(bench, reqid.upper()))
    same(upper.st_ino, os.stat(place(bench, reqid)).st_ino)
    same(listed(bench), [reqid])
    same(bench.read(f"requests/{reqid.upper()}/id"), reqid + "\n")
    same([ids for ids in asked(bench) if ids != [reqid]], [], "the service gets it as it writes it")
    same(bench.proxy.paid(), [])


# ---- what is not there ----


@claim
def an_unknown_id_is_enoent(bench: Bench) -> None:
    same(errno_of(os.stat, place(bench, UNKNOWN)), "ENOENT")
    same(asked(bench), [[UNKNOWN]])
    same(errno_of(os.listdir, place(bench, UNKNOWN)), "ENOENT")
    same(errno_of((place(bench, UNKNOWN) / "status").read_text), "ENOENT")
    assert bench.run(f"rmdir requests/{UNKNOWN}", ok=False).returncode
    same(listed(bench), [])
    same(bench.proxy.paid(), [])


@claim
def a_malformed_name_is_enoent_without_a_call(bench: Bench) -> None:
    for name in MALFORMED:
        same(errno_of(os.stat, place(bench, name)), "ENOENT", name)
        same(errno_of(os.rmdir, place(bench, name)), "ENOENT", name)
    same(errno_of(os.stat, place(bench, "a" * 300)), "ENAMETOOLONG")
    same(bench.proxy.calls("requests"), [])


@claim
def what_the_service_denied_once_can_be_there_later(bench: Bench) -> None:
    reqid = colleague_hunts(bench)
    bench.proxy.fail("requests", gateway(404, "request not found"), times=1)
    same(errno_of(os.stat, place(bench, reqid)), "ENOENT")
    same(listed(bench), [])
    assert place(bench, reqid).is_dir(), "asked anew"
    same(listed(bench), [reqid])


@claim(trouble="request|unreachable|connect")
def a_service_that_fails_is_no_denial(bench: Bench) -> None:
    reqid = colleague_hunts(bench)
    for status, wanted in ((403, "EACCES"), (500, "EREMOTEIO")):
        bench.proxy.fail("requests", gateway(status, "no"))
        same(errno_of(os.stat, place(bench, reqid)), wanted, str(status))
        bench.proxy.heal("requests")
    bench.proxy.fail("requests", answer(200, "<html>", Content_Type="text/html"), times=1)
    same(errno_of(os.stat, place(bench, reqid)), "EPROTO")
    bench.proxy.down()
    same(errno_of(os.stat, place(bench, reqid)), "ENETUNREACH")
    same(listed(bench), [], "nothing is adopted by a failure")
    bench.proxy.up()


# ---- forgetting ----


@claim
def rmdir_forgets_here_and_says_so(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    reqid = bench.read("hunts/wiper/id").strip()
    n_calls = len(bench.proxy.asked())
    os.rmdir(place(bench, reqid))
    same(len(bench.proxy.asked()), n_calls, "the service is not told")
    same(listed(bench), [])
    same([event["id"] for event in events(bench, "forgotten")], [reqid])
    same(first_word(bench, "hunts/wiper"), "draft")
    same(bench.read("hunts/wiper.yar"), EVERYTHING, "the rule is the user's")
    same(errno_of(os.stat, bench.hunt("wiper") / "results.tsv"), "ENOENT")
    same(os.listdir(bench.hunt("wiper") / "samples"), [])
    same(len(bench.read("hunts/wiper/runs.tsv").splitlines()), 1, "only the header")
    bench.remount()
    same((listed(bench), first_word(bench, "hunts/wiper")), ([], "draft"))
    assert first_word(bench, f"requests/{reqid}") == "done", "looked up, it is adopted again"
    same(first_word(bench, "hunts/wiper"), "draft", "but is no longer that of the entry")
    same(bench.proxy.paid(), ["hunt"])


@claim
def forgetting_an_older_run_leaves_the_entry_alone(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    old = bench.read("hunts/wiper/id").strip()
    bench.run("echo run > hunts/wiper/ctl")
    new = bench.read("hunts/wiper/id").strip()
    assert finished(bench, "hunts/wiper").startswith("done")
    os.rmdir(place(bench, old))
    same(listed(bench), [new])
    assert bench.read("hunts/wiper/status").startswith("done")
    same([line.split("\t")[1] for line in bench.read("hunts/wiper/runs.tsv").splitlines()[1:]], [new])


@claim
def a_request_in_progress_is_only_forgotten_by_ctl(bench: Bench) -> None:
    bench.proxy.fail("requests", unfinished)
    bench.submit("wiper", EVERYTHING)
    reqid = bench.read("hunts/wiper/id").strip()
    same(errno_of(os.rmdir, place(bench, reqid)), "EBUSY")
    same(listed(bench), [reqid])
    same(events(bench, "forgotten"), [])
    bench.run(f"echo forget > requests/{reqid}/ctl")
    same(listed(bench), [])
    same([event["id"] for event in events(bench, "forgotten")], [reqid])
    same(first_word(bench, "hunts/wiper"), "draft")
    n_polls = len(asked(bench))
    bench.remount()
    same(len(asked(bench)), n_polls, "nobody follows it")
    same(bench.proxy.paid(), ["hunt"])


@claim
def what_a_forgotten_request_brought_stays_local(bench: Bench) -> None:
    (bench.root / "downloads/case.txt").write_text(bench.zoo["text"].sha256 + "\n")
    assert finished(bench, "downloads/case").startswith("done results=1")
    os.rmdir(place(bench, bench.read("downloads/case/id").strip()))
    same(os.listdir(bench.root / "samples"), [bench.zoo["text"].sha256])
    same(bench.sample("text").read_bytes(), bench.zoo["text"].content)
    same(bench.proxy.paid(), [bench.zoo["text"].sha256])


@claim
def an_id_of_our_own_is_never_asked_about(bench: Bench) -> None:
    os.mkdir(bench.root / "searches/fuzzy/ascii:stormy")
    reqid = bench.read("searches/fuzzy/ascii:stormy/id").strip()
    os.rmdir(place(bench, reqid))
    same(errno_of(os.stat, place(bench, reqid)), "ENOENT")
    same(errno_of(os.stat, place(bench, "00000000" + UNKNOWN[8:])), "ENOENT")
    same(bench.proxy.calls("requests"), [], "the service never knew it")


# ---- multi-downloads of other clients ----


@claim
def the_multi_download_of_another_client_is_a_download(bench: Bench) -> None:
    names = ("pe32", "text", "marked")
    reqid = colleague_downloads(bench, *names)
    line = finished(bench, f"requests/{reqid}")
    assert line.startswith("done results=3"), line
    wanted = sorted(bench.zoo[name].sha256 for name in names)
    archive = bench.proxy.calls("fetch")[0].answer
    for _ in range(2):
        there = place(bench, reqid)
        same(sorted(os.listdir(there / "samples")), wanted)
        same((there / "archive.zip").read_bytes(), archive)
        same((there / "missing.txt").read_text(), "")
        same(errno_of(os.stat, there / "response.json"), "ENOENT")
        for name in names:
            same((there / "samples" / bench.zoo[name].sha256).read_bytes(), bench.zoo[name].content)
        same(sorted(os.listdir(bench.root / "samples")), wanted, "they are local")
        assert "Stone Drill" in os.listdir(there / "by-family")
        bench.remount()
    bench.run(f"cd requests/{reqid}/samples && sha256sum -c ../SHA256SUMS")
    (bench.root / "downloads/mine.txt").write_text("".join(digest + "\n" for digest in wanted))
    same(errno_of(os.stat, bench.root / "downloads/mine/archive.zip"), "ENOENT")
    assert bench.read("downloads/mine/status").startswith("done results=3 missing=0"), "nothing is left to pay for"
    same(len(bench.proxy.calls("fetch")), 1)
    same(bench.proxy.paid(), [])


@claim
def one_that_is_not_ready_is_followed(bench: Bench) -> None:
    bench.proxy.fail("requests", unfinished)
    reqid = colleague_downloads(bench, "pdf")
    same(first_word(bench, f"requests/{reqid}"), "inprogress")
    same(bench.proxy.calls("fetch"), [])
    bench.kill()
    bench.mount()
    bench.proxy.heal("requests")
    assert finished(bench, f"requests/{reqid}").startswith("done results=1")
    same((place(bench, reqid) / "samples" / bench.zoo["pdf"].sha256).read_bytes(), bench.zoo["pdf"].content)
    same(bench.proxy.paid(), [])


@claim(trouble="archive|fetch|import|5..")
def an_archive_that_fails_is_asked_for_again(bench: Bench) -> None:
    bench.proxy.fail("fetch", answer(200, "no zip at all", Content_Type="application/zip"), times=1)
    reqid = colleague_downloads(bench, "pdf")
    assert finished(bench, f"requests/{reqid}").startswith("done results=1")
    same(len(bench.proxy.calls("fetch")), 2)
    assert (place(bench, reqid) / "archive.zip").exists()
    same(bench.proxy.paid(), [])


@claim
def without_an_archive_it_is_a_search_that_found_nothing(bench: Bench) -> None:
    bench.proxy.fail("fetch", gateway(404, "Could not find sample archive"))
    reqid = colleague_downloads(bench, "pdf")
    assert finished(bench, f"requests/{reqid}").startswith("done results=0")
    for name in ("archive.zip", "missing.txt"):
        same(errno_of(os.stat, place(bench, reqid) / name), "ENOENT", name)
    same(json.loads(bench.read(f"requests/{reqid}/response.json"))["meta"]["status"], "done")
    same(len(bench.proxy.calls("fetch")), 1)
    same(bench.proxy.paid(), [])


@claim
def a_hunt_without_results_is_not_asked_for_an_archive(bench: Bench) -> None:
    reqid = colleague_hunts(bench, 'rule nothing { strings: $a = "nobody has this" condition: $a }\n')
    assert finished(bench, f"requests/{reqid}").startswith("done results=0")
    same(bench.proxy.calls("fetch"), [])
    same(errno_of(os.stat, place(bench, reqid) / "missing.txt"), "ENOENT")
    same(bench.proxy.paid(), [])


if __name__ == "__main__":
    main()
