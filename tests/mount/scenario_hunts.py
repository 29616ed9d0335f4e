"""hunts/: ctl, drafts, runs.tsv, .defaults, notes, forgetting, and the grouped views of results."""

from __future__ import annotations

import os

from harness import EVERYTHING, Bench, claim, errno_of, main, same
from proxy import reset_after
from samples import Zoo


def tell(bench: Bench, path: str, words: str) -> str | None:
    """`echo WORDS > PATH/ctl`, as one write; the name of the errno, or None."""
    return errno_of((bench.root / path / "ctl").write_text, words + "\n")


def event_names(bench: Bench) -> list[str]:
    return [line.split('"event":"', 1)[1].split('"', 1)[0] for line in bench.read("events").splitlines()]


@claim
def run_sends_the_same_rule_again(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    first = bench.read("hunts/wiper/id")
    same(tell(bench, "hunts/wiper", "run"), None)
    second = bench.read("hunts/wiper/id")
    assert first != second, "the hunt shows its new request"
    assert bench.wait("wiper").startswith("done")
    same([call.json["yara_rule"] for call in bench.proxy.calls("hunt")], [EVERYTHING, EVERYTHING])
    runs = [line.split("\t") for line in bench.read("hunts/wiper/runs.tsv").splitlines()]
    same(runs[0], ["started", "id", "status", "results"])
    same([run[1:] for run in runs[1:]],
         [[first.strip(), "done", str(len(bench.zoo))], [second.strip(), "done", str(len(bench.zoo))]])
    same(sorted(os.listdir(bench.root / "requests")), sorted([first.strip(), second.strip()]))
    same(bench.proxy.paid(), ["hunt", "hunt"])


@claim
def a_draft_is_sent_by_run_and_only_then(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    changed = EVERYTHING.replace("100MB", "99MB")
    (bench.inbox / "changed").write_text(changed)
    bench.run(f"cp {bench.inbox}/changed hunts/wiper.yar")
    same(bench.read("hunts/wiper/status").split()[0], "draft")
    same(bench.read("hunts/wiper/rule.yar"), EVERYTHING, "the results are those of what was sent")
    same(bench.proxy.paid(), ["hunt"])
    bench.run("echo run > hunts/wiper/ctl")
    assert bench.wait("wiper").startswith("done")
    same(bench.read("hunts/wiper/rule.yar"), changed)
    same([call.json["yara_rule"] for call in bench.proxy.calls("hunt")], [EVERYTHING, changed])


@claim
def a_wrong_word_is_einval_and_a_line_in_error(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    reqid = bench.read("hunts/wiper/id").strip()
    for place in ("hunts/wiper", f"requests/{reqid}"):
        assert not (bench.root / place / "error").exists()
        for words in ("rum", "run now", "fetch", "fetch some", "fetch -1", "note " + "x" * 300, "run\nrun", "FORGET",
                      f"fetch {'0' * 64}", "retry \x01"):
            same(tell(bench, place, words), "EINVAL", words)
            assert "ctl: " in bench.read(f"{place}/error"), words
        result = bench.run(f"bash -c 'echo rum > {place}/ctl'", ok=False)
        assert "Invalid argument" in result.stderr, result.stderr
        assert "'rum'" in bench.read(f"{place}/error")
        same(tell(bench, place, "note fine"), None)
        assert not (bench.root / place / "error").exists(), "a word that is understood ends it"
    same(bench.proxy.paid(), ["hunt"])


@claim
def ctl_explains_itself_and_is_harmless_to_read(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    words = [line.split("\t")[0].split()[0] for line in bench.read("hunts/wiper/ctl").splitlines()]
    same(words, ["run", "fetch", "retry", "forget", "note"])
    bench.run("cat hunts/wiper/ctl > /dev/null; : > hunts/wiper/ctl; printf '' > hunts/wiper/ctl; "
              "printf '\\n' > hunts/wiper/ctl; touch hunts/wiper/ctl; chmod 600 hunts/wiper/ctl")
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_note_is_kept(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    reqid = bench.read("hunts/wiper/id").strip()
    same(tell(bench, "hunts/wiper", "note  seen at ACME, ticket 42 "), None)
    same(tell(bench, f"requests/{reqid}", "note ελληνικά"), None)
    for _ in range(2):
        same(bench.read("hunts/wiper/note"), "seen at ACME, ticket 42\n")
        same(bench.read(f"requests/{reqid}/note"), "ελληνικά\n")
        bench.remount()
    same(tell(bench, "hunts/wiper", "note"), None)
    assert not (bench.root / "hunts/wiper/note").exists()


@claim
def forgetting_a_hunt_and_a_request(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    reqid = bench.read("hunts/wiper/id").strip()
    same(tell(bench, "hunts/wiper", "forget"), None)
    same(os.listdir(bench.root / "hunts"), [".defaults"])
    same(os.listdir(bench.root / "requests"), [reqid])
    bench.run(f"rmdir requests/{reqid}")
    same(os.listdir(bench.root / "requests"), [])
    polls = len(bench.proxy.calls("requests"))
    assert (bench.root / "requests" / reqid / "status").read_text().startswith("done"), "and adopted again"
    same(len(bench.proxy.calls("requests")), polls + 1, "asking for an unknown id is one free call")
    same(bench.proxy.paid(), ["hunt"])


@claim
def forgetting_the_request_of_a_hunt_leaves_a_draft(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    reqid = bench.read("hunts/wiper/id").strip()
    bench.run(f"rmdir requests/{reqid}")
    same(bench.read("hunts/wiper/status").split()[0], "draft")
    same(bench.read("hunts/wiper.yar"), EVERYTHING)
    assert not (bench.root / "hunts/wiper/id").exists()
    bench.run("echo run > hunts/wiper/ctl")
    assert bench.wait("wiper").startswith("done")
    same(bench.proxy.paid(), ["hunt", "hunt"])


@claim
def directories_that_are_always_here_cannot_be_removed(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    for path in ("hunts", "hunts/wiper", "hunts/wiper/samples", "samples"):
        assert errno_of(os.rmdir, bench.root / path) in ("EPERM", "EBUSY", "EROFS"), path
    same(errno_of(os.rmdir, bench.root / "hunts/nothing"), "ENOENT")
    same(errno_of(os.rmdir, bench.root / "hunts/wiper.yar"), "ENOTDIR")
    same(errno_of(os.mkdir, bench.root / "hunts/new"), "EPERM")
    same(errno_of(os.mkdir, bench.root / "requests/new"), "EROFS")


@claim
def defaults_are_the_options_of_new_hunts(bench: Bench) -> None:
    same(bench.read("hunts/.defaults"), "limit=1000\n")
    bench.run("printf 'limit=2\\n# only small ones\\nmax_size=1MB\\n' > hunts/.defaults")
    bench.job("two", EVERYTHING)
    bench.job("three", "// malquery: limit=3\n" + EVERYTHING)
    bench.remount()
    same(bench.read("hunts/.defaults"), "limit=2\n# only small ones\nmax_size=1MB\n")
    bench.run("rm hunts/.defaults")
    same(bench.read("hunts/.defaults"), "limit=1000\n")
    bench.job("all", EVERYTHING)
    same([call.json["options"] for call in bench.proxy.calls("hunt")],
         [{"limit": 2, "max_size": "1048576"}, {"limit": 3, "max_size": "1048576"}, {"limit": 1000}])
    same(bench.read("hunts/two/options"), "limit=2\nmax_size=1048576\n")
    assert "limited" in bench.read("hunts/two/status")


@claim
def bad_defaults_are_einval_and_the_old_ones_stay(bench: Bench) -> None:
    bench.run("echo limit=2 > hunts/.defaults")
    for text in ("limit=0\n", "nonsense\n", "limit=2\nno_such=1\n", "min_size=2\nmax_size=1\n"):
        same(errno_of((bench.root / "hunts/.defaults").write_text, text), "EINVAL", text)
        same(bench.read("hunts/.defaults"), "limit=2\n")
    (bench.inbox / "bad").write_text("limit=none\n")
    result = bench.run(f"cp {bench.inbox}/bad hunts/.defaults", ok=False)
    assert "Invalid argument" in result.stderr
    bench.run(": > hunts/.defaults")
    same(bench.read("hunts/.defaults"), "limit=1000\n", "empty is built-in")


@claim(engine=["--hunt-limit", "1"])
def retry_sends_what_was_refused(bench: Bench) -> None:
    bench.job("first", EVERYTHING)
    other = EVERYTHING.replace("everything", "other")
    assert "Disk quota exceeded" in bench.submit("second", other, ok=False).stderr
    same(bench.read("hunts/second/status").split()[0], "rejected")
    same(tell(bench, "hunts/second", "retry"), "EDQUOT")
    assert "quota" in bench.read("hunts/second/error")


@claim(trouble="may have been accepted|cut")
def retry_sends_what_may_have_been_accepted(bench: Bench) -> None:
    bench.proxy.fail("hunt", reset_after, times=1)
    bench.submit("wiper", EVERYTHING, ok=False)
    same(bench.read("hunts/wiper/status").split()[0], "failed")
    same(len(bench.proxy.paid()), 1)
    same(tell(bench, "hunts/wiper", "retry"), None)
    assert bench.wait("wiper").startswith("done")
    same(bench.proxy.paid(), ["hunt", "hunt"], "it was the user's word")


def odd_families(zoo: Zoo) -> None:
    for number, family in enumerate(ODD_FAMILIES):
        zoo.add(f"odd{number}", f"odd {number}\n".encode() * 10)
        zoo.label(f"odd{number}", "malware", family, f"20{10 + number:02}/03/04")


# What labels.tsv can say: one line, tab separated. Newlines and bytes that are no UTF-8 come in scenario_hostile_names.
ODD_FAMILIES = ["Emotet", "../../etc", "a/b", "a_b", "x" * 300, "turn\u202edexe", ".", "..", "unknown", ""]


@claim(prepare=odd_families)
def results_are_grouped_under_safe_names(bench: Bench) -> None:
    hunt = bench.job("odd", "rule odd { strings: $a = \"odd \" condition: $a at 0 }\n")
    families = os.listdir(hunt / "by-family")
    same(len(families), len(ODD_FAMILIES), "one directory for each value")
    for name in families:
        assert len(name.encode()) <= 128 and not name.startswith(".") and "/" not in name, name
        assert name.isprintable(), name
    for name in ("Emotet", "unknown", "unknown~2", "_._.._etc" if "_._.._etc" in families else "Emotet"):
        assert name in families, families
    assert {"a_b", "a_b~2"} <= set(families), families
    seen = []
    for name in families:
        for entry in os.scandir(hunt / "by-family" / name):
            same(entry.inode(), os.stat(hunt / "samples" / entry.name).st_ino, "the same file")
            seen.append(entry.name)
    same(sorted(seen), sorted(os.listdir(hunt / "samples")), "each result is in one group")
    same(sorted(os.listdir(hunt / "by-year")), sorted(f"20{10 + n:02}" for n in range(len(ODD_FAMILIES))))
    same(os.listdir(hunt / "by-label"), ["malware"])
    bench.run("find hunts -ls > /dev/null && ls -lR hunts > /dev/null && du -a hunts > /dev/null")
    same(bench.proxy.paid(), ["hunt"])


@claim
def groups_have_only_their_own(bench: Bench) -> None:
    hunt = bench.job("wiper", EVERYTHING)
    rows = [line.split("\t") for line in (hunt / "results.tsv").read_text().splitlines()[1:]]
    for row in rows:
        digest, filetype, _, first_seen, label, family = row[:6]
        places = {"by-type": filetype or "unknown", "by-label": label or "unknown", "by-family": family.replace("/", "_") or "unknown",
                  "by-year": first_seen[:4] or "unknown"}
        for view, wanted in places.items():
            for group in os.listdir(hunt / view):
                same((hunt / view / group / digest).exists(), group == wanted, f"{view}/{group}/{digest}")
    same(errno_of(os.listdir, hunt / "by-family" / "nobody"), "ENOENT")
    same(errno_of(os.stat, hunt / "by-label" / "malware" / ("0" * 64)), "ENOENT")


if __name__ == "__main__":
    main()
