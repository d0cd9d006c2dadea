"""The telephone rings: a rep finds who it is by name, mail address or number, and opens it."""

from __future__ import annotations

from crmops.connectors.base import Connector, Record, Talk
from crmops.journeys._pick import expect, look_over, pick, unique
from crmops.journeys.base import Journey, Person
from crmops.outcome import CallFailed, Outcome
from crmops.wire import Step, Think

_KEYS = ("email", "mobile", "name")


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end a record was found that carries what was searched for, and it was opened.

    A contact, or where the person sees none, an account.
    """
    entity, known = "contact", None
    for entity in ("contact", "account"):
        yield Step(f"list_{entity}s")
        page = yield from look_over(crm, person, entity)
        known = pick((record for record in page.records if _searchable(record)), person)
        if known is not None:
            break
    expect(known is not None, "there was nothing to search for: no contacts, no accounts")
    if known is None:
        return
    key = person.rng.choice(_searchable(known))
    text = str(known[key])
    yield Think(4)
    yield Step("search")
    if person.habits.stray and person.rng.random() < person.habits.stray:
        yield from _stray(crm, person, entity, text)
    found = (yield from crm.search(entity, text)).records
    hits = [record for record in found if _carries(record, text)]
    expect(bool(hits), lambda: f"the {key} of {entity} {known['id']} is not found")
    yield Think(3)
    yield Step(f"open_{entity}")
    chosen = next((one for one in hits if one["id"] == known["id"]), hits[0])
    one = yield from crm.get(entity, chosen["id"])
    expect(one.id == chosen["id"], lambda: f"asked for {entity} {chosen['id']}, got {one.id}")
    yield Think(15)


def _stray(crm: Connector, person: Person, entity: str, text: str) -> Talk[None]:
    """Half the time too little is typed, half the time what nobody is called; then a thought."""
    typed = text[:2] if person.rng.random() < 0.5 else unique(person)
    try:
        yield from crm.search(entity, typed)
    except CallFailed as problem:
        if problem.outcome is not Outcome.INVALID:  # some CRMs want more letters
            raise
    yield Think(2)


def _searchable(record: Record) -> list[str]:
    """The fields that somebody would type as they are: not blank, no space at either end."""
    texts = {name: record.get(name) for name in _KEYS}
    return [name for name, text in texts.items() if _is_word(text)]


def _is_word(text: object) -> bool:
    return isinstance(text, str) and len(text) > 1 and text == text.strip()


def _carries(record: Record, text: str) -> bool:
    return any(text.casefold() in str(record.get(name) or "").casefold() for name in _KEYS)


JOURNEY = Journey(
    name="search",
    summary="find a contact (where there is none, an account) by what is known, and open it",
    steps=("list_contacts", "list_accounts", "search", "open_contact", "open_account"),
    walk=walk,
    roles=("rep", "manager"),
    weight=4.0,
)
