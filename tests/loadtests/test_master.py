"""What the master makes of what workers say, and of what they do not."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crmops import __version__

Listener = Callable[..., None]


class Scene:
    """A master without a network: what workers would say is said here, what it sends is kept."""

    def __init__(self, folder: Path, parts: int) -> None:
        import locust

        from loadtests.child.deliveries import JournalKeeper
        from loadtests.child.master import Master, Share

        self.versions = {"crmops": __version__, "locust": locust.__version__}
        self.told: list[dict[str, Any]] = []
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.heard: dict[str, Listener] = {}
        self.runner: Any = SimpleNamespace(
            register_message=self.heard.__setitem__, send_message=self._send, quit=lambda: None
        )
        self.keeper = JournalKeeper(folder)
        plan = {"target": {"timeout": 1}, "run_id": "run"}
        shares = [Share(number, plan) for number in range(parts)]
        pipe: Any = SimpleNamespace(write=self.told.append)
        runner: Any = self.runner
        self.master = Master(pipe, runner, shares, self.keeper, seconds=60, silence=5)
        self.master.serve()

    def _send(self, kind: str, data: dict[str, Any], client_id: str) -> None:
        self.sent.append((client_id, kind.removeprefix("crmops_"), data))

    def say(self, who: str, kind: str, **data: Any) -> None:
        """A worker says something."""
        self.word(who, f"crmops_{kind}")
        message = SimpleNamespace(node_id=who, type=kind, data=data)
        self.heard[f"crmops_{kind}"](environment=None, msg=message)

    def word(self, who: str, kind: str = "heartbeat") -> None:
        """Locust's master hears of a worker."""
        self.runner.heard(who, SimpleNamespace(type=kind))

    def join(self, who: str) -> None:
        self.say(who, "hello", name=f"host-{who}", versions=self.versions)

    def begin(self, *who: str) -> None:
        for each in who:
            self.join(each)
            self.say(each, "ready")
        self.master.go()

    def delta(self, who: str, number: int) -> None:
        self.say(who, "delta", number=number, body=zlib.compress(json.dumps({"at": 1}).encode()))

    def kinds(self, *kinds: str) -> list[tuple[Any, ...]]:
        """What the run was told, of these kinds."""
        return [
            (each["type"], each.get("worker"), each.get("why"))
            for each in self.told
            if each["type"] in kinds
        ]

    def sent_to(self, who: str) -> list[str]:
        return [kind for to, kind, _ in self.sent if to == who]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Scene]:
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    return lambda parts: Scene(tmp_path, parts)


def test_from_the_first_word_to_the_last(scene: Callable[[int], Scene]) -> None:
    it = scene(2)
    it.begin("a", "b")
    assert [each["type"] for each in it.told] == ["joined", "joined", "ready"]
    assert it.sent_to("a") == it.sent_to("b") == ["plan", "go"]
    for who, number in (("a", 1), ("b", 1), ("a", 2)):
        it.delta(who, number)
    assert it.kinds("delta") == [("delta", 0, None), ("delta", 1, None), ("delta", 0, None)]
    it.say("a", "journal", name="00-1-journal.jsonl", at=0, body=b"{}\n")
    assert it.sent[-1] == ("a", "kept", {"name": "00-1-journal.jsonl", "size": 3})
    for each in ("a", "b"):
        assert not it.master.over()
        it.say(each, "done", rest="", stopped=False, why="")
    assert it.master.over()
    assert it.kinds("lost", "gap", "regained", "error") == []
    it.keeper.close()


def test_a_report_that_is_missing_is_missed(scene: Callable[[int], Scene]) -> None:
    it = scene(1)
    it.begin("a")
    it.delta("a", 1)
    it.delta("a", 4)
    assert it.kinds("gap") == [("gap", 0, "2 reports of it did not arrive")]


def test_a_journal_that_is_not_whole_is_named(scene: Callable[[int], Scene]) -> None:
    it = scene(1)
    it.begin("a")
    it.say("a", "done", rest="/there/00-1-journal.jsonl", stopped=False, why="")
    why = "its journal is not whole; the rest is at host-a, /there/00-1-journal.jsonl"
    assert it.kinds("gap") == [("gap", 0, why)]
    assert it.master.over()


def test_before_the_beginning_another_takes_the_part_without_a_doubt(
    scene: Callable[[int], Scene],
) -> None:
    it = scene(1)
    it.join("a")
    it.join("b")
    it.word("a", "quit")
    assert it.kinds("left", "lost") == [("left", 0, "ended")]
    it.say("b", "ready")
    it.master.go()
    assert it.sent_to("b") == ["plan", "go"]
    assert it.sent[-1][2]["since"] == 0.0  # all of it is its own


def test_one_that_waits_takes_up_what_is_lost(scene: Callable[[int], Scene]) -> None:
    it = scene(1)
    it.begin("a")
    it.join("b")
    assert it.sent_to("b") == []
    it.word("a", "quit")
    it.say("b", "ready")
    assert it.kinds("lost", "regained") == [
        ("lost", 0, "ended"),
        ("regained", 0, "was taken up again"),
    ]
    plan = json.loads(zlib.decompress(next(d["plan"] for to, k, d in it.sent if k == "plan")))
    assert plan["journal"] == "00-1-journal.jsonl"
    assert it.sent_to("b") == ["plan", "go"]
    it.delta("a", 1)  # of one whose part is another's by now
    assert it.sent_to("a")[-1] == "stop"
    assert it.kinds("delta") == []


def test_silence_is_a_loss_and_a_word_ends_it(scene: Callable[[int], Scene]) -> None:
    it = scene(1)
    it.begin("a")
    it.master.look()
    assert it.kinds("lost") == []
    it.master.peers["a"].heard -= 6
    it.master.look()
    assert it.kinds("lost") == [("lost", 0, "said nothing for 5 s")]
    assert it.master.forsaken() > 5
    it.word("a")
    assert it.kinds("regained") == [("regained", 0, "was heard again")]
    assert it.master.forsaken() == 0


def test_an_early_end_is_a_loss_unless_it_was_asked_for(scene: Callable[[int], Scene]) -> None:
    it = scene(2)
    it.begin("a", "b")
    it.say("a", "done", rest="", stopped=True, why="")
    assert it.kinds("lost") == [("lost", 0, "ended before the end")]
    it.master.stop()
    assert it.sent_to("b")[-1] == "stop"
    it.say("b", "done", rest="", stopped=True, why="")
    assert len(it.kinds("lost")) == 1


def test_what_a_worker_cannot_do(scene: Callable[[int], Scene]) -> None:
    it = scene(1)
    it.say("stranger", "failed", message="no", hint="")
    assert it.told == []
    it.join("a")
    it.say("a", "failed", message="too few open files", hint="Raise it.")
    assert it.told[-1] == {
        "type": "error", "message": "host-a: too few open files", "hint": "Raise it.",
    }  # fmt: skip
    it = scene(1)
    it.begin("a")
    it.say("a", "failed", message="too few open files", hint="Raise it.")
    assert it.kinds("error", "lost") == [("lost", 0, "gave up: too few open files")]


def test_nonsense_is_no_undoing(
    scene: Callable[[int], Scene], capsys: pytest.CaptureFixture[str]
) -> None:
    it = scene(1)
    it.begin("a")
    it.say("a", "hello")
    it.say("a", "delta", number="x", body=b"no zlib")
    it.say("a", "journal", name="../../etc/passwd", at=0, body=b"")
    it.say("b", "ready")
    assert it.kinds("delta", "gap") == []
    assert "a journal that makes no sense: ValueError" in capsys.readouterr().err


def test_nobody_is_waited_for_without_end(scene: Callable[[int], Scene]) -> None:
    it = scene(1)
    it.begin("a")
    assert it.master.begins is not None
    it.master.begins = time.monotonic() - 61
    assert not it.master.over()  # answers may be outstanding
    it.master.begins = time.monotonic() - 100
    assert it.master.over()
    it.runner.server = SimpleNamespace(
        socket=SimpleNamespace(context=SimpleNamespace(destroy=lambda linger: None))
    )
    it.master.farewell()
    assert it.kinds("gap") == [("gap", 0, "it never said it was done")]
