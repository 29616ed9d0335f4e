"""The cache is bounded, may be of three kinds, has a key, and nobody pays twice for what is in it."""

import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

from harness import Bench, Program, claim, main, malqueryfs, mount_flags, read_error, same, until
from samples import Zoo

SIZE = 400_000  # two of them fit into the smallest cache, with an archive or without
SMALL = ["cache_size=1M"]


def bigs(zoo: Zoo) -> None:
    """Four samples, each with the zoo's marker in it, one that fits into a small cache without its archive,
    and one that is larger than that cache."""
    for number in range(4):
        zoo.add(f"big{number}", zoo.marker.encode() + os.urandom(SIZE - 2 * len(zoo.marker)) + zoo.marker.encode())
    zoo.add("medium", os.urandom(600_000))
    zoo.add("huge", os.urandom(2_000_000))


def read(bench: Bench, *names: str) -> None:
    for name in names:
        assert bench.sample(name).read_bytes() == bench.zoo[name].content, name


def paid(bench: Bench, *names: str) -> None:
    same(bench.proxy.paid(), [bench.zoo[name].sha256 for name in names], "paid")


def state(bench: Bench, name: str) -> str:
    return os.getxattr(bench.sample(name), "user.malquery.state").decode()


def local(bench: Bench) -> set[str]:
    names = {sample.sha256: name for name, sample in bench.zoo._samples.items()}
    return {names[sha256] for sha256 in os.listdir(bench.root / "samples")}


def events(bench: Bench, word: str) -> list[dict]:
    return [event for event in map(json.loads, bench.read("events").splitlines()) if event["event"] == word]


def metric(root: Path, name: str) -> int:
    for line in (root / "metrics").read_text().splitlines():
        if line.startswith(f"malqueryfs_{name} "):
            return int(line.split()[1])
    raise AssertionError(f"no metric {name}")


def files(bench: Bench) -> list[Path]:
    """Every file of the bench, but for the service's own and the mount."""
    theirs = (bench.zoo.directory, bench.root, bench.directory / "index.db")
    return [path for path in bench.directory.rglob("*")
            if path.is_file() and not any(path.is_relative_to(other) for other in theirs)]


def with_marker(bench: Bench) -> list[Path]:
    return [path for path in files(bench) if bench.zoo.marker.encode() in path.read_bytes()]


def objects(bench: Bench, name: str) -> list[Path]:
    return [path for path in bench.cache.rglob("*") if bench.zoo[name].sha256 in path.name]


# ---- eviction ----


@claim(options=SMALL, prepare=bigs)
def what_was_used_longest_ago_goes_and_is_bought_again_only_when_opened(bench: Bench) -> None:
    read(bench, "big0", "big1", "big0", "big2")
    paid(bench, "big0", "big1", "big2")
    same(local(bench), {"big0", "big2"})
    same((state(bench, "big0"), state(bench, "big1")), ("local", "remote"))
    same([event["sha256"] for event in events(bench, "evicted")], [bench.zoo["big1"].sha256])
    bench.run("ls -lR samples && find . -name 'x*' && stat samples/*")
    read(bench, "big0", "big2")
    paid(bench, "big0", "big1", "big2")
    read(bench, "big1")
    paid(bench, "big0", "big1", "big2", "big1")
    same(local(bench), {"big1", "big2"})


@claim(options=SMALL, prepare=bigs)
def recency_survives_a_restart(bench: Bench) -> None:
    read(bench, "big0", "big1", "big0")
    bench.remount()
    read(bench, "big2")
    same(local(bench), {"big0", "big2"})


@claim(options=SMALL, prepare=bigs)
def what_is_open_stays(bench: Bench) -> None:
    with bench.sample("big0").open("rb") as reader:
        reader.read(1)
        read(bench, "big1", "big2", "big3", "big1")
        same(local(bench), {"big0", "big1"})
        same(reader.read(), bench.zoo["big0"].content[1:])
    read(bench, "big0")
    paid(bench, "big0", "big1", "big2", "big3", "big1")


@claim(options=SMALL, prepare=bigs)
def when_all_is_open_there_is_no_room_and_nothing_is_paid(bench: Bench) -> None:
    with bench.sample("big0").open("rb"), bench.sample("big1").open("rb"):
        same(read_error(bench.sample("big2")), "ENOSPC")
        same(local(bench), {"big0", "big1"})
        assert "no room" in bench.read("status") + json.dumps(events(bench, "failed"))
    paid(bench, "big0", "big1")
    read(bench, "big2")
    paid(bench, "big0", "big1", "big2")


@claim(options=SMALL, prepare=bigs)
def a_sample_that_is_larger_than_the_cache_is_refused_before_it_is_paid(bench: Bench) -> None:
    read(bench, "big0")
    same(read_error(bench.sample("huge")), "ENOSPC")
    [failed] = events(bench, "failed")
    assert "cache_size is 1048576" in failed["reason"], failed
    paid(bench, "big0")
    same(local(bench), {"big0"})


@claim(options=[*SMALL, "budget=2", "reserve=0"], is_bounded=True, prepare=bigs)
def what_the_budget_refuses_evicts_nothing(bench: Bench) -> None:
    read(bench, "big0", "big1")
    same(read_error(bench.sample("big2")), "EDQUOT")
    (bench.inbox / "case.txt").write_text(bench.zoo["big2"].sha256 + "\n")
    result = bench.run(f"cp {bench.inbox}/case.txt downloads/", ok=False)
    assert "quota exceeded" in result.stderr, result.stderr
    same((events(bench, "evicted"), local(bench)), ([], {"big0", "big1"}))
    paid(bench, "big0", "big1")
    bench.run("echo +1 > budget")
    read(bench, "big2")
    same(len(events(bench, "evicted")), 1)


@claim(options=[*SMALL, "transport=zip"], prepare=bigs)
def a_sample_that_comes_in_an_archive_has_room_for_both_before_it_is_paid(bench: Bench) -> None:
    same(read_error(bench.sample("medium")), "ENOSPC")
    paid(bench)
    read(bench, "big0")
    paid(bench, "big0")
    until(lambda: metric(bench.root, "local_bytes") <= 1 << 20, 5, "no more than the limit")


@claim(options=SMALL, prepare=bigs)
def an_archive_goes_before_any_sample(bench: Bench) -> None:
    (bench.inbox / "case.txt").write_text(bench.zoo["big0"].sha256 + "\n")
    bench.run(f"cp {bench.inbox}/case.txt downloads/ && cat downloads/case/wait")
    same("archive.zip" in os.listdir(bench.root / "downloads" / "case"), True, "the archive is kept")
    read(bench, "big0", "big1")
    same("archive.zip" in os.listdir(bench.root / "downloads" / "case"), False, "the archive is kept")
    same(local(bench), {"big0", "big1"})
    paid(bench, "big0", "big1")
    [event] = events(bench, "evicted")
    assert "sha256" not in event and event["bytes"] > SIZE, event


@claim(options=SMALL, prepare=bigs, engine=["--job-delay-ms", "1500"])
def a_list_that_comes_when_the_cache_is_full_makes_room(bench: Bench) -> None:
    (bench.inbox / "case.txt").write_text(bench.zoo["big0"].sha256 + "\n")
    bench.run(f"cp {bench.inbox}/case.txt downloads/")
    read(bench, "big1", "big2")
    bench.run("cat downloads/case/wait")
    until(lambda: metric(bench.root, "local_bytes") <= 1 << 20, 5, "no more than the limit")
    assert "big0" in local(bench), local(bench)
    read(bench, "big0")
    paid(bench, "big0", "big1", "big2")


@claim(options=SMALL, prepare=bigs)
def a_list_that_never_fits_is_refused_whole(bench: Bench) -> None:
    names = [f"big{n}" for n in range(4)]
    for name in names:  # else close() may not wait for what is still being indexed
        os.stat(bench.sample(name))
    (bench.inbox / "case.txt").write_text("".join(bench.zoo[name].sha256 + "\n" for name in names))
    result = bench.run(f"cp {bench.inbox}/case.txt downloads/", ok=False)
    assert "No space left" in result.stderr, result.stderr
    paid(bench)


@claim(options=SMALL, prepare=bigs)
def df_status_and_metrics_show_the_cache(bench: Bench) -> None:
    read(bench, "big0", "big1", "big2")
    usage = os.statvfs(bench.root)
    on_disk = sum(path.stat().st_size for name in ("big1", "big2") for path in objects(bench, name))
    same(usage.f_blocks * usage.f_frsize, 1 << 20, "size")
    assert abs((usage.f_blocks - usage.f_bfree) * usage.f_frsize - on_disk) <= usage.f_frsize, "used"
    assert abs(usage.f_bavail * usage.f_frsize - ((1 << 20) - on_disk)) <= usage.f_frsize, "free"
    status = dict(line.split("\t", 1) for line in bench.read("status").splitlines()[1:])
    same((status["cache"], int(status["local_bytes"]), int(status["cache_limit"]), status["evictions"]),
         ("sealed", on_disk, 1 << 20, "1"))
    same({name: metric(bench.root, name) for name in
          ("local_samples", "local_bytes", "cache_limit_bytes", "cache_free_bytes", "evictions_total")},
         {"local_samples": 2, "local_bytes": on_disk, "cache_limit_bytes": 1 << 20,
          "cache_free_bytes": (1 << 20) - on_disk, "evictions_total": 1})


@claim(options=SMALL, prepare=bigs)
def two_mounts_share_one_cache(bench: Bench) -> None:
    second_root = bench.directory / "second"
    second_root.mkdir()
    second = bench.start_mount(second_root)
    read(bench, "big0")
    with (second_root / "samples" / bench.zoo["big0"].sha256).open("rb") as reader:
        reader.read(1)
        read(bench, "big1", "big2")
        same(local(bench), {"big0", "big2"})
        same(sorted(os.listdir(second_root / "samples")), sorted(os.listdir(bench.root / "samples")))
        same(metric(second_root, "local_bytes"), metric(bench.root, "local_bytes"))
        same(reader.read(), bench.zoo["big0"].content[1:])
    for name in ("big0", "big2"):
        same((second_root / "samples" / bench.zoo[name].sha256).read_bytes() == bench.zoo[name].content, True, name)
    paid(bench, "big0", "big1", "big2")
    same((second_root / "samples" / bench.zoo["big3"].sha256).read_bytes() == bench.zoo["big3"].content, True)
    same(len(local(bench)), 2)
    read(bench, "big3")
    paid(bench, "big0", "big1", "big2", "big3")
    end(bench, second, second_root)


def end(bench: Bench, program: Program, root: Path) -> None:
    bench.run(f"fusermount3 -u {root}", cwd=bench.directory)
    same(program.wait(), 0, "exit status of the second mount")


# ---- kinds ----


@claim(options=["cache=sealed"], prepare=bigs)
def sealed_files_are_data_to_everybody(bench: Bench) -> None:
    read(bench, "big0", "eicar")
    same(with_marker(bench), [])
    for name in ("big0", "eicar"):
        [path] = objects(bench, name)
        same(bench.run(f"file -b {path}", cwd=bench.directory).stdout.strip(), "data")


@claim(options=["cache=plain"], prepare=bigs)
def plain_files_are_the_samples_for_their_owner_alone(bench: Bench) -> None:
    read(bench, "big0")
    [path] = objects(bench, "big0")
    same(with_marker(bench), [path])
    same(path.read_bytes() == bench.zoo["big0"].content, True)
    same(oct(stat.S_IMODE(path.stat().st_mode)), "0o600")
    while path != bench.directory / "cache":
        path = path.parent
        same(oct(stat.S_IMODE(path.stat().st_mode)), "0o700", str(path))
    bench.remount()
    read(bench, "big0")
    paid(bench, "big0")


@claim(options=["cache=plain"], prepare=bigs)
def damage_to_a_plain_file_is_found_and_not_bought_again(bench: Bench) -> None:
    read(bench, "big0")
    bench.unmount()
    [path] = objects(bench, "big0")
    content = bytearray(path.read_bytes())
    content[SIZE // 2] ^= 1
    path.write_bytes(content)
    bench.mount()
    same(read_error(bench.sample("big0")), "EIO")
    same([event["sha256"] for event in events(bench, "damaged")], [bench.zoo["big0"].sha256])
    same(read_error(bench.sample("big0")), "EIO")
    paid(bench, "big0")


@claim(options=["cache=memory", "memory_size=1M"], prepare=bigs)
def in_memory_means_in_no_file(bench: Bench) -> None:
    (bench.inbox / "case.txt").write_text(bench.zoo["big0"].sha256 + "\n")
    bench.run(f"cp {bench.inbox}/case.txt downloads/ && cat downloads/case/wait")
    read(bench, "big0", "big1")
    same(with_marker(bench), [])
    kept = [path for path in (bench.cache / "default").rglob("*") if path.is_file() and path.stat().st_size > 1000]
    same(kept, [], "files in the cache")
    descriptors = Path(f"/proc/{bench.program.pid}/fd")
    if os.access(descriptors, os.R_OK | os.X_OK):  # only root looks into a process that is not dumpable
        hidden = [link for entry in descriptors.iterdir() if "memfd" in (link := os.readlink(entry)) or
                  link.endswith("(deleted)")]
        same(hidden, [], "files without a name")
    read(bench, "big2")
    same(local(bench), {"big1", "big2"})
    paid(bench, "big0", "big1", "big2")
    bench.remount()
    same(local(bench), set())
    same(state(bench, "big2"), "remote")
    read(bench, "big2")
    paid(bench, "big0", "big1", "big2", "big2")


@claim(prepare=bigs)
def one_cache_may_have_files_of_both_kinds(bench: Bench) -> None:
    read(bench, "big0")
    for kind in ("plain", "memory", "sealed", "plain"):
        bench.unmount()
        bench.options = [f"cache={kind}"]
        bench.mount()
        read(bench, "big0", "big1")
    paid(bench, "big0", "big1")
    same((with_marker(bench), objects(bench, "big0")[0].suffix), (objects(bench, "big1"), ""))


@claim(mounted=False)
def a_wrong_size_or_kind_is_said(bench: Bench) -> None:
    for option in ("cache_size=1", "cache_size=lots", "memory_size=", "cache=clear"):
        result = command(bench, "-o", option, bench.root)
        same((result.returncode, option.split("=")[0] in result.stderr), (1, True), option)


# ---- keys ----


def command(bench: Bench, *arguments: object) -> subprocess.CompletedProcess[str]:
    places = f"base_url={bench.proxy.url},state_dir={bench.state},cache_dir={bench.cache}"
    return subprocess.run([malqueryfs(), *map(str, arguments), "-o", places], capture_output=True, text=True, check=False,
                          env={**bench.environment, **bench.credentials}, timeout=30)


@claim(prepare=bigs)
def a_lost_key_is_said_and_can_be_put_back(bench: Bench) -> None:
    read(bench, "big0")
    bench.unmount()
    key = bench.state / "default" / "seal.key"
    kept = bench.directory / "kept"
    key.rename(kept)
    result = command(bench, bench.root)
    same(result.returncode, 7)
    assert "put 'seal.key' back" in result.stderr and str(bench.cache / "default") in result.stderr, result.stderr
    assert not key.exists(), "a new key was made over the lost one"
    same(mount_flags(bench.root), None)
    kept.rename(key)
    bench.mount()
    read(bench, "big0")
    paid(bench, "big0")


@claim(prepare=bigs)
def a_cache_that_is_moved_away_is_started_anew(bench: Bench) -> None:
    read(bench, "big0")
    bench.unmount()
    (bench.state / "default" / "seal.key").unlink()
    (bench.cache / "default").rename(bench.cache / "old")
    bench.mount()
    same(state(bench, "big0"), "remote")
    read(bench, "big0")
    paid(bench, "big0", "big0")


@claim(prepare=bigs)
def the_key_is_changed_when_nothing_is_mounted(bench: Bench) -> None:
    read(bench, "big0", "big1")
    result = command(bench, "--rotate-key")
    same(result.returncode, 7)
    assert "unmount first" in result.stderr, result.stderr
    read(bench, "big0")
    bench.unmount()
    key = (bench.state / "default" / "seal.key").read_bytes()
    result = command(bench, "--rotate-key")
    same((result.returncode, result.stderr), (0, ""))
    assert result.stdout.startswith("sealed 2 "), result.stdout
    assert (bench.state / "default" / "seal.key").read_bytes() != key
    bench.mount()
    read(bench, "big0", "big1")
    paid(bench, "big0", "big1")


@claim(prepare=bigs)
def changing_the_key_survives_kill_9(bench: Bench) -> None:
    names = ["big0", "big1", "big2", "big3", "huge"]
    read(bench, *names)
    bench.unmount()
    places = f"state_dir={bench.state},cache_dir={bench.cache}"
    delay = 0.0
    killed = 0
    while True:
        delay += 0.004
        process = subprocess.Popen([malqueryfs(), "--rotate-key", "-o", places], env=bench.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)  # where the kill meets it is a matter of luck: later each time
        process.kill()
        if process.wait() != -signal.SIGKILL:
            break
        if (bench.state / "default" / "seal.key.next").exists():
            killed += 1
            if killed % 3 == 1:
                bench.mount()
                read(bench, *names)
                bench.unmount()
    same(process.returncode, 0)
    assert killed > 0, "it was never killed in the middle"
    assert not (bench.state / "default" / "seal.key.next").exists()
    bench.mount()
    read(bench, *names)
    paid(bench, *names)
    same(sorted(path.name for path in (bench.cache / "default" / "damaged").iterdir()), [])


if __name__ == "__main__":
    main()
