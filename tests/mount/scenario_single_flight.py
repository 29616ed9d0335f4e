"""However many programs open one sample at the same time, it is downloaded once and everybody gets its bytes."""

import os
import time
from pathlib import Path

from harness import AT_ONCE_S, RUN_MAX_S, Bench, claim, main, same, until
from proxy import Stall, gateway

PROCESSES = 64


def is_opening(pid: int) -> bool:
    """Started, and blocked in the kernel's FUSE code or already past it."""
    try:
        return "sha256sum" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return True


@claim
def many_openers_of_a_cold_sample_cost_one_download(bench: Bench) -> None:
    sample = bench.zoo["noise-3145728"]
    stall = bench.proxy.fail("download", Stall(), times=1)
    readers = [bench.start("sha256sum", bench.sample(sample)) for _ in range(PROCESSES)]
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    until(lambda: all(is_opening(reader.pid) for reader in readers), RUN_MAX_S, f"{PROCESSES} readers")
    stall.release()
    for reader in readers:
        output, errors = reader.communicate(timeout=RUN_MAX_S)
        same((output.split()[:1], errors), ([sample.sha256.encode()], b""))
    same(bench.proxy.paid(), [sample.sha256])


@claim
def the_same_sample_under_two_names_is_one_download(bench: Bench) -> None:
    sample = bench.zoo["marked"]
    hunt = bench.job("all", "rule small { condition: filesize < 1MB }\n")
    stall = bench.proxy.fail("download", Stall(), times=1)
    readers = [bench.start("cat", place / sample.sha256) for place in (hunt / "samples", bench.root / "samples") * 4]
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    stall.release()
    for reader in readers:
        same(reader.communicate(timeout=RUN_MAX_S)[0] == sample.content, True, "bytes")
    same(bench.proxy.paid(), ["hunt", sample.sha256])


@claim
def all_openers_of_a_failing_download_get_its_error(bench: Bench) -> None:
    sample = bench.zoo["marked"]
    stall = bench.proxy.fail("download", Stall(), times=1)
    os.stat(bench.sample(sample))
    readers = [bench.start("cat", bench.sample(sample)) for _ in range(8)]
    assert stall.arrived.wait(RUN_MAX_S), "nobody downloads"
    until(lambda: all(Path(f"/proc/{reader.pid}/comm").read_text() == "cat\n" for reader in readers), RUN_MAX_S, "cats")
    bench.proxy.down()  # the stalled answer is lost with its connection; nothing can be tried again
    stall.release()
    for reader in readers:
        _, errors = reader.communicate(timeout=RUN_MAX_S)
        assert reader.returncode == 1 and errors, errors
    bench.proxy.up()
    same(bench.proxy.paid(), [sample.sha256], "downloads that may be charged")


@claim
def different_samples_are_downloaded_side_by_side(bench: Bench) -> None:
    names = ["pe32", "pe64", "pdf", "text"]
    bench.run("stat " + " ".join(str(bench.sample(name)) for name in names))
    stall = bench.proxy.fail("download", Stall())
    readers = [bench.start("cat", bench.sample(name)) for name in names]
    until(lambda: len(bench.proxy.calls("download")) >= 2, RUN_MAX_S, "two downloads at the same time")
    stall.release()
    for reader, name in zip(readers, names):
        same(reader.communicate(timeout=RUN_MAX_S)[0], bench.zoo[name].content, name)
    same(sorted(bench.proxy.paid()), sorted(bench.zoo[name].sha256 for name in names))


@claim
def a_sample_the_service_cannot_deliver_is_asked_for_once(bench: Bench) -> None:
    bench.proxy.fail("download", gateway(404, "sample not found"))
    path = bench.sample("marked")
    readers = [bench.start("cat", path) for _ in range(16)]
    for reader in readers:
        _, errors = reader.communicate(timeout=RUN_MAX_S)
        assert b"No data available" in errors, errors
    started = time.monotonic()
    bench.run(f"cat {path}", ok=False)
    assert time.monotonic() - started < AT_ONCE_S
    same(len(bench.proxy.calls("download")), 1, "downloads tried")


if __name__ == "__main__":
    main()
