"""Encrypted backups: to two keys at least, whole or not there, and opened by either key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.errors import CannotRun, ConfigError
from playbooks.encryption import (
    Keys,
    decrypt_file,
    decrypt_tree,
    encrypt_file,
    encrypt_tree,
    keys_in,
    make_keys,
    recipients_of,
)
from playbooks.errors import CheckFailed
from playbooks.tree import hash_file


class Chest:
    """Two keys, and files of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = (folder / "operator.txt", folder / "escrow.txt")
        self.recipients = tuple(make_keys(each) for each in self.files)

    @property
    def keys(self) -> tuple[Keys, ...]:
        return tuple(keys_in(each) for each in self.files)


@pytest.fixture
def chest(tmp_path: Path) -> Chest:
    return Chest(tmp_path)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Chest:
    return Chest(tmp_path_factory.mktemp("chest"))


@given(content=st.binary(max_size=300_000), key=st.integers(0, 1), cut=st.integers(1, 200))
def test_either_key_opens_and_a_cut_file_leaves_nothing(
    lasting: Chest, content: bytes, key: int, cut: int
) -> None:
    plain, closed, out = (lasting.folder / each for each in ("plain", "closed", "out"))
    plain.write_bytes(content)
    made = encrypt_file(plain, closed, lasting.recipients)
    assert (made.plain, made.cipher, made.bytes) == (
        hash_file(plain), hash_file(closed), len(content)
    )  # fmt: skip
    found = decrypt_file(closed, out, lasting.keys[key])
    assert out.read_bytes() == content and found == made
    out.unlink()
    os.truncate(closed, max(closed.stat().st_size - cut, 0))
    with pytest.raises(CheckFailed, match="it cannot be decrypted"):
        decrypt_file(closed, out, lasting.keys[key])
    assert not [each for each in lasting.folder.iterdir() if "out" in each.name]


def test_a_flipped_byte_late_in_a_file_leaves_no_half_of_it(chest: Chest) -> None:
    (chest.folder / "plain").write_bytes(bytes(3 << 20))
    encrypt_file(chest.folder / "plain", chest.folder / "closed", chest.recipients)
    content = bytearray((chest.folder / "closed").read_bytes())
    content[-1000] ^= 1
    (chest.folder / "closed").write_bytes(content)
    with pytest.raises(CheckFailed, match="the encrypted backup is damaged"):
        decrypt_file(chest.folder / "closed", chest.folder / "out", chest.keys[0])
    assert not [each for each in chest.folder.iterdir() if "out" in each.name]


def test_another_key_is_said_to_be_another(chest: Chest) -> None:
    (chest.folder / "plain").write_text("x")
    encrypt_file(chest.folder / "plain", chest.folder / "closed", chest.recipients)
    make_keys(chest.folder / "third.txt")
    with pytest.raises(CheckFailed, match="encrypted to other keys than the one given"):
        decrypt_file(
            chest.folder / "closed", chest.folder / "out", keys_in(chest.folder / "third.txt")
        )


def test_a_tree_keeps_its_empty_directories_and_misses_nothing(chest: Chest) -> None:
    source = chest.folder / "source"
    (source / "empty").mkdir(parents=True)
    (source / "a").mkdir()
    (source / "a" / "file").write_text("1")
    made = encrypt_tree(source, chest.folder / "closed", chest.recipients)
    wanted = {f"{name}.age": each.cipher for name, each in made.items()}
    assert decrypt_tree(chest.folder / "closed", chest.folder / "out", chest.keys[1], wanted) == 1
    assert (chest.folder / "out" / "empty").is_dir()
    (chest.folder / "closed" / "a" / "file.age").rename(chest.folder / "elsewhere")
    with pytest.raises(CheckFailed, match=r"file\.age is missing from the encrypted backup"):
        decrypt_tree(chest.folder / "closed", chest.folder / "again", chest.keys[1], wanted)
    encrypt_file(source / "a" / "file", chest.folder / "closed/a/file.age", chest.recipients)
    with pytest.raises(CheckFailed, match=r"file\.age is not the one that was encrypted"):
        decrypt_tree(chest.folder / "closed", chest.folder / "again", chest.keys[1], wanted)
    assert not (chest.folder / "again" / "a" / "file").exists()


def test_keys_are_for_their_owner_and_never_written_over(chest: Chest) -> None:
    path = chest.files[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(CannotRun, match="cannot be written: File exists"):
        make_keys(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"may be read by others \(mode 0640\)"):
        keys_in(path)
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(CannotRun, match="holds no age key"):
        keys_in(path)


def test_two_recipients_or_none(chest: Chest) -> None:
    one, two = chest.recipients
    listed = chest.folder / "recipients"
    listed.write_text(f"# both\n{one}\n\n{two}\n")
    assert recipients_of([]) == ()
    assert recipients_of([str(listed)]) == recipients_of([one, two]) == (one, two)
    for few in ([one], [one, one]):
        with pytest.raises(ConfigError, match="names 1 recipient; at least 2 are needed"):
            recipients_of(few)


def test_a_private_key_among_recipients_is_never_repeated(chest: Chest) -> None:
    secret = chest.files[0].read_text().splitlines()[-1]
    (chest.folder / "listed").write_text(secret.lower())
    for given_ in (secret, secret.lower(), str(chest.folder / "listed")):
        with pytest.raises(ConfigError, match="holds a private key of age") as refused:
            recipients_of([given_, chest.recipients[0]])
        assert secret[20:] not in f"{refused.value}{refused.value.hint}".upper()
