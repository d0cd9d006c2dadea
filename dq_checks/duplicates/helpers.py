"""Processes that normalise while the parent reads: they need no memory of each other."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from crmops.errors import CannotRun

ALONE = 2
"""So many items are worked on before a helper would have started."""

Item = TypeVar("Item")
Made = TypeVar("Made")

HELPERS = 2
"""As many as the cores that are asked for; each holds one block of rows."""


def in_order(
    work: Callable[[Item], Made], items: Iterable[Item], helpers: int = HELPERS
) -> Iterator[Made]:
    """``work`` on each item, by other processes when there are some items, in order."""
    waiting = iter(items)
    first = list(islice(waiting, ALONE + 1))
    if len(first) <= ALONE:
        yield from map(work, first)
        return
    with ProcessPoolExecutor(
        helpers, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
    ) as pool:
        try:
            due: deque[Future[Made]] = deque(pool.submit(work, each) for each in first)
            while due:
                following = next(waiting, None)
                if following is not None:
                    due.append(pool.submit(work, following))
                yield due.popleft().result()
        except BrokenProcessPool as error:
            raise CannotRun(
                "a process that normalises rows died",
                hint="Run it again; if it dies again, look at the memory that is left.",
            ) from error


def _begin(parent: int) -> None:
    """A helper leaves Ctrl-C to its parent, and goes when the parent is gone, also when killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
