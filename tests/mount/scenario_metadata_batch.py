"""Metadata is free, but not endless: many questions at once become few calls, and no question is asked twice."""

import json
import os
from hashlib import sha256
from concurrent.futures import ThreadPoolExecutor

from harness import Bench, claim, errno_of, main, same
from proxy import delay
from samples import Zoo

QUESTIONS = 60
CALLS_MAX = 8
IDS_MAX = 100


def small_files(zoo: Zoo) -> None:
    for number in range(QUESTIONS):
        zoo.add(f"small/{number}", f"small file number {number}\n".encode() * (number + 1))


def ids_asked(bench: Bench) -> list[str]:
    return [one for call in bench.proxy.calls("metadata") for one in call.ids]


@claim(prepare=small_files)
def many_stats_become_few_calls(bench: Bench) -> None:
    bench.proxy.fail("metadata", delay(0.3))
    samples = [bench.zoo[f"small/{number}"] for number in range(QUESTIONS)]
    with ThreadPoolExecutor(QUESTIONS) as pool:
        sizes = list(pool.map(lambda sample: os.stat(bench.sample(sample)).st_size, samples))
    same(sizes, [sample.size for sample in samples])
    calls = bench.proxy.calls("metadata")
    assert len(calls) <= CALLS_MAX, f"{len(calls)} calls for {QUESTIONS} samples: {[len(c.ids) for c in calls]}"
    assert all(len(call.ids) <= IDS_MAX for call in calls)
    same(sorted(ids_asked(bench)), sorted(sample.sha256 for sample in samples), "each is asked once")
    same(bench.proxy.paid(), [])


@claim
def known_and_unknown_hashes_in_one_batch_get_their_own_answers(bench: Bench) -> None:
    bench.proxy.fail("metadata", delay(0.3))
    known = [sample.sha256 for sample in bench.zoo]
    unknown = [sha256(str(number).encode()).hexdigest() for number in range(150)]
    with ThreadPoolExecutor(len(known) + len(unknown)) as pool:
        errors = list(pool.map(lambda one: errno_of(os.stat, bench.root / "samples" / one), known + unknown))
    same(errors, [None] * len(known) + ["ENOENT"] * len(unknown))
    assert all(len(call.ids) <= IDS_MAX for call in bench.proxy.calls("metadata"))
    same(len(ids_asked(bench)), len(set(ids_asked(bench))), "no id is asked twice")


@claim
def metadata_is_asked_once_and_kept(bench: Bench) -> None:
    sample = bench.zoo["pe32"]
    record = json.loads(bench.read(f"metadata/{sample.sha256}.json"))
    same((record["sha256"], record["filesize"], record["label"], record["family"]),
         (sample.sha256, sample.size, "malware", "Stone Drill"))
    same(bench.read(f"metadata/{sample.sha256}"), bench.read(f"metadata/{sample.sha256}.json"), "the bare hash")
    same(os.stat(bench.sample(sample)).st_size, sample.size)
    bench.remount()
    same(json.loads(bench.read(f"metadata/{sample.sha256}.json")), record, "after a remount")
    same(ids_asked(bench), [sample.sha256])
    same(bench.proxy.paid(), [])


@claim
def results_of_a_hunt_need_no_metadata_call(bench: Bench) -> None:
    hunt = bench.job("all", "rule all_of_them { condition: filesize >= 0 }\n")
    bench.run("ls -l hunts/all/samples metadata && cat hunts/all/metadata/*.json")
    for name in os.listdir(hunt / "metadata"):
        same(json.loads((hunt / "metadata" / name).read_text())["sha256"], name.removesuffix(".json"))
    same(bench.proxy.calls("metadata"), [])


if __name__ == "__main__":
    main()
