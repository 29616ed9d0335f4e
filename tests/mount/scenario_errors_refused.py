"""The service says no: credentials, scopes, quotas, rates. Each has its own errno, and none is asked in a loop."""

import time

from harness import ELF_FILES, RUN_MAX_S, Bench, claim, errno_of, main, read_error, same
from proxy import Proxy, Stall, answer, gateway, rate_limited

UNKNOWN_CLIENT = gateway(400, "Failed to generate access token for clientID=0123456789abcdef0123456789abcdef.")
WRONG_SECRET = gateway(403, "Failed to issue access token - Not Authorized")
NO_SCOPE = gateway(403, "access denied, scope not permitted")
NO_TOKEN = gateway(401, "access denied, invalid bearer token")
OTHER_SECRET = "x" * 40


def unauthorized(bench: Bench) -> None:
    same(read_error(bench.root / "quotas"), "EKEYREJECTED", "quotas")
    assert "unauthorized" in bench.read("status"), bench.read("status")


@claim(mounted=False)
def an_unknown_client_is_ekeyrejected(bench: Bench) -> None:
    bench.proxy.fail("token", UNKNOWN_CLIENT)
    bench.mount()
    unauthorized(bench)


@claim(mounted=False)
def a_wrong_secret_is_ekeyrejected(bench: Bench) -> None:
    bench.proxy.fail("token", WRONG_SECRET)
    bench.mount()
    unauthorized(bench)
    same(read_error(bench.sample("pe32")), "EKEYREJECTED", "a sample")
    same(bench.proxy.paid(), [])


@claim
def the_engine_itself_refuses_a_wrong_secret(bench: Bench) -> None:
    bench.unmount()
    bench.credentials["FALCON_CLIENT_SECRET"] = OTHER_SECRET
    bench.mount()
    unauthorized(bench)
    assert OTHER_SECRET not in (bench.logs / "malqueryfs.log").read_text()


@claim(mounted=False)
def a_rule_is_not_lost_when_the_credentials_are_refused(bench: Bench) -> None:
    bench.proxy.fail("token", WRONG_SECRET)
    bench.mount()
    result = bench.submit("wiper", ELF_FILES, ok=False)
    assert result.returncode and "Key was rejected" in result.stderr, result
    same(bench.read("hunts/wiper.yar"), ELF_FILES)
    assert bench.read("hunts/wiper/error").strip()
    same(bench.proxy.calls("hunt"), [])


@claim
def a_missing_scope_is_eacces(bench: Bench) -> None:
    for route in ("quotas", "download", "hunt"):
        bench.proxy.fail(route, NO_SCOPE)
    same(read_error(bench.root / "quotas"), "EACCES", "quotas")
    same(read_error(bench.sample("pe32")), "EACCES", "a sample")
    result = bench.submit("wiper", ELF_FILES, ok=False)
    assert result.returncode and "Permission denied" in result.stderr, result
    assert "scope" in bench.read("hunts/wiper/error"), bench.read("hunts/wiper/error")
    same([len(bench.proxy.calls(route)) for route in ("download", "hunt")], [1, 1], "a 403 is not tried again")
    same(bench.proxy.paid(), [])


@claim(engine=["--scopes", "read"])
def a_client_that_may_only_read_cannot_hunt(bench: Bench) -> None:
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    result = bench.submit("wiper", ELF_FILES, ok=False)
    assert result.returncode and "Permission denied" in result.stderr, result
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim
def a_token_that_ends_in_mid_session_is_renewed_once(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    bench.proxy.fail("download", NO_TOKEN, times=1)
    same(bench.sample("pe64").read_bytes(), bench.zoo["pe64"].content)
    same(len(bench.proxy.calls("token")), 2, "tokens")
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256, bench.zoo["pe64"].sha256])


@claim
def a_token_that_is_never_good_is_ekeyrejected(bench: Bench) -> None:
    bench.proxy.fail("download", NO_TOKEN)
    same(read_error(bench.sample("pe32")), "EKEYREJECTED")
    assert len(bench.proxy.calls("download")) <= 2, bench.proxy.calls("download")


@claim(engine=["--download-limit", "1"])
def a_used_up_download_quota_is_edquot_without_a_loop(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    started = time.monotonic()
    same(read_error(bench.sample("pe64")), "EDQUOT")
    assert time.monotonic() - started < 10, "quota is not a rate limit: there is nothing to wait for"
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])
    assert len(bench.proxy.calls("download")) <= 2, bench.proxy.calls("download")
    result = bench.run(f"cat samples/{bench.zoo['pe64'].sha256}", ok=False)
    assert "Disk quota exceeded" in result.stderr, result
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content, "what is local still reads")


@claim(engine=["--hunt-limit", "1"])
def a_used_up_hunt_quota_fails_cp(bench: Bench) -> None:
    bench.submit("first", ELF_FILES)
    result = bench.submit("second", ELF_FILES.replace("elf_files", "other"), ok=False)
    assert result.returncode and "Disk quota exceeded" in result.stderr, result
    same(bench.proxy.paid(), ["hunt"])
    assert len(bench.proxy.calls("hunt")) <= 2, "the refused hunt is not repeated"
    assert bench.read("hunts/second/error").strip()


@claim
def a_rate_limit_is_waited_for(bench: Bench) -> None:
    bench.proxy.fail("download", rate_limited(-30), times=1)
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    same(len(bench.proxy.calls("download")), 2)
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


@claim
def a_rate_limit_without_end_is_eagain(bench: Bench) -> None:
    bench.proxy.fail("metadata", rate_limited(-30))
    same(read_error(bench.sample("pe32")), "EAGAIN")
    assert 2 <= len(bench.proxy.calls("metadata")) <= 12, bench.proxy.calls("metadata")
    same(bench.proxy.paid(), [])


@claim(mounted=False)
def credentials_follow_no_redirect_to_a_stranger(bench: Bench) -> None:
    stranger = Proxy("unix:/nowhere")
    try:
        redirect = answer(308, Location=f"{stranger.url}/oauth2/token", X_Cs_Region="nowhere")
        bench.proxy.fail("token", redirect)
        bench.mount()
        assert read_error(bench.root / "quotas"), "quotas were read through a redirect"
        same([str(call) for call in stranger.calls()], [], "calls to the stranger")
        assert len(bench.proxy.calls("token")) <= 10, "redirects are not followed for ever"
    finally:
        stranger.close()


@claim
def a_stalled_token_stops_no_local_read(bench: Bench) -> None:
    bench.sample("pe32").read_bytes()
    bench.proxy.fail("download", NO_TOKEN, times=1)
    stall = bench.proxy.fail("token", Stall(), times=1)
    reader = bench.start("cat", bench.sample("pe64"))
    assert stall.arrived.wait(RUN_MAX_S), "no new token is asked for"
    same(errno_of(bench.sample("pe32").read_bytes), None)
    bench.run("ls -l . hunts samples && cat status", seconds=2)
    stall.release()
    same(reader.communicate(timeout=RUN_MAX_S)[0], bench.zoo["pe64"].content)


if __name__ == "__main__":
    main()
