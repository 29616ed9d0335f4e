"""What a request takes beside the service's own time: until it is known, and until who waits for it goes on."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import time
from urllib.parse import urlsplit

from bench import Race, below, row
from proxy import Exchange, Proxy, Reply
from service import Client
from world import KIB, World

ROUNDS = 15
JOB_MS = "300"


def rule(number: int) -> str:
    """A new one each time: the same rule would be the same request."""
    return f"rule r{number} {{ condition: filesize == {number} }}\n"


@row("submit", "a rule: from close() to a visible id, beyond one round trip of the same", "s", [below(0.020)])
def submit(world: World, race: Race) -> None:
    directory = world.noise(50, 10 * KIB)
    numbers = itertools.count()
    with world.service(directory, is_tcp=True) as url, world.mount(url) as mount:
        client = Client(world, url)
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        headers = {"Authorization": f"Bearer {client.token.read_text()}", "Content-Type": "application/json"}

        def round_trip() -> float:
            body = json.dumps({"options": {"limit": 1000}, "yara_rule": rule(next(numbers))})
            started = time.monotonic()
            connection.request("POST", "/malquery/queries/hunt/v1", body, headers)
            with connection.getresponse() as answer:
                reqid = json.loads(answer.read())["meta"]["reqid"]
            seconds = time.monotonic() - started
            assert answer.status == 200 and reqid
            return seconds

        def ours() -> float:
            number = next(numbers)
            file = os.open(mount / f"hunts/n{number}.yar", os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(file, rule(number).encode())
            started = time.monotonic()
            os.close(file)
            reqid = (mount / f"hunts/n{number}/id").read_text().strip()
            seconds = time.monotonic() - started
            assert (mount / "requests" / reqid).is_dir()
            return seconds

        round_trip()  # both have a connection by now
        ours()
        race.add("malqueryfs", lambda: ours() - round_trip())
        race.run(ROUNDS)
        connection.close()


@row("wait", "a request: from the poll that saw it done to the return of `wait`", "s", [below(0.050)])
def wait(world: World, race: Race) -> None:
    directory = world.noise(50, 10 * KIB)
    numbers = itertools.count()
    seen: list[float] = []

    def watched(exchange: Exchange) -> Reply:
        reply = exchange.forward()
        if json.loads(reply.body)["meta"]["status"] == "done":
            seen.append(time.monotonic())
        return reply

    with world.service(directory, ("--job-delay-ms", JOB_MS), is_tcp=True) as url:
        proxy = Proxy(url)
        try:
            with world.mount(proxy.url) as mount:
                proxy.fail("requests", watched)

                def ours() -> float:
                    number = next(numbers)
                    (mount / f"hunts/n{number}.yar").write_text(rule(number))
                    last = (mount / f"hunts/n{number}/wait").read_text().splitlines()[-1]
                    returned = time.monotonic()
                    assert last.startswith("done"), last
                    return returned - seen[-1]

                ours()
                race.add("malqueryfs", ours)
                race.run(ROUNDS)
        finally:
            proxy.close()
