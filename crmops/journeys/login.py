"""A person arrives: logs in and sees the home list."""

from __future__ import annotations

from crmops.connectors.base import Connector, Talk
from crmops.journeys._pick import expect
from crmops.journeys.base import Journey, Person
from crmops.wire import Step, Think


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end the session belongs to the person, and the CRM says so when asked again."""
    yield Step("login")
    identity = yield from crm.login(person.username, person.password)
    expect(
        not identity.username or identity.username == person.username,
        "logged in as somebody else",
    )
    yield Step("home")
    me = yield from crm.whoami()
    expect(me.user_id == identity.user_id, "the session belongs to somebody else")
    page = yield from crm.list("deal", limit=10)
    expect(len(page.records) <= 10, "the home list is longer than was asked for")
    person.logged_in = True
    yield Think(5)


JOURNEY = Journey(
    name="login",
    summary="log in and see the home list",
    steps=("login", "home"),
    walk=walk,
    roles=("rep", "manager", "admin", "integration"),
    weight=1.0,
)
