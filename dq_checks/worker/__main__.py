"""The worker's loop: jobs come in on stdin, answers go out on stdout, one JSON text a line.

It pays for great_expectations once, runs suites until its stdin closes, and dies with whoever
started it.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import warnings
from typing import IO, Any

from dq_checks.messages import Failed, Job, Progress, Ready

_LOW = 10
_EXTRA = "The libraries of audits are an extra: pip install 'crmops[dq]'."


def _private_stdout() -> IO[str]:
    """The pipe to the parent; what libraries print goes to stderr instead."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def main() -> None:
    """Serve jobs until stdin closes."""
    pipe = _private_stdout()
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # messages of libraries quote queries and values

    def say(message: Ready | Progress | Failed | Any) -> None:
        pipe.write(message.model_dump_json() + "\n")
        pipe.flush()

    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    try:
        versions = _versions()
    except ImportError as error:
        say(Failed(job=0, reason=f"the audit worker cannot import {error.name}", hint=_EXTRA))
        return
    say(Ready(versions=versions))
    while True:
        _serve(Job.model_validate(json.loads(jobs.get())), say, versions)


def _listen(jobs: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    spark = sys.modules.get("dq_checks.worker.spark.session")
    if spark is not None:
        spark.stop()
    os._exit(0)  # nobody listens any more, whatever the main thread waits for


def _versions() -> dict[str, str]:
    import great_expectations
    import sqlalchemy

    import dq_checks.worker.audit  # noqa: F401  (paid now, so that the first job is not late)

    return {
        "great_expectations": str(great_expectations.__version__),
        "sqlalchemy": sqlalchemy.__version__,
    }


def _serve(job: Job, say: Any, versions: dict[str, str]) -> None:
    from dq_checks.worker.audit import audit
    from dq_checks.worker.refusals import explain
    from dq_checks.worker.session import JobProblem

    if job.duty < 1:
        os.setpriority(os.PRIO_PROCESS, 0, _LOW)  # the CRM may be on the same machine
    try:
        answer = audit(job, lambda stage: say(Progress(job=job.id, stage=stage)), versions)
    except JobProblem as problem:
        say(Failed(job=job.id, reason=problem.reason, hint=problem.hint))
    except Exception as error:
        say(Failed(job=job.id, reason=explain(error)))
    else:
        say(answer)


if __name__ == "__main__":
    main()
