"""What journeys share: choosing a record, making up people, checking answers, tidying up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from crmops.connectors.base import Connector, One, Page, Record, Talk
from crmops.journeys.base import Person
from crmops.outcome import CallFailed, ExpectationMissed, Outcome

_SURNAMES = ("王", "李", "张", "刘", "陈", "Smith", "Nguyen", "García", "Müller", "Okafor")
_GIVEN = ("伟", "芳", "秀英", "敏", "静", "Anna", "Ben", "Carla", "David", "Emeka")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def pick(records: Iterable[Record], person: Person) -> Record | None:
    """One of the records, at the person's whim; None when there are none.

    Records without a tag are preferred: what another run has made it may take away meanwhile.
    """
    known = list(records)
    lasting = [record for record in known if not record.get("source_tag")] or known
    if not lasting:
        return None
    skew = person.habits.skew
    if not skew:
        return person.rng.choice(lasting)
    weights = [rank**-skew for rank in range(1, len(lasting) + 1)]
    return person.rng.choices(lasting, weights)[0]


def look_over(crm: Connector, person: Person, entity: str) -> Talk[Page]:
    """A page of what the person is used to looking at; of anybody's records if it is empty."""
    habits = person.habits
    if habits.own or habits.team:
        drawn = person.rng.random()
        whose = "me" if drawn < habits.own else "team" if drawn < habits.own + habits.team else ""
        if whose:
            page = yield from _owned(crm, entity, whose)
            if page is not None and page.records:
                return (yield from _read_on(crm, person, entity, page, {"owner": whose}))
    page = yield from crm.list(entity, limit=20)
    return (yield from _read_on(crm, person, entity, page, None))


def _read_on(
    crm: Connector, person: Person, entity: str, page: Page, where: dict[str, str] | None
) -> Talk[Page]:
    """Turn page after page, as often as the person is used to; the last one that has records."""
    deep = person.habits.deep
    while deep and person.rng.random() < deep and page.cursor is not None:
        following = yield from crm.list(entity, limit=20, cursor=page.cursor, where=where)
        if not following.records:
            break
        page = following
    return page


def _owned(crm: Connector, entity: str, whose: str) -> Talk[Page | None]:
    """Somebody's records; None where the CRM cannot be asked for them."""
    try:
        return (yield from crm.list(entity, limit=20, where={"owner": whose}))
    except CallFailed as problem:
        if problem.outcome is not Outcome.INVALID:
            raise
        return None


def unique(person: Person) -> str:
    """Twelve letters and digits that nobody else draws, but for one in 10**18."""
    return "".join(person.rng.choices(_ALPHABET, k=12))


def made_up_lead(person: Person) -> dict[str, Any]:
    """A lead that does not exist yet.  ``.example`` and 199-0 numbers reach nobody real."""
    mark = unique(person)
    name = f"{person.rng.choice(_SURNAMES)} {person.rng.choice(_GIVEN)}"
    return {
        "name": name,
        "company": f"Rehearsal {mark[:6]}",
        "email": f"{mark}@rehearsal.example",
        "mobile": f"1990{person.rng.randrange(10**7):07d}",
        "source": "web",
        "status": "new",
        **tagged(person),
    }


def tagged(person: Person) -> dict[str, Any]:
    """The mark of what this person creates; empty if they have none."""
    return {"source_tag": person.tag} if person.tag else {}


def create(
    crm: Connector,
    person: Person,
    entity: str,
    fields: dict[str, Any],
    *,
    allow_duplicate: bool = False,
) -> Talk[One]:
    """Create a record and note it as the person's, so that it can be removed afterwards."""
    one = yield from crm.create(
        entity, {**fields, **tagged(person)}, allow_duplicate=allow_duplicate
    )
    person.created.append((entity, one.id))
    return one


def expect(condition: bool, message: Callable[[], str] | str) -> None:
    """Raise ExpectationMissed unless ``condition``.  Messages hold ids, never personal data."""
    if not condition:
        raise ExpectationMissed(message if isinstance(message, str) else message())


def expect_fields(one: One, wanted: dict[str, Any], what: str) -> None:
    """The record must have these values; the message names the fields only."""
    wrong = [name for name, value in wanted.items() if not _same(one.get(name), value)]
    expect(not wrong, lambda: f"{what} {one.id} was stored with another {', '.join(wrong)}")


def _same(stored: Any, given: Any) -> bool:
    """Whether a CRM gave back what it got; it may turn numbers into texts and back."""
    if stored == given:
        return True
    try:
        return isinstance(given, (int, float)) and float(stored) == float(given)
    except (TypeError, ValueError):
        return False


def tidy(crm: Connector, person: Person) -> Talk[list[tuple[str, str]]]:
    """Delete what the person has created, newest first; returns what could not be deleted.

    A record that is gone already is fine.  ``person.created`` keeps only the returned ones.
    """
    left: list[tuple[str, str]] = []
    for entity, record_id in reversed(person.created):
        try:
            yield from crm.delete(entity, record_id)
        except CallFailed as problem:
            if problem.outcome is not Outcome.MISSING:
                left.append((entity, record_id))
    person.created[:] = reversed(left)
    return left
