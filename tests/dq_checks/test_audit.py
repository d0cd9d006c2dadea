"""Audits of real tables: what is counted, what is not, and what is never taken for good news."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmops.record import Verdict
from dq_checks.catalogue import find_suites
from tests.dq_checks.support import Auditor, Database, rule, suite

PEOPLE = "create table people (id bigint primary key, name text, mobile text, mail text, at date)"
NAME = rule("people.name", "filled", column="name", dimension="completeness")
MOBILE = rule("people.mobile", "format", column="mobile", format="mobile")
ONE_MOBILE = rule("people.one", "unique", columns=["mobile"], dimension="uniqueness")
BASIC = suite(NAME, MOBILE, ONE_MOBILE)


def truth(database: Database, entity: str, kind: str, field: str) -> set[str]:
    where = f"entity = '{entity}' and kind = '{kind}' and field = '{field}'"
    return database.ids(f"select record_id from defects where {where}")


PLANTED = [
    ("contacts.name.filled", "missing", "name"),
    ("contacts.email.filled", "missing", "email"),
    ("contacts.mobile.filled", "missing", "mobile"),
    ("contacts.owner.filled", "missing", "owner_id"),
    ("contacts.email.format", "malformed", "email"),
    ("contacts.mobile.format", "malformed", "mobile"),
    ("contacts.account.exists", "orphaned", "account_id"),
    ("contacts.updated.fresh", "stale", "updated_at"),
    ("contacts.updated.after_created", "inconsistent", "updated_at"),
    ("accounts.name.filled", "missing", "name"),
    ("accounts.uscc.filled", "missing", "uscc"),
    ("accounts.owner.filled", "missing", "owner_id"),
    ("accounts.uscc.check_digit", "malformed", "uscc"),
    ("accounts.postcode.format", "malformed", "postcode"),
    ("accounts.updated.after_created", "inconsistent", "updated_at"),
    ("leads.email.filled", "missing", "email"),
    ("leads.mobile.filled", "missing", "mobile"),
    ("leads.company.filled", "missing", "company"),
    ("leads.owner.filled", "missing", "owner_id"),
    ("leads.email.format", "malformed", "email"),
    ("leads.mobile.format", "malformed", "mobile"),
    ("deals.owner.filled", "missing", "owner_id"),
    ("deals.open.touched", "stale", "updated_at"),
    ("deals.account.exists", "orphaned", "account_id"),
    ("deals.close.after_created", "inconsistent", "close_date"),
    ("deals.amount.filled", "inconsistent", "amount"),
    ("deals.updated.after_created", "inconsistent", "updated_at"),
    ("activities.account.exists", "orphaned", "account_id"),
    ("cases.account.exists", "orphaned", "account_id"),
]


def test_every_planted_defect_is_found_and_nothing_else(auditor: Auditor, seeded: Database) -> None:
    shipped = find_suites().values()
    runs = auditor.runs(seeded.auditor, *shipped, worklist="all", worklist_rows=100_000)
    listed = {name: keys for run in runs for name, keys in auditor.listed(run).items()}
    counted = {name: each for run in runs for name, each in auditor.rules(run).items()}
    measured = {each.name: each.value for run in runs for each in run.measures}
    for name, kind, field in PLANTED:
        planted = truth(seeded, name.partition(".")[0], kind, field)
        assert planted, name
        assert listed.get(name) == planted, name
        assert counted[name]["bad"] == len(planted), name
        assert measured[f"rule.bad{{{name}}}"] == len(planted), name
    for entity in ("contacts", "leads"):
        twins = seeded.ids(
            "select unnest(array[record_id, of_record_id]) from defects"
            f" where entity = '{entity}' and kind = 'exact_duplicate'"
        )
        assert listed[f"{entity}.person.unique"] == twins
    assert {each.subject: each.verdict for each in runs} == {
        each.name: Verdict.PASS for each in shipped
    }


def test_a_score_is_the_weighted_sum_over_the_rules(auditor: Auditor, database: Database) -> None:
    database.do(
        PEOPLE,
        "insert into people values (1, 'a', '13800000001'), (2, ' ', '1380000000'),"
        " (3, null, '13800000001'), (4, 'd', '')",
    )
    heavy = suite({**NAME, "weight": 3}, MOBILE, ONE_MOBILE)
    run = auditor.run(database.auditor, heavy)
    rules = auditor.rules(run)
    assert {name: (each["A"], each["B"]) for name, each in rules.items()} == {
        "people.name": (2, 4),  # null and blank are both missing
        "people.mobile": (2, 3),  # a missing value has no form
        "people.one": (1, 3),  # nor does it repeat another
    }
    score = run.measure("score")
    assert score is not None
    assert score.value == pytest.approx((3 * 2 + 2 + 1) / (3 * 4 + 3 + 3))
    assert score.observed == 10
    completeness = run.measure("score{completeness}")
    assert completeness is not None and completeness.value == 0.5
    assert run.verdict is Verdict.FAIL
    assert "rule.score{people.name} is 0.5, not >= 1" in run.reason
    assert {each.subject for each in run.findings} == {"people.name", "people.mobile", "people.one"}
    assert "50.00 %" in next(e.detail for e in run.findings if e.subject == "people.name")


def test_an_empty_table_is_unknown(auditor: Auditor, database: Database) -> None:
    database.do(PEOPLE)
    run = auditor.run(database.auditor, BASIC)
    assert (run.verdict, run.reason) == (Verdict.UNKNOWN, "table people is empty")
    score, rows = run.measure("score"), run.measure("rows")
    assert score is not None and score.value is None and score.observed == 0
    assert rows is not None and rows.value == 0


def test_a_table_with_too_few_rows_is_unknown(auditor: Auditor, database: Database) -> None:
    database.do(PEOPLE, "insert into people values (1, 'a', '13800000001')")
    good = auditor.run(database.auditor, BASIC)
    few = auditor.run(database.auditor, BASIC, minimum_rows=2)
    assert good.verdict is Verdict.PASS
    assert (few.verdict, few.reason) == (
        Verdict.UNKNOWN,
        "table people has 1 rows, 2 are wanted",
    )


def test_a_column_of_nulls_is_no_pass(auditor: Auditor, database: Database) -> None:
    database.do(PEOPLE, "insert into people (id, name) values (1, 'a'), (2, 'b')")
    run = auditor.run(database.auditor, BASIC)
    assert run.verdict is Verdict.UNKNOWN
    assert "rule.score{people.mobile} has no value" in run.reason
    unknown = run.measure("rules.unknown")
    assert unknown is not None and unknown.value == 2
    lenient = suite(NAME, {**MOBILE, "optional": True}, {**ONE_MOBILE, "optional": True})
    assert auditor.run(database.auditor, lenient).verdict is Verdict.PASS


def test_a_table_of_nulls_only(auditor: Auditor, database: Database) -> None:
    database.do(PEOPLE, "insert into people (id) values (1), (2)")
    run = auditor.run(database.auditor, BASIC)
    assert run.verdict is Verdict.FAIL
    assert auditor.rules(run)["people.name"]["A"] == 0


def test_a_missing_column_is_an_error_of_its_rules_only(
    auditor: Auditor, database: Database
) -> None:
    database.do(PEOPLE, "insert into people values (1, 'a')", "alter table people drop mobile")
    run = auditor.run(database.auditor, BASIC)
    assert run.verdict is Verdict.ERROR
    assert run.reason == (
        "2 of 3 rules could not run: people.mobile: column mobile is missing;"
        " people.one: column mobile is missing"
    )
    rules = auditor.rules(run)
    assert (rules["people.name"]["A"], rules["people.name"]["B"]) == (1, 1)
    assert rules["people.mobile"]["status"] == "error" and rules["people.mobile"]["A"] is None
    score = run.measure("score")
    assert score is not None and score.observed == 1, "an errored rule never scores"


def test_a_changed_type_is_an_error_that_names_it(auditor: Auditor, database: Database) -> None:
    database.do(
        "create table people (id int, name int, at text)",
        "insert into people values (1, 7, '2020-01-01')",
    )
    aged = rule("people.at", "fresh", column="at", days=9)
    named = rule("people.kind", "one_of", column="name", values=["x"])
    run = auditor.run(database.auditor, suite(NAME, aged, named))
    rules = auditor.rules(run)
    assert run.verdict is Verdict.ERROR
    assert rules["people.at"]["reason"] == "column at holds a text, not a date or time"
    assert rules["people.kind"]["reason"] == (
        "column name holds a number, the rule compares it with 'x'"
    )
    assert rules["people.name"]["A"] == 1, "a number that is there is filled"


def test_a_missing_table_does_not_keep_others_from_being_audited(
    auditor: Auditor, database: Database
) -> None:
    database.do(PEOPLE, "insert into people values (1, 'a', '13800000001')")
    runs = auditor.runs(database.auditor, suite(NAME, table="persons"), BASIC)
    assert [each.verdict for each in runs] == [Verdict.ERROR, Verdict.PASS]
    assert runs[0].reason == "table persons is missing"
    assert runs[0].measures == ()


def test_a_table_that_may_not_be_read(auditor: Auditor, database: Database) -> None:
    database.do(PEOPLE, "revoke select on people from crm_audit")
    run = auditor.run(database.auditor, BASIC)
    assert run.verdict is Verdict.ERROR
    assert run.reason == ("table people cannot be read: the audit's database role may not read it")
    assert run.findings[0].detail.startswith("Grant SELECT")


def test_a_reference_to_a_table_that_may_not_be_read(auditor: Auditor, database: Database) -> None:
    database.do(
        PEOPLE,
        "create table firms (id bigint)",
        "revoke select on firms from crm_audit",
        "insert into people values (1, 'a')",
    )
    link = rule("people.firm", "reference", column="id", table="firms")
    run = auditor.run(database.auditor, suite(NAME, link))
    assert (
        auditor.rules(run)["people.firm"]["reason"] == "the audit's database role may not read it"
    )
    assert auditor.rules(run)["people.name"]["status"] == "good"


def test_one_broken_rule_does_not_take_the_others_of_its_scan_with_it(
    auditor: Auditor, database: Database
) -> None:
    database.do(PEOPLE, "insert into people values (1, 'a', 'x'), (2, 'b', '7')")
    broken = rule("people.cast", "sql", good="mobile::int > 0")
    wrong = rule("people.typo", "sql", good="mobile ++ 1")
    run = auditor.run(database.auditor, suite(NAME, broken, wrong))
    rules = auditor.rules(run)
    assert run.verdict is Verdict.ERROR
    assert (rules["people.name"]["A"], rules["people.name"]["B"]) == (2, 2)
    assert rules["people.cast"]["reason"] == (
        "a value cannot be read as the type that the rule expects"
    )
    assert rules["people.typo"]["status"] == "error"
    assert "'x'" not in auditor.file(run, "result.json")


def test_rules_of_every_kind(auditor: Auditor, database: Database) -> None:
    database.do(
        "create table firms (id bigint)",
        "insert into firms values (1)",
        "create table people (id bigint, firm bigint, stage text, amount numeric, born date,"
        " made timestamptz, code text, mail text)",
        "insert into people values"
        " (1, 1, 'won', 5, '2000-01-01', '2000-01-01T10:00Z', '91440300708461136T', 'A@x.cn'),"
        " (2, 2, 'won', null, '1999-12-31', '2000-01-01T10:00Z', '91440300708461136X', 'a@X.cn'),"
        " (3, null, 'lost', -1, '2000-01-02', now(), 'MA', 'b@x.cn'),"
        " (4, 1, 'odd', 7, null, now(), null, 'toolong@x.cn')",
    )
    won = [{"column": "stage", "one_of": ["won"]}]
    kinds = suite(
        rule("r.firm", "reference", column="firm", table="firms"),
        rule("r.amount", "filled", column="amount", when=won),
        rule("r.stage", "one_of", column="stage", values=["won", "lost"]),
        rule("r.range", "range", column="amount", minimum=0, maximum=6),
        rule("r.order", "compare", column="born", op=">=", other="made"),
        rule("r.fresh", "fresh", column="made", days=1),
        rule("r.code", "check_digit", column="code", code_of="uscc"),
        rule("r.mail", "unique", columns=["mail"], ignore_case=True),
        rule("r.length", "length", column="mail", maximum=6),
        rule("r.pattern", "pattern", column="mail", pattern="[a-z]+@x[.]cn"),
        rule("r.sql", "sql", applies="stage = 'lost'", good="amount < 0"),
        rule("r.not", "filled", column="born", when=[{"column": "stage", "none_of": ["odd"]}]),
        rule("r.blank", "filled", column="born", when=[{"column": "code", "is": "blank"}]),
        rule("r.pair", "unique", columns=["firm", "stage"]),
    )
    found = auditor.rules(auditor.run(database.auditor, kinds))
    assert {name: (each["A"], each["B"]) for name, each in found.items()} == {
        "r.firm": (2, 3), "r.amount": (1, 2), "r.stage": (3, 4), "r.range": (1, 3),
        "r.order": (1, 3), "r.fresh": (2, 4), "r.code": (1, 3), "r.mail": (2, 4),
        "r.length": (3, 4), "r.pattern": (2, 4), "r.sql": (1, 1), "r.not": (3, 3),
        "r.blank": (0, 1), "r.pair": (3, 3),
    }  # fmt: skip


def test_the_country_is_told_by_the_values(auditor: Auditor, database: Database) -> None:
    database.do(
        PEOPLE,
        "insert into people values (1, 'a', '(312) 555-0100'), (2, 'b', '555-0100'),"
        " (3, 'c', '13800000001'), (4, 'd', '5550100 x12')",
    )
    assert auditor.rules(auditor.run(database.auditor, BASIC))["people.mobile"]["A"] == 3
    pinned = auditor.run(database.auditor, BASIC, country="CN")
    assert auditor.rules(pinned)["people.mobile"]["A"] == 1
    chinese = suite({**NAME, "countries": ["CN"]}, MOBILE)
    assert set(auditor.rules(auditor.run(database.auditor, chinese))) == {"people.mobile"}


def test_rows_left_out_are_as_if_they_were_not_there(auditor: Auditor, database: Database) -> None:
    database.do(
        PEOPLE,
        "insert into people values (1, 'a', '13800000001', 'x'), (2, null, '13800000001', null)",
    )
    only = [{"column": "mail", "is": "filled"}]
    run = auditor.run(database.auditor, suite(NAME, MOBILE, ONE_MOBILE, only=only))
    rows = run.measure("rows")
    assert rows is not None and rows.value == 1
    assert run.verdict is Verdict.PASS
    wrong = suite(NAME, only=[{"column": "mai", "is": "filled"}])
    assert auditor.run(database.auditor, wrong).reason == (
        "the rows of table people cannot be chosen: column mai is missing"
    )


def test_a_worklist_is_bounded_and_harmless_in_a_spreadsheet(
    auditor: Auditor, database: Database
) -> None:
    database.do(
        "create table people (id text, owner_id text, name text)",
        "insert into people select '=cmd()' || i, '+1', ' ' from generate_series(1, 50) i",
    )
    run = auditor.run(database.auditor, suite(NAME, owner_column="owner_id"), worklist_rows=20)
    lines = auditor.file(run, "worklist.csv").splitlines()
    assert len(lines) == 21
    assert lines[1].startswith("people,contact,people.name,'=cmd()")
    assert lines[1].endswith(",'+1,")
    assert auditor.rules(run)["people.name"]["list_shortened"] is True


def test_only_failed_rules_are_listed_unless_all_are_asked_for(
    auditor: Auditor, database: Database
) -> None:
    database.do(PEOPLE, "insert into people values (1, 'a'), (2, null), (3, 'b')")
    lenient = suite({**NAME, "threshold": 0.5})
    assert auditor.listed(auditor.run(database.auditor, lenient)) == {}
    assert auditor.listed(auditor.run(database.auditor, lenient, worklist="all")) == {
        "people.name": {"2"}
    }
    silent = auditor.run(database.auditor, lenient, worklist="none")
    assert [each.path.rpartition("/")[2] for each in silent.evidence] == ["result.json"]


def test_a_gentle_audit_takes_one_core(auditor: Auditor, database: Database) -> None:
    database.do(PEOPLE, "insert into people values (1, 'a')")
    alone = rule(
        "people.alone", "sql", good="current_setting('max_parallel_workers_per_gather') = '0'"
    )
    assert auditor.run(database.auditor, suite(alone), pace="gentle").verdict is Verdict.PASS
    assert auditor.run(database.auditor, suite(alone)).verdict is Verdict.FAIL


def test_the_audit_cannot_write(auditor: Auditor, database: Database) -> None:
    database.do(
        PEOPLE,
        "insert into people values (1, 'a')",
        "create function spoil() returns boolean language plpgsql as"
        " $$ begin delete from people; return true; end $$",
    )
    run = auditor.run(database.owner, suite(rule("people.evil", "sql", good="spoil()")))
    assert run.verdict is Verdict.ERROR
    assert database.ids("select id from people") == {"1"}


@pytest.mark.parametrize("worklist", ["failed", "all"])
def test_no_contents_of_rows_in_any_record(
    auditor: Auditor, database: Database, worklist: str
) -> None:
    secret = "Planted-Person-4711"
    database.do(
        PEOPLE,
        f"insert into people values (1, '{secret}', '{secret}', '{secret}')",
        f"insert into people values (2, '{secret}', '{secret}', '{secret}')",
    )
    broken = rule("people.cast", "sql", good="mail::int > 0")
    run = auditor.run(database.auditor, suite(NAME, MOBILE, ONE_MOBILE, broken), worklist=worklist)
    written = run.model_dump_json() + "".join(
        auditor.history.files.path(each).read_text() for each in run.evidence
    )
    assert run.verdict is Verdict.ERROR
    assert "Planted" not in written and "4711" not in written


IDS = ("11010519491231002X", "110105194912310021", "11010519491331002X", "11010519491231002x", " ")


def test_resident_ids_are_checked_and_never_kept(
    auditor: Auditor, database: Database, tmp_path: Path
) -> None:
    database.do(
        "create table people (id int, person text)",
        *(f"insert into people values ({at}, '{each}')" for at, each in enumerate(IDS)),
    )
    people = suite(rule("people.person", "check_digit", column="person", code_of="resident_id"))
    run = auditor.run(database.auditor, people)
    found = auditor.rules(run)["people.person"]
    assert (found["A"], found["B"]) == (1, 4)
    assert auditor.listed(run) == {"people.person": {"1", "2", "3"}}
    kept = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert b"people.person" in kept
    assert [each for each in IDS[:4] if each.encode() in kept] == []
