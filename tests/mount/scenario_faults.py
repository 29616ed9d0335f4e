"""Every row of fault_table.py on real mounts: errno, calls, what is spent, what is told; and never a wrong byte."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from urllib.parse import urlencode

from fault_table import EVER, FAULTS, ONCE, ROUTES, ROWS, SILENT, Row
from harness import AT_ONCE_S, CREDENTIALS, JOB_MAX_S, Bench, claim, errno_of, main, same, until
from proxy import EngineConnection, Stall, expired
from samples import Sample, pool, pooled

LANES_MAX = 12  # mounts at once: nearly all of their time they wait
BUDGET = 1000
SETTLE_MAX_S = 15
QUEUED_MAX_S = 20
BREAK_MAX_S = 50
LANE_MAX_S = 140
NEWS = {"failed", "rejected", "queued", "offline", "unauthorized", "exhausted"}
PAID_POSTS = ("hunt", "exact", "multidownload")
OPENS = {ONCE: 1, EVER: 3}
OPEN_BOUGHT_MAX = 2


def outcome(action: Callable[..., object], *args: object) -> str:
    return errno_of(action, *args) or "ok"


def words(error: Exception) -> str:
    return str(error) if isinstance(error, AssertionError) else traceback.format_exc()


class Cell:
    """One fault on one route of a mount; what was there before does not count."""

    def __init__(self, lane: Lane, row: Row, fault: str) -> None:
        self.lane, self.row, self.fault = lane, row, fault
        self.bench, self.proxy = lane.bench, lane.bench.proxy
        self.n_calls = len(self.proxy.calls(row.route))
        self.n_paid = len(self.proxy.paid())
        self.n_audit = len(self.lane.audit())
        self.n_left = self.lane.left()
        self.n_events = len(self.lane.events())

    def start(self) -> None:
        self.proxy.fail(self.row.route, FAULTS[self.fault][1], 1 if self.row.times == ONCE else None)

    def calls(self) -> int:
        return len(self.proxy.calls(self.row.route)) - self.n_calls

    def cost(self) -> tuple[int, int, int]:
        """Units that the service may have charged, that the budget lost, and that the audit has."""
        return (len(self.proxy.paid()) - self.n_paid, self.n_left - self.lane.left(),
                sum(line["cost"] for line in self.lane.audit()[self.n_audit :]))

    def spent(self) -> str:
        """"unsure 1", in the order of the audit; what the proxy saw and the budget lost is the same, once it is settled:
        a submission is under way when its call is seen."""
        with contextlib.suppress(AssertionError):
            until(lambda: len(set(self.cost())) == 1, SETTLE_MAX_S, "three accounts that agree")
        paid, lost, audited = self.cost()
        same((paid, lost), (audited, audited), "what the service may have charged, the budget, and the audit")
        return " ".join(f"{line['outcome']} {line['cost']}" if line["cost"] else line["outcome"]
                        for line in self.lane.audit()[self.n_audit :])

    def told(self) -> str:
        return " ".join(sorted({event["event"] for event in self.lane.events()[self.n_events :]} & NEWS))

    def observe(self, sees: str) -> tuple[str, int, str, str]:
        if self.calls() < self.row.calls:
            until(lambda: self.calls() >= self.row.calls, SETTLE_MAX_S, f"{self.row.calls} calls, not {self.calls()}")
        return sees, self.calls(), self.spent(), self.told()


class Lane:
    """The rows of a route on a mount of their own, one after the other."""

    def __init__(self, bench: Bench, route: str) -> None:
        self.bench, self.route = bench, route
        self.samples = pooled(bench.zoo)
        self.n = 0
        self.problems: list[str] = []
        self.engine_headers: dict[str, str] = {}

    def audit(self) -> list[dict]:
        files = list(self.bench.state.glob("*/audit.jsonl"))
        return [json.loads(line) for line in files[0].read_text().splitlines()] if files else []

    def left(self) -> int:
        """Units of both budgets."""
        return sum(int(line.split("\t")[1]) for line in self.bench.read("budget").splitlines())

    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.bench.read("events").splitlines()]

    def fresh(self) -> Sample:
        return next(self.samples)

    def name(self) -> str:
        self.n += 1
        return f"{self.route}{self.n}"

    def run(self) -> None:
        self.at_rest()
        for row in ROWS:
            for fault in row.names if row.route == self.route and row.faults != "stall" else ():
                self.try_cell(row, fault)
        if self.route in PAID_POSTS:
            n_calls = len(self.bench.proxy.calls(self.route))
            self.remount()  # which sends what is queued
            same(len(self.bench.proxy.calls(self.route)), n_calls, "calls after a remount")
        assert not self.problems, "\n".join(self.problems)

    def at_rest(self) -> None:
        """What a mount does by itself at its start is over."""
        until(lambda: "\nmonth\t" in self.bench.read("status"), SETTLE_MAX_S, "quotas of the start")

    def remount(self) -> None:
        self.bench.remount()
        self.at_rest()

    def try_cell(self, row: Row, fault: str) -> None:
        try:
            same(self.stat(self.fresh()), "ok", "before")  # online, so that going offline is news
            cell = Cell(self, row, fault)
            got = ACTS[self.route](self, cell)
            same(got, (row.sees, row.calls, row.spent, row.told), "sees, calls, spent, told")
        except Exception as error:
            self.problems.append(f"{row.route} {fault} {row.times}: {words(error)}")
        self.bench.proxy.heal(row.route)
        if fault in SILENT or (self.route == "token" and row.sees == "EKEYREJECTED"):
            self.remount()  # who asks again at once is told to wait

    # what is tried; each returns what was seen, and leaves the mount as it was

    def stat(self, sample: Sample) -> str:
        seen = outcome(os.stat, self.bench.sample(sample))
        if seen == "ok":
            same(os.stat(self.bench.sample(sample)).st_size, sample.size, "size")
        return seen

    def read(self, sample: Sample) -> str:
        """Either an error or the truth."""
        seen = outcome(lambda: same(self.bench.sample(sample).read_bytes() == sample.content, True, "wrong bytes"))
        if seen == "ok":
            same(os.stat(self.bench.sample(sample)).st_size, sample.size, "size")
        return seen

    def metadata(self, cell: Cell) -> tuple:
        sample = self.fresh()
        cell.start()
        got = cell.observe(self.stat(sample))
        self.bench.proxy.heal("metadata")
        if cell.fault not in SILENT and got[0] not in ("ok", "ENOENT"):
            same(self.stat(sample), "ok", "afterwards")
        return got

    def token(self, cell: Cell) -> tuple:
        self.bench.proxy.fail("metadata", expired, 1)
        sample = self.fresh()
        cell.start()
        got = cell.observe(self.stat(sample))
        self.bench.proxy.heal("token")
        return got

    def quotas(self, cell: Cell) -> tuple:
        """Those of the start; who reads the file then asks again when they failed."""
        self.bench.unmount()
        cell.n_calls, cell.n_events = len(self.bench.proxy.calls("quotas")), 0
        cell.start()
        self.bench.mount()
        until(lambda: any(word in self.bench.read("status") for word in ("\nmonth\t", "\nlast_error\t")),
              SETTLE_MAX_S, "an answer, or none")
        calls = cell.calls()
        return outcome(self.bench.read, "quotas.json"), calls, cell.spent(), cell.told()

    def download(self, cell: Cell) -> tuple:
        sample = self.fresh()
        same(self.stat(sample), "ok", "before")
        cell.start()
        seen = [self.read(sample) for _ in range(OPENS[cell.row.times])]
        got = cell.observe(seen[-1])
        self.bench.proxy.heal("download")
        is_hopeless = got[2].count(" 1") == OPEN_BOUGHT_MAX or got[0] in ("ENODATA", "EFBIG")
        if cell.fault not in SILENT:
            same(self.read(sample), got[0] if is_hopeless else "ok", "afterwards")
        return got

    def submitted(self, cell: Cell, place: str, submit: Callable[[], object]) -> tuple:
        """What is queued is sent when the fault is over, by itself."""
        cell.start()
        seen = outcome(submit)
        is_queued = cell.row.sees.endswith("queued")
        until(lambda: ("queued" in cell.told()) == is_queued, SETTLE_MAX_S, "queued, or sent")
        if not is_queued:  # mkdir waits a moment only for a verdict that an answer puts off
            until(lambda: self.state(place) != "queued", SETTLE_MAX_S, "a verdict")
        state = self.state(place)
        got = cell.observe(seen if state in ("inprogress", "done", "") else f"{seen}, {state}")
        self.bench.proxy.heal(cell.row.route)
        if is_queued:
            until(lambda: self.state(place) in ("inprogress", "done"), QUEUED_MAX_S, "what was queued is sent")
        return got

    def state(self, place: str) -> str:
        status = self.bench.root / place / "status"
        return status.read_text().split()[0] if (self.bench.root / place).exists() else ""

    def hunt(self, cell: Cell) -> tuple:
        name = self.name()
        rule = self.bench.root / "hunts" / f"{name}.yar"
        return self.submitted(cell, f"hunts/{name}",
                              lambda: rule.write_text(f"rule {name} {{ condition: filesize < 100 }}\n"))

    def exact(self, cell: Cell) -> tuple:
        place = f"searches/exact/ascii:{self.name()} of the pool"
        return self.submitted(cell, place, lambda: os.mkdir(self.bench.root / place))

    def fuzzy(self, cell: Cell) -> tuple:
        place = f"searches/fuzzy/ascii:{self.name()} of the pool"
        return self.submitted(cell, place, lambda: os.mkdir(self.bench.root / place))

    def multidownload(self, cell: Cell) -> tuple:
        name, sample = self.name(), self.fresh()
        listing = self.bench.root / "downloads" / f"{name}.txt"
        got = self.submitted(cell, f"downloads/{name}", lambda: listing.write_text(sample.sha256 + "\n"))
        if got[0] == "ok":
            self.arrives(name, sample)
        return got

    def arrives(self, name: str, sample: Sample) -> None:
        until(lambda: self.state(f"downloads/{name}") == "done", JOB_MAX_S, "it arrives")
        same(self.read(sample), "ok", "bytes")

    def fetch(self, cell: Cell) -> tuple:
        name, sample = self.name(), self.fresh()
        cell.start()
        (self.bench.root / "downloads" / f"{name}.txt").write_text(sample.sha256 + "\n")
        until(lambda: cell.calls() >= cell.row.calls, SETTLE_MAX_S, f"{cell.row.calls} calls")
        until(lambda: self.state(f"downloads/{name}") == cell.row.sees, SETTLE_MAX_S, cell.row.sees)
        until(lambda: cell.told() == cell.row.told, SETTLE_MAX_S, cell.row.told)
        calls = cell.calls() if cell.row.times == ONCE else self.fetches_of_one_poll(cell)
        got = cell.row.sees, calls, cell.spent(), cell.told()
        self.bench.proxy.heal("fetch")
        if cell.fault not in SILENT:
            self.arrives(name, sample)
        return got

    def fetches_of_one_poll(self, cell: Cell) -> int:
        """Under a fault that stays there is no end: the next poll brings the next."""
        routes = [call.route for call in self.bench.proxy.calls("fetch", "requests")]
        first = [number for number, route in enumerate(routes) if route == "fetch"][cell.n_calls]
        return len(list(takewhile(lambda route: route == "fetch", routes[first:])))

    def requests(self, cell: Cell) -> tuple:
        reqid = self.hunt_of_somebody_else()
        cell.start()
        seen = outcome(os.stat, self.bench.root / "requests" / reqid)
        got = cell.observe(seen)
        self.bench.proxy.heal("requests")
        if cell.fault not in SILENT:
            until(lambda: self.bench.read(f"requests/{reqid}/status").startswith("done"), JOB_MAX_S, "done")
            names = os.listdir(self.bench.root / "requests" / reqid / "samples")
            same(names, [self.bench.zoo["pe32"].sha256], "results")
        return got

    def hunt_of_somebody_else(self) -> str:
        """Past the proxy; finished, and of one result."""
        rule = f"rule r{self.n} {{ condition: filesize == {self.bench.zoo['pe32'].size} }}"
        self.n += 1
        reqid = self.engine("POST", "/malquery/queries/hunt/v1", json.dumps({"yara_rule": rule}))["meta"]["reqid"]
        until(lambda: self.engine("GET", f"/malquery/entities/requests/v1?ids={reqid}")["meta"]["status"] == "done",
              JOB_MAX_S, "the hunt")
        return reqid

    def engine(self, method: str, path: str, body: str | None = None) -> dict:
        connection = EngineConnection(self.bench.proxy.engine_url)
        if not self.engine_headers:
            form = urlencode({"client_id": CREDENTIALS["FALCON_CLIENT_ID"],
                              "client_secret": CREDENTIALS["FALCON_CLIENT_SECRET"]})
            connection.request("POST", "/oauth2/token", form, {"Content-Type": "application/x-www-form-urlencoded"})
            token = json.loads(connection.getresponse().read())["access_token"]
            self.engine_headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, body, self.engine_headers)
        return json.loads(connection.getresponse().read())


ACTS: dict[str, Callable[[Lane, Cell], tuple]] = {route: getattr(Lane, route) for route in ROUTES}


# ---- what takes its time is tried at once ----


class Stalls(Lane):
    """Every row about a service that does not answer, on one mount."""

    def run(self) -> None:
        self.at_rest()
        rows = {row.route: row for row in ROWS if row.faults == "stall"}
        known = {route: self.fresh() for route in ("download", "multidownload")}
        for sample in known.values():
            same(self.stat(sample), "ok", "before")
        reqid = self.hunt_of_somebody_else()
        stalls = {route: self.bench.proxy.fail(route, Stall()) for route in rows}
        acts = {
            "metadata": lambda: os.stat(self.bench.sample(self.fresh())),
            "download": lambda: self.bench.sample(known["download"]).read_bytes(),
            "requests": lambda: os.stat(self.bench.root / "requests" / reqid),
            "hunt": lambda: (self.bench.root / "hunts/h.yar").write_text("rule h { condition: filesize < 100 }\n"),
            "exact": lambda: os.mkdir(self.bench.root / "searches/exact/ascii:sample"),
            "fuzzy": lambda: os.mkdir(self.bench.root / "searches/fuzzy/ascii:sample"),
            "multidownload": lambda: (self.bench.root / "downloads/l.txt").write_text(known["multidownload"].sha256),
        }
        same(acts.keys(), rows.keys(), "what stalls")
        n_calls = {route: len(self.bench.proxy.calls(route)) for route in rows}
        with ThreadPoolExecutor(len(acts)) as threads:
            seen = {route: threads.submit(outcome, act) for route, act in acts.items()}
            until(lambda: all(stall.arrived.is_set() for stall in stalls.values()), SETTLE_MAX_S, "all stall")
            until(lambda: all(seen[route].done() for route in PLACES), SETTLE_MAX_S, "who submits need not wait")
            states = {route: self.state(place) for route, place in PLACES.items()}
            calls = {route: len(self.bench.proxy.calls(route)) - n_calls[route] for route in rows}
        sees = {route: ", ".join(filter(None, (seen[route].result(), states.get(route)))) for route in rows}
        for route, row in rows.items():
            same((sees[route], calls[route]), (row.sees, row.calls), f"{route}: sees, calls")
        until(lambda: len(self.audit()) == len(PAID), SETTLE_MAX_S, "all that costs is given up")
        same(sorted((line["operation"], line["outcome"], line["cost"]) for line in self.audit()),
             [(operation, "unsure", 1) for operation in sorted(PAID)])
        until(lambda: [event["event"] for event in self.events()].count("failed") == len(PAID), SETTLE_MAX_S, "told")
        for route, stall in stalls.items():
            self.bench.proxy.heal(route)
            stall.release()
        self.remount()  # so many without an answer, and nobody asks for 30 s: the lane of silence waits for them
        until(lambda: self.state(PLACES["fuzzy"]) == "done", JOB_MAX_S, "the search that is free")
        for sample in known.values():
            same(self.read(sample), "ok", "bytes")
        same(len(self.bench.proxy.paid()), sum(line["cost"] for line in self.audit()), "paid, and the audit")
        for route in PAID_POSTS:
            same((self.state(PLACES[route]), len(self.bench.proxy.calls(route))), ("failed", 1), "never sent again")


PAID = ("download", "hunt", "exact-search", "multi-download")
PLACES = {"hunt": "hunts/h", "exact": "searches/exact/ascii:sample", "fuzzy": "searches/fuzzy/ascii:sample",
          "multidownload": "downloads/l"}


class Silence(Lane):
    """Five failures in a row, and nobody asks for 30 s; then it recovers by itself."""

    def run(self) -> None:
        self.at_rest()
        local, remote = self.fresh(), self.fresh()
        same(self.read(local), "ok", "before")
        until(lambda: [call.status for call in self.bench.proxy.calls("quotas")] == [200, 200], SETTLE_MAX_S,
              "quotas after the download: an answer in between begins the count anew")
        for route in ("metadata", "hunt"):
            self.bench.proxy.fail(route, FAULTS["reset-before"][1])
        same(self.stat(remote), "EREMOTEIO", "the first")
        n_calls, started = len(self.bench.proxy.calls()), time.monotonic()
        same(self.stat(remote), "ENETUNREACH", "the next")
        (self.bench.root / "hunts/h.yar").write_text("rule h { condition: filesize < 100 }\n")
        same(self.state("hunts/h"), "queued", "a hunt")
        same(self.read(local), "ok", "what is local")
        assert time.monotonic() - started < AT_ONCE_S, "it still tries"
        same(len(self.bench.proxy.calls()), n_calls, "calls")
        for route in ("metadata", "hunt"):
            self.bench.proxy.heal(route)
        until(lambda: self.stat(remote) == "ok", BREAK_MAX_S, "it recovers")
        until(lambda: self.state("hunts/h") == "done", BREAK_MAX_S, "the hunt is sent")
        same(len(self.bench.proxy.calls("hunt")), 1, "hunts")
        same({"offline", "queued"} <= {event["event"] for event in self.events()}, True, "told")


LANES = {"stalls": Stalls, "silence": Silence, **{route: Lane for route in ROUTES}}


def try_lane(name: str) -> str:
    """"" or what went wrong."""
    bench = Bench(is_bounded=True, options=[f"budget={BUDGET}:{BUDGET}", "reserve=0"], prepare=pool)
    lane = LANES[name](bench, name)
    watchdog = threading.Timer(LANE_MAX_S, lambda: bench.program and bench.program.kill())
    watchdog.daemon = True
    watchdog.start()
    try:
        with bench:
            lane.run()
        return ""
    except Exception as error:
        return f"{name}: {words(error)}"
    finally:
        watchdog.cancel()
        bench.remove()


@claim(limit_s=LANE_MAX_S)
def every_fault_does_what_the_page_says(_: Bench) -> None:
    """MQFS_LANES chooses some of them."""
    names = os.environ.get("MQFS_LANES", " ".join(LANES)).split()
    with ThreadPoolExecutor(LANES_MAX) as lanes:
        problems = list(filter(None, lanes.map(try_lane, names)))
    assert not problems, "\n".join(problems)


if __name__ == "__main__":
    main()
