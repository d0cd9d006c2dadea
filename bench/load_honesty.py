"""Whether a load test tells how long people wait while the server stalls.

The server answers in 2 ms, and stands still for 2 s in every 10.  Whoever arrives at a random
moment waits according to a simple law: a fifth arrive while it stands still and wait for the rest
of that, so the true 95th percentile is 1.5 s.  Asked are our open model (arrivals that do not wait
for the server), our closed model (people with think times) against the same law for people, and
locust's own pacing, which sends nothing while it waits and therefore sees next to nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
STALL, EVERY, QUICK = 2.0, 10.0, 0.002
TOLERANCE = 0.10
RATE, POOL = 100.0, 400
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def true_percentile(share: float) -> float:
    """The wait that ``share`` of random arrivals do not exceed, by the law of the server."""
    stalled = STALL / EVERY
    return QUICK if share <= 1 - stalled else (share - (1 - stalled)) * EVERY


def serve() -> None:
    """The server: its clock decides when it stands still; prints its port."""
    import gevent
    from gevent.server import StreamServer

    begun = time.monotonic()

    def handle(sock: Any, _address: Any) -> None:
        try:
            while data := sock.recv(65536):
                into = (time.monotonic() - begun) % EVERY
                gevent.sleep(max(STALL - into, 0.0) + QUICK)
                sock.sendall(ANSWER * data.count(b"\r\n\r\n"))
        except OSError:
            pass

    server = StreamServer(("127.0.0.1", 0), handle, backlog=4096)
    server.start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


def stock(url: str, seconds: float) -> dict[str, float]:
    """Locust's constant_throughput: 20 users who are to send the rate between them."""
    import gevent
    import locust  # noqa: F401 - patches first of all
    from locust import FastHttpUser, constant_throughput, task
    from locust.env import Environment

    class Paced(FastHttpUser):
        wait_time = constant_throughput(RATE / 20)

        @task
        def ask(self) -> None:
            self.client.get("/", name="ask")

    environment = Environment(host=url, user_classes=[Paced])
    runner = environment.create_local_runner()
    runner.start(20, spawn_rate=20)
    gevent.sleep(seconds)
    total = environment.stats.total
    return {
        "p95": total.get_response_time_percentile(0.95) / 1000,
        "p90": total.get_response_time_percentile(0.90) / 1000,
        "requests": total.num_requests,
    }


def ours(url: str, model: str, seconds: float, arrivals: str = "poisson") -> dict[str, float]:
    """Our generator, driven as ``crmops load`` drives it, with one call a journey."""
    from loadtests.buckets import Buckets
    from loadtests.recording import Recording

    command = [sys.executable, __file__, "--side", model, "--url", url, "--arrivals", arrivals]
    command += ["--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    rows = json.loads(done.stdout.splitlines()[-1])
    recording = Recording.unpack(rows["response"])
    response: Buckets = recording.answered()
    service = Recording.unpack(rows["service"]).answered() if rows["service"] else response
    return {
        "p90": response.percentile(0.90) or 0.0,
        "p95": response.percentile(0.95) or 0.0,
        "service p95": service.percentile(0.95) or 0.0,
        "requests": response.count,
    }


def workload(model: str, seconds: float, arrivals: str) -> dict[str, Any]:
    """A steady phase; one role that does nothing but ask."""
    rate = {"rate": RATE} if model == "open" else {}
    return {
        "name": "honesty",
        "summary": "one call",
        "model": model,
        "arrivals": arrivals,
        "users": POOL,
        "phases": [{"name": "steady", "seconds": seconds, **rate}],
        "roles": {"rep": {"share": 1, "pause": 0.001, "spread": 0, "session": 1e9}},
    }


def journeys(model: str) -> dict[str, Any]:
    """A login that asks nothing of the server, and a journey of one call."""
    from crmops.journeys.base import Journey
    from crmops.wire import Call, Think

    def ask(_crm: Any, person: Any) -> Any:
        yield Call("GET", "/", "ask", {}, None, True)
        if model == "closed":
            yield Think(person.rng.uniform(2, 6))

    def login(_crm: Any, person: Any) -> Any:
        person.logged_in = True
        yield Think(0)

    return {name: Journey(name, "", (), walk) for name, walk in (("ask", ask), ("login", login))}


def make_stage(model: str, url: str, seconds: float, arrivals: str, fire: Any) -> Any:
    """What the people of ``crmops load`` live on."""
    from crmops.target import Target
    from loadtests.child.books import Books
    from loadtests.child.client import open_site
    from loadtests.child.person import Stage
    from loadtests.journal import JournalWriter
    from loadtests.plan import PersonPlan
    from loadtests.workload import Workload

    target = Target(name="bench", connector="refcrm", url=url)
    people = [PersonPlan(f"p{n}", "", "rep", [(0.0, seconds)]) for n in range(POOL)]
    stage = Stage(
        site=open_site(target, Books(), 1e9, fire),
        workload=Workload.model_validate(workload(model, seconds, arrivals)),
        repertoire={"rep": {"ask": 1.0}},
        journal=JournalWriter(Path(tempfile.mkdtemp()) / "journal.jsonl", "bench"),
        run_id="bench",
        seed="bench",
        waiting=people,
        phase=lambda: "steady",
    )
    stage.known = journeys(model)
    return stage


def generate(model: str, url: str, seconds: float, arrivals: str) -> dict[str, Any]:
    """One generator process: real people, real scheduler, a journey of a single call."""
    import random

    import gevent
    import locust  # noqa: F401 - patches
    from gevent.queue import Queue
    from locust.env import Environment

    from loadtests.child.arrivals import schedule_arrivals
    from loadtests.child.person import person_class
    from loadtests.plan import Part

    environment = Environment(host=url)
    stage = make_stage(model, url, seconds, arrivals, environment.events.request.fire)
    books = stage.site.books
    environment.user_classes = [person_class(stage)]
    runner = environment.create_local_runner()
    runner.start(POOL, spawn_rate=POOL)
    while runner.user_count < POOL:
        gevent.sleep(0.05)
    stage.begins = time.monotonic() + 0.1
    if model == "open":
        stage.arrivals = Queue()
        rng, queue = random.Random(7), stage.arrivals
        gevent.spawn(
            schedule_arrivals, stage.workload, Part(1.0, 0, 1), rng, stage.begins, books, queue
        )
    stage.begun.set()
    gevent.sleep(seconds + STALL + 1)
    handed: dict[str, Any] = books.hand_over()
    return handed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="a multiple of 10 is fair")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--arrivals", default="poisson", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    if options.side:
        found: Any = (
            stock(options.url, options.seconds)
            if options.side == "stock"
            else generate(options.side, options.url, options.seconds, options.arrivals)
        )
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        os._exit(0)
    return 0 if report(measure(options.seconds)) else 1


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """What every side reports of the same server, one after another."""
    command = [sys.executable, __file__, "--serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline()) if process.stdout else 0
        url = f"http://127.0.0.1:{port}"
        pacing = [sys.executable, __file__, "--side", "stock", "--url", url]
        pacing += ["--seconds", str(seconds)]
        done = subprocess.run(pacing, capture_output=True, text=True, check=True, timeout=300)
        return {
            "locust constant_throughput": json.loads(done.stdout.splitlines()[-1]),
            "open, poisson": ours(url, "open", seconds),
            "open, constant": ours(url, "open", seconds, "constant"),
            "closed, thinking people": ours(url, "closed", seconds),
        }
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def report(found: dict[str, dict[str, float]]) -> bool:
    """Print the table and the JSON line; True if the open model is honest."""
    true = true_percentile(0.95)
    print(f"true wait of random arrivals: p90 {true_percentile(0.90):.3f} s, p95 {true:.3f} s\n")
    print(f"{'side':<30}{'requests':>10}{'p90 s':>9}{'p95 s':>9}{'p95/true':>10}")
    for name, each in found.items():
        print(
            f"{name:<30}{each['requests']:>10.0f}{each['p90']:>9.3f}{each['p95']:>9.3f}"
            f"{each['p95'] / true:>10.3f}"
        )
    ratios = {f"{name} p95/true": round(each["p95"] / true, 4) for name, each in found.items()}
    opened = [each["p95"] / true for name, each in found.items() if name.startswith("open")]
    met = all(abs(each - 1) <= TOLERANCE for each in opened)
    targets = {"open p95/true": [1 - TOLERANCE, 1 + TOLERANCE]}
    line = {"bench": "load_honesty", "ratios": ratios, "targets": targets, "met": met}
    print(json.dumps(line))
    return met


if __name__ == "__main__":
    sys.exit(main())
