"""What the service says is foreign text and unsure numbers: it never becomes a path, a column or a wrong size."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

from harness import ELF_FILES, EVERYTHING, POLL_S, Bench, claim, errno_of, main, read_error, same
from proxy import answer, endless, rewrite

COLUMNS = 9
DOWNLOAD_MOST = 66 << 20  # bytes: what is taken of a small sample, sealed
BOUNDED = ["budget=5", "reserve=0"]


def only_done(change: Callable[[dict], None]) -> Callable[[dict], None]:
    """Edits the results of a poll once there are some."""
    return lambda body: change(body) if body.get("resources") else None


def first_resource(**fields: object) -> Callable[[dict], None]:
    return lambda body: body["resources"][0].update(fields)


@claim
def hashes_that_are_paths_are_no_files(bench: Bench) -> None:
    bad = ["../../../etc/passwd", "/etc/passwd", "", ".", "a" * 63, "b" * 65, "\x00" * 64, "c" * 63 + "/", None, 7, []]

    def spoil(body: dict) -> None:
        body["resources"] += [{"sha256": one, "filesize": 1, "samples": []} for one in bad] + [{}, {"filesize": 3}]

    bench.proxy.fail("requests", rewrite(only_done(spoil)))
    hunt = bench.job("wiper", ELF_FILES)
    names = os.listdir(hunt / "samples")
    assert len(names) == 4 and all(len(name) == 64 and int(name, 16) for name in names), names
    same(sorted(bench.read("hunts/wiper/hashes.txt").split()), sorted(names))


@claim
def foreign_text_breaks_no_table(bench: Bench) -> None:
    family = "Tab\tLine\nReturn\rEscape\x1b[31m Nul\x00 Quote\" Ümlaut \U0001f600 end"
    foreign = first_resource(family=family, label="mal\nware", filetype="PE\t32")
    bench.proxy.fail("requests", rewrite(only_done(foreign)))
    bench.job("wiper", ELF_FILES)
    lines = bench.read("hunts/wiper/results.tsv").split("\n")
    same([line.count("\t") for line in lines[:-1]], [COLUMNS - 1] * 5, "columns")
    same(len(lines), 6, "lines")
    assert not [one for line in lines for one in line if one < " " and one != "\t"], lines
    rows = [json.loads(line) for line in bench.read("hunts/wiper/results.jsonl").splitlines()]
    same(len(rows), 4)
    same(json.loads(bench.read("hunts/wiper/response.json"))["resources"][0]["family"], family, "the raw text")


@claim
def the_same_hash_twice_is_one_file(bench: Bench) -> None:
    bench.proxy.fail("requests", rewrite(only_done(lambda body: body["resources"].extend(body["resources"][:2]))))
    hunt = bench.job("wiper", ELF_FILES)
    same(len(os.listdir(hunt / "samples")), 4)
    same(len(set(os.listdir(hunt / "samples"))), 4)


@claim
def missing_nulls_and_unknown_keys_are_tolerated(bench: Bench) -> None:
    def spoil(body: dict) -> None:
        body["errors"] = None
        body["meta"].update(query_time=1.27e-07, novelty={"deep": [1, {"er": None}]}, stats=None)
        for resource in body["resources"]:
            resource.pop("samples", None)
            resource.update(family=None, tags=["x"], label_confidence="high", md5=None)

    bench.proxy.fail("requests", rewrite(spoil))
    hunt = bench.job("wiper", ELF_FILES)
    same(len(os.listdir(hunt / "samples")), 4)
    bench.run("cd hunts/wiper/samples && sha256sum -c --quiet ../SHA256SUMS")


@claim
def a_size_that_is_not_known_is_known_before_the_first_byte(bench: Bench) -> None:
    sample = bench.zoo["marked"]
    bench.proxy.fail("metadata", rewrite(lambda body: body["resources"][0].pop("filesize")))
    result = bench.run(f"sha256sum < samples/{sample.sha256} && wc -c < samples/{sample.sha256}")
    same(result.stdout.split(), [sample.sha256, "-", str(sample.size)])
    same(os.stat(bench.sample(sample)).st_size, sample.size)
    same(bench.proxy.paid(), [sample.sha256])


def wrong_size(bench: Bench, name: str, said: int) -> None:
    """The bytes have the right hash, so they are served whole, with their true size."""
    sample = bench.zoo[name]
    bench.proxy.fail("metadata", rewrite(first_resource(filesize=said)), times=1)
    errno_of(os.stat, bench.sample(sample))
    got = bench.run(f"sha256sum < samples/{sample.sha256}").stdout.split()
    same(got, [sample.sha256, "-"], f"{name}, said to have {said} bytes")
    same(os.stat(bench.sample(sample)).st_size, sample.size, f"size of {name} after its download")
    same(bench.proxy.paid().count(sample.sha256), 1)


@claim
def a_size_that_is_too_small_is_corrected_by_the_bytes(bench: Bench) -> None:
    wrong_size(bench, "marked", 100)
    wrong_size(bench, "noise-4096", 0)


@claim
def a_size_that_is_too_large_is_corrected_by_the_bytes(bench: Bench) -> None:
    wrong_size(bench, "noise-131073", 1 << 30)


@claim
def a_size_that_makes_no_sense_is_as_good_as_none(bench: Bench) -> None:
    wrong_size(bench, "pe32", -5)
    wrong_size(bench, "pdf", 1 << 62)


@claim
def metadata_of_another_sample_is_dropped(bench: Bench) -> None:
    other = bench.zoo["pe64"].sha256
    bench.proxy.fail("metadata", rewrite(first_resource(sha256=other)))
    same(errno_of(os.stat, bench.sample("pe32")), "ENOENT")


@claim
def an_accepted_hunt_without_an_id_is_failed_and_not_repeated(bench: Bench) -> None:
    for number, body in enumerate(('{"meta":{"status":"done"},"resources":[]}', '{"meta":{"reqid":"../x"}}', "OK")):
        bench.proxy.fail("hunt", answer(200, body, Content_Type="application/json"), times=1)
        name = f"wiper{number}"
        result = bench.submit(name, ELF_FILES.replace("elf_files", name), ok=False)
        assert result.returncode and "Protocol error" in result.stderr, result
        same(bench.read(f"hunts/{name}/status").split()[0], "failed", body)
    same(len(bench.proxy.calls("hunt")), 3)


@claim
def quotas_that_make_no_sense_are_an_error_and_no_crash(bench: Bench) -> None:
    for body in ("{}", '{"meta":{}}', "[]", '{"meta":{"hunt_limit":"many","download_limit":1e99}}', "[" * 100_000):
        bench.proxy.fail("quotas", answer(200, body, Content_Type="application/json"), times=1)
        error = read_error(bench.root / "quotas")
        assert error in (None, "EPROTO"), f"{body[:40]}: {error}"
    assert not read_error(bench.root / "status")


class Watch:
    """What a bench has on disk and in memory at most, looked at again and again while something runs."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.disk = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self.memory_before = self.memory()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(POLL_S):
            self.disk = max(self.disk, self._on_disk())

    def _on_disk(self) -> int:
        sizes = 0
        for path in self.bench.cache.rglob("*"):
            with contextlib.suppress(OSError):  # it goes meanwhile
                sizes += path.stat().st_size
        return sizes

    def memory(self) -> int:
        """The most it had so far, in bytes."""
        status = Path(f"/proc/{self.bench.program.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)[1]) << 10


def never_ends(bench: Bench, name: str, most_memory: int) -> None:
    """Far more comes than the metadata says: it is cut, paid once, and nobody pays for that again."""
    n_calls = len(bench.proxy.calls("download"))
    os.stat(bench.sample(name))
    with Watch(bench) as watch:
        same(read_error(bench.sample(name)), "EFBIG")
    assert watch.disk < DOWNLOAD_MOST, f"{watch.disk} bytes on disk"
    more = watch.memory() - watch.memory_before
    assert more < most_memory, f"{more} bytes of memory"
    for _ in range(2):
        same(read_error(bench.sample(name)), "EFBIG")
        told = [event for event in map(json.loads, bench.read("events").splitlines()) if event["event"] == "failed"]
        assert told and all(event["errno"] == "EFBIG" and "more than" in event["reason"] for event in told), told
        assert "more than" in os.getxattr(bench.sample(name), "user.malquery.error").decode()
        same(len(bench.proxy.calls("download")) - n_calls, 1, "calls")
        same(bench.read("budget").splitlines()[0], "downloads\t4")
        same([path for path in bench.cache.rglob("*") if path.is_file() and path.stat().st_size > 1 << 10], [], "kept")
        same(os.listdir(bench.root / "samples"), [])
        bench.remount()


@claim(options=BOUNDED, is_bounded=True)
def a_body_without_end_is_cut_and_never_bought_again(bench: Bench) -> None:
    bench.proxy.fail("download", endless("application/octet-stream"))
    never_ends(bench, "pe32", 32 << 20)


@claim(options=[*BOUNDED, "cache=memory"], is_bounded=True)
def a_body_without_end_is_cut_in_memory_too(bench: Bench) -> None:
    bench.proxy.fail("download", endless("application/octet-stream"))
    never_ends(bench, "pe32", 4 * DOWNLOAD_MOST)  # it grows by doubling


@claim
def a_body_that_is_larger_than_its_metadata_says_is_compared_to_its_end(bench: Bench) -> None:
    bench.proxy.fail("download", answer(200, bytes(64 << 20), Content_Type="application/octet-stream"))
    same(read_error(bench.sample("pe32")), "EBADMSG")
    same([path for path in bench.cache.rglob("*") if path.is_file() and path.stat().st_size > 1 << 20], [], "kept")


@claim
def results_of_a_huge_hunt_all_have_a_name(bench: Bench) -> None:
    many = 5000

    def grow(body: dict) -> None:
        body["resources"] = [{"sha256": f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}" * 4, "filesize": number,
                              "first_seen": "2020/01/01", "label": "unknown"} for number in range(1, many + 1)]

    bench.proxy.fail("requests", rewrite(only_done(grow)))
    bench.job("wiper", EVERYTHING)
    same(bench.run("ls -U hunts/wiper/samples | sort -u | wc -l").stdout.strip(), str(many))
    same(bench.run("ls -l hunts/wiper/samples | wc -l").stdout.strip(), str(many + 1))
    same(bench.run("find hunts/wiper/samples -type f -size -1000c | wc -l").stdout.strip(), "999")
    same(bench.run("ls hunts/wiper/metadata | wc -l && wc -l < hunts/wiper/results.tsv").stdout.split(),
         [str(many), str(many + 1)])
    same(bench.proxy.calls("metadata"), [])


if __name__ == "__main__":
    main()
