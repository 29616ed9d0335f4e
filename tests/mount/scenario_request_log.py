"""`malqueryd --request-log`: every call is a line that says what a proxy on the way has seen, and no secret."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import closing
from pathlib import Path

from harness import CLIENT_ID, CLIENT_SECRET, ELF_FILES, Bench, claim, errno_of, main, same
from proxy import Call, EngineConnection

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MEMBERS = {"time", "method", "route", "op", "status", "paid", "ids", "bytes", "trace"}
UNKNOWN = "fedcba9876543210" * 4


def with_log(bench: Bench) -> Path:
    """Another engine in the place of the first."""
    log = bench.directory / "requests.jsonl"
    bench.engine.process.terminate()
    same(bench.engine.wait(), 0)
    bench.proxy.close()
    bench.engine_arguments += ["--request-log", log]
    bench.start_engine()
    return log


def of_call(call: Call) -> tuple:
    is_paid = call.status == 200 and call.units
    ids = call.json["samples"] if call.route == "multidownload" else call.ids
    return call.method, call.path, call.status, len(call.units) if is_paid else 0, tuple(ids), len(call.answer)


def of_line(line: dict) -> tuple:
    return line["method"], line["route"], line["status"], line["paid"], tuple(line["ids"]), line["bytes"]


@claim(mounted=False)
def every_call_is_a_line_with_what_it_cost_and_no_secret(bench: Bench) -> None:
    log = with_log(bench)
    bench.mount()
    bench.sample("pe32").read_bytes()
    bench.job("elf", ELF_FILES)
    bench.run("echo fetch all > hunts/elf/ctl && cat downloads/elf/wait")
    bench.run("mkdir searches/exact/ascii:dark searches/fuzzy/ascii:stormy")
    same(errno_of((bench.root / "samples" / UNKNOWN).stat), "ENOENT")
    bench.unmount()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    same(Counter(map(of_line, lines)), Counter(map(of_call, bench.proxy.calls())), "lines, and what the proxy saw")
    assert sum(line["paid"] for line in lines) == len(bench.proxy.paid()) > 6, bench.proxy.paid()
    same({line["reqid"] for line in lines if line["paid"] and "reqid" in line},
         {call.reqid for call in bench.proxy.calls("hunt", "exact", "multidownload")}, "ids of requests")
    same({frozenset(line.keys() - {"reqid"}) for line in lines}, {frozenset(MEMBERS)}, "members")
    assert all(UUID.fullmatch(line["trace"]) for line in lines) and len({line["trace"] for line in lines}) == len(lines)
    same(oct(log.stat().st_mode & 0o777), "0o600")
    for secret in (CLIENT_SECRET, CLIENT_ID, *(call.headers.get("Authorization", "")[7:] for call in bench.proxy.calls())):
        assert not secret or secret not in log.read_text(), f"a secret in the log: {secret}"


@claim(mounted=False)
def a_path_that_is_none_of_ours_is_no_text_of_the_log(bench: Bench) -> None:
    log = with_log(bench)
    with closing(EngineConnection(bench.proxy.engine_url)) as connection:
        connection.request("GET", "/nothing%0a/%22here?ids=%ff%fe&ids=a")
        connection.getresponse().read()
    [line] = map(json.loads, log.read_text().splitlines())
    same((line["route"], line["op"], line["paid"]), ("?", "?", 0))
    assert "nothing" not in log.read_text()


if __name__ == "__main__":
    main()
