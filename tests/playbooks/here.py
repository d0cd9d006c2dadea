"""Stages in this process in place of a playbook, and an eye on what every process shows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psutil

from playbooks.job import Job, Outcome
from playbooks.runner import Ending, Progress
from playbooks.step import run_stage


def stages_here(*names: str) -> Callable[[Job, str, str, Progress], Ending]:
    """A player for a room: the stages one after the other, without Ansible's half a minute."""

    def play(job: Job, _playbook: str, _role: str, _progress: Progress) -> Ending:
        for name in names:
            job.add(run_stage(job, name))
            if job.stages()[-1].outcome is not Outcome.OK:
                job.add(run_stage(job, names[-1]))
                return Ending("failed")
        return Ending("successful")

    return play


@contextmanager
def watching(words: Sequence[str]) -> Iterator[list[str]]:
    """Look at the arguments and the environment of every process, for as long as the body lasts.

    The list is filled with whatever shows one of the words.
    """
    seen: list[str] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            for process in psutil.process_iter():
                try:
                    shown = " ".join([*process.cmdline(), *process.environ().values()])
                except psutil.Error:
                    continue
                if any(each in shown for each in words):
                    seen.append(process.name())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
