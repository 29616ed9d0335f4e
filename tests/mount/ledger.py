"""Whether budget, audit and the engine's own count agree."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

from harness import CREDENTIALS, JOB_MAX_S, Bench, until
from proxy import EngineConnection

FIRST = {"downloads": 10, "hunts": 20}  # the first budget of a profile


class Engine:
    """The engine's own count, asked past the proxy. Connections end; a token is asked for when the last one has ended,
    since the engine gives out only so many a minute."""

    def __init__(self, bench: Bench) -> None:
        self.url = bench.proxy.engine_url
        self.token = ""

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, dict]:
        with closing(EngineConnection(self.url)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def _new_token(self) -> str:
        body = urlencode({"client_id": CREDENTIALS["FALCON_CLIENT_ID"],
                          "client_secret": CREDENTIALS["FALCON_CLIENT_SECRET"]})
        status, answer = self._ask("POST", "/oauth2/token", body, {"Content-Type": "application/x-www-form-urlencoded"})
        assert "access_token" in answer, f"no token: {status} {answer}"
        return answer["access_token"]

    def _get(self, path: str) -> dict:
        status, answer = self._ask("GET", path, None, {"Authorization": f"Bearer {self.token}"})
        if status == 401:
            self.token = self._new_token()
            status, answer = self._ask("GET", path, None, {"Authorization": f"Bearer {self.token}"})
        return answer

    def counts(self) -> dict[str, int]:
        meta = self._get("/malquery/aggregates/quotas/v1")["meta"]
        return {"downloads": meta["download_count"], "hunts": meta["hunt_count"]}

    def knows(self, sha256: str) -> bool:
        """It has been indexed; the first pass goes on after the engine has begun to answer."""
        answer = self._get(f"/malquery/entities/metadata/v1?ids={sha256}")
        return bool(answer.get("resources"))


class Ledger:
    """`given` is what the budget was in all. Ours must never be less than what the engine counted, and more only by
    what is written down as unsure."""

    def __init__(self, bench: Bench, given: dict[str, int]) -> None:
        self.bench = bench
        self.engine = Engine(bench)
        self.given = dict(given)

    def audit(self) -> list[dict]:
        return [json.loads(line) for line in next(self.bench.state.glob("*/audit.jsonl")).read_text().splitlines()]

    def problem(self, root: Path | None = None) -> str:
        """"" when all agree, as the mount at `root` shows it, else that of the bench."""
        lines = self.audit()
        left = dict(line.split("\t") for line in ((root or self.bench.root) / "budget").read_text().splitlines())
        counted = self.engine.counts()
        for kind, given in self.given.items():
            cost = {outcome: sum(line["cost"] for line in lines if (line["quota"], line["outcome"]) == (kind, outcome))
                    for outcome in ("paid", "unsure", "free")}
            spent = given - int(left[kind])
            if (cost["free"] or spent != cost["paid"] + cost["unsure"]
                    or not cost["paid"] <= counted[kind] <= cost["paid"] + cost["unsure"]):
                return f"{kind}: given {given}, left {left[kind]}, audit {cost}, engine {counted[kind]}"
        if [line["seq"] for line in lines] != list(range(1, len(lines) + 1)):
            return "audit: a line twice, or one is missing"
        return ""

    def agree(self, when: str, root: Path | None = None) -> None:
        """In a moment: a call that is under way counts as spent."""
        problem = ["not looked at"]

        def agrees() -> bool:
            problem[0] = self.problem(root)
            return not problem[0]

        try:
            until(agrees, JOB_MAX_S / 4, "the figures agree")
        except AssertionError as error:
            raise AssertionError(f"{when}: {problem[0]}") from error
