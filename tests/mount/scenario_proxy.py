"""The instrument itself: the proxy records what passes, and every fault is what it says."""

import gzip
import http.client
import json
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

from harness import AT_ONCE_S, CREDENTIALS, Bench, claim, errno_of, main, same
from proxy import (Stall, answer, compressed, cut, endless, expired, flip, garbage, html, in_chunks, moved,
                   rate_limited, reset_after, reset_before, retry_after, trickle, typed)


class Client:
    """Speaks to the proxy as the filesystem would, with a token, on one kept-alive connection."""

    def __init__(self, bench: Bench) -> None:
        self._connection = http.client.HTTPConnection(bench.proxy.url.removeprefix("http://"), timeout=20)
        form = urlencode({"client_id": CREDENTIALS["FALCON_CLIENT_ID"],
                          "client_secret": CREDENTIALS["FALCON_CLIENT_SECRET"]})
        status, body = self.send("POST", "/oauth2/token", form, "application/x-www-form-urlencoded")
        same(status, 201, "token")
        self._token = json.loads(body)["access_token"]

    _token = ""

    def send(self, method: str, target: str, body: str | None = None,
             content_type: str = "application/json") -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        self._connection.request(method, target, body, headers)
        response = self._connection.getresponse()
        self.headers = response.headers
        return response.status, response.read()

    def download(self, sha256: str) -> tuple[int, bytes]:
        return self.send("GET", f"/malquery/entities/download-files/v1?ids={sha256}")

    def quotas(self) -> tuple[int, bytes]:
        return self.send("GET", "/malquery/aggregates/quotas/v1")


def is_broken(action: Callable[..., object], *args: object) -> bool:
    try:
        action(*args)
    except (OSError, http.client.HTTPException):
        return True
    return False


@claim(mounted=False)
def what_passes_is_forwarded_and_recorded_in_order(bench: Bench) -> None:
    client = Client(bench)
    sample = bench.zoo["pe32"]
    rule = {"yara_rule": "rule r { condition: true }", "options": {"limit": 1}}
    same(client.download(sample.sha256), (200, sample.content), "download")
    same(client.send("POST", "/malquery/queries/hunt/v1", json.dumps(rule))[0], 200, "hunt")
    same([call.route for call in bench.proxy.calls()], ["token", "download", "hunt"])
    same([call.status for call in bench.proxy.calls()], [201, 200, 200])
    same(bench.proxy.calls("hunt")[0].json, rule)
    same(len(bench.proxy.calls("hunt")[0].reqid), 36)
    same(bench.proxy.paid(), [sample.sha256, "hunt"])


@claim(mounted=False)
def every_hash_of_a_multidownload_is_a_unit(bench: Bench) -> None:
    hashes = [bench.zoo["pe32"].sha256, bench.zoo["pe64"].sha256]
    Client(bench).send("POST", "/malquery/entities/samples-multidownload/v1", json.dumps({"samples": hashes}))
    same(bench.proxy.paid(), hashes)


@claim(mounted=False)
def a_refusal_is_not_paid_but_silence_may_be(bench: Bench) -> None:
    client, sample = Client(bench), bench.zoo["pe32"].sha256
    bench.proxy.fail("download", answer(404), times=1)
    bench.proxy.fail("download", reset_before, times=1)
    same(client.download(sample)[0], 404)
    same(bench.proxy.paid(), [])
    assert is_broken(client.download, sample), "there was an answer"
    same(bench.proxy.paid(), [sample])


@claim(mounted=False)
def faults_of_a_route_come_in_their_order_and_end(bench: Bench) -> None:
    client = Client(bench)
    bench.proxy.fail("quotas", answer(500), times=2)
    bench.proxy.fail("quotas", rate_limited(-5), times=1)
    same([client.quotas()[0] for _ in range(4)], [500, 500, 429, 200])


@claim(mounted=False)
def a_rate_limit_names_an_epoch_second(bench: Bench) -> None:
    client = Client(bench)
    bench.proxy.fail("quotas", rate_limited(7))
    client.quotas()
    assert abs(int(client.headers["X-Ratelimit-RetryAfter"]) - time.time() - 7) < 3


@claim(mounted=False)
def a_cut_body_is_half_of_it(bench: Bench) -> None:
    client, sample = Client(bench), bench.zoo["noise-131073"]
    bench.proxy.fail("download", cut, times=1)
    try:
        client.download(sample.sha256)
        raise AssertionError("the whole body came")
    except http.client.IncompleteRead as incomplete:
        same(incomplete.partial, sample.content[: sample.size // 2])


@claim(mounted=False)
def flipped_bytes_have_the_right_length(bench: Bench) -> None:
    client, sample = Client(bench), bench.zoo["noise-131073"]
    bench.proxy.fail("download", flip, times=1)
    wrong = client.download(sample.sha256)[1]
    same(len(wrong), sample.size)
    same(sum(a != b for a, b in zip(wrong, sample.content)), 1)


@claim(mounted=False)
def a_lost_answer_was_still_asked_for(bench: Bench) -> None:
    client = Client(bench)
    bench.proxy.fail("download", reset_after, times=1)
    assert is_broken(client.download, bench.zoo["pe32"].sha256), "there was an answer"
    used = json.loads(Client(bench).quotas()[1])["meta"]["download_count"]
    same(used, 1, "downloads that the engine counts")


@claim(mounted=False)
def refusals_look_as_the_service_words_them(bench: Bench) -> None:
    client = Client(bench)
    refusals = (
        (retry_after(9), 429, "Retry-After", "9"), (moved("us-2"), 308, "X-Cs-Region", "us-2"),
        (html(503), 503, "Content-Type", "text/html"), (answer(500), 500, "Content-Length", "0"),
        (expired, 401, "Content-Type", "application/json"),
    )
    for fault, status, header, value in refusals:
        bench.proxy.fail("quotas", fault, times=1)
        same((client.quotas()[0], client.headers[header]), (status, value))


@claim(mounted=False)
def a_body_may_come_in_other_clothes(bench: Bench) -> None:
    client, sample = Client(bench), bench.zoo["noise-131073"]
    bench.proxy.fail("download", typed("text/html"), times=1)
    bench.proxy.fail("download", in_chunks, times=1)
    bench.proxy.fail("download", trickle(50_000, 0.1), times=1)
    bench.proxy.fail("download", compressed, times=1)
    same(client.download(sample.sha256), (200, sample.content))
    same(client.headers.get_all("Content-Type"), ["text/html"])
    same(client.download(sample.sha256), (200, sample.content))
    same((client.headers["Transfer-Encoding"], client.headers["Content-Length"]), ("chunked", None))
    started = time.monotonic()
    same(client.download(sample.sha256), (200, sample.content))
    assert time.monotonic() - started > 0.25
    status, body = client.download(sample.sha256)
    same((status, client.headers["Content-Encoding"], gzip.decompress(body) == sample.content), (200, "gzip", True))


@claim(mounted=False)
def an_endless_body_does_not_end(bench: Bench) -> None:
    bench.proxy.fail("quotas", endless("application/json", b"{"))
    connection = http.client.HTTPConnection(bench.proxy.url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/malquery/aggregates/quotas/v1")
    same(len(connection.getresponse().read(8 << 20)), 8 << 20)
    connection.close()


@claim(mounted=False)
def garbage_is_no_http(bench: Bench) -> None:
    bench.proxy.fail("quotas", garbage)
    assert is_broken(Client(bench).quotas), "it was an answer"
    same([call.route for call in bench.proxy.calls()], ["token", "quotas"])


@claim(mounted=False)
def a_stalled_route_stops_no_other(bench: Bench) -> None:
    stall = bench.proxy.fail("download", Stall())
    sample, got = bench.zoo["pe32"], []
    slow = threading.Thread(target=lambda: got.append(Client(bench).download(sample.sha256)))
    slow.start()
    assert stall.arrived.wait(10)
    started = time.monotonic()
    same(Client(bench).quotas()[0], 200)
    assert time.monotonic() - started < AT_ONCE_S
    stall.release()
    slow.join()
    same(got, [(200, sample.content)])


@claim(mounted=False)
def a_service_that_is_down_comes_back_on_its_port(bench: Bench) -> None:
    url = bench.proxy.url
    Client(bench)
    bench.proxy.down()
    same(errno_of(Client, bench), "ECONNREFUSED")
    bench.proxy.up()
    same(bench.proxy.url, url)
    same(Client(bench).quotas()[0], 200)


if __name__ == "__main__":
    main()
