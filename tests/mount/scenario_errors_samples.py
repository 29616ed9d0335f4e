"""A sample that cannot be had fails in stat or open, with an errno that says why; wrong bytes are never served."""

import os

from harness import Bench, claim, errno_of, main, read_error, same
from proxy import answer, cut, delay, flip, gateway, html_502, reset_after, reset_before

UNKNOWN = "0123456789abcdef" * 4
NOT_INDEXED = gateway(404, "sample not found")
NO_QUOTAS = answer(500, "Internal Server Error: Please provide trace-id='1' to support")


def local(bench: Bench) -> list[str]:
    return os.listdir(bench.root / "samples")


@claim
def an_unknown_hash_is_enoent(bench: Bench) -> None:
    for directory in ("samples", "metadata"):
        path = f"{directory}/{UNKNOWN}"
        same(errno_of(os.stat, bench.root / path), "ENOENT", f"stat of {path}")
        assert "No such file" in bench.run(f"cat {path}", ok=False).stderr
    same(bench.run(f"test -e samples/{UNKNOWN}", ok=False).returncode, 1)
    same(len(bench.proxy.calls("metadata")), 1, "an absence is remembered")
    same(bench.proxy.calls("download"), [], "downloads")


@claim
def a_known_sample_that_is_gone_is_enodata_and_not_asked_again(bench: Bench) -> None:
    bench.proxy.fail("download", NOT_INDEXED, times=1)
    path = bench.sample("pe32")
    same(os.stat(path).st_size, bench.zoo["pe32"].size)
    same([read_error(path) for _ in range(3)], ["ENODATA"] * 3)
    bench.remount()
    same(read_error(path), "ENODATA", "after a remount")
    same(len(bench.proxy.calls("download")), 1, "downloads tried")


@claim
def an_internal_error_is_eremoteio(bench: Bench) -> None:
    bench.proxy.fail("download", NO_QUOTAS)
    same(read_error(bench.sample("pe32")), "EREMOTEIO")
    same(local(bench), [])
    bench.proxy.heal("download")
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content, "the next open")


@claim
def a_gateway_that_answers_html_is_eremoteio(bench: Bench) -> None:
    bench.proxy.fail("metadata", html_502)
    same(errno_of(os.stat, bench.sample("pe32")), "EREMOTEIO")
    same(bench.proxy.paid(), [])


@claim
def one_bad_gateway_is_not_noticed(bench: Bench) -> None:
    bench.proxy.fail("metadata", html_502, times=1)
    bench.proxy.fail("quotas", html_502, times=1)
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    bench.run("cat quotas")


@claim
def a_cut_body_is_eremoteio_and_tried_at_most_twice(bench: Bench) -> None:
    bench.proxy.fail("download", cut)
    same(read_error(bench.sample("noise-131073")), "EREMOTEIO")
    assert 1 <= len(bench.proxy.calls("download")) <= 2, bench.proxy.calls("download")
    same(local(bench), [])


@claim
def a_reset_connection_is_an_error_and_tried_at_most_twice(bench: Bench) -> None:
    for fault, name in ((reset_before, "pe32"), (reset_after, "pe64")):
        os.stat(bench.sample(name))
        before = len(bench.proxy.calls("download"))
        bench.proxy.fail("download", fault)
        error = read_error(bench.sample(name))
        assert error in ("EREMOTEIO", "ENETUNREACH"), error
        assert 1 <= len(bench.proxy.calls("download")) - before <= 2, bench.proxy.calls("download")
        bench.proxy.heal("download")
    same(local(bench), [])


@claim
def wrong_bytes_are_ebadmsg_and_kept_nowhere(bench: Bench) -> None:
    bench.proxy.fail("download", flip)
    assert "Bad message" in bench.run(f"cat samples/{bench.zoo['marked'].sha256}", ok=False).stderr
    same(local(bench), [])
    same([path for path in bench.cache.rglob("*") if bench.zoo["marked"].sha256 in path.name], [], "cached")
    assert len(bench.proxy.calls("download")) <= 2, bench.proxy.calls("download")


@claim
def bytes_of_another_length_are_ebadmsg(bench: Bench) -> None:
    wrong = {"pe32": b"", "pe64": bench.zoo["pe64"].content + b"\0", "pdf": bench.zoo["pdf"].content[:-1]}
    for name, content in wrong.items():
        bench.proxy.fail("download", answer(200, content, Content_Type="application/octet-stream"))
        same(read_error(bench.sample(name)), "EBADMSG", name)
        bench.proxy.heal("download")
    same(local(bench), [])


@claim
def json_in_place_of_a_sample_is_not_a_sample(bench: Bench) -> None:
    fault = answer(200, '{"meta":{},"errors":[{"code":500,"message":"no"}]}', Content_Type="application/json")
    bench.proxy.fail("download", fault)
    error = read_error(bench.sample("pe32"))
    assert error in ("EREMOTEIO", "EPROTO"), error
    same(local(bench), [])


@claim
def an_answer_that_is_no_json_is_eproto(bench: Bench) -> None:
    bench.proxy.fail("metadata", answer(200, '{"meta": {"query_time": 1', Content_Type="application/json"))
    same(errno_of(os.stat, bench.sample("pe32")), "EPROTO")
    same(bench.proxy.paid(), [])


@claim
def a_slow_answer_is_no_error(bench: Bench) -> None:
    bench.proxy.fail("download", delay(3), times=1)
    same(bench.sample("pe32").read_bytes(), bench.zoo["pe32"].content)
    same(bench.proxy.paid(), [bench.zoo["pe32"].sha256])


if __name__ == "__main__":
    main()
