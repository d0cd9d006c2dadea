"""What may stand in the project's files, and how long they may be."""

from __future__ import annotations

import ast
import re
from pathlib import Path

# Spelled in pieces, so that this file does not hold what it looks for.
FORBIDDEN = (
    "/wo" + "rk/",
    "/ro" + r"ot/\.",
    "/ho" + "me/[a-z]+/",
    "py" + r"pi\.org",
    "python" + r"hosted\.org",
    "npm" + r"js\.(org|com)",
    "deb\\.debian" + r"\.org",
    "proxy\\.go" + "lang",
    "crates" + r"\.io",
)
LINES, TEST_LINES, FUNCTION_LINES = 400, 600, 60


def texts(root: Path, files: list[Path]) -> list[tuple[Path, str]]:
    found = []
    for file in files:
        data = (root / file).read_bytes()
        if b"\0" not in data[:8192]:
            found.append((file, data.decode(errors="replace")))
    return found


def test_no_file_names_a_registry_or_a_place_on_somebodys_machine(
    root: Path, files: list[Path]
) -> None:
    pattern = re.compile("|".join(FORBIDDEN))
    hits = [
        f"{file}:{number}: {line.strip()[:100]}"
        for file, text in texts(root, files)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert hits == []


def test_no_stub_and_no_silenced_check(root: Path, files: list[Path]) -> None:
    """A test may be skipped for large data that does not ship, for nothing that set-up brings."""
    words = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", "pragma: no " + "cover")
    bare = re.compile("# type: " + r"ignore($|[^\[])")
    skip = re.compile(r"pytest\.skip" + r"\((?!.* is not beside the project)")
    hits = [
        f"{file}:{number}: {line.strip()[:100]}"
        for file, text in texts(root, files)
        if file.suffix == ".py"
        for number, line in enumerate(text.splitlines(), start=1)
        if bare.search(line) or skip.search(line) or any(word in line for word in words)
    ]
    assert hits == []


def test_files_are_short_enough_to_read(root: Path, files: list[Path]) -> None:
    long = []
    for file in files:
        limit = TEST_LINES if file.parts[0] == "tests" else LINES
        if file.suffix == ".py" and (length := (root / file).read_bytes().count(b"\n")) > limit:
            long.append(f"{file}: {length} lines, {limit} at most")
    assert long == []


def test_functions_are_short_enough_to_read(root: Path, files: list[Path]) -> None:
    seen, long = 0, []
    for file in files:
        if file.suffix != ".py" or "bad" in file.parts:
            continue
        for node in ast.walk(ast.parse((root / file).read_bytes(), filename=str(file))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                seen += 1
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    long.append(f"{file}:{node.lineno} {node.name}: {length} lines")
    assert seen > 100
    assert long == []


def test_licence_is_apache_2(root: Path) -> None:
    text = (root / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_a_bench_ends_with_a_line_that_programs_read(root: Path, files: list[Path]) -> None:
    benches = [each for each in files if re.fullmatch(r"bench/[a-z]\w*\.py", str(each))]
    assert benches
    for file in benches:
        text = (root / file).read_text()
        missing = [word for word in ("ratios", "targets", "met") if f'"{word}"' not in text]
        assert (str(file), missing) == (str(file), [])
        assert f'"bench": "{file.stem}"' in text, file
