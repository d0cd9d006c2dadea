"""Feeds for whoever keeps a copy of the CRM: what was changed, what was deleted, since when.

Both walk forward in time with a cursor, so that a reader can stop and go on for ever. A record
changed twice appears once, with its latest state.
"""

from __future__ import annotations

from datetime import datetime

from refcrm import paging
from refcrm.call import Answer, Call, answer
from refcrm.errors import invalid
from refcrm.sql import Arguments, columns, visible
from refcrm.validate import to_time

_PAGE = 200
_MOST = 1_000
IMPORTING = "refcrm import"
"""How a connection calls itself while its import is not yet committed."""

# An import's rows carry the time at which its transaction began, and appear when it ends. A
# reader that had passed that time would never see them, so the feed waits for open imports.
_HORIZON = (
    "least(now() - make_interval(secs => {lag}), "
    "coalesce((select min(xact_start) from pg_stat_activity "
    f"where application_name = '{IMPORTING}'), 'infinity'))"
)


async def modified(call: Call) -> Answer:
    """GET /api/v1/{entity}/modified?since=&cursor=&limit=: the caller's records by last change."""
    entity, limit = call.entity, call.limit(_PAGE, _MOST)
    arguments = Arguments(*_begin(call))
    mine = visible(entity, call.reader, arguments)
    horizon = _HORIZON.format(lag=arguments.bind(call.services.faults.knobs.sync_lag_seconds))
    rows = await call.services.database.fetch(
        f"select {columns(entity)} from {entity.name} r "
        f"where (r.updated_at, r.id) > ($1, $2) and r.updated_at <= {horizon}{mine} "
        f"order by r.updated_at, r.id limit {limit + 1}",
        arguments.values,
    )
    shown, more = paging.cut(rows, limit)
    following = paging.encode(shown[-1]["updated_at"], int(shown[-1]["id"])) if more else None
    return answer({"records": shown, "next": following})


async def deleted(call: Call) -> Answer:
    """GET /api/v1/{entity}/deleted?since=&cursor=&limit=: ids that are gone, in that order."""
    entity, limit = call.entity, call.limit(_PAGE, _MOST)
    lag = call.services.faults.knobs.sync_lag_seconds
    rows = await call.services.database.fetch(
        "select record_id::text as id, deleted_at, id as place from deletions "
        "where entity = $3 and (deleted_at, id) > ($1, $2) "
        "and deleted_at <= now() - make_interval(secs => $4) "
        "order by deleted_at, deletions.id limit $5",
        (*_begin(call), entity.name, lag, limit + 1),
    )
    shown, more = paging.cut(rows, limit)
    following = paging.encode(shown[-1]["deleted_at"], shown[-1]["place"]) if more else None
    records = [{"id": row["id"], "deleted_at": row["deleted_at"]} for row in shown]
    return answer({"records": records, "next": following})


def _begin(call: Call) -> tuple[datetime, int]:
    """Where to go on: behind the cursor's record, or from ``since`` on (inclusive)."""
    behind = paging.after_time(call.query.get("cursor") or None)
    if behind is not None:
        return behind
    since = call.query.get("since")
    if not since:
        raise invalid("a feed needs a begin", {"since": "is required"})
    at = to_time(since)
    if at is None:
        reason = "must be a time such as 2026-01-31T08:00:00Z"
        raise invalid("the begin does not fit", {"since": reason})
    return at, 0
