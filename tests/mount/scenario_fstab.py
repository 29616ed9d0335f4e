"""What mount(8) does with a line of fstab: it calls mount.malqueryfs SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS], and believes
its exit status. That it finds the program is tried where packages are installed."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness import (CLIENT_SECRET, CREDENTIALS, NOBODY, START_MAX_S, STOP_MAX_S, Bench, claim, claim_of_root, errno_of,
                     fuse_for_everybody, main, malqueryd, malqueryfs, mount_flags, parent_of, processes_of, same, until)

USAGE, FAILED = 1, 32  # of mount(8)
OF_FSTAB = ("rw,_netdev,nofail,noauto,user,nosuid,nodev,noexec,relatime,x-systemd.automount,"
            "x-systemd.idle-timeout=600,X-mount.mkdir,comment=samples")


def mount(bench: Bench, source: str | Path, *words: str, options: str = "", place: Path | None = None,
          **variables: str) -> subprocess.CompletedProcess[str]:
    helper = bench.directory / "mount.malqueryfs"
    if not helper.exists():
        helper.symlink_to(malqueryfs())
    said = ",".join(filter(None, [f"state_dir={bench.state},cache_dir={bench.cache}", options]))
    arguments = [helper, source, place or bench.root, *words, "-o", said]
    return subprocess.run(list(map(str, arguments)), env={**bench.environment, **variables}, cwd="/", text=True,
                          timeout=START_MAX_S, stdin=subprocess.DEVNULL, capture_output=True)


def mounts(bench: Bench, source: str | Path, *words: str, **how: str) -> None:
    """Usable at once."""
    result = mount(bench, source, *words, **how)
    same((result.returncode, result.stdout, result.stderr), (0, "", ""), str(result.args))
    same(bench.read("status").splitlines()[0], "online")


def fails(bench: Bench, status: int, word: str, source: str, *words: str, **how: str) -> None:
    result = mount(bench, source, *words, **how)
    same((result.returncode, result.stderr.count("\n")), (status, 1), result.stderr)
    assert word in result.stderr, f"{result.stderr!r} without {word!r}"
    same(mount_flags(bench.root), None, "what is mounted")


def daemon_of(bench: Bench) -> int:
    """The one whose child, its helper, looks the same."""
    ours = processes_of(bench.root)
    [daemon] = {parent_of(pid) for pid in ours} & ours.keys()
    return daemon


def helper_of(daemon: int, bench: Bench) -> int:
    [helper] = [pid for pid in processes_of(bench.root) if parent_of(pid) == daemon]
    return helper


def umount(bench: Bench) -> None:
    bench.run(f"umount {bench.root}", cwd=bench.directory)
    until(lambda: not processes_of(bench.root), STOP_MAX_S, "no process is left")


def shown_source(bench: Bench) -> str:
    [line] = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {bench.root} " in line]
    return line.split(" - ")[1].split()[1]


@claim(mounted=False)
def the_words_of_fstab_are_accepted(bench: Bench) -> None:
    mounts(bench, "none", options=f"{OF_FSTAB},base_url={bench.proxy.url}", **CREDENTIALS)
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    flags = mount_flags(bench.root)
    assert "nosuid" in flags and "noexec" in flags and "fuse.malqueryfs" in flags, flags
    umount(bench)


@claim(mounted=False)
def a_source_is_a_profile(bench: Bench) -> None:
    """And is shown as what is mounted, so that mount -a finds that it is there already."""
    file = bench.directory / "config.ini"
    file.write_text(f"[lab]\nclient_id = {CREDENTIALS['FALCON_CLIENT_ID']}\nclient_secret = {CLIENT_SECRET}\n"
                    f"base_url = {bench.proxy.url}\n")
    file.chmod(0o600)
    mounts(bench, "lab", options=f"config={file}")
    same(shown_source(bench), "lab")
    assert (bench.state / "lab" / "state.db").exists()
    umount(bench)
    fails(bench, FAILED, "client_id", "other", options=f"config={file}")


@claim(mounted=False)
def a_source_may_be_a_directory(bench: Bench) -> None:
    mounts(bench, bench.zoo.directory, "-n", PATH=f"{os.path.dirname(malqueryd())}:{os.environ['PATH']}")
    same(shown_source(bench), str(bench.zoo.directory))
    bench.run("ls hunts samples")
    umount(bench)


@claim(mounted=False)
def a_type_of_fuse_calls_the_program_itself(bench: Bench) -> None:
    """As mount.fuse3 does for fuse.malqueryfs."""
    options = f"rw,base_url={bench.proxy.url},state_dir={bench.state},cache_dir={bench.cache}"
    result = subprocess.run([malqueryfs(), "none", bench.root, "-o", options], env={**bench.environment, **CREDENTIALS},
                            timeout=START_MAX_S, capture_output=True, text=True, cwd="/")
    same((result.returncode, result.stderr), (0, ""))
    umount(bench)


@claim(mounted=False)
def sloppy_passes_over_unknown_words(bench: Bench) -> None:
    options = f"base_url={bench.proxy.url},quota=5"
    fails(bench, USAGE, "quota", "none", options=options, **CREDENTIALS)
    mounts(bench, "none", "-s", options=options, **CREDENTIALS)
    umount(bench)


@claim(mounted=False)
def fake_mounts_nothing(bench: Bench) -> None:
    options = f"base_url={bench.proxy.url}"
    result = mount(bench, "none", "-fv", options=options, **CREDENTIALS)
    same((result.returncode, result.stderr, mount_flags(bench.root)), (0, "", None))
    fails(bench, USAGE, "nonsense", "none", "-f", options="nonsense", **CREDENTIALS)


@claim(mounted=False)
def the_exit_status_is_one_of_mount(bench: Bench) -> None:
    url = f"base_url={bench.proxy.url}"
    fails(bench, FAILED, "FALCON_CLIENT_ID", "none", options=url)
    fails(bench, FAILED, "nowhere", "none", options=url, place=bench.directory / "nowhere", **CREDENTIALS)
    fails(bench, FAILED, "labels.tsv", "none", options=f"{url},state_dir={bench.zoo.labels}", **CREDENTIALS)
    fails(bench, USAGE, "SIGHUP", "none", options=f"{url},remount", **CREDENTIALS)
    fails(bench, USAGE, "namespace", "none", "-N", "/proc/1/ns/mnt", options=url, **CREDENTIALS)


@claim(mounted=False)
def a_second_mount_in_the_same_place_fails(bench: Bench) -> None:
    options = f"base_url={bench.proxy.url}"
    mounts(bench, "none", options=options, **CREDENTIALS)
    result = mount(bench, "none", options=options, **CREDENTIALS)
    same(result.returncode, FAILED)
    assert "already" in result.stderr, result.stderr
    umount(bench)


@claim(mounted=False)
def a_stale_mount_is_replaced(bench: Bench) -> None:
    options = f"base_url={bench.proxy.url}"
    mounts(bench, "none", options=options, **CREDENTIALS)
    daemon = daemon_of(bench)
    os.kill(helper_of(daemon, bench), signal.SIGKILL)
    os.kill(daemon, signal.SIGKILL)
    until(lambda: errno_of(os.listdir, bench.root) == "ENOTCONN", STOP_MAX_S, "a stale mount")
    mounts(bench, "none", options=options, **CREDENTIALS)
    umount(bench)


# ---- root ----


@claim_of_root
def root_mounts_for_another_user(bench: Bench) -> None:
    for directory in (bench.state, bench.cache):
        directory.mkdir()
    file = bench.directory / "config.ini"
    file.write_text("")
    file.chmod(0o600)
    subprocess.run(["chown", "-hR", f"{NOBODY}:{NOBODY}", bench.directory], check=True)
    options = f"setuid={NOBODY},base_url={bench.proxy.url},config={file}"
    credentials = bench.directory / "credentials"  # of a unit of root's
    credentials.mkdir(mode=0o700)
    with fuse_for_everybody():
        result = mount(bench, "none", options=options, CREDENTIALS_DIRECTORY=str(credentials), **CREDENTIALS)
    same((result.returncode, result.stderr), (0, ""))
    same(errno_of(os.listdir, bench.root), "EACCES", "root, without allow_other")
    status = Path(f"/proc/{daemon_of(bench)}/status").read_text()
    assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n" in status and f"Gid:\t{NOBODY}\t" in status, status
    same({path.stat().st_uid for path in bench.state.rglob("*")}, {NOBODY}, "owners of the state")
    umount(bench)


@claim_of_root
def nobody_of_that_name_is_usage(bench: Bench) -> None:
    fails(bench, USAGE, "no user 'martian'", "none", options="setuid=martian", **CREDENTIALS)


@claim_of_root
def mounts_of_root_have_the_places_of_the_system(bench: Bench) -> None:
    """At boot, where nobody has a home; only looked at."""
    environment = {name: value for name, value in bench.environment.items() if not name.startswith(("HOME", "XDG_"))}
    result = subprocess.run([malqueryfs(), "--dump-config"], env=environment, capture_output=True, text=True)
    same(result.returncode, 0, result.stderr)
    places = dict(line.split("\t")[:2] for line in result.stdout.splitlines() if line.endswith("\tresult"))
    same(places, {"config_path": "/etc/malqueryfs/config.ini", "state_path": "/var/lib/malqueryfs/default",
                  "cache_path": "/var/cache/malqueryfs/default"})


@contextlib.contextmanager
def automount(bench: Bench) -> Iterator[int | None]:
    """A descriptor that tells when somebody looks into it; None: there is no autofs here. Our process group is its
    manager's."""
    libc = ctypes.CDLL(None, use_errno=True)
    asked, answered = os.pipe()
    data = f"fd={answered},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct".encode()
    try:
        if libc.mount(b"test", os.fsencode(bench.root), b"autofs", 0, data) < 0:
            print(f"    there is no autofs here: {os.strerror(ctypes.get_errno())}")
            yield None
        else:
            yield asked
    finally:
        os.close(answered)
        os.close(asked)
        libc.umount2(os.fsencode(bench.root), 2)  # MNT_DETACH


@claim_of_root
def an_automount_is_mounted_over_without_a_look_into_it(bench: Bench) -> None:
    """Whoever looks waits for the mount, and that would be ourselves. Nobody answers the automount here."""
    with automount(bench) as asked:
        if asked is None:
            return
        process = subprocess.Popen(
            [malqueryfs(), "-o", f"base_url={bench.proxy.url},state_dir={bench.state},cache_dir={bench.cache}",
             str(bench.root)],
            env={**bench.environment, **CREDENTIALS}, stderr=subprocess.PIPE, text=True, cwd="/", start_new_session=True)
        _, errors = process.communicate(timeout=START_MAX_S)
        same((process.returncode, errors), (0, ""))
        same(bench.read("status").splitlines()[0], "online")
        umount(bench)


@claim_of_root
def an_automount_is_mounted_for_whoever_waits_for_it(bench: Bench) -> None:
    """As by x-systemd.automount: mount(8) is in the process group of the manager, which alone may pass meanwhile."""
    autofs_ready = 0x9360  # <linux/auto_fs.h>
    with automount(bench) as asked:
        if asked is None:
            return
        place = os.open(bench.root, os.O_RDONLY | os.O_DIRECTORY)
        waiting = subprocess.Popen(["ls", bench.root], start_new_session=True, stdout=subprocess.PIPE, text=True)
        assert select.select([asked], [], [], START_MAX_S)[0], "nobody asks for the mount"
        token = struct.unpack_from("=iiI", os.read(asked, 4096))[2]  # struct autofs_v5_packet
        mounts(bench, "none", options=f"base_url={bench.proxy.url}", **CREDENTIALS)
        fcntl.ioctl(place, autofs_ready, token)
        os.close(place)
        assert "samples" in waiting.communicate(timeout=STOP_MAX_S)[0].split()
        umount(bench)


if __name__ == "__main__":
    main()
