"""Files that change while one looks: readable with any tool, free, and never a trap for a recursive one."""

import json
import os
import re
import signal

from harness import AT_ONCE_S, ELF_FILES, JOB_MAX_S, RUN_MAX_S, Bench, claim, main, same, until

LIVE = ("README", "status", "quotas", "quotas.json")
SLOW_JOB = ["--job-delay-ms", "4000"]


@claim
def live_files_read_with_any_tool(bench: Bench) -> None:
    for name in LIVE:
        text = bench.run(f"cat {name}").stdout
        assert text.endswith("\n") and text.strip(), f"{name}: {text!r}"
        for tool in ("head -n 1000 {}", "dd if={} bs=7 2>/dev/null", "tail -n 1000 {}", "sed '' {}", "sort {}"):
            lines = bench.run(tool.format(name)).stdout.count("\n")
            same(lines, text.count("\n"), f"lines of {name} with {tool}")


@claim
def quotas_are_the_numbers_of_the_service(bench: Bench) -> None:
    bench.job("wiper", ELF_FILES)
    bench.sample("true").read_bytes()
    answer = json.loads(bench.read("quotas.json"))["meta"]
    same((answer["hunt_count"], answer["download_count"]), (1, 1), "quotas.json")
    numbers = re.findall(r"\d+", bench.read("quotas"))
    assert str(answer["hunt_limit"]) in numbers and str(answer["days_left"]) in numbers, bench.read("quotas")
    asked = len(bench.proxy.calls("quotas"))
    for _ in range(5):
        bench.run("cat quotas quotas.json")
    same(len(bench.proxy.calls("quotas")), asked, "quotas are asked after spending, else at most once a minute")


@claim
def the_sizes_of_live_files_are_right_or_refreshed(bench: Bench) -> None:
    bench.job("wiper", ELF_FILES)
    for path in ("README", "hunts/wiper/status", "hunts/wiper/results.tsv", "hunts/wiper/hashes.txt",
                 "hunts/wiper/rule.yar", "hunts/wiper/id", "hunts/wiper/response.json"):
        same(os.stat(bench.root / path).st_size, len((bench.root / path).read_bytes()), path)


@claim
def recursive_tools_end_and_spend_nothing(bench: Bench) -> None:
    bench.job("wiper", ELF_FILES)
    paid = bench.proxy.paid()
    listing = bench.run("find . -print").stdout.splitlines()
    assert "./hunts/wiper/status" in listing and not [path for path in listing if path.endswith("/wait")], listing
    bench.run("ls -lR . > /dev/null && du -s . > /dev/null && find . -name '*.json' -newer README")
    bench.run("grep -rs 'a needle' README status quotas hunts/wiper/status metadata requests/*/status; true")
    same(bench.proxy.paid(), paid)


@claim
def grep_from_the_root_ends(bench: Bench) -> None:
    bench.sample("text").read_bytes()
    result = bench.run("grep -r 'dark and stormy' .", seconds=RUN_MAX_S)
    assert f"./samples/{bench.zoo['text'].sha256}:" in result.stdout, result
    same(bench.proxy.paid(), [bench.zoo["text"].sha256])


@claim(engine=SLOW_JOB)
def several_readers_can_wait(bench: Bench) -> None:
    bench.submit("wiper", ELF_FILES)
    readers = [bench.start("cat", "hunts/wiper/wait") for _ in range(5)]
    bench.run("ls -l hunts/wiper && cat hunts/wiper/status && find hunts", seconds=AT_ONCE_S)
    lines = [reader.communicate(timeout=JOB_MAX_S)[0].decode().splitlines() for reader in readers]
    for got in lines:
        assert got and got[-1].startswith("done"), got
    assert bench.wait("wiper").startswith("done"), "wait of a finished hunt"
    same(bench.proxy.paid(), ["hunt"])


@claim(engine=SLOW_JOB)
def ctrl_c_ends_waiting(bench: Bench) -> None:
    bench.submit("wiper", ELF_FILES)
    reader = bench.start("cat", "hunts/wiper/wait")
    until(lambda: open(f"/proc/{reader.pid}/comm").read() == "cat\n", RUN_MAX_S, "cat runs")
    reader.send_signal(signal.SIGINT)
    same(reader.wait(AT_ONCE_S), -signal.SIGINT)
    assert bench.wait("wiper").startswith("done")


@claim(engine=["--job-delay-ms", "30000"])
def unmounting_ends_who_waits(bench: Bench) -> None:
    bench.submit("wiper", ELF_FILES)
    reader = bench.start("cat", "hunts/wiper/wait")
    until(lambda: open(f"/proc/{reader.pid}/comm").read() == "cat\n", RUN_MAX_S, "cat runs")
    bench.program.process.send_signal(signal.SIGTERM)
    same(bench.program.wait(), 0, "exit status after SIGTERM")
    bench.program = None
    reader.communicate(timeout=RUN_MAX_S)


@claim
def df_answers_from_memory(bench: Bench) -> None:
    bench.run("cat quotas > /dev/null")
    before = len(bench.proxy.asked())
    bench.run("df . && df -i .", seconds=AT_ONCE_S)
    inodes = os.statvfs(bench.root)
    same(inodes.f_files, 1000, "df -i shows the download quota")
    same(len(bench.proxy.asked()), before)


if __name__ == "__main__":
    main()
