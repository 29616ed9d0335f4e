"""Credentials and tokens are nowhere to be read: not in a log, a file, an argument, an environment or a core."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

from harness import (CLIENT_ID, CLIENT_SECRET, CREDENTIALS, EVERYTHING, START_MAX_S, STOP_MAX_S, Bench, Program, claim,
                     claim_of_root, helper_of, main, malqueryd, malqueryfs, mount_flags, processes_of, same, until)
from proxy import gateway

REGION_MAX_BYTES = 1 << 26
OWN_FILES = ("README", "status", "events", "metrics", "quotas", "quotas.json", "budget")


def start(bench: Bench, *arguments: str | Path, environment: dict[str, str], shell: str = "") -> None:
    """malqueryfs in the foreground, run by a shell that does `shell` first."""
    options = [f"base_url={bench.proxy.url}", f"state_dir={bench.state}", f"cache_dir={bench.cache}"]
    bench.program = Program(
        ["/bin/sh", "-c", f'{shell} exec "$@"', "sh", malqueryfs(), "-f", "-o", ",".join(options), *arguments,
         bench.root],
        {**bench.environment, **environment}, bench.logs / "malqueryfs.log")
    until(lambda: mount_flags(bench.root) or not bench.program.is_running(), START_MAX_S, "the mount")
    assert bench.program.is_running(), f"malqueryfs ended with {bench.program.wait()}"


def credentials_of_systemd(bench: Bench) -> Path:
    place = bench.directory / "credentials"
    place.mkdir()
    (place / "client_id").write_text(f"{CLIENT_ID}\n")
    (place / "client_secret").write_text(CLIENT_SECRET)
    return place


def tokens(bench: Bench) -> list[str]:
    return [json.loads(call.answer)["access_token"] for call in bench.proxy.calls("token") if call.status == 201]


def knows(pid: int, secret: str) -> bool:
    """True when it is in what a core of the process would have."""
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            first, last, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            size = int(last, 16) - int(first, 16)
            if not rights.startswith("rw") or size > REGION_MAX_BYTES:
                continue  # code; the shadow memory of a sanitizer
            with contextlib.suppress(OSError):  # a guard
                memory.seek(int(first, 16))
                if secret.encode() in memory.read(size):
                    return True
    return False


@claim_of_root
def no_file_log_argument_or_environment_has_one(bench: Bench) -> None:
    start(bench, "-d", environment=CREDENTIALS)
    bench.job("all", EVERYTHING)
    bench.sample("pe32").read_bytes()
    bench.proxy.fail("download", gateway(403, "access denied, authorization failed"), times=1)
    bench.run(f"cat samples/{bench.zoo['marked'].sha256}", ok=False)
    bench.proxy.fail("quotas", gateway(401, "access denied, invalid bearer token"), times=1)
    own = "".join(bench.read(name) for name in OWN_FILES)
    secrets = [CLIENT_SECRET, *tokens(bench)]
    assert len(secrets) > 1, "no token was seen"
    places = {"a file at the root": own.encode()}
    for path in bench.directory.rglob("*"):
        if path.is_file() and not path.is_relative_to(bench.root):
            places[str(path)] = path.read_bytes()
    for pid in (bench.program.pid, helper_of(bench.program.pid)):
        for name in ("cmdline", "environ"):
            places[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
    assert b"op=" in places[str(bench.logs / "malqueryfs.log")], "-d logs operations"
    for place, content in places.items():
        for secret in secrets:
            assert secret.encode() not in content, f"a secret is in {place}"


@claim_of_root
def the_helper_does_not_know_them(bench: Bench) -> None:
    """From files and not from the environment: of that, a sanitizer makes a copy."""
    start(bench, environment={"CREDENTIALS_DIRECTORY": str(credentials_of_systemd(bench))})
    bench.run("cat quotas")
    assert knows(bench.program.pid, CLIENT_SECRET), "this claim can see memory"
    assert not knows(helper_of(bench.program.pid), CLIENT_SECRET), "the helper has the secret"


@claim_of_root
def those_of_the_private_engine_are_not_to_be_seen(bench: Bench) -> None:
    path = f"{os.path.dirname(malqueryd())}:{bench.environment['PATH']}"
    start(bench, "--local", bench.zoo.directory, environment={"PATH": path})
    bench.run("cat quotas")
    ours = {pid: line for pid, line in processes_of(bench.directory).items() if pid != bench.engine.pid}
    same(len(ours), 3, f"daemon, helper and engine: {ours}")
    for pid in ours:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert not re.search(rb"FALCON_CLIENT_(ID|SECRET)=[^\0]", environment), f"credentials in environ of {ours[pid]}"


@claim(mounted=False)
def a_crash_leaves_no_core(bench: Bench) -> None:
    """In a place where there could be one; and without the confinement, too, which forbids the file as such."""
    place = bench.directory / "place"
    place.mkdir()
    for confinement in ("on", "off"):
        start(bench, "-o", f"confine={confinement}", environment=CREDENTIALS,
              shell=f"ulimit -c unlimited; cd {place};")
        bench.run("cat quotas")
        bench.program.process.send_signal(signal.SIGABRT)
        same(bench.program.wait(), -signal.SIGABRT, "the end of the daemon")
        until(lambda: not mount_flags(bench.root), STOP_MAX_S, "its helper unmounts")
        same(list(place.iterdir()), [], "what a crash left")
    bench.program = None


@claim(mounted=False)
def the_command_that_mends_a_file_is_named_and_mends_it(bench: Bench) -> None:
    file = bench.directory / "my config.ini"
    file.write_text(f"[default]\nclient_id = {CLIENT_ID}\nclient_secret = {CLIENT_SECRET}\n")
    file.chmod(0o640)
    arguments = [malqueryfs(), "--check", "-o", f"base_url={bench.proxy.url},config={file}"]
    result = subprocess.run(arguments, env=bench.environment, text=True, timeout=START_MAX_S, capture_output=True)
    same((result.returncode, result.stderr.count("\n")), (2, 1), result.stderr)
    bench.run(result.stderr.split("run: ")[1], cwd=bench.directory)
    result = subprocess.run(arguments, env=bench.environment, text=True, timeout=START_MAX_S, capture_output=True)
    same(result.returncode, 0, result.stderr)


@claim(mounted=False)
def systemd_can_hand_them_over(bench: Bench) -> None:
    place = credentials_of_systemd(bench)
    start(bench, environment={"CREDENTIALS_DIRECTORY": str(place)})
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    bench.unmount()
    (place / "client_secret").write_text("wrong")
    start(bench, environment={"CREDENTIALS_DIRECTORY": str(place), **CREDENTIALS})  # the environment wins
    same(bench.sample("eicar").read_bytes(), bench.zoo["eicar"].content)


if __name__ == "__main__":
    main()
