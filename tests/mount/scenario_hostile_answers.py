"""The answers of tests/data/answers.tsv, sent by the proxy: an errno or the truth, and the daemon lives.

What the decoders make of each answer is known (test_api_json.c): here the same must come out of a mount, one after the
other without a restart, and every byte is compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import JOB_MAX_S, Bench, claim, errno_of, main, same, until
from proxy import answer, expired
from samples import Sample, pool, pooled

ANSWERS = Path(__file__).parent.parent / "data" / "answers.tsv"
SAID_SHA256 = b"d207ccf1eabcc9453288896d963f1a1c558c427abfe9305d7328e3a6fb06f6ee"  # in the answers
SAID_SIZE = b"4242"
SAID_ID = b"096f6aa5-f245-4b09-790f-133bc89d4d26"
OTHER_ID = "{:08x}-aaaa-4bbb-8ccc-0123456789ab"


@dataclass(frozen=True)
class Answer:
    decoder: str
    name: str
    outcome: str
    body: bytes

    def about(self, sample: Sample, reqid: str = "") -> bytes:
        """The same of another sample."""
        sha256 = sample.sha256.encode()
        instead = {SAID_SHA256: sha256, SAID_SHA256[:-1]: sha256[:-1], SAID_SHA256.upper(): sha256.upper(),
                   SAID_SIZE: str(sample.size).encode(), SAID_ID: reqid.encode() or SAID_ID}
        body = self.body
        for said, meant in instead.items():
            body = body.replace(said, meant)
        return body


def answers(decoder: str) -> list[Answer]:
    lines = [line.split(b"\t", 3) for line in ANSWERS.read_bytes().split(b"\n")[1:-1]]
    found = [Answer(*(field.decode() for field in line[:3]), line[3]) for line in lines if line[0].decode() == decoder]
    assert found, decoder
    return found


def check(problems: list[str], name: str, action: Callable[[], None]) -> None:
    try:
        action()
    except Exception as error:
        problems.append(f"{name}: {type(error).__name__} {error}")


def replace(bench: Bench, route: str, body: bytes) -> None:
    bench.proxy.heal(route)
    bench.proxy.fail(route, answer(200, body, Content_Type="application/json"))


# ---- JSON ----


def try_metadata(bench: Bench, one: Answer, sample: Sample) -> None:
    replace(bench, "metadata", one.about(sample))
    seen = errno_of(os.stat, bench.sample(sample))
    if one.outcome.startswith("E"):
        same(seen, one.outcome)
        bench.proxy.heal("metadata")
        same(errno_of(os.stat, bench.sample(sample)), None, "afterwards")
    elif one.outcome == "absent":
        same(seen, "ENOENT")
        return
    same(bench.sample(sample).read_bytes() == sample.content, True, "bytes")
    same(os.stat(bench.sample(sample)).st_size, sample.size, "size")


@claim(prepare=pool)
def metadata_is_an_errno_or_the_truth(bench: Bench) -> None:
    problems: list[str] = []
    samples = list(pooled(bench.zoo))
    assert len(answers("samples")) <= len(samples)
    for one, sample in zip(answers("samples"), samples):
        check(problems, one.name, lambda: try_metadata(bench, one, sample))
    same(problems, [])


def try_result(bench: Bench, one: Answer, number: int) -> None:
    reqid = OTHER_ID.format(number)
    place = bench.root / "requests" / reqid
    sample = bench.zoo["pe32"]
    replace(bench, "requests", one.about(sample))
    seen = errno_of(os.stat, place)
    if one.outcome == "absent" or one.outcome.startswith("E"):
        same(seen, "ENOENT" if one.outcome == "absent" else one.outcome)
        return
    same(seen, None)
    state, n = one.outcome.split()
    if state != "inprogress":  # without results it is asked for its archive, which takes a moment
        until(lambda: (place / "status").read_text().split()[0] != "inprogress", JOB_MAX_S, f"{one.name}: an end")
    same((place / "status").read_text().split()[0], state)
    same(os.listdir(place / "samples"), [sample.sha256] if state == "done" and n == "1" else [], "results")
    if state == "done":
        same(len([json.loads(line) for line in (place / "results.jsonl").read_text().splitlines()]), int(n), "lines")


@claim
def results_are_an_errno_or_the_truth(bench: Bench) -> None:
    problems: list[str] = []
    for number, one in enumerate(answers("result"), 1):  # 0 would be an id of our own
        check(problems, one.name, lambda: try_result(bench, one, number))
    same(problems, [])


def try_submission(bench: Bench, one: Answer, number: int) -> None:
    replace(bench, "hunt", one.about(bench.zoo["pe32"], OTHER_ID.format(number)))
    rule = bench.root / "hunts" / f"h{number}.yar"
    seen = errno_of(rule.write_text, f"rule h{number} {{ condition: filesize < 100 }}\n")
    same(seen, None if one.outcome == "ok" else one.outcome)
    same(bench.read(f"hunts/h{number}/status").split()[0], "inprogress" if one.outcome == "ok" else "failed")


@claim
def submissions_have_an_id_or_are_failed(bench: Bench) -> None:
    problems: list[str] = []
    for number, one in enumerate(answers("reqid")):
        check(problems, one.name, lambda: try_submission(bench, one, number))
    same(problems, [])
    same(len(bench.proxy.calls("hunt")), len(answers("reqid")), "each was sent once")


@claim(prepare=pool)
def tokens_are_an_errno_or_a_token(bench: Bench) -> None:
    """The service refuses the one it had, and answers oddly when it is asked for another."""
    problems: list[str] = []
    samples = pooled(bench.zoo)

    def attempt(one: Answer, sample: Sample) -> None:
        bench.proxy.fail("metadata", expired, 1)
        replace(bench, "token", one.body)
        same(errno_of(os.stat, bench.sample(sample)), one.outcome)
        bench.proxy.heal("token")
        same(errno_of(os.stat, bench.sample(sample)), None, "afterwards")

    for one in answers("token"):
        if one.outcome.startswith("E"):
            check(problems, one.name, lambda: attempt(one, next(samples)))
    same(problems, [])


if __name__ == "__main__":
    main()
