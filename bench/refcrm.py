"""How much of a bare FastAPI and asyncpg service's throughput the reference CRM keeps.

Both serve the same mixed journey (45 % list, 25 % open, 15 % search, 15 % write) from the same
tables. The bare form checks nothing; refcrm adds log-in tokens, permissions in SQL, duplicate
checks, the access log, rate limits, metrics and spans. The server has CPU 0 for itself, the
database and the clients share the others. Rounds alternate, so that a busy machine hits both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import quote

import asyncpg
import httpx
import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

ROOT = Path(__file__).resolve().parent.parent
TARGET = 0.45  # 1,200 requests a second where the bare form did 2,680
ENTITIES = ("contacts", "leads", "deals", "accounts")
WORDS = ("张", "王伟", "李", "陈", "Smi", "an", "138", "北京", "Joh", "深圳")
CONNECTIONS = 24


@dataclass
class Person:
    """Someone at work: a token and the records this person can open and change."""

    token: str
    visible: dict[str, list[str]] = field(default_factory=dict)


def next_request(person: Person, rng: random.Random, tag: str) -> bytes:
    """One request of the mixed journey, ready for the wire."""
    entity, draw = rng.choice(ENTITIES), rng.random()
    body = b""
    if draw < 0.45:
        line = f"GET /api/v1/{entity}?limit=20"
    elif draw < 0.70:
        line = f"GET /api/v1/{entity}/{rng.choice(person.visible[entity])}"
    elif draw < 0.85:
        line = f"GET /api/v1/{entity}/search?q={quote(rng.choice(WORDS))}&limit=20"
    elif draw < 0.925:
        line = f"PATCH /api/v1/contacts/{rng.choice(person.visible['contacts'])}"
        body = json.dumps({"title": f"title {rng.randrange(1000)}"}).encode()
    else:
        line = "POST /api/v1/contacts"
        mail = f"{tag}.{rng.getrandbits(48):x}@bench.example"
        body = json.dumps({"name": f"Bench {tag}", "email": mail, "city": "Wuhan"}).encode()
    sampled = "01" if rng.random() < 0.01 else "00"
    trace = f"00-{rng.getrandbits(128):032x}-{rng.getrandbits(64):016x}-{sampled}"
    head = (
        f"{line} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {person.token}\r\n"
        f"traceparent: {trace}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered: small, to leave the CPU alone."""

    def __init__(self, make: Callable[[], bytes], tally: list[int]) -> None:
        self.make, self.tally = make, tally
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not registered as asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.make())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        if len(rest) < length:
            return
        self.buffer = b""
        self.tally[0 if head[9:10] == b"2" else 1] += 1
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(self.make())


async def measure(url: str, people: list[Person], seconds: float, tag: str) -> tuple[float, int]:
    """(requests a second answered 2xx, other answers) of a closed loop over some connections."""
    rng, tally = random.Random(tag), [0, 0]
    host, _, port = url.removeprefix("http://").partition(":")

    def make() -> bytes:
        return next_request(rng.choice(people), rng, tag)

    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(make, tally), host, int(port)))[0]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(0.5)
    before, begun = list(tally), time.perf_counter()
    await asyncio.sleep(seconds)
    done, took = [after - past for after, past in zip(tally, before, strict=True)], 0.0
    took = time.perf_counter() - begun
    for client in clients:
        client.abort()
    return done[0] / took, done[1]


def people_at(url: str, users_file: Path, password: str) -> list[Person]:
    """Fifty people, mostly sales, logged in, each with records of their own reach."""
    names = [line.split(",")[0] for line in users_file.read_text("utf-8").splitlines()[1:]]
    reps = [name for name in names if name.startswith("rep")][:44]
    managers = [name for name in names if name.startswith("manager")][:5]
    people = []
    with httpx.Client(base_url=url) as http:
        for name in (*reps, *managers, "admin"):
            login = {"username": name, "password": password}
            token = http.post("/api/v1/login", json=login).raise_for_status().json()["token"]
            person = Person(token)
            for entity in ENTITIES:
                head = {"Authorization": f"Bearer {token}"}
                page = http.get(f"/api/v1/{entity}?limit=100", headers=head).json()["records"]
                person.visible[entity] = [record["id"] for record in page]
            if all(person.visible.values()):
                people.append(person)
    return people


def bare(database: str, listener: socket.socket) -> None:
    """The bare form: the same operations with nothing around them."""
    app = FastAPI()
    pools: list[asyncpg.Pool[asyncpg.Record]] = []

    def shown(document: object, status: int = 200) -> Response:
        return Response(orjson.dumps(document), status, media_type="application/json")

    @app.get("/api/v1/{entity}")
    async def listed(entity: str, limit: int = 20) -> Response:
        rows = await pools[0].fetch(f"select * from {entity} order by id desc limit $1", limit)
        return shown({"records": [plain(row) for row in rows]})

    @app.get("/api/v1/{entity}/search")
    async def searched(entity: str, q: str, limit: int = 20) -> Response:
        rows = await pools[0].fetch(
            f'select * from {entity} where lower(name) collate "C" >= lower($1::text) and '
            'lower(name) collate "C" < lower($1::text) || chr(1114111) limit $2',
            q,
            limit,
        )
        return shown({"records": [plain(row) for row in rows]})

    @app.get("/api/v1/{entity}/{number}")
    async def opened(entity: str, number: int) -> Response:
        row = await pools[0].fetchrow(f"select * from {entity} where id = $1", number)
        return shown(plain(row))

    @app.patch("/api/v1/contacts/{number}")
    async def changed(number: int, request: Request) -> Response:
        body = orjson.loads(await request.body())
        row = await pools[0].fetchrow(
            "update contacts set title = $2 where id = $1 returning *", number, body["title"]
        )
        return shown(plain(row))

    @app.post("/api/v1/contacts")
    async def created(request: Request) -> Response:
        body = orjson.loads(await request.body())
        row = await pools[0].fetchrow(
            "insert into contacts (name, email, city) values ($1, $2, $3) returning *",
            body["name"],
            body["email"],
            body["city"],
        )
        return shown(plain(row), 201)

    def plain(row: asyncpg.Record | None) -> dict[str, object]:
        # Exact decimals are not JSON; everything else is written as it is.
        return {
            name: float(value) if name == "amount" and value is not None else value
            for name, value in (row.items() if row is not None else ())
        }

    async def run() -> None:
        pools.append(await asyncpg.create_pool(database, min_size=10, max_size=10))
        config = uvicorn.Config(app, http="httptools", log_config=None, access_log=False)
        await uvicorn.Server(config).serve(sockets=[listener])

    uvloop.run(run())


@contextlib.contextmanager
def process(arguments: list[str], ready: Path, cpu: int | None) -> Iterator[dict[str, str]]:
    """A child that writes a ready file, pinned to a CPU; asked to stop at the end."""
    wrapped = [
        *(["taskset", "-c", str(cpu)] if cpu is not None else []),
        sys.executable,
        *arguments,
    ]
    child = subprocess.Popen(wrapped, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not ready.exists():
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"did not start: {' '.join(arguments)}")
            time.sleep(0.05)
        yield json.loads(ready.read_text("utf-8"))
    finally:
        child.terminate()
        child.wait(60)


def pin_elsewhere(pid: int) -> None:
    """Move a process and its children off CPU 0."""
    others = os.sched_getaffinity(0) - {0} or {0}
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    for one in (pid, *map(int, listed)):
        os.sched_setaffinity(one, others)


def one_side(
    name: str, facts: dict[str, str], people: list[Person], seconds: float, number: int
) -> dict[str, float]:
    """One measurement: answers a second, answers per second of the server's CPU, failures."""
    spent = cpu_seconds(int(facts["server_pid"]))
    begun = time.perf_counter()
    rate, failed = uvloop.run(measure(facts["url"], people, seconds, f"{name}{number}"))
    took = time.perf_counter() - begun
    share = (cpu_seconds(int(facts["server_pid"])) - spent) / took
    return {name: rate, f"{name} cpu": rate / share, f"{name} failed": failed}


def cpu_seconds(pid: int) -> float:
    """CPU time a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(rounds: int, seconds: float, contacts: int) -> list[dict[str, float]]:
    """Throughput of both forms, round by round."""
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-refcrm-") as scratch:
        place = Path(scratch)
        place.chmod(0o711)  # ours; PostgreSQL runs as another user when root starts it
        arguments = ["-m", "refcrm", "up", "--dir", str(place / "crm"), "--contacts", str(contacts)]
        ready = ["--ready-file", str(place / "up.json")]
        with process([*arguments, *ready], place / "up.json", None) as facts:
            pin_elsewhere(int(facts["postgres_pid"]))
            os.sched_setaffinity(0, os.sched_getaffinity(0) - {0} or {0})
            database = facts["database_url"]
            password = Path(facts["password_file"]).read_text("utf-8").strip()
            crm = ["-m", "refcrm", "serve", "--database", database, "--rate", "0"]
            crm += ["--ready-file", str(place / "crm.json")]
            plain = [__file__, "--bare", database, "--ready-file", str(place / "bare.json")]
            with (
                process(crm, place / "crm.json", 0) as one,
                process(plain, place / "bare.json", 0) as other,
            ):
                people = people_at(one["url"], Path(facts["users_file"]), password)
                sides = (("bare", other), ("refcrm", one))
                for number in range(rounds + 1):
                    pair: dict[str, float] = {}
                    for name, side in sides:
                        pair |= one_side(name, side, people, seconds, number)
                    if number:  # the first round warms caches and plans
                        results.append(pair)
    return results


def report(results: list[dict[str, float]]) -> bool:
    """Print the table and the JSON line; whether the targets are met."""
    print(f"{'':>5} {'req/s':>17} {'':>6} {'req/CPU-s of server':>20}")
    print(f"{'round':>5} {'bare':>8} {'refcrm':>8} {'ratio':>6} {'bare':>10} {'refcrm':>9} failed")
    for number, pair in enumerate(results, 1):
        print(
            f"{number:>5} {pair['bare']:>8.0f} {pair['refcrm']:>8.0f} "
            f"{pair['refcrm'] / pair['bare']:>6.2f} {pair['bare cpu']:>10.0f} "
            f"{pair['refcrm cpu']:>9.0f} {failures(pair):>6.0f}"
        )
    ratios = {
        "refcrm/bare": median_ratio(results, "refcrm", "bare"),
        "refcrm/bare per server CPU": median_ratio(results, "refcrm cpu", "bare cpu"),
    }
    targets = dict.fromkeys(ratios, TARGET)
    met = all(ratio >= TARGET for ratio in ratios.values()) and not any(map(failures, results))
    print(json.dumps({"bench": "refcrm", "ratios": ratios, "targets": targets, "met": met}))
    return met


def median_ratio(results: list[dict[str, float]], above: str, below: str) -> float:
    """The middle of the rounds' ratios, to three places."""
    return round(statistics.median(pair[above] / pair[below] for pair in results), 3)


def failures(pair: dict[str, float]) -> float:
    """Answers other than 2xx, of both forms."""
    return pair["bare failed"] + pair["refcrm failed"]


def main() -> int:
    """Run the bench, or one of its child processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--bare", metavar="DATABASE", help=argparse.SUPPRESS)
    parser.add_argument("--ready-file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        where = {"url": url, "server_pid": os.getpid()}
        draft = options.ready_file.with_suffix(".tmp")
        draft.write_text(json.dumps(where), "utf-8")
        draft.rename(options.ready_file)
        bare(options.bare, listener)
        return 0
    return 0 if report(compare(options.rounds, options.seconds, options.contacts)) else 1


if __name__ == "__main__":
    sys.exit(main())
