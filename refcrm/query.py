"""Query: records by filters and sort order of the caller's choice."""

from __future__ import annotations

from refcrm import paging
from refcrm.call import Answer, Call, answer
from refcrm.errors import invalid
from refcrm.filters import Order, conditions
from refcrm.sql import Arguments, columns, visible
from refcrm.validate import to_id

_LARGEST_PAGE = 1000


async def query_records(call: Call) -> Answer:
    """POST /api/v1/{entity}/query: filtered, sorted, page by page."""
    entity, body = call.entity, await call.json()
    if not isinstance(body, dict) or not body.keys() <= {"filters", "sort", "limit", "cursor"}:
        raise invalid("the body must be an object of filters, sort, limit and cursor")
    limit = to_id(body.get("limit", 20))
    if limit is None or limit > _LARGEST_PAGE:
        raise invalid("the limit does not fit", {"limit": f"must be 1 to {_LARGEST_PAGE}"})
    cursor = body.get("cursor")
    if not isinstance(cursor, str | None):
        raise paging.unfit()
    arguments = Arguments()
    order = Order(entity, body.get("sort", []))
    where = conditions(entity, body.get("filters", []), arguments)
    where += order.after(cursor, arguments) + visible(entity, call.reader, arguments)
    rows = await call.services.database.fetch(
        f"select {columns(entity)}{order.shown()} from {entity.name} r where true{where} "
        f"order by {order.clause()} limit {arguments.bind(limit + 1)}",
        arguments.values,
    )
    shown, more = paging.cut(rows, limit)
    following = order.cursor(shown[-1]) if more else None
    records = [
        {name: value for name, value in row.items() if not name.startswith("key_")} for row in shown
    ]
    return answer({"records": records, "next": following})
