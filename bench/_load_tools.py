"""Load generators that others have made, as sides of a bench: hey, wrk, k6."""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

TOOLS = {"hey": ("hey",), "wrk": ("wrk", "libluajit-5.1-2", "libluajit-5.1-common"), "k6": ()}
"""A program, and the Debian packages that it is unpacked from where it is not installed."""

SCRIPT = """
import http from "k6/http";
const settings = { headers: { authorization: "Bearer token" } };
export default function () { http.get(__ENV.TARGET, settings); }
"""


def run_tool(name: str, binary: str, url: str, options: argparse.Namespace) -> dict[str, float]:
    """One round of a program: CPU microseconds a request of the whole process, start-up included.

    Each is held to one core or thread, as our client is.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.js"
        script.write_text(SCRIPT)
        users, seconds = str(options.users), f"{options.seconds:.0f}s"
        k6 = ["run", "--quiet", "--no-usage-report", "--env", f"TARGET={url}"]
        command, pattern = {
            "hey": (["-z", seconds, "-c", users, "-cpus", "1", url], r"\[200\]\s+(\d+) responses"),
            "wrk": (["-t", "1", "-c", users, "-d", seconds, url], r"(\d+) requests in"),
            "k6": ([*k6, "-u", users, "-d", seconds, str(script)], r"http_reqs\W+(\d+)"),
        }[name]
        text, cpu = _timed([binary, *command], {"GOMAXPROCS": "1"} if name == "k6" else {})
    requests = sum(int(each) for each in re.findall(pattern, text))
    return {"us": cpu / max(requests, 1) * 1e6, "requests": requests, "failed": 0}


def _timed(command: list[str], more: dict[str, str]) -> tuple[str, float]:
    """What a program printed, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    library = Path(command[0]).parent.parent / "lib" / f"{os.uname().machine}-linux-gnu"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library), **more}
    text = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=120
    ).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return text, (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def tool(name: str, folder: Path) -> str:
    """A program on the PATH, else unpacked from Debian into ``folder``; empty if neither works."""
    found = shutil.which(name)
    if found or not TOOLS[name] or not shutil.which("apt-get"):
        return found or ""
    place = folder / name
    place.mkdir()
    fetched = subprocess.run(
        ["apt-get", "download", *TOOLS[name]], cwd=place, capture_output=True, check=False
    )
    for package in place.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(place)], check=False)
    binary = place / "usr" / "bin" / name
    return str(binary) if fetched.returncode == 0 and binary.exists() else ""
