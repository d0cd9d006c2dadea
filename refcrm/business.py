"""What a CRM does beyond storing: converting leads, reporting the pipeline."""

from __future__ import annotations

from typing import Any

from refcrm.call import Answer, Call, answer
from refcrm.errors import ApiError, forbidden, invalid, missing
from refcrm.model import ENTITIES
from refcrm.records import write
from refcrm.sql import Arguments, visible
from refcrm.validate import clean

_KEYS = {"stage": "r.stage", "owner": "r.owner_id::text", "region": "u.region"}


async def convert_lead(call: Call) -> Answer:
    """POST /api/v1/leads/{id}/convert: an account and a contact, and a deal if the body has one.

    ApiError 409 ``converted`` when the lead was converted before.
    """
    call.parameters["entity"] = "leads"
    number = call.path_id()
    deal = await _wanted_deal(call)
    arguments = Arguments(number, call.principal.user_id)
    mine = visible(ENTITIES["leads"], call.principal, arguments)
    row = await write(call, _conversion(deal, mine, arguments), arguments)
    if row is None:
        raise await _why_not(call, number)
    return answer(row)


async def _wanted_deal(call: Call) -> dict[str, Any] | None:
    body = await call.json()
    if not isinstance(body, dict) or not body.keys() <= {"deal"}:
        raise invalid("the body must be an object with at most a deal")
    given = body.get("deal")
    if given is None:
        return None
    if not isinstance(given, dict) or not given.keys() <= {"name", "amount"}:
        raise invalid("the deal does not fit", {"deal": "must be an object of name and amount"})
    return clean(ENTITIES["deals"], given, creating=True)


def _conversion(deal: dict[str, Any] | None, mine: str, arguments: Arguments) -> str:
    # One statement: the lock on the lead makes a second conversion wait and then find nothing.
    made = "select null::bigint as id where false"
    if deal is not None:
        name, amount = arguments.bind(deal["name"]), arguments.bind(deal.get("amount"))
        made = (
            "insert into deals (owner_id, name, account_id, contact_id, amount, source_tag) "
            f"select lead.owner_id, {name}::text, account.id, contact.id, {amount}::numeric, "
            "lead.source_tag from lead, account, contact returning id"
        )
    return (
        "with lead as (select r.id, coalesce(r.owner_id, $2) as owner_id, r.name, r.company, "
        "r.email, r.mobile, r.source_tag from leads r where r.id = $1 "
        f"and r.status is distinct from 'converted'{mine} for update), "
        "account as (insert into accounts (owner_id, name, source_tag) "
        "select owner_id, coalesce(company, name), source_tag from lead returning id), "
        "contact as (insert into contacts (owner_id, account_id, name, email, mobile, source_tag) "
        "select lead.owner_id, account.id, lead.name, lead.email, lead.mobile, lead.source_tag "
        "from lead, account returning id), "
        f"deal as ({made}), "
        "done as (update leads set status = 'converted', converted_account_id = account.id, "
        "converted_contact_id = contact.id, converted_deal_id = (select id from deal), "
        "version = version + 1, updated_at = now() from account, contact "
        "where leads.id in (select id from lead)) "
        "select account.id::text as account_id, contact.id::text as contact_id, "
        "(select id::text from deal) as deal_id from account, contact"
    )


async def _why_not(call: Call, number: int) -> ApiError:
    arguments = Arguments(number)
    mine = visible(ENTITIES["leads"], call.principal, arguments)
    row = await call.services.database.row(
        f"select (true{mine}) as mine from leads r where r.id = $1", arguments.values
    )
    if row is None:
        return missing("the lead")
    if not row["mine"]:
        return forbidden("the lead belongs to another team or region")
    return ApiError(409, "converted", "the lead was converted before")


async def pipeline_report(call: Call) -> Answer:
    """GET /api/v1/reports/pipeline?by=: number and amount of the visible deals by a key."""
    call.parameters["entity"] = "deals"
    by = call.query.get("by", "stage")
    if by not in _KEYS:
        raise invalid("the report does not fit", {"by": f"must be one of {', '.join(_KEYS)}"})
    arguments = Arguments()
    mine = visible(ENTITIES["deals"], call.reader, arguments)
    join = " left join users u on u.id = r.owner_id" if by == "region" else ""
    rows = await call.services.database.fetch(
        f"select {_KEYS[by]} as key, count(*) as count, coalesce(sum(r.amount), 0)::float8 "
        f"as amount from deals r{join} where true{mine} group by 1 order by 1",
        arguments.values,
    )
    count = sum(row["count"] for row in rows)
    amount = round(sum(row["amount"] for row in rows), 2)
    return answer({"rows": rows, "total": {"count": count, "amount": amount}})
