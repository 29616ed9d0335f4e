"""A client of malqueryd."""

from __future__ import annotations

import json
import time
from pathlib import Path

from harness import CREDENTIALS
from proxy import EngineConnection

POLL_S = 0.01
JOB_MAX_S = 300
EVERYTHING = {"limit": 100_000}


class Client:
    """As a script would call the service: curl for bytes, one connection for requests and polls. A new process every few
    milliseconds would take the cores from the service that is measured."""

    def __init__(self, world, url: str) -> None:
        self.world = world
        self.connection = EngineConnection(url)
        self.base = url if url.startswith("http") else "http://localhost"
        self.way = () if url.startswith("http") else ("--unix-socket", url.removeprefix("unix:"))
        self.token = world.place("token") / "token"
        form = self.token.with_name("form")
        form.write_text(f"client_id={CREDENTIALS['FALCON_CLIENT_ID']}&client_secret={CREDENTIALS['FALCON_CLIENT_SECRET']}")
        self.header = ""
        self.token.write_text(json.loads(self.curl("oauth2/token", "-d", f"@{form}"))["access_token"])
        self.header = f"Authorization: Bearer {self.token.read_text()}"

    def curl(self, path: str, *arguments: str | Path) -> str:
        header = ("-H", self.header) if self.header else ()
        return self.world.run("curl", "-sSf", *self.way, *header, *arguments, f"{self.base}/{path}").stdout

    def ask(self, method: str, path: str, body: dict | None = None) -> dict:
        headers = {"Authorization": self.header.split(": ", 1)[1], "Content-Type": "application/json"}
        self.connection.request(method, f"/{path}", json.dumps(body) if body else None, headers)
        return json.load(self.connection.getresponse())

    def submit(self, path: str, body: dict) -> str:
        """The id of the request."""
        return self.ask("POST", path, body)["meta"]["reqid"]

    def finish(self, reqid: str) -> set[str]:
        """Its results, once it is done."""
        end = time.monotonic() + JOB_MAX_S
        while time.monotonic() < end:
            answer = self.ask("GET", f"malquery/entities/requests/v1?ids={reqid}")
            if answer["meta"]["status"] != "inprogress":
                assert answer["meta"]["status"] == "done", answer["meta"]
                return {one["sha256"] for one in answer["resources"] or []}
            time.sleep(POLL_S)
        raise AssertionError(f"request {reqid} does not end")

    def hunt(self, rule: str) -> set[str]:
        return self.finish(self.submit("malquery/queries/hunt/v1", {"options": EVERYTHING, "yara_rule": rule}))

    def search(self, text: str) -> set[str]:
        patterns = [{"type": "ascii", "value": text}]
        return self.finish(self.submit("malquery/queries/exact-search/v1", {"options": EVERYTHING, "patterns": patterns}))
