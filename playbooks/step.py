"""One stage of a playbook: ``python -m playbooks.step JOB STAGE``.

Ansible calls this; it reads job.json, runs ``playbooks.stages.<STAGE>.run`` and keeps a record
of how it ended.  Exit codes are crmops's: 0, 1 the backup is bad, 4 it could not be examined.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

from crmops.errors import CrmopsError, ExitCode
from playbooks.errors import CheckFailed
from playbooks.instance import death_of
from playbooks.job import STAGE_TMPDIR, Job, Outcome, Stage, load_job
from playbooks.providers import provider_of
from playbooks.report import Report

_EXITS = {
    Outcome.OK: ExitCode.PASS,
    Outcome.FAIL: ExitCode.FAIL,
    Outcome.ERROR: ExitCode.ERROR,
}
_NAME = re.compile(r"[a-z_]{1,40}")


def main(arguments: list[str]) -> int:
    """Run a stage and print one line that says how it ended."""
    if len(arguments) != 2 or not _NAME.fullmatch(arguments[1]):
        sys.stderr.write("usage: python -m playbooks.step JOB_FILE STAGE\n")
        return ExitCode.USAGE
    if given := os.environ.pop(STAGE_TMPDIR, None):
        os.environ["TMPDIR"] = given
    elif given is not None:
        os.environ.pop("TMPDIR", None)
    try:
        job = load_job(Path(arguments[0]))
        job.begin(arguments[1])
        stage = run_stage(job, arguments[1])
        job.add(stage)
    except CrmopsError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    except OSError as error:  # the state directory is full, or gone
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return ExitCode.ERROR
    sys.stdout.write(f"{stage.name}: {stage.outcome} {stage.reason}\n")
    return _EXITS[stage.outcome]


def run_stage(job: Job, name: str) -> Stage:
    """Run one stage; whatever happens becomes its record."""
    report = Report(name)
    try:
        importlib.import_module(_module(job, name)).run(job, report)
    except CrmopsError as error:
        # A check that failed because the instance was killed says nothing about the backup.
        cause = death_of(job) or error
        outcome = Outcome.FAIL if isinstance(cause, CheckFailed) else Outcome.ERROR
        return report.stage(outcome, cause.message, cause.hint)
    except OSError as error:
        return report.stage(Outcome.ERROR, f"{error.filename or name}: {error.strerror or error}")
    except Exception as error:  # a defect of ours must still leave a record
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return report.stage(Outcome.ERROR, f"defect: {type(error).__name__} at {where}")
    failure = report.first_failure()
    return report.stage(Outcome.FAIL if failure else Outcome.OK, failure)


def _module(job: Job, name: str) -> str:
    """The module of a stage: the engine's own, else the common one."""
    own = f"{provider_of(job).engine.stages}.{name}"
    return own if find_spec(own) is not None else f"playbooks.stages.{name}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
