"""Who does a thing: a process that can be told from a later one with the same number."""

from __future__ import annotations

import os
import socket
from functools import cache

import psutil


@cache
def _begun(pid: int) -> float:
    return psutil.Process(pid).create_time()


def me() -> str:
    """This process: host, pid and when the process began."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{pid}/{_begun(pid):.2f}"


def gone(owner: str) -> bool | None:
    """Whether an owner is known to be gone; None where it cannot be known (another host)."""
    host, pid, begun = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(pid))
        alive = process.status() != psutil.STATUS_ZOMBIE
        return not alive or abs(process.create_time() - float(begun)) > 0.05
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
