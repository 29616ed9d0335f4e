"""What was spent, by three accounts that have to agree: the budget of the mount, its audit, and the engine's own count.

Ours must never be less than what the engine counted, and more only by what is written down as unsure.
"""

from __future__ import annotations

import json
from contextlib import closing
from urllib.parse import urlencode

from harness import CREDENTIALS, Bench
from proxy import EngineConnection


class Engine:
    """The engine's own count, asked past the proxy; each time anew, since connections and tokens end."""

    def __init__(self, bench: Bench) -> None:
        self.url = bench.proxy.engine_url

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> dict:
        with closing(EngineConnection(self.url)) as connection:
            connection.request(method, path, body, headers)
            return json.loads(connection.getresponse().read())

    def counts(self) -> dict[str, int]:
        body = urlencode({"client_id": CREDENTIALS["FALCON_CLIENT_ID"],
                          "client_secret": CREDENTIALS["FALCON_CLIENT_SECRET"]})
        token = self._ask("POST", "/oauth2/token", body, {"Content-Type": "application/x-www-form-urlencoded"})
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        meta = self._ask("GET", "/malquery/aggregates/quotas/v1", None, headers)["meta"]
        return {"downloads": meta["download_count"], "hunts": meta["hunt_count"]}


def figures(bench: Bench, engine: Engine, given: dict[str, int]) -> str:
    """"" when all agree; `given` is what the budget allowed in all, "downloads" and "hunts"."""
    lines = [json.loads(line) for line in next(bench.state.glob("*/audit.jsonl")).read_text().splitlines()]
    left = dict(line.split("\t") for line in bench.read("budget").splitlines())
    counted = engine.counts()
    for kind, allowed in given.items():
        cost = {outcome: sum(line["cost"] for line in lines if (line["quota"], line["outcome"]) == (kind, outcome))
                for outcome in ("paid", "unsure", "free")}
        spent = allowed - int(left[kind])
        if (cost["free"] or spent != cost["paid"] + cost["unsure"]
                or not cost["paid"] <= counted[kind] <= cost["paid"] + cost["unsure"]):
            return f"{kind}: given {allowed}, left {left[kind]}, audit {cost}, engine {counted[kind]}"
    if [line["seq"] for line in lines] != list(range(1, len(lines) + 1)):
        return "audit: a line twice, or one is missing"
    return ""
