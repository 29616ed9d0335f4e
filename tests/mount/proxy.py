"""A recording, fault-injecting HTTP proxy between the filesystem and the engine.

It sees every call in order, so that a scenario can say how many of them cost quota, and it can make any of them go
wrong. A fault is a function from an Exchange to the Reply to send, or to None for a connection that is reset:

    proxy.fail("download", answer(404), times=1)
    proxy.fail("hunt", Stall())
"""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

ROUTES = {
    ("POST", "/oauth2/token"): "token",
    ("POST", "/oauth2/revoke"): "revoke",
    ("GET", "/malquery/aggregates/quotas/v1"): "quotas",
    ("POST", "/malquery/combined/fuzzy-search/v1"): "fuzzy",
    ("GET", "/malquery/entities/download-files/v1"): "download",
    ("GET", "/malquery/entities/metadata/v1"): "metadata",
    ("GET", "/malquery/entities/requests/v1"): "requests",
    ("GET", "/malquery/entities/samples-fetch/v1"): "fetch",
    ("POST", "/malquery/entities/samples-multidownload/v1"): "multidownload",
    ("POST", "/malquery/queries/exact-search/v1"): "exact",
    ("POST", "/malquery/queries/hunt/v1"): "hunt",
}
PAID_ROUTES = ("hunt", "exact", "download", "multidownload")
HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
STALL_MAX_S = 60
BODY_MAX_BYTES = 16 << 20
PIECE_BYTES = 1 << 16  # of a body that is sent in pieces
TRACE_ID = "6b1c0f2e-0d52-4b0a-9f51-3d7f6a9b2c11"


@dataclass
class Call:
    """One request as it came, and the answer that was sent: status None as long as there is none."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    nth: int = 0  # of its connection
    status: int | None = None
    answer: bytes = b""

    @property
    def route(self) -> str:
        return ROUTES.get((self.method, self.path), "unknown")

    @property
    def ids(self) -> list[str]:
        return [value for key, value in parse_qsl(self.query) if key == "ids"]

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def reqid(self) -> str:
        return json.loads(self.answer)["meta"]["reqid"]

    @property
    def units(self) -> list[str]:
        """What this call costs, one item a unit: the kind of search, or the hash of a download."""
        match self.route:
            case "hunt" | "exact":
                return [self.route]
            case "download":
                return self.ids
            case "multidownload":
                return self.json["samples"]
        return []

    @property
    def may_be_charged(self) -> bool:
        """A refusal (3xx, 4xx) costs nothing; an answer, a failure and silence may."""
        return self.status is None or not 300 <= self.status < 500

    def __str__(self) -> str:
        return f"{self.method} {self.path}?{self.query} {self.body[:300]!r} -> {self.status}"


@dataclass
class Reply:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent_bytes: int | None = None  # fewer than the body has: the connection is cut after them
    pieces: Iterable[bytes] | None = None  # the body instead, in chunks, each when it comes; may be without end
    wire: bytes | None = None  # these bytes instead of any HTTP, and the connection is closed


@dataclass
class Exchange:
    call: Call
    forward: Callable[[], Reply]


Fault = Callable[[Exchange], Reply | None]


# ---- faults ----


def answer(status: int, body: bytes | str = b"", **headers: str) -> Fault:
    """This status and body instead of the engine's; header names with _ for -."""
    raw = body.encode() if isinstance(body, str) else body
    return lambda exchange: Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def gateway(status: int, message: str, **headers: str) -> Fault:
    """An error as the gateway words it."""
    meta = {"query_time": 1.27e-07, "powered_by": "crowdstrike-api-gateway", "trace_id": TRACE_ID}
    body = json.dumps({"meta": meta, "errors": [{"code": status, "message": message}]}, indent=1)
    return answer(status, body, Content_Type="application/json", X_Cs_Traceid=TRACE_ID, **headers)


def rate_limited(retry_after_s: float) -> Fault:
    """429; the service names the epoch second of the next try, here one that is `retry_after_s` from now."""
    retry_after = str(int(time.time() + retry_after_s))
    return gateway(429, "API rate limit exceeded.", X_Ratelimit_Retryafter=retry_after, X_Ratelimit_Remaining="0")


def retry_after(seconds: int) -> Fault:
    """429 with the header of the standard, which counts from now."""
    return gateway(429, "API rate limit exceeded.", Retry_After=str(seconds), X_Ratelimit_Remaining="0")


def expired(exchange: Exchange) -> Reply:
    """What the gateway says of a token that is none any more."""
    return gateway(401, "access denied, invalid bearer token")(exchange)


def moved(region: str) -> Fault:
    """308 to the cloud `region`, as the gateway sends it: by name, and with an address that nobody may follow."""
    return answer(308, X_Cs_Region=region, Location=f"https://api.{region}.crowdstrike.com/", X_Cs_Traceid=TRACE_ID)


def html(status: int) -> Fault:
    """A page of the front end."""
    return answer(status, f"<html><body><h1>{status}</h1></body></html>", Content_Type="text/html")


html_502 = html(502)


def failed_job(reason: str) -> Fault:
    """The poll of a job that failed."""

    def fault(exchange: Exchange) -> Reply:
        meta = {"query_time": 120, "powered_by": "malquery-api", "trace_id": TRACE_ID,
                "reqid": exchange.call.ids[0], "reqtype": "hunt", "status": "failed"}
        body = {"meta": meta, "errors": [{"code": 500, "message": reason}], "resources": []}
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    return fault


def delay(seconds: float) -> Fault:
    def fault(exchange: Exchange) -> Reply:
        time.sleep(seconds)
        return exchange.forward()

    return fault


def cut(exchange: Exchange) -> Reply:
    """Only the first half of the body."""
    reply = exchange.forward()
    reply.sent_bytes = len(reply.body) // 2
    return reply


def flip(exchange: Exchange) -> Reply:
    """One bit in the middle of the body is another."""
    reply = exchange.forward()
    middle = len(reply.body) // 2
    reply.body = reply.body[:middle] + bytes([reply.body[middle] ^ 1]) + reply.body[middle + 1 :]
    return reply


def garbage(exchange: Exchange) -> Reply:
    """Bytes that are no HTTP; the engine has seen nothing."""
    return Reply(200, wire=b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(range(256)))


def typed(content_type: str) -> Fault:
    """The right body under another Content-Type."""

    def fault(exchange: Exchange) -> Reply:
        reply = exchange.forward()
        reply.headers = {name: value for name, value in reply.headers.items() if name.lower() != "content-type"}
        reply.headers["Content-Type"] = content_type
        return reply

    return fault


def compressed(exchange: Exchange) -> Reply:
    """gzip that nobody asked for."""
    reply = exchange.forward()
    reply.body = gzip.compress(reply.body)
    reply.headers["Content-Encoding"] = "gzip"
    return reply


def in_chunks(exchange: Exchange) -> Reply:
    """Transfer-Encoding: chunked, in small and uneven pieces."""
    reply = exchange.forward()
    sizes = [1, 7, 1000, PIECE_BYTES]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    ends = starts[1:] + [len(reply.body)]
    reply.pieces = [reply.body[start:end] for start, end in zip(starts, ends)]
    return reply


def trickle(n_bytes: int, pause_s: float) -> Fault:
    """So many bytes, a pause, and so on."""

    def fault(exchange: Exchange) -> Reply:
        reply = exchange.forward()

        def slowly() -> Iterator[bytes]:
            for start in range(0, len(reply.body), n_bytes):
                yield reply.body[start : start + n_bytes]
                time.sleep(pause_s)

        reply.pieces = slowly()
        return reply

    return fault


def endless(content_type: str, start: bytes = b"") -> Fault:
    """200 and a body that never ends."""

    def forever() -> Iterator[bytes]:
        yield start
        while True:
            yield b" " * PIECE_BYTES

    return lambda exchange: Reply(200, {"Content-Type": content_type}, pieces=forever())


def rewrite(change: Callable[[dict], None]) -> Fault:
    """`change` edits the engine's JSON in place."""

    def fault(exchange: Exchange) -> Reply:
        reply = exchange.forward()
        body = json.loads(reply.body)
        change(body)
        reply.body = json.dumps(body).encode()
        return reply

    return fault


def reset_before(exchange: Exchange) -> None:
    """The connection is reset, and the engine has seen nothing."""


def reset_after(exchange: Exchange) -> None:
    """The engine did it, but its answer is lost."""
    exchange.forward()


class Stall:
    """Holds every call until release(); `arrived` is set by the first."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._released = threading.Event()

    def __call__(self, exchange: Exchange) -> Reply:
        self.arrived.set()
        self._released.wait(STALL_MAX_S)
        return exchange.forward()

    def release(self) -> None:
        self._released.set()


# ---- the proxy ----


class EngineConnection(http.client.HTTPConnection):
    """HTTP to `http://127.0.0.1:PORT` or `unix:/path`."""

    def __init__(self, url: str) -> None:
        self._socket_path = url.removeprefix("unix:") if url.startswith("unix:") else None
        super().__init__("localhost" if self._socket_path else urlsplit(url).netloc, timeout=STALL_MAX_S)

    def connect(self) -> None:
        if self._socket_path:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._socket_path)
        else:
            super().connect()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no news."""


class Proxy:
    """Listens on `url` from the start; down() and up() take the service away and give it back on the same port."""

    def __init__(self, engine_url: str) -> None:
        self.engine_url = engine_url
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._faults: dict[str, list[tuple[Fault, int | None]]] = {}
        self._stalls: list[Stall] = []
        self._sockets: set[socket.socket] = set()
        self._server: Server | None = None
        self._port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        self._server = Server(("127.0.0.1", self._port), self._handler())
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        if not self._server:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        self.hang_up()

    def hang_up(self) -> None:
        """Resets all connections; new ones are taken."""
        with self._lock:
            for connection in self._sockets:
                reset(connection)

    def close(self) -> None:
        for stall in self._stalls:
            stall.release()
        self.down()

    # what goes wrong

    def fail(self, route: str, fault: Fault, times: int | None = None) -> Fault:
        """From now on `route` has this fault, `times` times or for ever; earlier ones of the route come first."""
        assert route in ROUTES.values(), route
        with self._lock:
            self._faults.setdefault(route, []).append((fault, times))
            if isinstance(fault, Stall):
                self._stalls.append(fault)
        return fault

    def heal(self, route: str) -> None:
        with self._lock:
            self._faults.pop(route, None)

    # what was seen

    def calls(self, *routes: str) -> list[Call]:
        with self._lock:
            return [call for call in self._calls if not routes or call.route in routes]

    def forget(self, *routes: str) -> None:
        """The calls of these so far; all the bytes of a run of hours would be too many."""
        with self._lock:
            self._calls = [call for call in self._calls if call.route not in routes]

    def asked(self) -> list[Call]:
        """Calls for somebody's sake: without token and quotas, which a mount asks for by itself."""
        return [call for call in self.calls() if call.route not in ("token", "quotas")]

    def paid(self) -> list[str]:
        """Every unit of quota that the service may have charged, in order: "hunt", "exact" or a hash."""
        return [unit for call in self.calls(*PAID_ROUTES) if call.may_be_charged for unit in call.units]

    # inside

    def _take_fault(self, route: str) -> Fault | None:
        with self._lock:
            faults = self._faults.get(route)
            if not faults:
                return None
            fault, times = faults[0]
            if times == 1:
                faults.pop(0)
            elif times:
                faults[0] = (fault, times - 1)
            return fault

    def _forward(self, call: Call) -> Reply:
        connection = EngineConnection(self.engine_url)
        try:
            headers = {name: value for name, value in call.headers.items() if name.lower() not in HOP_HEADERS}
            target = f"{call.path}?{call.query}" if call.query else call.path
            connection.request(call.method, target, call.body or None, headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP_HEADERS}
        return Reply(response.status, kept, body)

    def _exchange(self, call: Call) -> Reply | None:
        with self._lock:
            self._calls.append(call)
        fault = self._take_fault(call.route)
        exchange = Exchange(call, lambda: self._forward(call))
        reply = fault(exchange) if fault else exchange.forward()
        if reply:
            call.status, call.answer = reply.status, reply.body
        return reply

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                self.n_calls = 0
                with proxy._lock:
                    proxy._sockets.add(self.connection)

            def finish(self) -> None:
                with proxy._lock:
                    proxy._sockets.discard(self.connection)
                super().finish()

            def log_message(self, *args: object) -> None:
                """The calls themselves are the log."""

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                length = min(int(self.headers.get("Content-Length") or 0), BODY_MAX_BYTES)
                headers = {name.lower(): value for name, value in self.headers.items()}
                call = Call(self.command, url.path, url.query, headers, self.rfile.read(length), self.n_calls)
                self.n_calls += 1
                try:
                    reply = proxy._exchange(call)
                except OSError as error:
                    reply = Reply(503, {}, f"the engine is not there: {error}".encode())
                if reply:
                    self.send(reply)
                else:
                    self.close_connection = True
                    reset(self.connection)

            do_POST = do_GET

            def send(self, reply: Reply) -> None:
                if reply.wire is not None:
                    self.wfile.write(reply.wire)
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.pieces is None:
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body[: reply.sent_bytes])
                else:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    self.send_pieces(reply.pieces)
                self.wfile.flush()
                if reply.sent_bytes is not None:
                    self.close_connection = True

            def send_pieces(self, pieces: Iterable[bytes]) -> None:
                for piece in filter(None, pieces):
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

        return Handler


def reset(connection: socket.socket) -> None:
    """Ends a connection with RST."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side was faster
