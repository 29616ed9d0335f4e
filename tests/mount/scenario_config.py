"""The configuration: where a value is from, what --check looks at, and one clear line for what is wrong."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

from harness import (CLIENT_ID, CLIENT_SECRET, CREDENTIALS, NOBODY, START_MAX_S, Bench, claim, claim_of_root, main, malqueryfs,
                     mount_flags, same)
from proxy import gateway

CONFIGURATION, NO_CREDENTIALS, UNREACHABLE, BAD_STATE = 2, 3, 4, 7


def call(bench: Bench, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([malqueryfs(), *map(str, arguments)], env={**bench.environment, **variables}, text=True,
                          cwd=bench.directory, timeout=START_MAX_S, stdin=subprocess.DEVNULL, capture_output=True)


def write_config(bench: Bench, text: str) -> Path:
    file = Path(bench.environment["XDG_CONFIG_HOME"]) / "malqueryfs" / "config.ini"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)
    return file


def dump(bench: Bench, *arguments: str | Path, **variables: str) -> dict[str, tuple[str, str]]:
    result = call(bench, "--dump-config", *arguments, **variables)
    same((result.returncode, result.stderr), (0, ""))
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    return {name: (value, origin) for name, value, origin in lines}


# ---- --dump-config ----


@claim(mounted=False)
def every_value_says_where_it_is_from(bench: Bench) -> None:
    file = write_config(bench, "; a comment\n[default]\ncache_size = 3G\nreserve = 20\n\n[lab]\nreserve = 30\noffline = on\n"
                               "deny = :cat\nzip_method = aes\n")
    found = dump(bench, "-o", "profile=lab,transport=zip", FALCON_CLOUD="eu-1")
    same(found["memory_size"], ("512M", "default"))
    same(found["cache_size"], ("3G", f"{file}:3"))
    same(found["reserve"], ("30", f"{file}:7"))
    same(found["offline"], ("on", f"{file}:8"))
    same(found["zip_method"], ("aes", f"{file}:10"))
    same(found["cloud"], ("eu-1", "environment FALCON_CLOUD"))
    same(found["transport"], ("zip", "command line"))
    same(found["profile"], ("lab", "command line"))
    same(found["config_path"], (str(file), "result"))
    same(found["state_path"], (f"{bench.environment['XDG_STATE_HOME']}/malqueryfs/lab", "result"))
    assert not list(Path(bench.environment["XDG_STATE_HOME"]).iterdir()), "it makes nothing"


@claim(mounted=False)
def places_are_below_the_home_when_nothing_else_is_said(bench: Bench) -> None:
    home = bench.directory / "nobodys"
    for said in ("", "relative/path"):  # which the specification of these variables calls invalid
        found = dump(bench, HOME=str(home), XDG_CONFIG_HOME=said, XDG_STATE_HOME=said, XDG_CACHE_HOME=said)
        same(found["state_path"], (f"{home}/.local/state/malqueryfs/default", "result"))
        same(found["cache_path"], (f"{home}/.cache/malqueryfs/default", "result"))
    assert not home.exists(), "it makes nothing"


@claim(mounted=False)
def no_secret_is_in_it(bench: Bench) -> None:
    file = write_config(bench, f"[default]\nclient_id = {CLIENT_ID}\nclient_secret = {CLIENT_SECRET}\n"
                               "proxy = http://user:swordfish@proxy.example:3128\n")
    result = call(bench, "--dump-config")
    for secret in (CLIENT_ID, CLIENT_SECRET, "swordfish"):
        assert secret not in result.stdout + result.stderr, result.stdout
    found = dump(bench)
    same((found["client_id"], found["client_secret"]), (("set", f"{file}:2"), ("set", f"{file}:3")))
    same(found["proxy"][0], "http://***@proxy.example:3128")
    same(dump(bench, "-o", "proxy=user:swordfish@proxy.example:3128")["proxy"][0], "***@proxy.example:3128")
    found = dump(bench, FALCON_CLIENT_SECRET=CLIENT_SECRET)
    same(found["client_secret"], ("set", "environment FALCON_CLIENT_SECRET"))
    file.unlink()
    same(dump(bench)["client_id"], ("unset", "default"))


@claim(mounted=False)
def what_it_prints_is_a_configuration(bench: Bench) -> None:
    """Each value is written as the file takes it, and then says the same."""
    before = dump(bench, "-o", "cache_size=1500M,reserve=7%,deny=:a:b,budget=3:1,cache=plain")
    early = ("profile", "config", "setuid", "client_id", "client_secret")
    write_config(bench, "[default]\n" + "".join(f"{name} = {value}\n" for name, (value, origin) in before.items()
                                                if name not in early and origin != "result"))
    after = dump(bench)
    same({name: value for name, (value, _) in after.items()}, {name: value for name, (value, _) in before.items()})


@claim(mounted=False)
def what_the_file_cannot_choose_is_refused(bench: Bench) -> None:
    for line in ("profile = other", "config = /etc/passwd", "setuid = root"):
        write_config(bench, f"[default]\n{line}\n")
        result = call(bench, "--dump-config")
        same((result.returncode, result.stderr.count("\n")), (CONFIGURATION, 1), result.stderr)
        assert "line 2" in result.stderr and line.split()[0] in result.stderr, result.stderr


@claim(mounted=False)
def a_line_that_is_wrong_is_named(bench: Bench) -> None:
    for lines, number, word in (("reserve = 5\nnonsense\n", 3, "name = value"), ("deny = :" + "a" * 300 + "\n", 2, "bytes"),
                                ("reserve = 101\n", 2, "reserve"), ("nonsense = 1\n", 2, "nonsense")):
        write_config(bench, f"[default]\n{lines}offline = on\n")
        result = call(bench, "--dump-config")
        same((result.returncode, result.stderr.count("\n")), (CONFIGURATION, 1), result.stderr)
        assert f"line {number}:" in result.stderr and word in result.stderr, result.stderr


@claim_of_root
def the_file_of_another_user_is_refused(bench: Bench) -> None:
    """Root with the HOME of a user, who may write `log = /etc/...` into it."""
    file = write_config(bench, "[default]\nreserve = 5\n")
    os.chown(file, NOBODY, NOBODY)
    result = call(bench, "--dump-config")
    same((result.returncode, result.stdout, result.stderr.count("\n")), (CONFIGURATION, "", 1), result.stderr)
    assert "another user" in result.stderr, result.stderr


# ---- --check ----


def check(bench: Bench, status: int, *arguments: str | Path, credentials: bool = True) -> dict[str, tuple[str, str]]:
    """Step: (verdict, words)."""
    options = f"base_url={bench.proxy.url},state_dir={bench.state},cache_dir={bench.cache}"
    result = call(bench, "--check", "-o", options, *arguments, **(CREDENTIALS if credentials else {}))
    same(result.returncode, status, result.stdout + result.stderr)
    same(result.stderr.count("\n"), 1 if status else 0, result.stderr)
    same(mount_flags(bench.root), None, "what is mounted")
    matches = [re.fullmatch(r"(\w+) +(.{19}) (.*)", line) for line in result.stdout.splitlines()]
    return {match[2].strip(): (match[1], match[3]) for match in matches}


@claim(mounted=False)
def each_thing_is_a_line(bench: Bench) -> None:
    steps = check(bench, 0)
    same([verdict for verdict, _ in steps.values()], ["ok"] * 7 + ["unknown"])
    same(list(steps), ["configuration", "directories", "state and cache", "fuse", "credentials", "token",
                       "read scope, quotas", "write scope"])
    assert steps["read scope, quotas"][1].startswith("hunts 0/1000, downloads 0/1000, until 20"), steps
    same(bench.proxy.paid(), [])


@claim(mounted=False, engine=["--download-limit", "1000000000"])
def a_quota_without_a_limit_is_said_to_have_none(bench: Bench) -> None:
    words = check(bench, 0)["read scope, quotas"][1]
    assert words.startswith("hunts 0/1000, downloads 0/unlimited, until 20"), words


@claim(mounted=False)
def a_proxy_is_asked_for_what_is_elsewhere_and_only_for_that(bench: Bench) -> None:
    """It is told the name, which nobody here looks up, and never a secret; what is on this machine needs none."""
    heard = []

    def refuse(server: socket.socket) -> None:
        with contextlib.suppress(OSError):  # until the server is shut down
            while True:
                with server.accept()[0] as one:
                    heard.append(one.recv(4096).decode())
                    one.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        way = f"proxy=http://127.0.0.1:{server.getsockname()[1]}"
        check(bench, 0, "-o", way)
        thread = threading.Thread(target=refuse, args=(server,), daemon=True)
        thread.start()
        steps = check(bench, UNREACHABLE, "-o", f"base_url=https://malquery.example,{way}")
        server.shutdown(socket.SHUT_RDWR)
        thread.join(START_MAX_S)
    same(steps["token"][0], "failed")
    assert "malquery.example: the proxy refused with 403" in steps["token"][1], steps
    for request in heard:
        assert request.startswith("CONNECT malquery.example:443 HTTP/1.1\r\n"), request
        assert CLIENT_ID not in request and CLIENT_SECRET not in request, request
    assert heard, "it was asked"


@claim(mounted=False)
def the_first_failure_is_the_exit_status(bench: Bench) -> None:
    steps = check(bench, NO_CREDENTIALS, credentials=False)
    same((steps["credentials"][0], list(steps)[-1]), ("failed", "credentials"))
    assert "FALCON_CLIENT_ID" in steps["credentials"][1], steps
    for option in ("log=paper", "budget=lots"):
        same(check(bench, CONFIGURATION, "-o", option)["configuration"][0], "failed", option)
    steps = check(bench, CONFIGURATION, "-o", "cloud=mars-1,base_url=")
    same(steps["credentials"][0], "failed")
    bench.proxy.fail("token", gateway(403, "access denied, authorization failed"))
    same(check(bench, NO_CREDENTIALS)["token"][0], "failed")
    bench.proxy.heal("token")
    bench.proxy.fail("quotas", gateway(403, "access denied, scope not permitted"))
    steps = check(bench, NO_CREDENTIALS)
    same((steps["token"][0], steps["read scope, quotas"][0]), ("ok", "failed"))
    bench.proxy.heal("quotas")
    bench.proxy.down()
    same(check(bench, UNREACHABLE)["token"][0], "failed")
    steps = check(bench, 0, "-o", "offline")
    same((steps["token"][0], steps["read scope, quotas"][0]), ("skipped", "skipped"))


@claim(mounted=False)
def a_lost_key_is_found_and_the_rest_is_looked_at(bench: Bench) -> None:
    bench.mount()
    bench.sample("pe32").read_bytes()
    bench.unmount()
    [key] = bench.state.rglob("seal.key")
    key.unlink()
    steps = check(bench, BAD_STATE)
    same((steps["state and cache"][0], steps["read scope, quotas"][0]), ("failed", "ok"))
    assert "seal.key" in steps["state and cache"][1], steps


if __name__ == "__main__":
    main()
