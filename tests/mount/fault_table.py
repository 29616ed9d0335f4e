"""What a program sees when the service, or the way to it, fails: each route, each fault, once and for ever.

The rows are the page src/FAULTS.md, which `fault_table.py` prints, and scenario_faults.py tries every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy import (Fault, Stall, answer, compressed, cut, endless, expired, flip, garbage, gateway, html, in_chunks,
                   moved, rate_limited, reset_after, reset_before, retry_after, trickle, typed)

ERROR_INSIDE = '{"meta": {}, "errors": [{"code": 500, "message": "the index is away"}]}'

# How a fault is called: in words, and what it does.
FAULTS: dict[str, tuple[str, Fault]] = {
    "400": ("400", gateway(400, "bad request")),
    "401": ("401 in mid-session", expired),
    "403": ("403", gateway(403, "access denied, scope not permitted")),
    "404": ("404", gateway(404, "not found")),
    "404-page": ("404 as a page of HTML", html(404)),
    "408": ("408", gateway(408, "request timeout")),
    "429-epoch": ("429 with an epoch second", lambda exchange: rate_limited(0)(exchange)),
    "429-seconds": ("429 with Retry-After", retry_after(1)),
    "429-bare": ("429 without a time", gateway(429, "quota exceeded")),
    "308": ("308 to another cloud", moved("us-2")),
    "500": ("500", gateway(500, "Internal Server Error")),
    "500-empty": ("500 without a body", answer(500)),
    "502": ("502 as a page of HTML", html(502)),
    "503": ("503 without a body", answer(503)),
    "504": ("504", gateway(504, "gateway timeout")),
    "200-empty": ("200 without a body", answer(200)),
    "200-page": ("200 with a page of HTML", html(200)),
    "200-error": ("200 with JSON that holds a 500", answer(200, ERROR_INSIDE, Content_Type="application/json")),
    "reset-before": ("reset before the request", reset_before),
    "reset-after": ("reset after the request was done", reset_after),
    "cut": ("cut in the middle", cut),
    "garbage": ("bytes that are no HTTP", garbage),
    "flip": ("one bit flipped", flip),
    "typed": ("wrong Content-Type", typed("text/html")),
    "typed-json": ("bytes as application/json", typed("application/json")),
    "gzip": ("gzip that nobody asked for", compressed),
    "chunked": ("chunked", in_chunks),
    "trickle": ("a trickle", trickle(64, 0.02)),
    "stall": ("no answer for a minute", Stall()),
    "endless": ("a body without end", endless("application/json", b'{"meta": ')),
    "endless-bytes": ("bytes without end", endless("application/octet-stream")),
}

# No answer at all: five of them in a row, and nobody asks for 30 s.
SILENT = ("reset-before", "reset-after", "garbage")

ONCE, EVER = "once", "for ever"


@dataclass(frozen=True)
class Row:
    """What comes of it, the same for each of `faults`.

    `sees` is "ok" or the errno of the call that is tried, after a comma the state of what was submitted; `calls` is how
    often the route was called; `spent` what the audit says of it; `told` the events.
    """

    route: str
    times: str
    faults: str
    sees: str
    calls: int
    spent: str = ""
    told: str = ""

    @property
    def names(self) -> list[str]:
        return self.faults.split()

    @property
    def words(self) -> str:
        return " · ".join(FAULTS[name][0] for name in self.names)

    @property
    def line(self) -> str:
        cells = (self.words, self.times, self.sees, str(self.calls), self.spent or "–", self.told or "–")
        return f"| {' | '.join(cells)} |"


# How a route is tried.
ROUTES = {
    "token": "`stat samples/HASH`, after a 401",
    "quotas": "`cat quotas`, the first after the mount",
    "metadata": "`stat samples/HASH`",
    "download": "`cat samples/HASH`; three times under a fault that stays",
    "multidownload": "`cp list.txt downloads/`",
    "fetch": "the same, when the archive is ready",
    "hunt": "`cp rule.yar hunts/`",
    "exact": "`mkdir searches/exact/PATTERN`",
    "fuzzy": "`mkdir searches/fuzzy/PATTERN`",
    "requests": "`stat requests/ID` of a request of somebody else",
}

ROWS = [
    Row("token", ONCE, "502 503 504 reset-before reset-after cut 429-epoch 429-bare", "ok", 2),
    Row("token", EVER, "502 503 504 cut", "EREMOTEIO", 5),
    Row("token", EVER, "reset-before reset-after", "EREMOTEIO", 6),
    Row("token", EVER, "429-bare", "EAGAIN", 5),
    Row("token", EVER, "400 401 403", "EKEYREJECTED", 1, told="unauthorized"),
    Row("token", EVER, "404 404-page 308 200-empty 200-page 200-error gzip garbage", "EPROTO", 1),
    Row("token", EVER, "500 500-empty", "EREMOTEIO", 1),
    Row("token", EVER, "endless", "EFBIG", 1),
    Row("token", EVER, "typed chunked trickle", "ok", 1),

    Row("quotas", ONCE, "502 503 504 reset-before reset-after cut 401 429-epoch 429-seconds 429-bare", "ok", 2),
    Row("quotas", EVER, "503 cut", "EREMOTEIO", 5),
    Row("quotas", EVER, "reset-after", "ENETUNREACH", 6, told="offline"),
    Row("quotas", EVER, "429-bare", "EAGAIN", 5),
    Row("quotas", EVER, "401", "EKEYREJECTED", 2, told="unauthorized"),
    Row("quotas", EVER, "403", "EACCES", 1, told="unauthorized"),
    Row("quotas", EVER, "400", "EINVAL", 1),
    Row("quotas", EVER, "404 308 200-empty 200-page 200-error gzip garbage", "EPROTO", 1),
    Row("quotas", EVER, "500 500-empty", "EREMOTEIO", 1),
    Row("quotas", EVER, "endless", "EFBIG", 1),
    Row("quotas", EVER, "typed chunked trickle", "ok", 1),

    Row("metadata", ONCE, "502 503 504 reset-before reset-after cut 401 429-epoch 429-seconds 429-bare", "ok", 2),
    Row("metadata", EVER, "502 503 504 cut", "EREMOTEIO", 5),
    Row("metadata", EVER, "reset-before reset-after", "EREMOTEIO", 6),
    Row("metadata", EVER, "429-epoch 429-bare", "EAGAIN", 5),
    Row("metadata", EVER, "401", "EKEYREJECTED", 2, told="unauthorized"),
    Row("metadata", EVER, "403", "EACCES", 1, told="unauthorized"),
    Row("metadata", EVER, "400", "EINVAL", 1),
    Row("metadata", EVER, "404", "ENOENT", 1),
    Row("metadata", EVER, "404-page 308 200-empty 200-page gzip garbage", "EPROTO", 1),
    Row("metadata", EVER, "500 500-empty 200-error", "EREMOTEIO", 1),
    Row("metadata", EVER, "endless", "EFBIG", 1),
    Row("metadata", EVER, "typed chunked trickle", "ok", 1),
    Row("metadata", EVER, "stall", "ETIMEDOUT", 1),

    Row("download", ONCE, "401 429-epoch 429-seconds", "ok", 2, "paid 1"),
    Row("download", ONCE, "429-bare", "EDQUOT", 1, "free", "exhausted failed"),
    Row("download", ONCE, "404", "ENODATA", 1, "free", "failed"),
    Row("download", ONCE, "500 500-empty 502 503 504 reset-before reset-after cut", 
        "EREMOTEIO", 1, "unsure 1", "failed"),
    Row("download", EVER, "200-error 503 reset-before reset-after cut", 
        "EREMOTEIO", 2, "unsure 1 unsure 1", "failed"),
    Row("download", EVER, "401", "EKEYREJECTED", 6, "free free free", "failed unauthorized"),
    Row("download", EVER, "403", "EACCES", 3, "free free free", "failed unauthorized"),
    Row("download", ONCE, "408", "ETIMEDOUT", 1, "free", "failed offline"),
    Row("download", EVER, "400", "EINVAL", 3, "free free free", "failed"),
    Row("download", EVER, "404-page 308", "EPROTO", 3, "free free free", "failed"),
    Row("download", EVER, "garbage typed-json", "EPROTO", 2, "unsure 1 unsure 1", "failed"),
    Row("download", EVER, "200-empty 200-page flip gzip", "EBADMSG", 2, "paid 1 paid 1", "failed"),
    Row("download", EVER, "endless-bytes", "EFBIG", 1, "unsure 1", "failed"),
    Row("download", ONCE, "typed chunked trickle", "ok", 1, "paid 1"),
    Row("download", EVER, "stall", "ETIMEDOUT", 1, "unsure 1", "failed offline"),

    Row("multidownload", ONCE, "401 429-epoch 429-seconds", "ok", 2, "paid 1"),
    Row("multidownload", ONCE, "429-bare", "EDQUOT, rejected", 1, "free", "exhausted rejected"),
    Row("multidownload", ONCE, "500 502 503 504 reset-before reset-after cut", 
        "EREMOTEIO, failed", 1, "unsure 1", "failed"),
    Row("multidownload", EVER, "200-empty 200-page 200-error gzip garbage", "EPROTO, failed", 1, "unsure 1", "failed"),
    Row("multidownload", EVER, "401", "EKEYREJECTED, rejected", 2, "free", "rejected unauthorized"),
    Row("multidownload", EVER, "403", "EACCES, rejected", 1, "free", "rejected unauthorized"),
    Row("multidownload", EVER, "400", "EINVAL, rejected", 1, "free", "rejected"),
    Row("multidownload", EVER, "404", "ok", 1, "free"),
    Row("multidownload", EVER, "404-page 308", "EPROTO, rejected", 1, "free", "rejected"),
    Row("multidownload", EVER, "endless", "EFBIG, failed", 1, "unsure 1", "failed"),
    Row("multidownload", ONCE, "typed chunked trickle", "ok", 1, "paid 1"),
    Row("multidownload", EVER, "stall", "ok, queued", 1, "unsure 1", "failed"),

    Row("hunt", ONCE, "401 429-epoch 429-seconds", "ok", 2, "paid 1"),
    Row("hunt", ONCE, "429-bare", "EDQUOT, rejected", 1, "free", "exhausted rejected"),
    Row("hunt", ONCE, "500 500-empty 502 503 504 reset-before reset-after cut", 
        "EREMOTEIO, failed", 1, "unsure 1", "failed"),
    Row("hunt", EVER, "200-empty 200-page 200-error gzip garbage", "EPROTO, failed", 1, "unsure 1", "failed"),
    Row("hunt", EVER, "401", "EKEYREJECTED, rejected", 2, "free", "rejected unauthorized"),
    Row("hunt", EVER, "403", "EACCES, rejected", 1, "free", "rejected unauthorized"),
    Row("hunt", ONCE, "408", "ok, queued", 1, "free", "offline queued"),
    Row("hunt", EVER, "400", "EINVAL, rejected", 1, "free", "rejected"),
    Row("hunt", EVER, "404 404-page 308", "EPROTO, rejected", 1, "free", "rejected"),
    Row("hunt", EVER, "endless", "EFBIG, failed", 1, "unsure 1", "failed"),
    Row("hunt", EVER, "429-epoch", "ok, queued", 5, "free", "queued"),
    Row("hunt", ONCE, "typed chunked trickle", "ok", 1, "paid 1"),
    Row("hunt", EVER, "stall", "ok, queued", 1, "unsure 1", "failed"),

    Row("exact", ONCE, "401 429-epoch 429-seconds", "ok", 2, "paid 1"),
    Row("exact", ONCE, "429-bare", "EDQUOT", 1, "free", "exhausted rejected"),
    Row("exact", ONCE, "500 500-empty 502 503 504 reset-before reset-after cut", 
        "EREMOTEIO, failed", 1, "unsure 1", "failed"),
    Row("exact", EVER, "200-empty 200-page 200-error gzip garbage", "EPROTO, failed", 1, "unsure 1", "failed"),
    Row("exact", EVER, "401", "EKEYREJECTED", 2, "free", "rejected unauthorized"),
    Row("exact", EVER, "403", "EACCES", 1, "free", "rejected unauthorized"),
    Row("exact", EVER, "400", "EINVAL", 1, "free", "rejected"),
    Row("exact", EVER, "404 404-page 308", "EPROTO", 1, "free", "rejected"),
    Row("exact", EVER, "endless", "EFBIG, failed", 1, "unsure 1", "failed"),
    Row("exact", ONCE, "typed chunked trickle", "ok", 1, "paid 1"),
    Row("exact", EVER, "stall", "ok, queued", 1, "unsure 1", "failed"),

    Row("fuzzy", ONCE, "401 429-epoch 429-seconds 429-bare 502 503 504 reset-before reset-after cut", "ok", 2),
    Row("fuzzy", EVER, "503", "ok, queued", 5, told="queued"),
    Row("fuzzy", EVER, "200-error", "ok, queued", 1, told="queued"),
    Row("fuzzy", EVER, "429-bare", "ok, queued", 5, told="queued"),
    Row("fuzzy", EVER, "401", "EKEYREJECTED", 2, told="rejected unauthorized"),
    Row("fuzzy", EVER, "403", "EACCES", 1, told="rejected unauthorized"),
    Row("fuzzy", EVER, "400", "EINVAL", 1, told="rejected"),
    Row("fuzzy", EVER, "404 404-page 308", "EPROTO", 1, told="rejected"),
    Row("fuzzy", EVER, "200-empty 200-page gzip garbage", "EPROTO", 1, told="rejected"),
    Row("fuzzy", EVER, "endless", "EFBIG", 1, told="rejected"),
    Row("fuzzy", ONCE, "typed chunked trickle", "ok", 1),
    Row("fuzzy", EVER, "stall", "ok, queued", 1),

    Row("requests", ONCE, "401 429-epoch 429-seconds 429-bare 502 503 504 reset-before reset-after cut", "ok", 2),
    Row("requests", EVER, "502 503 504 cut", "EREMOTEIO", 5),
    Row("requests", EVER, "reset-before reset-after", "EREMOTEIO", 6),
    Row("requests", EVER, "429-bare", "EAGAIN", 5),
    Row("requests", EVER, "500 200-error", "EREMOTEIO", 1),
    Row("requests", EVER, "401", "EKEYREJECTED", 2, told="unauthorized"),
    Row("requests", EVER, "403", "EACCES", 1, told="unauthorized"),
    Row("requests", EVER, "400 404", "ENOENT", 1),
    Row("requests", EVER, "404-page 308 200-empty 200-page gzip garbage", "EPROTO", 1),
    Row("requests", EVER, "endless", "EFBIG", 1),
    Row("requests", ONCE, "typed chunked trickle", "ok", 1),
    Row("requests", EVER, "stall", "ETIMEDOUT", 1),

    Row("fetch", ONCE, "503 reset-after 401 429-epoch flip 200-page gzip", "done", 2, "paid 1"),
    Row("fetch", ONCE, "cut", "done", 2, "paid 1"),
    Row("fetch", ONCE, "typed chunked trickle", "done", 1, "paid 1"),
    Row("fetch", EVER, "404 308", "inprogress", 1, "paid 1"),
    Row("fetch", EVER, "500", "inprogress", 1, "paid 1"),
    Row("fetch", EVER, "503", "inprogress", 5, "paid 1"),
]


def page() -> str:
    lines = []
    for route, how in ROUTES.items():
        lines += [f"### {route}", "", f"Tried with {how}.", "",
                  "| fault | | the program sees | calls | spent | events |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [row.line for row in ROWS if row.route == route]
        lines.append("")
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    print(page())
