"""No plain malware on disk: what was read lies sealed in the cache, and nowhere else."""

import stat
from pathlib import Path

from harness import Bench, claim, main, read_error, same

ROOTS = ("state", "cache", "home", "in", "logs")


def files_below(bench: Bench) -> list[Path]:
    return [path for root in ROOTS for path in (bench.directory / root).rglob("*") if path.is_file()]


def objects(bench: Bench) -> list[Path]:
    return [path for path in bench.cache.rglob("*") if path.is_file() and bench.zoo["marked"].sha256 in path.name]


@claim
def the_bytes_of_a_sample_are_nowhere_in_the_clear(bench: Bench) -> None:
    for name in ("marked", "eicar", "true"):
        same(bench.sample(name).read_bytes() == bench.zoo[name].content, True, name)
    probes = [bench.zoo.marker.encode(), bench.zoo["eicar"].content, bench.zoo["true"].content[:64]]
    same(len(objects(bench)), 1, "objects of the sample in the cache")
    bench.unmount()
    for path in files_below(bench):
        content = path.read_bytes()
        for probe in probes:
            assert probe not in content, f"{path} holds the clear bytes of a sample"


@claim
def state_and_cache_are_for_their_owner_only(bench: Bench) -> None:
    bench.sample("marked").read_bytes()
    for path in (bench.state, bench.cache):
        same(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, f"mode of {path.name}")
    for path in files_below(bench):
        if path.is_relative_to(bench.state) or path.is_relative_to(bench.cache):
            same(oct(stat.S_IMODE(path.stat().st_mode) & 0o077), "0o0", f"mode of {path}")


@claim
def a_damaged_object_is_not_served_and_not_bought_again(bench: Bench) -> None:
    sample = bench.zoo["marked"]
    bench.sample(sample).read_bytes()
    bench.unmount()
    [stored] = objects(bench)
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.chmod(0o600)
    stored.write_bytes(content)
    bench.mount()
    error = read_error(bench.sample(sample))
    assert error in ("EIO", "EBADMSG"), error
    assert read_error(bench.sample(sample)), "a second read of a damaged object"
    same(bench.proxy.paid(), [sample.sha256])


@claim
def an_object_under_another_hash_is_not_served(bench: Bench) -> None:
    for name in ("marked", "noise-131073"):
        bench.sample(name).read_bytes()
    bench.unmount()
    [stored] = objects(bench)
    [other] = [path for path in bench.cache.rglob("*") if bench.zoo["noise-131073"].sha256 in path.name]
    other.chmod(0o600)
    other.write_bytes(stored.read_bytes())
    bench.mount()
    assert read_error(bench.sample("noise-131073")) in ("EIO", "EBADMSG")


if __name__ == "__main__":
    main()
