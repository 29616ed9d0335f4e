"""A request id is on disk before close() returns: kill -9 at any moment loses no hunt and pays for none twice."""

from harness import ELF_FILES, JOB_MAX_S, RUN_MAX_S, Bench, claim, main, same, until
from proxy import Stall, reset_after


@claim
def a_hunt_survives_kill_right_after_close(bench: Bench) -> None:
    bench.submit("wiper", ELF_FILES)
    bench.kill()
    bench.mount()
    same(bench.read("hunts/wiper/id").strip(), bench.proxy.calls("hunt")[0].reqid, "id")
    same(bench.read("hunts/wiper.yar"), ELF_FILES)
    assert bench.wait("wiper").startswith("done")
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_kill_while_the_answer_is_on_its_way_is_never_sent_again(bench: Bench) -> None:
    stall = bench.proxy.fail("hunt", Stall(), times=1)
    (bench.inbox / "wiper.yar").write_text(ELF_FILES)
    writer = bench.start("cp", bench.inbox / "wiper.yar", "hunts/")
    assert stall.arrived.wait(RUN_MAX_S), "nothing is sent"
    bench.kill()
    assert writer.wait(RUN_MAX_S), "cp does not report the lost connection"
    stall.release()
    bench.mount()
    until(lambda: bench.read("hunts/wiper/status").split()[0] != "queued", RUN_MAX_S, "a verdict of the poller")
    same(bench.read("hunts/wiper/status").split()[0], "failed", "status of the ambiguous hunt")
    assert bench.read("hunts/wiper/error").strip(), "no reason"
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_lost_answer_is_reported_and_never_sent_again(bench: Bench) -> None:
    bench.proxy.fail("hunt", reset_after, times=1)
    result = bench.submit("wiper", ELF_FILES, ok=False)
    assert result.returncode and "Remote I/O error" in result.stderr, result
    same(bench.read("hunts/wiper/status").split()[0], "failed")
    bench.remount()
    same(bench.read("hunts/wiper/status").split()[0], "failed")
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_slow_answer_is_queued_and_close_succeeds(bench: Bench) -> None:
    stall = bench.proxy.fail("hunt", Stall(), times=1)
    bench.submit("wiper", ELF_FILES)
    word = bench.read("hunts/wiper/status").split()[0]
    same(word, "queued", "status while the service does not answer")
    stall.release()
    assert bench.wait("wiper").startswith("done")
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_rule_written_offline_is_sent_once_the_service_is_back(bench: Bench) -> None:
    bench.proxy.down()
    bench.submit("wiper", ELF_FILES)
    same(bench.read("hunts/wiper/status").split()[0], "queued")
    bench.kill()
    bench.mount()
    same(bench.read("hunts/wiper/status").split()[0], "queued", "status after kill -9")
    bench.proxy.up()
    until(lambda: bench.read("hunts/wiper/status").startswith("done"), JOB_MAX_S, "the queued hunt is done")
    same(bench.proxy.paid(), ["hunt"])


if __name__ == "__main__":
    main()
