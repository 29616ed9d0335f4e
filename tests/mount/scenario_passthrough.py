"""FUSE passthrough: the kernel itself reads a sample that is opened again. Who reads sees no difference but the speed,
and nothing is bought for it. Where it cannot be had `status` says so, and why."""

from __future__ import annotations

import mmap
import os
import re
import signal
import subprocess
import threading

from harness import (RUN_MAX_S, STOP_MAX_S, Bench, claim, errno_of, helper_of, main, mount_flags, read_error, same,
                     until)
from samples import Zoo

FIRST_LIBFUSE = (3, 17)
ON = re.compile(r"on copies (\d+) bytes (\d+)")
COPY_MAX_S = 10  # until a copy is made, on a busy machine under a sanitizer
SWEEP_MAX_S = 25  # until a copy of what is not local goes
BIG = "noise-3145728"
ODD = ((0, 1), (4095, 2), (131071, 3), (1, 131073), (3145727, 1), (3145727, 9), (1000003, 65537), (3145728, 5))
MANY = 24
MANY_BYTES = 200_000
READERS = 8


def many(zoo: Zoo) -> None:
    """More than fits into a memory_size of 1 MiB."""
    for number in range(MANY):
        zoo.add(f"many-{number:02}", number.to_bytes(4, "big") * (MANY_BYTES // 4))


def libfuse() -> tuple[int, ...]:
    said = subprocess.run(["fusermount3", "-V"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.search(r"(\d+)\.(\d+)", said).groups()))


def said(bench: Bench) -> str:
    [line] = [line for line in bench.read("status").splitlines() if line.startswith("passthrough\t")]
    return line.split("\t")[1]


def copies(bench: Bench) -> tuple[int, int]:
    """How many, and how many bytes they have."""
    line = said(bench)
    found = ON.fullmatch(line)
    assert found, f"status says {line!r}"
    return int(found[1]), int(found[2])


def why_not() -> str | None:
    """What is missing here, as far as it can be known without a mount."""
    if libfuse() < FIRST_LIBFUSE:
        return f"libfuse is {'.'.join(map(str, libfuse()))}, 3.17 has it"
    if os.geteuid() != 0:
        return "only root has it"
    if tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups())) < (6, 9):
        return "the kernel is older than 6.9"
    return None


def claim_where_on(test=None, **bench: object):
    if test is None:
        return lambda function: claim_where_on(function, **bench)
    return test if why_not() else claim(test, **bench)


def copied(bench: Bench, *names: str) -> None:
    """These are local, and the kernel reads them from now on. One after the other, so that nothing queues."""
    for name in names:
        before, _ = copies(bench)
        for _ in range(2):
            same(bench.sample(name).read_bytes(), bench.zoo[name].content, name)
        until(lambda: copies(bench)[0] == before + 1, COPY_MAX_S, f"a copy of {name}")


def is_read_by_the_kernel(bench: Bench, name: str) -> bool:
    """Whether it can be read while the daemon stands still. The open before has thrown out the kernel's own pages."""
    with bench.sample(name).open("rb") as file:
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(os.pread(file.fileno(), bench.zoo[name].size + 1, 0)))
        bench.program.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, bench.program.process.pid, os.WSTOPPED | os.WNOWAIT)  # all of its threads
        try:
            reader.start()
            reader.join(2)
            is_done = not reader.is_alive()
        finally:
            bench.program.process.send_signal(signal.SIGCONT)
        reader.join(RUN_MAX_S)
    same(got, [bench.zoo[name].content], name)
    return is_done


def the_kernel_reads(bench: Bench, name: str) -> None:
    """Soon: whoever has closed it is known to have done so a moment later."""
    until(lambda: is_read_by_the_kernel(bench, name), COPY_MAX_S, f"{name} is read by the kernel")


# ---- whether, and why not ----


@claim
def status_and_log_say_whether_the_kernel_reads(bench: Bench) -> None:
    line = said(bench)
    same("built with a libfuse before 3.17" in line, libfuse() < FIRST_LIBFUSE, line)
    assert ON.fullmatch(line) or line.startswith("off: "), line
    if not why_not():
        same(copies(bench), (0, 0))
    assert f'status="{line.split(" copies")[0]}"' in (bench.logs / "malqueryfs.log").read_text().replace(
        "status=on", 'status="on"'), "no line of the log"


@claim(options=["passthrough=off"])
def it_can_be_switched_off(bench: Bench) -> None:
    same(said(bench), "off: passthrough=off")
    for _ in range(3):
        same(bench.sample(BIG).read_bytes(), bench.zoo[BIG].content)
    same(said(bench), "off: passthrough=off")
    if not why_not():
        assert not is_read_by_the_kernel(bench, "marked"), "by the kernel"


# ---- who reads what ----


@claim_where_on
def what_is_opened_again_is_read_by_the_kernel(bench: Bench) -> None:
    same(bench.sample(BIG).read_bytes(), bench.zoo[BIG].content)
    same(copies(bench), (0, 0), "opened once")
    same(bench.sample(BIG).read_bytes(), bench.zoo[BIG].content)
    until(lambda: copies(bench) == (1, bench.zoo[BIG].size), COPY_MAX_S, "a copy")
    the_kernel_reads(bench, BIG)
    same(copies(bench), (1, bench.zoo[BIG].size))
    same(bench.proxy.paid(), [bench.zoo[BIG].sha256])


@claim_where_on
def every_way_of_reading_has_the_same_bytes(bench: Bench) -> None:
    content = bench.zoo[BIG].content
    copied(bench, BIG, "marked", "noise-1", "noise-131073")
    for name in (BIG, "marked", "noise-1", "noise-131073"):
        wanted = bench.zoo[name].content
        same(bench.sample(name).read_bytes(), wanted, name)
        same(os.stat(bench.sample(name)).st_size, len(wanted), name)
        with bench.sample(name).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            same(mapped[:], wanted, f"{name}, mapped")
        bench.run(f"cmp {bench.sample(name)} {bench.zoo[name].path}")
    with bench.sample(BIG).open("rb", buffering=0) as file:
        for at, n in ODD:
            same(os.pread(file.fileno(), n, at), content[at:at + n], f"{n} at {at}")
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        same(os.pread(file.fileno(), len(content), 0), content, "after the pages were dropped")
        same(os.lseek(file.fileno(), 0, os.SEEK_END), len(content))
    same(read_error(bench.root / "samples" / bench.zoo["empty"].sha256), None, "an empty one")


@claim_where_on
def what_the_kernel_reads_is_neither_written_nor_executed(bench: Bench) -> None:
    copied(bench, "true")
    path = bench.sample("true")
    same(errno_of(os.execv, path, ["true"]), "EACCES")
    assert bench.run(f"/lib64/ld-linux-x86-64.so.2 {path}", ok=False).returncode, "mapped as a program"
    with path.open("rb") as file:
        same(errno_of(lambda: mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC)), "EPERM")
        same(errno_of(lambda: mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_WRITE)), "EACCES")
    same(errno_of(lambda: path.open("r+b")), "EROFS")


@claim_where_on
def a_mapping_outlives_its_copy(bench: Bench) -> None:
    copied(bench, BIG)
    with bench.sample(BIG).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    bench.kill()
    same(mapped[:], bench.zoo[BIG].content)
    mapped.close()


@claim_where_on
def whoever_has_it_open_otherwise_is_left_alone(bench: Bench) -> None:
    """One kind at a time: the kernel answers EIO otherwise."""
    content = bench.zoo[BIG].content
    with bench.sample(BIG).open("rb") as first:
        same(first.read(5), content[:5])
        same(bench.sample(BIG).read_bytes(), content)
        until(lambda: copies(bench)[0] == 1, COPY_MAX_S, "a copy beside an open file")
        same(bench.sample(BIG).read_bytes(), content)
        same(first.read(), content[5:])
    the_kernel_reads(bench, BIG)
    with bench.sample(BIG).open("rb") as held:
        for _ in range(3):
            same(bench.sample(BIG).read_bytes(), content)
        same(held.read(), content)


@claim_where_on(prepare=many, options=["memory_size=1M"])
def many_readers_of_few_samples_all_get_their_bytes(bench: Bench) -> None:
    """Opens, copies and evictions of the same samples at once."""
    names = [f"many-{number:02}" for number in range(8)]
    trouble: list[str] = []

    def read(seed: int) -> None:
        for round_ in range(40):
            name = names[(seed * 3 + round_ * 5) % len(names)]
            try:
                with bench.sample(name).open("rb") as one, bench.sample(name).open("rb") as other:
                    if one.read() != bench.zoo[name].content or other.read() != bench.zoo[name].content:
                        trouble.append(f"{name}: other bytes")
            except OSError as error:
                trouble.append(f"{name}: {error}")

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    same(trouble, [])
    assert 0 < copies(bench)[1] <= 1 << 20, copies(bench)
    same(sorted(bench.proxy.paid()), sorted(bench.zoo[name].sha256 for name in names), "each once")


# ---- bounds ----


@claim_where_on(prepare=many, options=["memory_size=1M"])
def more_than_memory_size_is_never_kept(bench: Bench) -> None:
    names = [f"many-{number:02}" for number in range(MANY)]
    fit = (1 << 20) // MANY_BYTES
    for name in names:
        for _ in range(3):
            same(bench.sample(name).read_bytes(), bench.zoo[name].content, name)
            assert copies(bench)[1] <= 1 << 20
    until(lambda: copies(bench) == (fit, fit * MANY_BYTES), COPY_MAX_S, "as many as fit")
    the_kernel_reads(bench, names[-1])
    for name in names:
        same(bench.sample(name).read_bytes(), bench.zoo[name].content, name)
    same(sorted(bench.proxy.paid()), sorted(bench.zoo[name].sha256 for name in names), "each once")
    for _ in range(3):
        same(bench.sample(BIG).read_bytes(), bench.zoo[BIG].content, "what never fits")
    assert copies(bench)[1] <= 1 << 20


@claim_where_on(mounted=False, prepare=many)
def a_memory_size_that_is_lowered_counts_at_once(bench: Bench) -> None:
    config = bench.directory / "config.ini"
    config.write_text("[default]\nmemory_size = 64M\n")
    config.chmod(0o600)
    bench.options.append(f"config={config}")
    bench.mount()
    copied(bench, *[f"many-{number:02}" for number in range(MANY // 2)])
    config.write_text("[default]\nmemory_size = 1M\n")
    bench.program.process.send_signal(signal.SIGHUP)
    until(lambda: copies(bench)[1] <= 1 << 20, COPY_MAX_S, "few enough")
    for number in range(MANY // 2):
        same(bench.sample(f"many-{number:02}").read_bytes(), bench.zoo[f"many-{number:02}"].content)


@claim_where_on(prepare=many, options=["cache_size=1M"])
def what_is_not_here_any_more_is_not_kept_in_memory(bench: Bench) -> None:
    copied(bench, "many-00")
    for number in range(1, MANY // 2):
        bench.sample(f"many-{number:02}").read_bytes()
    until(lambda: copies(bench) == (0, 0), SWEEP_MAX_S, "no copy of what was evicted")
    same(bench.sample("many-00").read_bytes(), bench.zoo["many-00"].content)
    same(bench.proxy.paid().count(bench.zoo["many-00"].sha256), 2, "and it costs again, as ever")


# ---- ends and failures ----


@claim_where_on
def a_remount_begins_without_copies(bench: Bench) -> None:
    copied(bench, BIG)
    bench.remount()
    same(copies(bench), (0, 0))
    copied(bench, BIG)
    the_kernel_reads(bench, BIG)
    same(bench.proxy.paid(), [bench.zoo[BIG].sha256])


@claim_where_on
def a_killed_daemon_leaves_no_mount(bench: Bench) -> None:
    copied(bench, BIG)
    with bench.sample(BIG).open("rb") as file:
        bench.kill()
        same(mount_flags(bench.root), None)
        same(os.pread(file.fileno(), bench.zoo[BIG].size, 0), bench.zoo[BIG].content, "of who has it open")
    bench.mount()
    copied(bench, BIG)
    same(bench.proxy.paid(), [bench.zoo[BIG].sha256])


@claim_where_on
def without_its_helper_everything_is_read_as_before(bench: Bench) -> None:
    copied(bench, "marked")
    helper = helper_of(bench.program.pid)
    os.kill(helper, signal.SIGKILL)
    for _ in range(4):
        for name in ("marked", BIG, "noise-131073"):
            same(bench.sample(name).read_bytes(), bench.zoo[name].content, name)
    the_kernel_reads(bench, "marked")
    same(copies(bench)[0], 1)


@claim_where_on
def a_damaged_sample_is_not_copied(bench: Bench) -> None:
    sample = bench.zoo[BIG]
    same(bench.sample(BIG).read_bytes(), sample.content)
    [stored] = [path for path in bench.cache.rglob("*") if sample.sha256 in path.name]
    with bench.sample(BIG).open("rb"):
        pass
    until(lambda: copies(bench)[0] == 1, COPY_MAX_S, "a copy")
    bench.remount()
    stored.chmod(0o600)
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    with bench.sample(BIG).open("rb") as file:
        file.read(1)
        with bench.sample(BIG).open("rb"):
            until(lambda: read_error(bench.sample(BIG)), STOP_MAX_S, "an error")
    same(copies(bench), (0, 0))
    same(bench.proxy.paid(), [sample.sha256])


if __name__ == "__main__":
    if reason := why_not():
        print(f"most of this is left out: {reason}", flush=True)
    main()
