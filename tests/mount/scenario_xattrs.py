"""Extended attributes tell what is known of a sample or a request; asking for them costs no call at all."""

import errno
import os
import time
from pathlib import Path

from harness import ELF_FILES, RUN_MAX_S, Bench, claim, errno_of, main, read_error, same
from proxy import gateway
from samples import Zoo

PREFIX = "user.malquery."
MANY = 1000
MANY_MAX_S = 20  # for some 25 000 round trips, under a sanitizer on a busy machine
MARK = "a mark of many small files"
MARKED_FILES = f'rule marked {{ strings: $mark = "{MARK}" condition: $mark }}\n// malquery: limit={MANY * 2}\n'


def many_files(zoo: Zoo) -> None:
    for number in range(MANY):
        zoo.add(f"many/{number}", f"{MARK}, number {number}\n".encode())


def attributes(path: Path) -> dict[str, str]:
    return {name.removeprefix(PREFIX): os.getxattr(path, name).decode() for name in os.listxattr(path)}


def refused(path: Path, name: str) -> str | None:
    return errno_of(os.getxattr, path, name)


@claim
def a_sample_has_what_is_known_of_it(bench: Bench) -> None:
    job = bench.job("everything", 'rule agent { strings: $mz = "MZ" condition: $mz at 0 }\n')
    sample = bench.zoo["pe64"]
    request = (job / "id").read_text().strip()
    known = attributes(bench.sample("pe64"))
    same({name: known[name] for name in ("sha256", "label", "family", "first_seen", "state", "requests")},
         {"sha256": sample.sha256, "label": "malware", "family": "Agent/Tesla", "first_seen": "2014/05/09",
          "state": "remote", "requests": request})
    same((len(known["sha1"]), len(known["md5"]), known["filetype"]), (40, 32, "PE64"))
    assert "error" not in known
    for path in (job / "samples" / sample.sha256, job / "metadata" / f"{sample.sha256}.json",
                 bench.root / "metadata" / f"{sample.sha256}.json"):
        same(attributes(path), known, str(path))
    bench.sample("pe64").read_bytes()
    same(attributes(bench.sample("pe64")), known | {"state": "local"})
    same(bench.proxy.paid(), ["hunt", sample.sha256])


@claim
def getfattr_reads_them(bench: Bench) -> None:
    os.stat(bench.sample("pe32"))
    text = bench.run(f"getfattr -d samples/{bench.zoo['pe32'].sha256}").stdout
    assert f'{PREFIX}family="Stone Drill"\n' in text and f'{PREFIX}state="remote"\n' in text, text
    same(bench.run(f"getfattr --only-values -n {PREFIX}label samples/{bench.zoo['pe32'].sha256}").stdout, "malware")
    same(bench.proxy.paid(), [])


@claim(prepare=many_files)
def a_thousand_results_are_quick_and_ask_nobody(bench: Bench) -> None:
    job = bench.job("marked", MARKED_FILES)
    calls = len(bench.proxy.asked())
    started = time.monotonic()
    text = bench.run(f"getfattr -R -d {job}/samples", seconds=RUN_MAX_S).stdout
    took_s = time.monotonic() - started
    same(text.count(f"{PREFIX}state=\"remote\"\n"), MANY)
    same(text.count(f"{PREFIX}requests=\"{(job / 'id').read_text().strip()}\"\n"), MANY)
    assert took_s < MANY_MAX_S, f"{took_s:.1f} s"
    same(len(bench.proxy.asked()), calls, "calls of the service")
    same(bench.proxy.paid(), ["hunt"])


@claim
def nothing_is_paid_for_the_sake_of_an_attribute(bench: Bench) -> None:
    """Names are answered without a call. Before a value of a sample that nothing is known about, the kernel checks
    whether it may be read, which is a getattr: metadata, and free."""
    path = bench.root / "samples" / bench.zoo["pe32"].sha256
    same(sorted(os.listxattr(path)), [PREFIX + "sha256", PREFIX + "state"])
    same(bench.proxy.asked(), [])
    same(attributes(path)["state"], "remote")
    same({call.route for call in bench.proxy.asked()} <= {"metadata"}, True)
    same(bench.proxy.paid(), [])


@claim
def a_failure_is_its_error_until_it_is_over(bench: Bench) -> None:
    bench.proxy.fail("download", gateway(500, "out of order"), times=1)
    path = bench.sample("pe32")
    same(read_error(path), "EREMOTEIO")
    assert "out of order" in attributes(path)["error"], attributes(path)
    path.read_bytes()
    assert "error" not in attributes(path)
    bench.proxy.fail("download", gateway(404, "sample not found"), times=1)
    path = bench.sample("pe64")
    same(read_error(path), "ENODATA")
    same((attributes(path)["state"], bool(attributes(path)["error"])), ("gone", True))
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256] * 2)


@claim
def a_hunt_and_a_request_have_their_id_and_status(bench: Bench) -> None:
    job = bench.job("wiper", ELF_FILES)
    wanted = {"id": (job / "id").read_text().strip(), "status": (job / "status").read_text().strip()}
    same(attributes(job), wanted)
    same(attributes(bench.root / "requests" / wanted["id"]), wanted)
    for path in (bench.root, bench.root / "hunts", bench.root / "hunts/wiper.yar", bench.root / "events", job / "samples",
                 job / "status"):
        same(os.listxattr(path), [], str(path))
    same(bench.proxy.paid(), ["hunt"])


@claim
def a_buffer_that_is_too_small_is_erange(bench: Bench) -> None:
    from ctypes import CDLL, create_string_buffer, get_errno

    libc = CDLL(None, use_errno=True)
    path = bytes(bench.sample("pe32"))
    os.stat(path)
    value = bench.zoo["pe32"].sha256.encode()
    for size, wanted in ((0, 64), (63, errno.ERANGE), (64, 64), (100, 64)):
        room = create_string_buffer(size)
        got = libc.getxattr(path, PREFIX.encode() + b"sha256", room, size)
        same(got if got >= 0 else get_errno(), wanted, f"a buffer of {size} bytes")
        if got >= 0 and size:
            same(room.raw[:got], value)
    n = libc.listxattr(path, None, 0)
    same(libc.listxattr(path, create_string_buffer(n), n), n)
    same((libc.listxattr(path, create_string_buffer(n), n - 1), get_errno()), (-1, errno.ERANGE))
    same(bench.proxy.paid(), [])


@claim
def other_attributes_are_refused_as_everywhere(bench: Bench) -> None:
    bench.job("wiper", ELF_FILES)
    for path in (bench.sample("pe32"), bench.hunt("wiper"), bench.root / "hunts/wiper.yar", bench.root / "status", bench.root):
        for name in ("user.other", "user.malquery.other", "user.malquery", "trusted.other"):
            same(refused(path, name), "ENODATA", f"{name} of {path}")
        for name in ("system.posix_acl_access", "security.selinux"):
            same(refused(path, name), "ENOTSUP", f"{name} of {path}")
        for name in ("user.malquery.label", "user.other"):
            same(errno_of(os.setxattr, path, name, b"x"), "ENOTSUP", f"setting {name} of {path}")
            same(errno_of(os.removexattr, path, name), "ENOTSUP", f"removing {name} of {path}")
            same(errno_of(os.removexattr, path, name), "ENOTSUP", f"removing {name} of {path}")
    same(bench.proxy.paid(), ["hunt"])


@claim
def copies_go_on_without_them(bench: Bench) -> None:
    sample = bench.zoo["pe32"]
    bench.run(f"cp -a samples/{sample.sha256} {bench.inbox}/copy && cmp {bench.inbox}/copy {sample.path}")
    (bench.inbox / "wiper.yar").write_text(ELF_FILES)
    bench.run(f"cp -a {bench.inbox}/wiper.yar hunts/ && ls -l hunts samples")
    assert bench.wait("wiper").startswith("done")
    same(bench.proxy.paid(), [sample.sha256, "hunt"])


if __name__ == "__main__":
    main()
