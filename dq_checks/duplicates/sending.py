"""Sending a plan of merges: one cluster after the other, what was there written down before.

Whatever fails ends it.  ``<plan>.undo.jsonl`` holds the records as the CRM had them just before
(fields of the survivor and of those merged into it), ``<plan>.done.jsonl`` what was done; a second
run goes on after that.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from crmops.connectors import connect
from crmops.connectors.base import Connector, One, Talk, ask
from crmops.drivers import client, converse
from crmops.errors import CannotRun, UsageError
from crmops.execute import executing
from crmops.history import History
from crmops.outcome import CallFailed
from crmops.record import Kind, Run, Unit, Verdict, utc_now
from crmops.target import Target
from crmops.wire import Call, Reply
from dq_checks.duplicates.forms import Form, calls_of, choose_form, rounds
from dq_checks.duplicates.merging import Merge

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Files:
    """Where it is written down, beside the plan."""

    undo: Path
    done: Path


def files_of(plan: Path) -> Files:
    """The files beside a plan."""
    return Files(plan.with_suffix(".undo.jsonl"), plan.with_suffix(".done.jsonl"))


def check_confirmed(target: Target, confirm: str) -> None:
    """Nothing is merged unless the target's name is typed.  Raises UsageError."""
    if confirm != target.name:
        raise UsageError(
            f"merging changes {target.name} and cannot be taken back by itself",
            hint=f"Look at the plan, then type --confirm {target.name}.",
        )


def send_plan(
    plan: Path,
    merges: Sequence[Merge],
    target: Target,
    history: History,
    *,
    told: Told = lambda _: None,
    config_digest: str = "",
) -> Run:
    """Merge what a plan says and is not done yet, as a Run.  The evidence holds ids only."""
    files = files_of(plan)
    before = {each["cluster"] for each in _read(files.done)}
    waiting = [each for each in merges if each.cluster not in before]
    with executing(
        history, Kind.DQ, target.name, f"merges:{plan.stem}", config_digest=config_digest
    ) as execution:
        sent: list[dict[str, Any]] = []
        problem = ""
        with client(target) as http:
            crm = _logged_in(target, http)
            for merge in waiting:
                told(f"cluster {merge.cluster}: {len(merge.losers)} into one")
                try:
                    sent.append(_send(crm, http, merge, files))
                except (CallFailed, _Refused) as error:
                    problem = f"cluster {merge.cluster}: {_said(error)}"
                    break
                execution.beat()
        merged = sum(len(each["losers"]) for each in sent)
        execution.measure("merges.sent", len(sent), Unit.COUNT, len(merges))
        execution.measure("records.merged", merged, Unit.COUNT, len(merges))
        execution.attach("merges.json", json.dumps(sent, ensure_ascii=False, indent=1))
        said = f"{len(sent)} of {len(waiting)} clusters were merged"
        if problem:
            execution.finding(problem, severity="critical")
            execution.conclude(Verdict.ERROR, f"{said}; {problem}")
        elif not merges:
            execution.conclude(Verdict.UNKNOWN, "the plan is empty")
        else:
            execution.conclude(Verdict.PASS, f"{said}, {len(before)} were before")
    return execution.run


class _Refused(Exception):
    """The CRM said no in a reply that looks good."""


def _said(error: Exception) -> str:
    if isinstance(error, CallFailed):
        return f"{error.outcome}: {error.code or error.message}"
    return str(error)


def _logged_in(target: Target, http: httpx.Client) -> Connector:
    crm = connect(target)
    password = target.password.reveal() if target.password else ""
    try:
        converse(crm.login(target.username, password), http)
    except CallFailed as problem:
        raise CannotRun(
            f"{target.name} does not let {target.username} in: {_said(problem)}"
        ) from problem
    return crm


def _send(crm: Connector, http: httpx.Client, merge: Merge, files: Files) -> dict[str, Any]:
    """Merge one cluster; what was there is on disk before anything is sent."""
    form = choose_form(merge.form, merge.entity)
    had = {
        each: dict(converse(_get(crm, merge.entity, each), http).record)
        for each in (merge.survivor, *merge.losers)
    }
    _append(files.undo, {
        "at": utc_now().isoformat(), "cluster": merge.cluster, "entity": merge.entity,
        "survivor": merge.survivor, "records": had,
    })  # fmt: skip
    survivor = merge.survivor
    for number in range(len(rounds(form, merge.entity, survivor, merge.losers, ()))):
        step = rounds(form, merge.entity, survivor, merge.losers, merge.taken())[number]
        for call in calls_of(form, step, _token(crm)):
            reply = converse(_asked(crm, call), http)
            survivor = _survivor_after(form, call, reply) or survivor
    done = {
        "cluster": merge.cluster, "survivor": survivor, "losers": list(merge.losers),
        "entity": merge.entity,
    }  # fmt: skip
    _append(files.done, done)
    return done


def _get(crm: Connector, entity: str, record_id: str) -> Talk[One]:
    return crm.get(entity, record_id)


def _asked(crm: Connector, call: Call) -> Talk[Reply]:
    headers = {**crm.auth_headers(), **call.headers}
    return ask(crm, Call(call.method, call.path, call.name, headers, call.body))


def _token(crm: Connector) -> str:
    """The bare token, for calls that carry it in their body."""
    headers = {name.lower(): value for name, value in crm.auth_headers().items()}
    return headers.get("authorization", "").partition(" ")[2]


def _survivor_after(form: Form, call: Call, reply: Reply) -> str:
    """The survivor's id after a merge, where the CRM gives it a new one."""
    text = reply.body.decode("utf-8", "replace")
    if form.refused and re.search(form.refused, text):
        raise _Refused(f"{call.name} was refused")
    if not form.survivor_after or not call.name.endswith(".merge"):
        return ""
    try:
        answer = reply.json()
    except ValueError:
        return ""
    return str(answer.get(form.survivor_after, "")) if isinstance(answer, Mapping) else ""


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line that survives a crash, to a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as out:
        out.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        out.flush()
        os.fsync(out.fileno())


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read", hint="It says what was merged; mend its last line."
        ) from error
