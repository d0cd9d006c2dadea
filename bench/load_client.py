"""What a request costs the generator: our client, locust's two, hey and wrk, in one go.

Everybody sends GETs over kept-alive connections to one small server of its own process that
answers 1.5 KB of JSON.  Counted are the CPU microseconds (user and system) of the generator for
one request, after a warm-up.  The sides take turns, so that a busy minute hits all of them;
ratios are of the best rounds (whoever shares the machine only ever adds).  hey and wrk come from
Debian; unpacked, not installed.  k6 takes part where it is in PATH.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench._load_tools import TOOLS, run_tool, tool

PATH = "/api/v1/accounts?limit=20"
BODY = b'{"pad": "%s"}' % (b"x" * (1549 - 11))
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sat, 21 Nov 2026 09:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nCache-Control: no-store\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
TIMES_CHEAPER, TIMES_HEY, TIMES_CHEAPER_TLS = 5.0, 1.2, 4.0
CROWD = {"rate": 0.01, "rss": 250e6, "lag": 0.050}


# -- sides: each is run as a process of its own --------------------------------------------------


def serve(certificate: str) -> None:
    """The server: answers every request that arrives whole; prints its port."""
    from gevent.server import StreamServer

    def handle(sock: Any, _address: Any) -> None:
        try:
            while data := sock.recv(65536):
                sock.sendall(ANSWER * data.count(b"\r\n\r\n"))
        except OSError:
            pass

    options = {"certfile": certificate, "keyfile": certificate} if certificate else {}
    server = StreamServer(("127.0.0.1", 0), handle, backlog=4096, **options)
    server.start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


def locust_user(side: str, site: Any) -> type:
    """The locust user class of one side."""
    from locust import FastHttpUser, HttpUser, User, constant, task

    if side in ("fast", "stock"):
        base = FastHttpUser if side == "fast" else HttpUser

        class Stock(base):  # type: ignore[misc, valid-type]
            wait_time = constant(0)

            @task
            def ask(self) -> None:
                self.client.get(PATH, name="list")

        return Stock

    import random

    from crmops.wire import Call
    from loadtests.child.client import Client
    from loadtests.recording import Key

    call = Call("GET", PATH, "list", {"authorization": "Bearer token"}, None, True)
    key = Key("list", "rep", "day", "ok")

    class Lean(User):
        wait_time = constant(0)

        def __init__(self, environment: Any) -> None:
            super().__init__(environment)
            self.client = Client(site, lambda reply: None, random.Random(1))

        @task
        def live(self) -> None:
            # One task for all of a person's time, as in loadtests/child/person.py.
            while True:
                sent = self.client.send(call)
                site.books.response.add(key, int(sent.seconds * 1e6))
                self.client.tell_locust(call, sent, failure=False)

    return Lean


def generate(side: str, url: str, users: int, seconds: float, ca_file: str) -> dict[str, float]:
    """Run one of the locust sides and say what it cost."""
    import gevent
    import locust  # noqa: F401 - patches first of all
    from locust.env import Environment

    from crmops.target import Target
    from loadtests.child.books import Books
    from loadtests.child.client import open_site

    environment = Environment(host=url)
    target = Target(name="bench", connector="refcrm", url=url, ca_file=ca_file)
    site = open_site(target, Books(), 1e9, environment.events.request.fire)
    environment.user_classes = [locust_user(side, site)]
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=users)
    gevent.sleep(1.5)
    total = environment.stats.total
    cpu, requests = time.process_time(), total.num_requests
    gevent.sleep(seconds)
    cpu, requests = time.process_time() - cpu, total.num_requests - requests
    return {"us": cpu / max(requests, 1) * 1e6, "requests": requests, "failed": total.num_failures}


def crowd_person(site: Any) -> type:
    """A locust user who thinks 5 to 10 s between two requests, as if for ever."""
    import random

    import gevent
    from locust import User, between, task

    from crmops.wire import Call
    from loadtests.child.client import Client
    from loadtests.recording import Key

    call = Call("GET", PATH, "list", {}, None, True)
    key = Key("list", "rep", "day", "ok")

    class Person(User):
        wait_time = between(5, 10)

        def __init__(self, environment: Any) -> None:
            super().__init__(environment)
            self.client = Client(site, lambda reply: None, random.Random(1))

        def on_start(self) -> None:
            # as if this person had been at it for ever: what is left of a pause that is going on
            pause = math.sqrt(random.uniform(25, 100))
            gevent.sleep(random.uniform(0, pause))

        @task
        def ask(self) -> None:
            sent = self.client.send(call)
            site.books.response.add(key, int(sent.seconds * 1e6))
            self.client.tell_locust(call, sent, failure=False)

    return Person


def crowd(url: str, people: int, seconds: float) -> dict[str, float]:
    """Many people with 5 to 10 s of thinking between requests, in this process on one core."""
    import gevent
    import locust  # noqa: F401 - patches first of all
    from locust.env import Environment

    from crmops.target import Target
    from loadtests.child.books import Books
    from loadtests.child.client import open_site

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(people + 200, hard), hard))
    environment = Environment(host=url)
    target = Target(name="bench", connector="refcrm", url=url)
    site = open_site(target, Books(), 1e9, environment.events.request.fire)
    environment.user_classes = [crowd_person(site)]
    runner = environment.create_local_runner()
    runner.start(people, spawn_rate=1000)
    while runner.user_count < people:
        gevent.sleep(0.1)
    gc.collect()
    gc.freeze()
    gevent.sleep(10)
    return {"scheduled": people / 7.5, **watched(environment.stats.total, seconds)}


def watched(total: Any, seconds: float) -> dict[str, float]:
    """What the crowd costs while it is looked at for some seconds."""
    import gevent

    from loadtests.buckets import Buckets
    from loadtests.child.health import Health

    health = Health()
    cpu, requests = time.process_time(), total.num_requests
    began = time.monotonic()
    gevent.sleep(seconds)
    took = time.monotonic() - began
    cpu, requests = time.process_time() - cpu, total.num_requests - requests
    seen = health.hand_over()
    return {
        "rate": requests / took,
        "cores": cpu / took,
        "us": cpu / max(requests, 1) * 1e6,
        "rss": seen["rss"],
        "lag": Buckets.unpack(seen["lag"]).percentile(0.99) or 0.0,
        "failed": total.num_failures,
    }


# -- the parent ----------------------------------------------------------------------------------


@contextmanager
def server(certificate: str = "") -> Iterator[str]:
    """A server process; yields its address."""
    command = [sys.executable, __file__, "--serve", *([certificate] if certificate else [""])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def own(side: str, url: str, options: argparse.Namespace, ca_file: str = "") -> dict[str, float]:
    """One of the locust sides, in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--url", url, "--ca", ca_file]
    command += ["--users", str(options.users), "--seconds", str(options.seconds)]
    command += ["--people", str(options.people)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def certificate(folder: Path) -> str:
    """A certificate for 127.0.0.1 with its key, in one file."""
    path = folder / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(folder / "key.pem"), "-out", str(folder / "crt.pem")]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text((folder / "key.pem").read_text() + (folder / "crt.pem").read_text())
    ssl.create_default_context(cafile=str(folder / "crt.pem"))
    return str(path)


def rounds(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """CPU microseconds a request of every side, round by round."""
    costs: dict[str, list[float]] = {}
    binaries = {name: path for name in TOOLS if (path := tool(name, folder))}
    print(*(f"{name}: not found, left out" for name in TOOLS.keys() - binaries), sep="\n")
    pem = certificate(folder)
    with server() as plain, server(pem) as secure:
        sides: dict[str, Callable[[], dict[str, float]]] = {
            "FastHttpUser": lambda: own("fast", plain, options),
            "HttpUser": lambda: own("stock", plain, options),
            "lean": lambda: own("lean", plain, options),
            "FastHttpUser TLS": lambda: own("fast", secure, options),
            "lean TLS": lambda: own("lean", secure, options, str(folder / "crt.pem")),
        }
        for each, binary in binaries.items():
            sides[each] = partial(run_tool, each, binary, plain + PATH, options)
        for _ in range(options.rounds):
            for name, run in sides.items():
                found = run()
                if found["failed"]:
                    raise SystemExit(f"{name}: {found['failed']:.0f} requests failed")
                costs.setdefault(name, []).append(found["us"])
    return costs


def report(costs: dict[str, list[float]], many: dict[str, float] | None) -> bool:
    """Print the table and the JSON line; True if the targets are met."""
    best = {name: min(each) for name, each in costs.items()}
    print(f"{'side':<20}{'us/request':>12}{'rounds':>40}")
    for name, cost in sorted(best.items(), key=lambda each: each[1]):
        print(f"{name:<20}{cost:>12.1f}{', '.join(f'{each:.1f}' for each in costs[name]):>40}")
    ratios = {
        "FastHttpUser/lean": best["FastHttpUser"] / best["lean"],
        "HttpUser/lean": best["HttpUser"] / best["lean"],
        "FastHttpUser/lean TLS": best["FastHttpUser TLS"] / best["lean TLS"],
    }
    ratios |= {f"lean/{each}": best["lean"] / best[each] for each in TOOLS if each in best}
    met = (
        ratios["FastHttpUser/lean"] >= TIMES_CHEAPER
        and ratios["FastHttpUser/lean TLS"] >= TIMES_CHEAPER_TLS
        and ratios.get("lean/hey", 99.0) <= TIMES_HEY
    )
    targets: dict[str, float] = {
        "FastHttpUser/lean": TIMES_CHEAPER,
        "FastHttpUser/lean TLS": TIMES_CHEAPER_TLS,
        "lean/hey": TIMES_HEY,
    }
    if many:
        off = abs(many["rate"] / many["scheduled"] - 1)
        print(
            f"\n{many['people']:.0f} people, 5 to 10 s of thinking: {many['rate']:.0f} of "
            f"{many['scheduled']:.0f} requests a second, {many['cores']:.2f} cores, "
            f"{many['rss'] / 1e6:.0f} MB, loop lag p99 {many['lag'] * 1000:.0f} ms"
        )
        ratios |= {"crowd rate off": off, "crowd MB": many["rss"] / 1e6, "crowd lag s": many["lag"]}
        targets |= {f"crowd {name}": limit for name, limit in CROWD.items()}
        met = met and off <= CROWD["rate"] and many["rss"] < CROWD["rss"]
        met = met and many["lag"] < CROWD["lag"] and not many["failed"]
    rounded = {name: round(each, 4) for name, each in ratios.items()}
    print(json.dumps({"bench": "load_client", "ratios": rounded, "targets": targets, "met": met}))
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--people", type=int, default=10_000, help="of the crowd; 0: no crowd")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--ca", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
        return 0
    if options.side:
        if options.side == "crowd":
            found = crowd(options.url, options.people, 20)
        else:
            found = generate(options.side, options.url, options.users, options.seconds, options.ca)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        os._exit(0)
    with tempfile.TemporaryDirectory() as name:
        costs = rounds(options, Path(name))
        many = None
        if options.people:
            with server() as url:
                many = {**own("crowd", url, options), "people": float(options.people)}
    return 0 if report(costs, many) else 1


if __name__ == "__main__":
    sys.exit(main())
