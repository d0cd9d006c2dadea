"""A store of known records: what a new record is compared with, without reading a file again.

A directory of arrays that are mapped into memory, not read: the prepared records, for every
blocking key the hashes of its values in order, and for every value that is weighed by who holds it,
the holders.  It holds personal data, so only its owner may read it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crmops.errors import UsageError
from crmops.record import new_id
from dq_checks.duplicates.fields import Entity
from dq_checks.duplicates.model import FOLDER, Holding, Model, load_model
from dq_checks.duplicates.prepare import COLUMNS, Script
from dq_checks.duplicates.store import sweep

SCHEMA = 1
META = "store.json"
BATCH = 100_000
"""Records that lie together: to fetch a few of them costs the same in a large store."""

_AGAIN = "Make it again: crmops dq duplicates FILE --keep STORE."


class Meta(BaseModel):
    """What a store says of itself.  ``sizes``: for each key, how many blocks have which size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(alias="schema")
    id: str
    entity: Entity
    script: Script
    settings: str
    engine: str
    rows: int
    sizes: tuple[dict[int, int], ...]


@dataclass(frozen=True, slots=True)
class Index:
    """Hashes in order, and for each what it belongs to."""

    hashes: Any
    of: Any

    def between(self, hashes: Any) -> tuple[Any, Any]:
        """Where each of some hashes begins and ends."""
        import numpy as np

        return (
            np.searchsorted(self.hashes, hashes, "left"),
            np.searchsorted(self.hashes, hashes, "right"),
        )


class Known:
    """A store, opened.  Raises UsageError if it is none, or not one of this version's."""

    def __init__(self, folder: Path, models: Path = FOLDER) -> None:
        import numpy as np
        import pyarrow as pa

        self.folder = folder
        self.meta = _meta(folder)
        self.model = load_model(self.meta.settings, models)
        if (self.meta.engine, self.meta.schema_) != (engine(self.model), SCHEMA):
            raise UsageError(f"{folder} was made with other settings or versions", hint=_AGAIN)
        self.rows = self.meta.rows
        self.columns = COLUMNS[self.meta.entity, self.meta.script]
        try:
            self.keys = [self._index(f"key-{at}") for at in range(len(self.model.keys))]
            self.holders = [self._index(f"holder-{at}") for at in range(len(self.model.holders))]
            self.words = self._index("words") if "words" in self.columns else None
            self._places = np.load(folder / "places.npy", mmap_mode="r")
            mapped = pa.memory_map(str(folder / "records.arrow"))
            file = pa.ipc.open_file(mapped)
            self._batches = [file.get_batch(at) for at in range(file.num_record_batches)]
        except (OSError, ValueError) as error:
            raise UsageError(f"{folder} is damaged: {error}", hint=_AGAIN) from error

    def _index(self, name: str) -> Index:
        import numpy as np

        return Index(
            np.load(self.folder / f"{name}.hashes.npy", mmap_mode="r"),
            np.load(self.folder / f"{name}.of.npy", mmap_mode="r"),
        )

    def records(self, rows: Any) -> Any:
        """The prepared records of some rows (1-based), in any order, as an Arrow table."""
        import numpy as np
        import pyarrow as pa

        places = np.sort(self._places[rows])
        found = [
            self._batches[int(at)].take(pa.array(places[places // BATCH == at] % BATCH))
            for at in np.unique(places // BATCH)
        ]
        return pa.Table.from_batches(found, self._batches[0].schema)


def engine(model: Model) -> str:
    """What the hashes and weights of a store depend on."""
    from importlib.metadata import version

    text = model.model_dump_json(by_alias=True)
    return f"duckdb {version('duckdb')}, settings {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def is_store(folder: Path) -> bool:
    """Whether a directory is a store."""
    return os.access(folder / META, os.F_OK)


def _meta(folder: Path) -> Meta:
    if not is_store(folder):
        raise UsageError(f"{folder} is no store of known records", hint=_AGAIN)
    try:
        return Meta.model_validate_json((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as error:
        raise UsageError(f"{folder / META} cannot be read", hint=_AGAIN) from error


def check_place(folder: Path) -> None:
    """Refuse to put a store where something else is.  Raises UsageError."""
    if folder.exists() and not (
        folder.is_dir() and (is_store(folder) or not any(folder.iterdir()))
    ):
        raise UsageError(
            f"{folder} is there and no store of known records", hint="Give another --keep."
        )
    if not folder.absolute().parent.is_dir():
        raise UsageError(
            f"{folder} cannot be written: {folder.absolute().parent} is no directory",
            hint="Make it, or give another --keep.",
        )


def keep(connection: Any, folder: Path, kind: tuple[Entity, Script], model: Model) -> None:
    """Write the table ``records`` and the tables ``key_<n>`` of a run as a store, whole or not."""
    beside = f".{folder.name}."
    sweep(folder.absolute().parent, beside)
    made = Path(mkdtemp(prefix=f"{beside}{os.getpid()}-", dir=folder.absolute().parent))
    try:
        rows = _write_records(connection, made)
        sizes = [_write_key(connection, made, at) for at in range(len(model.keys))]
        for at, each in enumerate(model.holders):
            _write_holders(connection, made, at, each)
        if "words" in COLUMNS[kind]:
            _write_words(connection, made)
        meta = {
            "schema": SCHEMA, "id": new_id(), "entity": kind[0], "script": kind[1],
            "settings": model.name, "engine": engine(model), "rows": rows, "sizes": sizes,
        }  # fmt: skip
        (made / META).write_text(json.dumps(meta), encoding="utf-8")
        hand_over(made, folder.absolute().parent)
        _replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def hand_over(made: Path, like: Path) -> None:
    """What root made belongs to whom the place belongs to: a server that root left must read it."""
    if os.geteuid() == 0:
        owner = like.stat()
        for each in (made, *made.iterdir()):
            os.chown(each, owner.st_uid, owner.st_gid)


def _replace(made: Path, folder: Path) -> None:
    """The new store where the old one was; who has the old one open keeps it."""
    old = made.with_name(f"{made.name}.old")
    if folder.exists():
        folder.rename(old)
    made.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_records(connection: Any, folder: Path) -> int:
    import numpy as np
    import pyarrow as pa

    names = [each[0] for each in connection.execute("describe records").fetchall()]
    named = "" if "id" in names else ", row::varchar as id"
    read = connection.sql(f"select *{named} from records").to_arrow_reader(BATCH)
    rows: list[Any] = []
    place = str(folder / "records.arrow")
    with pa.OSFile(place, "wb") as sink, pa.ipc.new_file(sink, read.schema) as stream:
        for batch in _even(read):
            stream.write_batch(batch)
            rows.append(batch.column("row").to_numpy())
    order = np.concatenate(rows) if rows else np.empty(0, np.int32)
    places = np.zeros(len(order) + 1, np.int64)
    places[order] = np.arange(len(order))
    np.save(folder / "places.npy", places)
    return len(order)


def _even(read: Any) -> Any:
    """Batches of ``BATCH`` records each, the last one excepted."""
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in read:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= BATCH:
            whole = pa.Table.from_batches(waiting).combine_chunks()
            yield whole.slice(0, BATCH).combine_chunks().to_batches()[0]
            waiting = whole.slice(BATCH).to_batches()
    if waiting:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def _write_key(connection: Any, folder: Path, at: int) -> dict[int, int]:
    _write(connection, folder, f"key-{at}", f"select value as hashes, row as of from key_{at}")
    return dict(
        connection.execute(
            f"select n, count(*) from (select count(*) as n from key_{at} group by value"
            " having n > 1) group by n"
        ).fetchall()
    )


def _write_holders(connection: Any, folder: Path, at: int, each: Holding) -> None:
    _write(
        connection, folder, f"holder-{at}",
        f"select distinct hash({each.column}) as hashes, hash({each.column}, {each.of}) as of"
        f" from records where {each.column} is not null and {each.of} is not null",
    )  # fmt: skip


def _write_words(connection: Any, folder: Path) -> None:
    _write(
        connection, folder, "words",
        "select hash(word) as hashes, count(*)::integer as of from (select"
        " unnest(string_split(words, ' ')) as word from records where words is not null)"
        " group by word",
    )  # fmt: skip


def _write(connection: Any, folder: Path, name: str, query: str) -> None:
    import numpy as np

    made: Mapping[str, Any] = connection.execute(query).fetchnumpy()
    order = np.lexsort((made["of"], made["hashes"]))
    for column in ("hashes", "of"):
        np.save(folder / f"{name}.{column}.npy", np.ascontiguousarray(made[column][order]))
