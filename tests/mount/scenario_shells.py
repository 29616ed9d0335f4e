"""Shells and tools that walk the whole tree: they end, they fail nowhere, and they spend nothing."""

from __future__ import annotations

import os

from harness import EVERYTHING, RUN_MAX_S, Bench, claim, main, same
from proxy import rewrite

WALKS = ("ls -lR .", "find . -ls", "getfattr -R -d .", "tar cf /dev/null .", "du -a .", "tree -a .", "rg --files --hidden .",
         "find . -type f -size +1k", "find . -newermt 2010-01-01", "bash -c 'echo hunts/*/samples/* */* > /dev/null'",
         "zsh -c 'setopt nullglob; echo hunts/*/samples/* **/status > /dev/null'", "dash -c 'echo hunts/*/*'",
         "bash -c 'compgen -f hunts/wi; compgen -d searches/'", "stat status samples hunts", "df . && df -i .")


def full(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    bench.run("mkdir 'searches/fuzzy/ascii:stormy' && echo " + bench.zoo["text"].sha256 + " > downloads/case.txt")
    bench.run("cat downloads/case/wait")


@claim
def walking_the_whole_tree_ends_and_spends_nothing(bench: Bench) -> None:
    for _ in range(2):
        paid = bench.proxy.paid()
        downloads = len(bench.proxy.calls("download", "fetch", "multidownload"))
        for walk in WALKS:
            result = bench.run(walk + " > /dev/null", ok=False, seconds=RUN_MAX_S)
            same((result.returncode, result.stderr.strip()), (0, ""), walk)
        same(bench.proxy.paid(), paid)
        same(len(bench.proxy.calls("download", "fetch", "multidownload")), downloads)
        if not os.path.exists(bench.root / "hunts/wiper"):
            full(bench)


@claim
def grep_reads_what_is_local_for_nothing(bench: Bench) -> None:
    full(bench)
    bench.run("cat hunts/wiper/samples/* > /dev/null")
    paid = bench.proxy.paid()
    bench.run(f"grep -r --binary-files=text -l 'dark and stormy' . > {bench.inbox}/found", seconds=RUN_MAX_S)
    found = (bench.inbox / "found").read_text().splitlines()
    assert f"./samples/{bench.zoo['text'].sha256}" in found, found
    same(bench.proxy.paid(), paid)


@claim
def numbers_and_times_are_the_same_in_every_mount(bench: Bench) -> None:
    full(bench)
    before = bench.run("find . -printf '%i %p %y %n\\n' | grep -v /wait | sort -k2").stdout
    bench.remount()
    same(bench.run("find . -printf '%i %p %y %n\\n' | grep -v /wait | sort -k2").stdout, before)


ODD = ["a\nb", "a_b", "x" * 300, "turn\u202edexe", ".", "..", "../../etc", "a/b", "", "\x1b[31m", "\u0085next"]


def oddly(answer: dict) -> None:
    for number, sample in enumerate(answer.get("resources", [])):
        sample["family"] = ODD[number % len(ODD)]


@claim
def families_that_a_service_may_send_are_safe_names(bench: Bench) -> None:
    bench.proxy.fail("requests", rewrite(oddly))
    bench.job("wiper", EVERYTHING)
    families = os.listdir(bench.root / "hunts/wiper/by-family")
    same(len(families), min(len(ODD), len(bench.zoo)), families)
    for name in families:
        assert name.isprintable() and "/" not in name and not name.startswith(".") and len(name.encode()) <= 128, name
    assert {"a_b", "a_b~2", "unknown"} <= set(families), families
    seen = [entry for name in families for entry in os.listdir(bench.root / "hunts/wiper/by-family" / name)]
    same(sorted(seen), sorted(os.listdir(bench.root / "hunts/wiper/samples")))
    assert '"' + "x" * 300 + '"' in bench.read("hunts/wiper/results.jsonl"), "the raw text stays in the JSON"


if __name__ == "__main__":
    main()
