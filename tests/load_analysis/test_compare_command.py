"""``crmops load compare`` on a history of made-up runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crmops.cli import run
from crmops.history import History
from crmops.record import Run, Verdict
from loadtests.compare.runs import earlier_like

from .made_up import document, stored

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "load-analysis" / "compare"
KINDS = sorted(each.stem for each in BAD.glob("*.json"))
SLOWER = {"deals.list": 0.030}


@pytest.fixture
def two(history: History) -> tuple[Run, Run]:
    """A passed run, and a slower one after it."""
    return stored(history, document(1)), stored(history, document(2, extra=SLOWER))


def compare(config: Path, *arguments: str) -> int:
    return run(["--config", str(config), "load", "compare", *arguments])


def test_a_slower_build_is_worse_and_fails_where_it_is_asked_to(
    config: Path, two: tuple[Run, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [each.id for each in two]
    assert compare(config, *ids, "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["word"], plain["reason"]) == ("worse", "worse: deals.list")
    assert (plain["a"]["id"], plain["b"]["id"]) == tuple(ids)
    number = next(each for each in plain["operations"] if each["operation"] == "deals.list")
    median = number["differences"][0]
    assert median["statistic"] == "p50"
    assert median["low"] < 0.030 < median["high"]
    assert median["ratio_low"] > 1
    assert compare(config, *ids, "--fail-on", "worse") == 1
    assert "deals.list" in capsys.readouterr().out
    assert compare(config, *reversed(ids), "--fail-on", "worse") == 0


def test_without_names_the_latest_is_set_against_the_last_that_passed(
    config: Path, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    good = stored(history, document(1))
    stored(history, document(3), Verdict.FAIL, "too slow")
    late = stored(history, document(2))
    stored(history, document(4), subject="capacity_steady")
    assert compare(config, "--json", "--fail-on", "worse") == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["a"]["id"], plain["b"]["id"]) == (good.id, late.id)
    assert plain["word"] == "same"
    assert compare(config, good.id, "--json") == 0
    assert json.loads(capsys.readouterr().out)["b"]["id"] == late.id
    assert compare(config, late.id) == 2
    assert [each.id for each in earlier_like(history, late, 5)] == [good.id]


def test_earlier_runs_show_the_noise(
    config: Path, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(6):
        stored(history, document(seed, factor=1 + seed % 3 / 10))
    stored(history, document(9, factor=1.1))
    assert compare(config, "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["word"], plain["noise_from_runs"]) == ("same", 6)


def test_too_few_samples_are_unknown(
    config: Path, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(history, document(1))
    stored(history, document(2, calls=0))
    assert compare(config, "--fail-on", "worse") == 3
    assert "too few samples" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_runs_that_differ_in_more_than_the_build(
    kind: str, config: Path, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    given = json.loads((BAD / f"{kind}.json").read_text())
    one = stored(history, document(1, **given.get("a", {})))
    verdict = Verdict(given.get("verdict", "pass"))
    two = stored(history, document(2, **given.get("b", {})), verdict, given.get("reason", "met"))
    assert compare(config, one.id, two.id) == 2
    said = capsys.readouterr()
    expected = (BAD / f"{kind}.txt").read_text().replace("ONE", one.id).replace("TWO", two.id)
    assert (said.out, said.err) == ("", expected)
    assert compare(config, one.id, two.id, "--anyway", "--json") in (0, 3)
    said = capsys.readouterr()
    assert json.loads(said.out)["compared_anyway"]
    assert said.err.startswith("warning: compared anyway: ")


def test_a_few_records_more_are_the_same_data(config: Path, history: History) -> None:
    before, after = {"contacts": 20_000, "teams": 3}, {"contacts": 21_500, "teams": 90}
    one, two = (stored(history, document(at, data_volume=v)) for at, v in ((1, before), (2, after)))
    assert compare(config, one.id, two.id) == 0


def test_every_kind_has_its_message_and_the_reverse() -> None:
    assert {each.stem for each in BAD.glob("*.txt")} == set(KINDS) != set()


def refused(config: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = compare(config, *arguments)
    said = capsys.readouterr()
    assert said.out == ""
    return code, said.err.splitlines()[0].removeprefix("error: ")


def test_what_cannot_be_compared(
    config: Path, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(config, capsys) == (3, "there is no load test to compare")
    one = stored(history, document(1))
    assert refused(config, capsys) == (
        3,
        "no earlier load test of 'steady' on 'crm' has passed",
    )
    assert refused(config, capsys, "nonsense", one.id) == (2, "there is no load test 'nonsense'")
    assert refused(config, capsys, one.id, one.id) == (
        2,
        f"load test {one.id} cannot be compared with itself",
    )
    two = stored(history, document(2))
    (history.artifacts(two.id) / "result.json").write_text("{}")
    assert refused(config, capsys, one.id, two.id) == (
        3,
        f"load test {two.id} has lost or altered evidence",
    )
    held_up = stored(history, document(2), lag=0.131)
    assert refused(config, capsys, one.id, held_up.id) == (
        3,
        f"the load generator of {held_up.id} was held up: loop lag p99 131 ms, 20 ms allowed",
    )
    assert compare(config, one.id, held_up.id, "--max-lag", "0.2") == 0
    capsys.readouterr()
    old = stored(history, {**document(3), "format": 99})
    assert refused(config, capsys, one.id, old.id) == (
        3,
        f"result.json of load test {old.id} has format 99, this version reads 1",
    )
