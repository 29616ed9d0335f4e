"""`metrics` is for Prometheus: correct, true, and free however often it is scraped."""

import re
import shutil
import time

from harness import AT_ONCE_S, ELF_FILES, RUN_MAX_S, Bench, claim, main, same, until

SAMPLE = re.compile(r'^(?P<name>malqueryfs_[a-z_]+)(?P<label>\{[a-z]+="[^"\\]*"\})? (?P<value>-?[0-9]+|\+Inf)$')
SCRAPES = 20


def metrics(bench: Bench) -> dict[str, float]:
    """`name` or `name{label="value"}`, and the value."""
    values = {}
    for line in bench.read("metrics").splitlines():
        if not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, line
            values[match["name"] + (match["label"] or "")] = float(match["value"].replace("Inf", "inf"))
    return values


def value(bench: Bench, name: str) -> int:
    return metrics(bench)[f"malqueryfs_{name}"]


@claim
def promtool_has_nothing_to_say(bench: Bench) -> None:
    bench.run("cat quotas")
    bench.job("wiper", ELF_FILES)
    assert shutil.which("promtool"), "the package prometheus is not installed"
    result = bench.run("promtool check metrics < metrics")
    same((result.stdout, result.stderr), ("", ""))
    same(bench.proxy.paid(), ["hunt"])


@claim
def every_metric_is_explained_once(bench: Bench) -> None:
    lines = bench.read("metrics").splitlines()
    for word in ("HELP", "TYPE"):
        names = [line.split()[2] for line in lines if line.startswith(f"# {word} ")]
        same(len(names), len(set(names)), word)
        same(set(names), {line.split()[0].split("{")[0] for line in lines if line[0] != "#"}, word)
    counters = {line.split()[2] for line in lines if line.startswith("# TYPE") and line.endswith(" counter")}
    same(counters, {name for name in metrics(bench) if name.endswith("_total")})
    same(bench.proxy.paid(), [])


@claim
def what_was_done_is_counted(bench: Bench) -> None:
    zeros = [value(bench, name) for name in ("submissions_total", "downloads_total", "download_bytes_total",
                                             "events_total", 'requests{state="done"}', "local_samples", "local_bytes")]
    same(zeros, [0] * 7)
    bench.job("wiper", ELF_FILES)
    bench.sample("pe32").read_bytes()
    bench.sample("pe32").read_bytes()
    after = metrics(bench)
    same(after["malqueryfs_submissions_total"], 1)
    same(after["malqueryfs_downloads_total"], 1)
    same(after["malqueryfs_download_bytes_total"], bench.zoo["pe32"].size)
    same(after["malqueryfs_local_samples"], 1)
    assert after["malqueryfs_local_bytes"] > bench.zoo["pe32"].size
    same(after['malqueryfs_requests{state="done"}'], 1)
    same(after['malqueryfs_requests{state="inprogress"}'], 0)
    same(after["malqueryfs_events_total"], len(bench.read("events").splitlines()))
    same(after["malqueryfs_metadata_calls_total"], len(bench.proxy.calls("metadata")))
    same(after["malqueryfs_polls_total"], len(bench.proxy.calls("requests")))
    same(bench.proxy.paid(), ["hunt", bench.zoo["pe32"].sha256])


@claim
def the_state_is_that_of_the_last_call(bench: Bench) -> None:
    states = [f'service_state{{state="{state}"}}' for state in ("online", "offline", "unauthorized")]
    same([value(bench, name) for name in ("up", *states)], [1, 1, 0, 0])
    bench.proxy.down()
    bench.run("stat samples/" + "0" * 64, ok=False)
    same([value(bench, name) for name in ("up", *states)], [0, 0, 1, 0])
    same(bench.proxy.paid(), [])


@claim(engine=["--hunt-limit", "7", "--download-limit", "9"])
def quotas_are_there_when_they_are_known_and_never_asked_for(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    until(lambda: metrics(bench).get('malqueryfs_quota_used{kind="downloads"}') == 1, RUN_MAX_S, "asked after spending")
    asked = len(bench.proxy.calls("quotas"))
    for _ in range(SCRAPES):
        after = metrics(bench)
    same([after[f'malqueryfs_quota_{what}{{kind="{kind}"}}'] for kind in ("hunts", "downloads") for what in ("limit", "used")],
         [7, 0, 9, 1])
    same(len(bench.proxy.calls("quotas")), asked)
    same(len(bench.proxy.paid()), 1)


@claim
def scraping_is_quick_and_asks_nobody(bench: Bench) -> None:
    started = time.monotonic()
    for _ in range(SCRAPES):
        bench.read("metrics")
    assert time.monotonic() - started < AT_ONCE_S
    same(bench.proxy.asked(), [])


@claim
def it_says_since_when_and_which_version(bench: Bench) -> None:
    version = bench.read("status").split("version\t")[1].splitlines()[0]
    same(value(bench, f'build_info{{version="{version}"}}'), 1)
    assert abs(value(bench, "start_time_seconds") - time.time()) < 60
    same(bench.proxy.paid(), [])


@claim
def open_files_are_counted_while_they_are_open(bench: Bench) -> None:
    idle = value(bench, "open_handles")
    with (bench.root / "README").open(), (bench.root / "status").open():
        same(value(bench, "open_handles"), idle + 2)
    until(lambda: value(bench, "open_handles") == idle, AT_ONCE_S, "closed files are not counted")
    same(bench.proxy.paid(), [])


if __name__ == "__main__":
    main()
