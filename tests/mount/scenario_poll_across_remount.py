"""Every unfinished request is followed by whichever mount of the profile is there."""

from harness import ELF_FILES, EVERYTHING, JOB_MAX_S, Bench, claim, main, same, until
from proxy import delay, html_502

SLOW_JOB = ["--job-delay-ms", "5000"]


@claim(engine=SLOW_JOB)
def a_hunt_goes_on_while_nothing_is_mounted(bench: Bench) -> None:
    bench.submit("wiper", ELF_FILES)
    assert bench.read("hunts/wiper/status").split()[0] in ("queued", "inprogress")
    reqid = bench.read("hunts/wiper/id")
    bench.remount()
    same(bench.read("hunts/wiper/id"), reqid)
    assert bench.wait("wiper").startswith("done")
    assert len(bench.read("hunts/wiper/hashes.txt").split()) >= 4
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_finished_hunt_needs_the_service_no_more(bench: Bench) -> None:
    bench.job("wiper", EVERYTHING)
    before = bench.read("hunts/wiper/results.tsv"), bench.read("hunts/wiper/response.json")
    bench.proxy.down()
    bench.remount()
    same((bench.read("hunts/wiper/results.tsv"), bench.read("hunts/wiper/response.json")), before)
    assert bench.wait("wiper").startswith("done")
    bench.run("ls -lR hunts && stat hunts/wiper/samples/* && cat hunts/wiper/metadata/*.json")


@claim
def polling_survives_a_bad_quarter_of_an_hour(bench: Bench) -> None:
    bench.proxy.fail("requests", html_502, times=4)
    bench.proxy.fail("requests", delay(1), times=1)
    bench.submit("wiper", ELF_FILES)
    until(lambda: bench.read("hunts/wiper/status").startswith("done"), JOB_MAX_S, "done after failing polls")
    same(bench.proxy.paid(), ["hunt"])


@claim
def two_mounts_of_one_profile_see_one_hunt(bench: Bench) -> None:
    second = bench.directory / "mnt2"
    second.mkdir()
    other = bench.start_mount(second)
    try:
        bench.job("wiper", EVERYTHING)
        until(lambda: (second / "hunts/wiper/status").read_text().startswith("done"), JOB_MAX_S, "done there too")
        sample = bench.zoo["marked"]
        same((second / "hunts/wiper/samples" / sample.sha256).read_bytes() == sample.content, True, "bytes there")
        same(bench.sample(sample).read_bytes() == sample.content, True, "bytes here")
        same(bench.proxy.paid(), ["hunt", sample.sha256])
    finally:
        bench.run(f"fusermount3 -u {second}", ok=False, cwd=bench.directory)
    same(other.wait(), 0, "exit status of the second mount")


if __name__ == "__main__":
    main()
