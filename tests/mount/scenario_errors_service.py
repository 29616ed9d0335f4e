"""The service fails or is not there: what is known stays readable, and everything recovers by itself."""

import os
import time

from harness import ELF_FILES, EVERYTHING, RUN_MAX_S, Bench, claim, errno_of, main, read_error, same, until
from proxy import answer, failed_job, gateway


@claim
def a_service_that_is_down_is_enetunreach(bench: Bench) -> None:
    bench.proxy.down()
    same(errno_of(os.stat, bench.sample("pe32")), "ENETUNREACH", "stat of a sample that nobody knows")
    same(read_error(bench.root / "quotas"), "ENETUNREACH", "quotas")
    assert "offline" in bench.read("status"), bench.read("status")


@claim
def what_is_local_reads_while_the_service_is_down(bench: Bench) -> None:
    hunt = bench.job("wiper", EVERYTHING)
    (hunt / "samples" / bench.zoo["marked"].sha256).read_bytes()
    bench.proxy.down()
    bench.remount()
    same(bench.sample("marked").read_bytes() == bench.zoo["marked"].content, True, "bytes")
    bench.run("ls -lR . && cat README status hunts/wiper/results.tsv hunts/wiper/metadata/*.json", seconds=10)
    same(read_error(hunt / "samples" / bench.zoo["pe32"].sha256), "ENETUNREACH", "a sample that is not local")
    bench.proxy.up()
    until(lambda: not read_error(hunt / "samples" / bench.zoo["pe32"].sha256), 40, "it reads when the service is back")
    assert "online" in bench.read("status"), bench.read("status")


@claim
def a_mount_comes_up_without_the_service(bench: Bench) -> None:
    bench.unmount()
    bench.proxy.down()
    started = time.monotonic()
    bench.mount()
    assert time.monotonic() - started < 10
    bench.run("ls -l . hunts samples && cat README status", seconds=5)


@claim
def many_failures_in_a_row_make_it_fail_fast(bench: Bench) -> None:
    bench.proxy.down()
    for number in range(6):
        errno_of(os.stat, bench.root / "samples" / f"{number:064x}")
    started = time.monotonic()
    same(errno_of(os.stat, bench.root / "samples" / ("a" * 64)), "ENETUNREACH")
    assert time.monotonic() - started < 1, "it still tries"


@claim
def a_failed_job_says_why(bench: Bench) -> None:
    bench.proxy.fail("requests", failed_job("the index is on fire"))
    bench.submit("wiper", ELF_FILES)
    line = bench.wait("wiper")
    same(line.split()[0], "failed", "last line of wait")
    same(bench.read("hunts/wiper/status").split()[0], "failed")
    assert "the index is on fire" in bench.read("hunts/wiper/error")
    same(os.listdir(bench.hunt("wiper") / "samples"), [])
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_service_that_denies_a_request_once_does_not_end_it(bench: Bench) -> None:
    bench.proxy.fail("requests", gateway(404, "request not found"), times=2)
    bench.submit("wiper", ELF_FILES)
    same(bench.wait("wiper").split()[0], "done")
    same(bench.proxy.paid(), ["hunt"])


@claim
def an_error_of_the_service_on_a_hunt_is_never_repeated(bench: Bench) -> None:
    fault = answer(500, "Internal Server Error: Please provide trace-id='1' to support")
    bench.proxy.fail("hunt", fault)
    result = bench.submit("wiper", ELF_FILES, ok=False)
    assert result.returncode and "Remote I/O error" in result.stderr, result
    same(bench.read("hunts/wiper/status").split()[0], "failed")
    same(len(bench.proxy.calls("hunt")), 1)


@claim
def a_request_of_somebody_else_is_adopted(bench: Bench) -> None:
    bench.job("wiper", ELF_FILES)
    reqid = bench.read("hunts/wiper/id").strip()
    bench.unmount()
    bench.run(f"rm -r {bench.state} {bench.cache}", cwd=bench.directory)
    bench.mount()
    same(os.listdir(bench.root / "requests"), [])
    line = bench.run(f"cat requests/{reqid}/wait", seconds=RUN_MAX_S).stdout.splitlines()[-1]
    assert line.startswith("done"), line
    assert len(os.listdir(bench.root / "requests" / reqid / "samples")) >= 4
    same(errno_of(os.stat, bench.root / "requests" / "01234567-89ab-4def-0123-456789abcdef"), "ENOENT")
    same(bench.proxy.paid(), ["hunt"])


if __name__ == "__main__":
    main()
