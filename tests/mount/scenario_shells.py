"""Shells and tools that walk the whole tree: they end, they fail nowhere, and they spend nothing."""

from __future__ import annotations

import os
import re

from harness import EVERYTHING, RUN_MAX_S, Bench, claim, main, same
from proxy import Stall, rewrite
from terminal import Terminal

WALKS = ("ls -lR .", "find . -ls", "getfattr -R -d .", "tar cf /dev/null .", "du -a .", "tree -a .", "rg --files --hidden .",
         "find . -type f -size +1k", "find . -newermt 2010-01-01", "bash -c 'echo hunts/*/samples/* */* > /dev/null'",
         "zsh -c 'setopt nullglob; echo hunts/*/samples/* **/status > /dev/null'", "dash -c 'echo hunts/*/*'",
         "bash -c 'compgen -f hunts/wi; compgen -d searches/'", "stat status samples hunts", "df . && df -i .",
         "bash -c 'shopt -s globstar; echo **'", "rsync -an . /nowhere", "busybox find .", "busybox du -a .")
COPIES = ("tar c hunts | cat", "cp -r hunts {inbox}/by_cp", "rsync -a hunts {inbox}/by_rsync",
          "find hunts -type f -print0 | xargs -0 sha256sum", "diff -r hunts/wiper/samples {inbox}/by_cp/wiper/samples")


def full(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    bench.run("mkdir 'searches/fuzzy/ascii:stormy' && echo " + bench.zoo["text"].sha256 + " > downloads/case.txt")
    bench.run("cat downloads/case/wait")


def walk(bench: Bench) -> None:
    for line in WALKS:
        result = bench.run(f"{line} > /dev/null", ok=False, seconds=RUN_MAX_S)
        same((result.returncode, result.stderr.strip()), (0, ""), line)


@claim
def walking_the_whole_tree_ends_and_spends_nothing(bench: Bench) -> None:
    for _ in range(2):
        paid = bench.proxy.paid()
        downloads = len(bench.proxy.calls("download", "fetch", "multidownload"))
        walk(bench)
        same(bench.proxy.paid(), paid)
        same(len(bench.proxy.calls("download", "fetch", "multidownload")), downloads)
        if not os.path.exists(bench.root / "hunts/wiper"):
            full(bench)


@claim
def walking_does_not_wait_for_the_service(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    bench.proxy.fail("requests", Stall())
    bench.submit("other", EVERYTHING.replace("everything", "other"))
    bench.run("find . -ls > /dev/null")
    bench.proxy.down()
    walk(bench)
    same(bench.proxy.paid(), ["hunt", "hunt"])


@claim
def every_shell_globs_the_same_samples(bench: Bench) -> None:
    samples = sorted(os.listdir(bench.job("wiper", EVERYTHING) / "samples"))
    same(len(samples), len(bench.zoo))
    for shell in ("bash", "dash", "zsh", "busybox sh"):
        words = bench.run(f"{shell} -c 'echo hunts/*/samples/*'").stdout.split()
        same(words, [f"hunts/wiper/samples/{sample}" for sample in samples], shell)
    same(bench.proxy.paid(), ["hunt"])


@claim
def completing_names_costs_nothing(bench: Bench) -> None:
    samples = sorted(os.listdir(bench.job("wiper", EVERYTHING) / "samples"))
    for shell in ("bash --norc --noprofile", "zsh -f"):
        with Terminal(bench, "env", "PS1=ready> ", *shell.split()) as terminal:
            terminal.see("ready>")
            terminal.type("cat hunts/wi\t")
            terminal.see("cat hunts/wiper")
            terminal.type("\t\t")
            terminal.search(re.compile(r"^\S*wiper/ +\S*wiper\.yar", re.MULTILINE))
            terminal.press("C-u")
            terminal.type("cat hunts/wiper/sam\t")
            terminal.see("cat hunts/wiper/samples/")
            terminal.type("\t\t")
            for sample in samples:
                terminal.see(sample)
            terminal.press("C-u")
            terminal.type("exit 0\n")
            same(terminal.wait(), 0)
    same(bench.proxy.paid(), ["hunt"])


# Reading a remote sample buys it, and a `grep -r` reads them all: what bounds that is the budget, whose claim belongs
# here. These read only what is local.


@claim
def grep_reads_what_is_local_for_nothing(bench: Bench) -> None:
    bench.run("grep -r 'dark and stormy' .", ok=False)
    same(bench.proxy.paid(), [], "there is nothing to buy yet")
    full(bench)
    bench.run("cat hunts/wiper/samples/* > /dev/null")
    paid = bench.proxy.paid()
    bench.run(f"grep -r --binary-files=text -l 'dark and stormy' . > {bench.inbox}/found", seconds=RUN_MAX_S)
    found = (bench.inbox / "found").read_text().splitlines()
    assert f"./samples/{bench.zoo['text'].sha256}" in found, found
    same(bench.proxy.paid(), paid)


@claim
def what_is_local_can_be_copied_for_nothing(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    bench.run("cat hunts/wiper/samples/* > /dev/null")
    paid = bench.proxy.paid()
    for copy in COPIES:
        result = bench.run(f"{copy.format(inbox=bench.inbox)} > /dev/null", ok=False, seconds=RUN_MAX_S)
        same((result.returncode, result.stderr.strip()), (0, ""), copy)
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
