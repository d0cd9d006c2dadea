"""What a database's refusal means, in words that hold no data of the database."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from dq_checks.expressions import RuleProblem

_STATES = {
    "57014": "the statement timeout ended it",
    "25P04": "the transaction timeout ended it",
    "55P03": "the table is locked by somebody else",
    "42501": "the audit's database role may not read it",
    "42P01": "the table is missing",
    "42703": "a column is missing",
    "42883": "a column has another type than the rule expects",
    "42804": "a column has another type than the rule expects",
    "22P02": "a value cannot be read as the type that the rule expects",
    "22008": "a date or time is out of range",
    "2201B": "the database cannot read the pattern",
    "42601": "the SQL of the rule is wrong",
    "53200": "the database is out of memory",
    "53100": "the database's disk is full",
    "53300": "the database takes no more connections",
    "28P01": "the database refused the password",
    "28000": "the database refused the login",
    "3D000": "the database does not exist",
    "57P01": "the database server was shut down",
    "57P02": "the database server crashed",
    "57P03": "the database server is starting or stopping",
    "70100": "somebody ended it on the database server",
}
_NUMBERS = {
    1045: "28P01", 1698: "28000", 1044: "28000", 1130: "28000", 1251: "28000", 1049: "3D000",
    1040: "53300", 1203: "53300", 1226: "53300", 1146: "42P01", 1054: "42703", 1142: "42501",
    1143: "42501", 1227: "42501", 1345: "42501", 1370: "42501", 1969: "57014", 3024: "57014",
    1205: "55P03", 3572: "55P03", 1139: "2201B", 3685: "2201B", 1064: "42601", 1305: "42883",
    1037: "53200", 1038: "53200", 1041: "53200", 1021: "53100", 1114: "53100", 1292: "22P02",
    1366: "22P02", 1053: "57P01", 1077: "57P01", 1317: "70100", 1927: "08006", 2002: "08001",
    2003: "08001", 2006: "08006", 2013: "08006", 2014: "08006", 2055: "08006",
}  # fmt: skip
"""SQLSTATEs for the error numbers of MariaDB and MySQL, whose own are too coarse."""

_LOST = ("08", "57P0")
_NOBODY = ("no such file", "refused", "could not translate", "resolve host", "unreachable")
_LOGIN = {"28P01", "28000", "3D000", "53300"}


def explain(error: BaseException) -> str:
    """Why something failed.  Never the database's own text, which may quote rows."""
    if isinstance(error, RuleProblem):
        return str(error)
    state = sqlstate(error)
    if state in _STATES:
        return _STATES[state]
    if lost(error):
        return "the connection to the database was lost"
    if state:
        return f"the database refused it (SQLSTATE {state})"
    return f"it could not be run ({type(error).__name__})"


def sqlstate(error: BaseException) -> str:
    """The five characters by which SQL says what is wrong; empty if there are none."""
    origin: Any = getattr(error, "orig", None) or error
    number = next(iter(getattr(origin, "args", ())), None)
    if type(number) is int and number in _NUMBERS:
        return _NUMBERS[number]
    state = getattr(origin, "sqlstate", None)
    return state if isinstance(state, str) else ""


def lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that nothing after it can work."""
    state = sqlstate(error)
    if state.startswith(_LOST):
        return True
    return isinstance(error, DBAPIError) and bool(error.connection_invalidated)


def timed_out(error: BaseException) -> bool:
    """Whether a limit of time ended it."""
    return sqlstate(error) in ("57014", "25P04")


def may_not(error: BaseException) -> bool:
    """Whether it is a right that is missing."""
    return sqlstate(error) == "42501"


def refused_login(error: SQLAlchemyError | RuntimeError) -> tuple[str, str]:
    """Why no connection came about, and what to do: no password, no address in it."""
    if isinstance(error, RuntimeError):  # said by PyMySQL of sha256 passwords
        return (
            "the database's way to check passwords needs a library that is not installed",
            "pip install cryptography, or connect by TLS or by a socket.",
        )
    state = sqlstate(error)
    text = str(getattr(error, "orig", None) or "").lower()
    if state in _LOGIN:
        reason = _STATES[state]
    elif found := re.search(r'database "[^"]*" does not exist|role "[^"]*" does not exist', text):
        reason = found[0].replace('"', "")
    elif "password" in text:
        reason = "the database refused the password"
    elif "timeout" in text or "timed out" in text:
        reason = "the database does not answer"
    elif any(each in text for each in _NOBODY):
        reason = "nobody answers at the database's address"
    elif "ssl negotiation" in text or "invalid response" in text:
        reason = "what answers at the database's address is no database"
    else:
        reason = "no connection to the database"
    return reason, "Look at database.url of the target; `crmops doctor` tries it."
