"""downloads/: hash lists, the archive they come in, what is missing and why; and `fetch` of a ctl."""

from __future__ import annotations

import os

from harness import EVERYTHING, JOB_MAX_S, Bench, claim, errno_of, main, same, sha256
from proxy import cut, failed_job, flip, reset_after

NOBODY = "00" * 32


def put(bench: Bench, name: str, text: str) -> str | None:
    """`cp NAME.txt downloads/`; the name of the errno, or None."""
    return errno_of((bench.root / "downloads" / f"{name}.txt").write_bytes, text.encode())


def finished(bench: Bench, name: str) -> str:
    return bench.run(f"cat 'downloads/{name}/wait'", seconds=JOB_MAX_S).stdout.splitlines()[-1]


def asked(bench: Bench) -> list[list[str]]:
    return [call.json["samples"] for call in bench.proxy.calls("multidownload")]


def missing(bench: Bench, name: str) -> dict[str, str]:
    return dict(line.split("\t") for line in bench.read(f"downloads/{name}/missing.txt").splitlines())


@claim
def a_hash_list_is_one_multi_download(bench: Bench) -> None:
    wanted = [bench.zoo[name].sha256 for name in ("pe32", "text", "marked")]
    same(put(bench, "case42", "\n".join(wanted) + "\n"), None)
    line = finished(bench, "case42")
    assert line.startswith("done results=3 missing=0"), line
    same(asked(bench), [wanted])
    same(len(bench.proxy.calls("fetch")), 1)
    same(sorted(os.listdir(bench.root / "downloads/case42/samples")), sorted(wanted))
    for name in ("pe32", "text", "marked"):
        same((bench.root / "downloads/case42/samples" / bench.zoo[name].sha256).read_bytes(), bench.zoo[name].content)
    bench.run("cd downloads/case42/samples && sha256sum -c ../SHA256SUMS")
    same(bench.read("downloads/case42/hashes.txt").split(), wanted)
    same(bench.read("downloads/case42/missing.txt"), "")
    same(len(bench.proxy.calls("download")), 0)
    same(bench.proxy.paid(), wanted)


@claim
def a_sample_of_no_bytes_is_not_paid_for(bench: Bench) -> None:
    """Its hash says all of it: nobody sends for it, not alone and not in a list."""
    empty = bench.zoo["empty"].sha256
    bench.job("all", EVERYTHING)
    same(bench.sample("empty").read_bytes(), b"")
    same(put(bench, "case", f"{empty}\n"), None)
    assert finished(bench, "case").startswith("done results=1 missing=0"), bench.read("downloads/case/status")
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_list_asks_for_the_others_only(bench: Bench) -> None:
    empty, other = bench.zoo["empty"].sha256, bench.zoo["pe32"].sha256
    same(put(bench, "case", f"{empty}\n{other}\n"), None)
    assert finished(bench, "case").startswith("done results=2 missing=0"), bench.read("downloads/case/status")
    same(asked(bench), [[other]])
    same(sorted(os.listdir(bench.root / "downloads/case/samples")), sorted([empty, other]))
    same((bench.root / "downloads/case/samples" / empty).read_bytes(), b"")
    same(bench.proxy.paid(), [other])


@claim
def the_archive_is_kept_as_it_came(bench: Bench) -> None:
    put(bench, "case", bench.zoo["pe32"].sha256 + "\n" + bench.zoo["text"].sha256)
    finished(bench, "case")
    archive = bench.proxy.calls("fetch")[0].answer
    for _ in range(2):
        same((bench.root / "downloads/case/archive.zip").read_bytes(), archive)
        same(os.stat(bench.root / "downloads/case/archive.zip").st_size, len(archive))
        bench.remount()
    bench.run(f"unzip -P infected -q -d {bench.inbox} downloads/case/archive.zip")
    same(sha256(bench.inbox / bench.zoo["pe32"].sha256), bench.zoo["pe32"].sha256)
    same(len(bench.proxy.calls("fetch")), 1)


@claim
def every_spelling_of_a_list_is_understood(bench: Bench) -> None:
    a, b, c, d = (bench.zoo[name].sha256 for name in ("pe32", "pe64", "text", "pdf"))
    text = f"\ufeff# a case\r\n{a.upper()}\r\n\r\n  {b}  \n*{c}\n{d}  some name.exe\n{d} *other.exe\n{a}\n# the end"
    same(put(bench, "case", text), None)
    finished(bench, "case")
    same(asked(bench), [[a, b, c, d]])
    same((bench.root / "downloads/case.txt").read_bytes(), text.encode(), "reads back exactly")


@claim
def what_sha256sum_writes_is_a_list(bench: Bench) -> None:
    bench.run(f"sha256sum {bench.zoo['pe32'].path} {bench.zoo['text'].path} > downloads/sums.txt")
    finished(bench, "sums")
    bench.run(f"sha256sum --tag {bench.zoo['pdf'].path} > downloads/tags.txt")
    finished(bench, "tags")
    same(asked(bench), [[bench.zoo["pe32"].sha256, bench.zoo["text"].sha256], [bench.zoo["pdf"].sha256]])


@claim
def anything_else_is_einval_with_the_line(bench: Bench) -> None:
    good = bench.zoo["pe32"].sha256
    for number, (text, line) in enumerate(((f"{good}\nhello\n", 2), (f"{good}x\n", 1), (f"{good[:-1]}\n", 1),
                                           (f"# one\n{'ab' * 16}\n", 2), (f"{good} {good}\n", 1), ("# none\n", None))):
        same(put(bench, f"case{number}", text), "EINVAL", text)
        if line:
            assert f"line {line}" in bench.read(f"downloads/case{number}/error")
    same(bench.proxy.paid(), [])


@claim
def local_samples_cost_nothing_and_are_not_asked_again(bench: Bench) -> None:
    names = ("pe32", "text", "pdf")
    bench.sample("pe32").read_bytes()
    bench.sample("text").read_bytes()
    put(bench, "mixed", "".join(bench.zoo[name].sha256 + "\n" for name in names))
    line = finished(bench, "mixed")
    assert line.startswith("done results=3 missing=0"), line
    same(asked(bench), [[bench.zoo["pdf"].sha256]])
    put(bench, "again", "".join(bench.zoo[name].sha256 + "\n" for name in names) + "# again\n")
    assert bench.read("downloads/again/status").startswith("done results=3 missing=0")
    same(len(asked(bench)), 1, "nothing was left to ask for")
    same(errno_of(os.stat, bench.root / "downloads/again/archive.zip"), "ENOENT")
    same(sorted(bench.proxy.paid()), sorted(bench.zoo[name].sha256 for name in names))


@claim
def what_is_unknown_is_missing_and_not_paid_for(bench: Bench) -> None:
    put(bench, "case", f"{NOBODY}\n{bench.zoo['pe32'].sha256}\n")
    line = finished(bench, "case")
    assert line.startswith("done results=1 missing=1"), line
    same(asked(bench), [[bench.zoo["pe32"].sha256]])
    same(list(missing(bench, "case")), [NOBODY])
    assert "does not know" in missing(bench, "case")[NOBODY]
    put(bench, "nothing", f"{NOBODY}\n# only\n")
    assert bench.read("downloads/nothing/status").startswith("done results=0 missing=1")
    same(len(asked(bench)), 1)


@claim(engine=["--download-limit", "2"])
def a_list_that_does_not_fit_is_refused_whole(bench: Bench) -> None:
    names = ("pe32", "text", "pdf")
    text = "".join(bench.zoo[name].sha256 + "\n" for name in names)
    same(put(bench, "case", text), "EDQUOT")
    same(bench.read("downloads/case/status").split()[0], "rejected")
    assert "3 downloads" in bench.read("downloads/case/error")
    same(asked(bench), [])
    same(put(bench, "fits", "".join(bench.zoo[name].sha256 + "\n" for name in names[:2])), None)
    assert finished(bench, "fits").startswith("done results=2")
    same(len(bench.proxy.paid()), 2)


@claim
def a_damaged_archive_is_fetched_again_and_nothing_wrong_is_served(bench: Bench) -> None:
    bench.proxy.fail("fetch", flip, times=1)
    put(bench, "case", bench.zoo["marked"].sha256 + "\n" + bench.zoo["text"].sha256)
    line = finished(bench, "case")
    for digest in os.listdir(bench.root / "downloads/case/samples"):
        same(sha256(bench.root / "downloads/case/samples" / digest), digest)
    same(len(os.listdir(bench.root / "downloads/case/samples")) + len(missing(bench, "case")), 2, line)
    same(len(bench.proxy.calls("multidownload")), 1, "never paid for twice")


@claim(trouble="archive|fetch|import")
def an_archive_that_is_cut_is_fetched_again(bench: Bench) -> None:
    bench.proxy.fail("fetch", cut, times=1)
    put(bench, "case", bench.zoo["marked"].sha256)
    assert finished(bench, "case").startswith("done results=1 missing=0")
    same(len(bench.proxy.calls("multidownload")), 1)
    same(bench.proxy.paid(), [bench.zoo["marked"].sha256])


@claim(trouble="may have been accepted|reset")
def an_ambiguous_submission_is_not_repeated(bench: Bench) -> None:
    bench.proxy.fail("multidownload", reset_after, times=1)
    put(bench, "case", bench.zoo["text"].sha256)
    same(bench.read("downloads/case/status").split()[0], "failed")
    bench.remount()
    same(len(bench.proxy.calls("multidownload")), 1)
    bench.run("echo retry > downloads/case/ctl")
    assert finished(bench, "case").startswith("done results=1")
    same(len(bench.proxy.calls("multidownload")), 2, "it was the user's word")


@claim
def a_kill_in_the_middle_costs_nothing_more(bench: Bench) -> None:
    put(bench, "case", bench.zoo["text"].sha256)
    bench.kill()
    bench.mount()
    assert finished(bench, "case").startswith("done results=1")
    same(bench.proxy.paid(), [bench.zoo["text"].sha256])


@claim
def fetch_all_is_a_list_in_downloads(bench: Bench) -> None:
    hunt = bench.job("wiper", EVERYTHING)
    bench.sample("pe32").read_bytes()
    bench.run("bash -c 'echo fetch all > hunts/wiper/ctl'")
    remote = [digest for digest in bench.read("hunts/wiper/hashes.txt").split() if digest != bench.zoo["pe32"].sha256]
    same(asked(bench), [[digest for digest in remote if digest != bench.zoo["empty"].sha256]])
    assert finished(bench, "wiper").startswith(f"done results={len(remote)} missing=0")
    same({row.split("\t")[-1] for row in (hunt / "results.tsv").read_text().splitlines()[1:]}, {"local"})
    bench.run("cat hunts/wiper/samples/* > /dev/null")
    bench.run("bash -c 'echo fetch all > hunts/wiper/ctl'")
    same(len(asked(bench)), 1, "there is nothing left to fetch")
    same(len(bench.proxy.calls("download")), 1)


@claim
def fetch_n_and_fetch_hashes(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    hashes = bench.read("hunts/wiper/hashes.txt").split()
    bench.run("echo fetch 2 > hunts/wiper/ctl")
    same(asked(bench), [hashes[:2]])
    finished(bench, "wiper")
    bench.run(f"echo fetch {hashes[4]} {hashes[5].upper()} > hunts/wiper/ctl")
    same(asked(bench)[1:], [[hashes[4], hashes[5]]])
    finished(bench, "wiper-2")
    bench.run("echo fetch 0 > hunts/wiper/ctl")
    same(len(asked(bench)), 2)
    reqid = bench.read("hunts/wiper/id").strip()
    bench.run(f"echo fetch 1 > requests/{reqid}/ctl")
    same(asked(bench)[2:], [[hashes[2]]])


@claim
def a_list_whose_job_failed_is_sent_again_when_told_so(bench: Bench) -> None:
    """By `retry`, and by the same `fetch`, which finds the same list under its name. Each time is paid for."""
    hunt = bench.job("all", EVERYTHING)
    bench.proxy.fail("requests", failed_job("the archive is on fire"))
    bench.run("echo fetch 2 > hunts/all/ctl")
    assert finished(bench, "all").startswith("failed"), bench.read("downloads/all/status")
    same(os.listdir(bench.root / "samples"), [])
    bench.run("echo retry > downloads/all/ctl")
    assert finished(bench, "all").startswith("failed"), bench.read("downloads/all/status")
    bench.proxy.heal("requests")
    bench.run("echo fetch 2 > hunts/all/ctl")
    assert finished(bench, "all").startswith("done results=2 missing=0"), bench.read("downloads/all/status")
    [wanted] = {tuple(one) for one in asked(bench)}
    same((len(asked(bench)), len(wanted)), (3, 2))
    same([entry.name for entry in os.scandir(bench.root / "downloads") if entry.is_dir()], ["all"])
    for name in wanted:
        same(sha256(hunt / "samples" / name), name)
    same(bench.proxy.paid(), ["hunt", *wanted * 3])



@claim(engine=["--download-limit", "3"])
def fetch_that_does_not_fit_is_edquot_from_the_write(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    result = bench.run("bash -c 'echo fetch all > hunts/wiper/ctl'", ok=False)
    assert "Disk quota exceeded" in result.stderr, result.stderr
    bench.run("bash -c 'echo fetch 3 > hunts/wiper/ctl'")
    same(len(bench.proxy.paid()), 1 + 3)


@claim(options=["transport=zip"])
def single_samples_come_in_archives_when_told_so(bench: Bench) -> None:
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    same(asked(bench), [[bench.zoo["pe32"].sha256]])
    same(len(bench.proxy.calls("download")), 0, "never both")
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim(engine=["--job-delay-ms", "1500"])
def an_open_waits_for_a_list_that_brings_the_sample(bench: Bench) -> None:
    put(bench, "case", bench.zoo["text"].sha256)
    same(bench.sample("text").read_bytes(), bench.zoo["text"].content)
    same(bench.proxy.paid(), [bench.zoo["text"].sha256], "not bought twice")


@claim
def a_changed_list_is_a_draft(bench: Bench) -> None:
    put(bench, "case", bench.zoo["text"].sha256 + "\n")
    finished(bench, "case")
    bench.run(f"echo {bench.zoo['pdf'].sha256} >> downloads/case.txt")
    same(bench.read("downloads/case/status").split()[0], "draft")
    same(len(asked(bench)), 1)
    bench.run("echo run > downloads/case/ctl")
    assert finished(bench, "case").startswith("done results=2 missing=0")
    same(asked(bench)[1:], [[bench.zoo["pdf"].sha256]])


if __name__ == "__main__":
    main()
