"""Reads YAML 1.2 into plain data and remembers on which line every key stands."""

from __future__ import annotations

import difflib
import math
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from crmops.errors import ConfigError

Key = tuple[str | int, ...]
"""Where a value lies: ``("targets", "crm", "accounts", 0, "role")``."""

Plain = Any
"""What YAML can hold: text, numbers, true and false, dates, null, lists and mappings."""

_NO_TAGS = "Take the tag away; only plain values are allowed."
MAX_BYTES = 4_000_000
MAX_VALUES = 200_000
_MEANINGS = (
    ("unexpected end of stream", "a quote or bracket is never closed"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("mapping values are not allowed", "a second colon on one line; quote the text"),
    ("could not find expected ':'", "a key without a colon"),
    ("another document", "a second document begins; one file holds one"),
)
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Document:
    """The plain data of one file, and the line of every key in it (counted from 1)."""

    shown: str
    values: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)

    def where(self, key: Key) -> str:
        """``file:line`` of a key, or of the nearest thing around it that is in the file."""
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.shown}:{self.lines[key]}" if key in self.lines else self.shown


def dotted(key: Iterable[str | int]) -> str:
    """A key as people write it: ``targets.crm.accounts.0.role``."""
    return ".".join(str(part) for part in key)


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant, or nothing."""
    known = list(names)
    lowered = {each.lower(): each for each in known}
    if name.lower() in lowered:
        return lowered[name.lower()]
    near = difflib.get_close_matches(name, known, 1) or difflib.get_close_matches(
        name.lower(), lowered, 1
    )
    return lowered.get(near[0].lower(), near[0]) if near else ""


def read_document(path: Path, shown: str) -> Document:
    """The document in a file.  Raises ConfigError with the line of whatever is wrong in it."""
    return parse_document(_text(path, shown), shown)


def parse_document(text: str, shown: str) -> Document:
    """The document in a text whose top must be a mapping."""
    node = _compose(text, shown)
    if node is None:
        raise ConfigError(
            "the file is empty",
            where=shown,
            hint="`crmops init` writes one to begin with.",
        )
    if not isinstance(node, MappingNode):
        raise ConfigError(
            f"the top of the file is {_kind(node)}, not a mapping of settings",
            where=f"{shown}:{_line(node)}",
            hint="Begin with lines such as `targets:`; `crmops init` writes an example.",
        )
    builder = _Builder(shown)
    values = builder.build(node, ())
    return Document(shown, values, builder.lines)


def parse_value(text: str, shown: str) -> Plain:
    """What a variable or flag holds: a list or mapping when it is written as one, else text."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    node = _compose(text, shown)
    return text if node is None else _Builder(shown).build(node, ())


def _text(path: Path, shown: str) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file",
            where=shown,
            hint="`crmops init` writes one to begin with; --config names another.",
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"the file cannot be read: {reason}",
            where=shown,
            hint="Name a readable file.",
        ) from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(
            f"the file is larger than {MAX_BYTES} bytes",
            where=shown,
            hint="Is it the right file?",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8",
            where=f"{shown}:{line}",
            hint="Save the file in UTF-8.",
        ) from None


def _compose(text: str, shown: str) -> Node | None:
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise _malformed(error, text, shown) from None
    except YAMLError as error:
        line, character = _control_character(text)
        raise ConfigError(
            f"the file holds the control character {character}",
            where=f"{shown}:{line}",
            hint="YAML is text; save the file again from a text editor.",
        ) from error
    except RecursionError:
        raise ConfigError(
            "the file is nested too deeply", where=shown, hint="Is it the right file?"
        ) from None
    return node


def _malformed(error: MarkedYAMLError, text: str, shown: str) -> ConfigError:
    unclosed = (error.context or "").startswith("while scanning a quoted")
    mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    lines = text.splitlines()
    where = f"{shown}:{min(line, max(len(lines), 1))}"
    content = lines[line - 1] if line <= len(lines) else ""
    if "\t" in content[: len(content) - len(content.lstrip())]:
        return ConfigError(
            "a tab is used to indent",
            where=where,
            hint="YAML is indented with spaces only.",
        )
    problem = (error.problem or error.context or "it cannot be read").strip().rstrip(".")
    for words, meaning in _MEANINGS:
        problem = meaning if words in problem else problem
    return ConfigError(
        f"malformed YAML: {problem[:1].lower()}{problem[1:]}",
        where=where,
        hint="Look at this line and the one before it: indentation, a colon, a quote.",
    )


def _control_character(text: str) -> tuple[int, str]:
    for number, line in enumerate(text.split("\n"), 1):
        for character in line:
            if ord(character) < 32 and character not in "\t\r":
                return number, f"0x{ord(character):02x}"
    return 1, "that YAML forbids"


def _short(tag: object) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")


def _kind(node: Node) -> str:
    if isinstance(node, SequenceNode):
        return "a list"
    return "a mapping" if isinstance(node, MappingNode) else "a single value"


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


class _Builder:
    """Turns nodes into plain data; refuses what plain data cannot be."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.lines: dict[Key, int] = {}
        self._scalars = YAML(typ="safe", pure=True)
        self._open: list[Node] = []
        self._count = 0

    def build(self, node: Node, key: Key) -> Plain:
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._error(
                node,
                f"more than {MAX_VALUES} values, aliases counted each time",
                "Use fewer aliases.",
            )
        if any(each is node for each in self._open):
            raise self._error(node, "an alias points at what it stands in", "Write it out.")
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if node.tag not in _PLAIN_TAGS:
            raise self._error(node, f"the tag {_short(node.tag)} is not allowed", _NO_TAGS)
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, key)
            return [self._item(child, (*key, at)) for at, child in enumerate(node.value)]
        finally:
            self._open.pop()

    def _item(self, node: Node, key: Key) -> Plain:
        self.lines[key] = _line(node)
        return self.build(node, key)

    def _mapping(self, node: MappingNode, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        seen: dict[Hashable, int] = {}
        for name_node, child in self._pairs(node):
            name = self._name(name_node)
            if name in seen:
                raise self._error(
                    name_node,
                    f"{dotted((*key, name))} is given twice, first on line {seen[name]}",
                    "Keep one of them.",
                )
            seen[name] = _line(name_node)
            self.lines[(*key, name)] = _line(name_node)
            values[name] = self.build(child, (*key, name))
        for merged in self._merged(node, key):
            values = {**merged, **values}
        return values

    def _pairs(self, node: MappingNode) -> Iterator[tuple[Node, Node]]:
        return (pair for pair in node.value if pair[0].tag != _MERGE)

    def _merged(self, node: MappingNode, key: Key) -> Iterator[dict[str, Any]]:
        """What ``<<:`` brings in; the first source wins over later ones, own keys over all."""
        for name_node, child in node.value:
            if name_node.tag != _MERGE:
                continue
            sources = child.value if isinstance(child, SequenceNode) else [child]
            for source in sources:
                if not isinstance(source, MappingNode):
                    raise self._error(
                        source,
                        "<< takes a mapping or a list of mappings",
                        "Let it point at a mapping.",
                    )
                own = dict(self.lines)
                built = self.build(source, key)
                self.lines = {**self.lines, **own}
                yield built

    def _name(self, node: Node) -> str:
        if not isinstance(node, ScalarNode) or not str(node.value):
            raise self._error(node, "a key must be a word", "Write `name: value`.")
        return str(node.value)

    def _scalar(self, node: ScalarNode) -> Plain:
        try:
            value = self._scalars.constructor.construct_object(node)
        except (YAMLError, ValueError, OverflowError):
            raise self._error(
                node, f"the tag {_short(node.tag)} or its value is not allowed", _NO_TAGS
            ) from None
        if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
            raise self._error(
                node,
                f"{node.value.strip()} is not a finite number or text",
                "Quote it if it is text.",
            )
        return value

    def _error(self, node: Node, message: str, hint: str = "") -> ConfigError:
        return ConfigError(message, where=f"{self.shown}:{_line(node)}", hint=hint)
