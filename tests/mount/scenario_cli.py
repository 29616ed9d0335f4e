"""The command line: exit codes that a script can tell apart, one clear line each, and no secret to be seen."""

import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from harness import (CLIENT_SECRET, CREDENTIALS, START_MAX_S, STOP_MAX_S, Bench, claim, claim_of_root, errno_of,
                     helper_of, main, malqueryd, malqueryfs, mount_flags, same, until)
from nobody import AS_NOBODY, give_to_nobody

USAGE, CONFIGURATION, NO_CREDENTIALS, BAD_MOUNTPOINT, BAD_STATE = 1, 2, 3, 5, 7


def call(bench: Bench, *arguments: str | Path, credentials: bool = True, **variables: str) -> tuple[int, str]:
    environment = {**bench.environment, **(CREDENTIALS if credentials else {}), **variables}
    result = subprocess.run([malqueryfs(), *map(str, arguments)], env=environment, cwd=bench.directory, text=True,
                            timeout=START_MAX_S, stdin=subprocess.DEVNULL, capture_output=True)
    return result.returncode, result.stdout + result.stderr


def fails(bench: Bench, wanted: int, word: str, *arguments: str | Path, credentials: bool = True,
          **variables: str) -> None:
    """Ends with this status and one line that has this word; nothing is mounted."""
    status, output = call(bench, *arguments, credentials=credentials, **variables)
    same(status, wanted, f"{arguments}: {output}")
    same(output.count("\n"), 1, f"lines for {arguments}: {output}")
    assert word in output, f"{arguments}: {output!r} without {word!r}"
    assert not mount_flags(bench.root), f"{arguments} mounted"


def readable(path: Path) -> bytes:
    """What can be read of it; nothing of a process that has closed itself to its own user."""
    try:
        return path.read_bytes()
    except PermissionError:
        return b""


@claim(mounted=False)
def bad_usage_is_1(bench: Bench) -> None:
    url = f"base_url={bench.proxy.url}"
    same(call(bench)[0], USAGE, "no arguments")
    same(call(bench, "-o", url)[0], USAGE, "no mountpoint")
    fails(bench, USAGE, "nonsense", "-o", f"{url},nonsense=1", bench.root)
    fails(bench, USAGE, "nonsense", "--nonsense", bench.root)


@claim(mounted=False)
def bad_values_are_1_or_2(bench: Bench) -> None:
    for option in ("cloud=mars-1", "base_url=http://example.com", "base_url=nonsense", "cache=sealed|plain"):
        status, output = call(bench, "-o", option, bench.root)
        assert status in (USAGE, CONFIGURATION), f"{option}: {status} {output}"
        same(output.count("\n"), 1, f"{option}: {output}")
    fails(bench, USAGE, "on or off", "-o", f"base_url={bench.proxy.url},offline=maybe", bench.root)
    fails(bench, USAGE, "is no profile", "-o", f"base_url={bench.proxy.url},profile=../other", bench.root)
    fails(bench, CONFIGURATION, "FALCON_BASE_URL", bench.root, FALCON_BASE_URL="https://" + "x" * 9999)
    fails(bench, USAGE, "state_dir", "-o", f"base_url={bench.proxy.url},state_dir", bench.root)


@claim(mounted=False)
def missing_credentials_are_3(bench: Bench) -> None:
    url = f"base_url={bench.proxy.url}"
    fails(bench, NO_CREDENTIALS, "FALCON_CLIENT_ID", "-o", url, bench.root, credentials=False)
    fails(bench, NO_CREDENTIALS, "FALCON_CLIENT_SECRET", "-o", url, bench.root, credentials=False,
          FALCON_CLIENT_ID="0123456789abcdef0123456789abcdef")


@claim(mounted=False)
def a_bad_mountpoint_is_5(bench: Bench) -> None:
    url = f"base_url={bench.proxy.url}"
    fails(bench, BAD_MOUNTPOINT, "nowhere", "-o", url, bench.directory / "nowhere")
    fails(bench, BAD_MOUNTPOINT, "labels.tsv", "-o", url, bench.zoo.labels)


@claim(mounted=False)
def a_state_that_cannot_be_used_is_7(bench: Bench) -> None:
    options = f"base_url={bench.proxy.url},state_dir={bench.zoo.labels}"
    fails(bench, BAD_STATE, "labels.tsv", "-o", options, bench.root)


@claim_of_root
def without_a_home_it_says_how_to_name_the_places(bench: Bench) -> None:
    """Of another user than root, whose mounts have the places of the system then."""
    give_to_nobody(bench)
    url = f"base_url={bench.proxy.url}"
    for word, options, cache in (("state_dir=", url, ""), ("cache_dir=", f"{url},state_dir={bench.state}", "relative/path")):
        environment = {**bench.environment, **CREDENTIALS, "HOME": "", "XDG_STATE_HOME": "", "XDG_CACHE_HOME": cache}
        result = subprocess.run([*AS_NOBODY, bench.directory / "bin/malqueryfs", "-o", options, bench.root], text=True,
                                env=environment, cwd=bench.directory, timeout=START_MAX_S, capture_output=True)
        same((result.returncode, result.stderr.count("\n")), (BAD_STATE, 1), result.stderr)
        assert "HOME is not set" in result.stderr and word in result.stderr, result.stderr
    same(list(bench.directory.rglob("relative")), [], "what is no path is made nowhere")


@claim(mounted=False)
def malqueryd_says_in_a_line_why_it_does_not_start(bench: Bench) -> None:
    newer = bench.directory / "newer.db"
    with closing(sqlite3.connect(newer)) as database:
        database.execute("PRAGMA user_version = 999")
    text = bench.directory / "text.pem"
    text.write_text("this is no certificate\n")
    index = ["--index", bench.directory / "other.db"]
    for word, *arguments in (("newer version (999)", "--index", newer),
                             ("FALCON_CLIENT_ID", *index, "--listen", "0.0.0.0"),
                             ("certificate", *index, "--cert", text, "--key", text)):
        result = subprocess.run([malqueryd(), *map(str, arguments), bench.zoo.directory], env=bench.environment, text=True,
                                cwd=bench.directory, timeout=START_MAX_S, stdin=subprocess.DEVNULL, capture_output=True)
        assert result.returncode, f"{arguments}: {result.stdout}"
        same((result.stdout, result.stderr.count("\n")), ("", 1), f"{arguments}: {result.stderr}")
        assert word in result.stderr, f"{arguments}: {result.stderr!r} without {word!r}"
    with closing(sqlite3.connect(newer)) as database:
        same(database.execute("PRAGMA user_version").fetchone(), (999,), "the newer index")
        same(database.execute("SELECT name FROM sqlite_master").fetchall(), [], "what was made in the newer index")


@claim(mounted=False)
def help_and_version_are_0(bench: Bench) -> None:
    status, output = call(bench, "--help", credentials=False)
    same(status, 0)
    assert "--local" in output and "spending" in output and "base_url" not in output, output
    for topic, option, other in (("service", "base_url", "cache_size"), ("cache", "cache_size", "base_url")):
        status, output = call(bench, "--help", topic, credentials=False)
        same(status, 0)
        assert option in output and other not in output, output
    _, output = call(bench, "--help=all", credentials=False)
    _, names = call(bench, "--dump-options", credentials=False)
    for name in names.split():
        assert name in output, f"{name} is not in --help all"
    fails(bench, USAGE, "taxes", "--help", "taxes", credentials=False)
    status, output = call(bench, "--version", credentials=False)
    same(status, 0)
    assert output.startswith("malqueryfs "), output


@claim(mounted=False)
def it_goes_to_the_background_when_the_mount_is_usable(bench: Bench) -> None:
    options = f"base_url={bench.proxy.url},state_dir={bench.state},cache_dir={bench.cache}"
    same(call(bench, "-o", options, bench.root), (0, ""))
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    bench.run(f"umount {bench.root}", cwd=bench.directory)


@claim(mounted=False)
def a_relative_mountpoint_works_in_the_background(bench: Bench) -> None:
    options = f"base_url={bench.proxy.url},state_dir=state,cache_dir=cache"
    same(call(bench, "-o", options, "mnt"), (0, ""))
    assert mount_flags(bench.root), "nothing is mounted"
    bench.run("ls -l hunts")
    bench.run(f"umount {bench.root}", cwd=bench.directory)


@claim(mounted=False)
def the_environment_names_service_and_credentials(bench: Bench) -> None:
    """The service is a plain URL, as any server that follows the API has; options only keep the state apart."""
    status, output = call(bench, "-o", f"state_dir={bench.state},cache_dir={bench.cache}", bench.root,
                          FALCON_BASE_URL=bench.proxy.url)
    same((status, output), (0, ""))
    bench.run("cat quotas")
    same(call(bench, "--check", FALCON_BASE_URL=bench.proxy.url)[0], 0, "--check")
    bench.run(f"fusermount3 -u {bench.root}", cwd=bench.directory)


@claim
def a_stale_mount_is_replaced(bench: Bench) -> None:
    """One that nobody took away: the helper of the daemon was killed with it."""
    os.kill(helper_of(bench.program.pid), signal.SIGKILL)
    bench.program.kill()
    same(errno_of(os.listdir, bench.root), "ENOTCONN", "a stale mount")
    assert mount_flags(bench.root)
    bench.mount()
    until(lambda: errno_of(os.stat, bench.root / "README") is None, STOP_MAX_S, "the new mount")
    lines = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {bench.root} " in line]
    same(len(lines), 1, "mounts on the mountpoint")


@claim
def no_secret_is_visible_from_outside(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    process = Path(f"/proc/{bench.program.pid}")
    for name in ("cmdline", "environ"):
        assert CLIENT_SECRET.encode() not in readable(process / name), f"the secret is in /proc/PID/{name}"
    for path in [*bench.logs.iterdir(), *bench.state.rglob("*"), *bench.cache.rglob("*")]:
        if path.is_file():
            assert CLIENT_SECRET.encode() not in path.read_bytes(), f"the secret is in {path}"
    assert CLIENT_SECRET not in bench.read("status") + bench.read("README")


@claim(mounted=False)
def credentials_come_from_a_file_that_is_private(bench: Bench) -> None:
    file = Path(bench.environment["XDG_CONFIG_HOME"]) / "malqueryfs" / "config.ini"
    file.parent.mkdir()
    file.write_text(f"[default]\nclient_id = {CREDENTIALS['FALCON_CLIENT_ID']}\nclient_secret = {CLIENT_SECRET}\n"
                    f"base_url = {bench.proxy.url}\n")
    file.chmod(0o644)
    fails(bench, CONFIGURATION, "config.ini", bench.root, credentials=False)
    file.chmod(0o600)
    same(call(bench, bench.root, credentials=False), (0, ""))
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    bench.run(f"umount {bench.root}", cwd=bench.directory)


if __name__ == "__main__":
    main()
