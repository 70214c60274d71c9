"""Tokens: their secret is nowhere but with whom it was given to, and changes are durable."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from gapless.gateway.tokens import (
    EVERY_TENANT,
    Token,
    TokenStore,
    admin_needed,
    digest_of,
    mint,
    write_admin,
)
from gapless.log.disk import OsDisk, OsFile
from gapless.model.errors import Corrupt, Refused, Unavailable
from gapless.model.stream import StreamKey


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "tokens.json")


def ingest(*tables: str, tenant: str = "contoso") -> tuple[Token, str]:
    return mint(tenant, tables, "ingest", by="test", now_us=1)


def test_a_token_is_found_by_its_text_and_kept_without_it(path: str) -> None:
    store = TokenStore(OsDisk(), path)
    token, secret = ingest()
    assert re.fullmatch(r"gl_[A-Za-z0-9_-]{43}", secret)
    assert store.find(secret) is None
    store.add(token)
    assert store.find(secret) == token
    kept = Path(path).read_text()
    assert secret not in kept and secret[3:] not in kept
    assert digest_of(secret) in kept
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_tokens_and_revocations_outlive_the_process(path: str) -> None:
    store = TokenStore(OsDisk(), path)
    (kept, kept_secret), (gone, gone_secret) = ingest(), ingest()
    store.add(kept)
    store.add(gone)
    revoked = store.revoke(gone, 5)
    assert store.find(gone_secret) is None
    assert store.revoke(revoked, 9) == revoked
    again = TokenStore(OsDisk(), path)
    assert again.find(kept_secret) == kept
    assert again.find(gone_secret) is None
    assert [t.id for t in again.all()] == [kept.id, gone.id]
    assert again.get(gone.id) == revoked
    assert again.get("nobody") is None


@pytest.mark.parametrize("text", ["", "gl_", "gl_" + "x" * 43, "\udcff", "*"])
def test_other_texts_find_nothing(path: str, text: str) -> None:
    store = TokenStore(OsDisk(), path)
    store.add(ingest()[0])
    assert store.find(text) is None


def test_what_a_token_allows() -> None:
    stream = StreamKey("contoso", "SigninLogs", "host", "files")
    everything, _ = ingest()
    assert everything.allows_ingest(stream)
    one_table, _ = ingest("AuditLogs")
    assert not one_table.allows_ingest(stream)
    other_tenant, _ = ingest(tenant="fabrikam")
    assert not other_tenant.allows_ingest(stream)
    reader, _ = mint("contoso", (), "read", by="test", now_us=1)
    assert not reader.allows_ingest(stream) and reader.allows("read", "contoso")
    admin, _ = mint(EVERY_TENANT, (), "admin", by="test", now_us=1)
    assert admin.allows_ingest(stream) and admin.allows("read", "fabrikam")
    own_admin, _ = mint("contoso", (), "admin", by="test", now_us=1)
    assert own_admin.allows("admin", "contoso") and not own_admin.allows("admin", EVERY_TENANT)


def test_names_that_cannot_be_are_refused() -> None:
    with pytest.raises(Refused, match="only an admin token"):
        mint(EVERY_TENANT, (), "ingest", by="test", now_us=1)
    with pytest.raises(Refused, match="tenant"):
        mint("no/such", (), "ingest", by="test", now_us=1)
    with pytest.raises(Refused, match="table"):
        mint("contoso", ("NoSuchTable",), "ingest", by="test", now_us=1)


class ReadOnlyFile(OsFile):
    def sync(self) -> None:
        raise OSError(errno.EIO, "broken")


class BrokenDisk(OsDisk):
    def create(self, path: str) -> OsFile:
        file = super().create(path)
        twin = ReadOnlyFile(os.dup(file._fd))
        file.close()
        return twin


def test_what_the_disk_did_not_take_did_not_happen(path: str) -> None:
    token, secret = ingest()
    broken = TokenStore(BrokenDisk(), path)
    with pytest.raises(Unavailable):
        broken.add(token)
    assert broken.find(secret) is None
    TokenStore(OsDisk(), path).add(token)
    broken = TokenStore(BrokenDisk(), path)
    with pytest.raises(Unavailable):
        broken.revoke(token, 5)
    assert broken.find(secret) == token
    assert TokenStore(OsDisk(), path).find(secret) == token


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"v":2,"tokens":[]}', b"\0" * 100])
def test_a_damaged_store_is_not_taken_for_an_empty_one(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    with pytest.raises(Corrupt):
        TokenStore(OsDisk(), path)


def test_the_admin_token_is_needed_until_its_file_holds_one(tmp_path: Path, path: str) -> None:
    disk, store, file = OsDisk(), TokenStore(OsDisk(), path), str(tmp_path / "admin.token")
    assert admin_needed(store, disk, file)
    token, secret = mint(EVERY_TENANT, (), "admin", by="test", now_us=1)
    write_admin(disk, file, secret)
    assert admin_needed(store, disk, file)
    store.add(token)
    assert not admin_needed(store, disk, file)
    assert os.stat(file).st_mode & 0o777 == 0o600
    store.revoke(token, 5)
    assert admin_needed(store, disk, file)
    weak, weak_secret = mint("contoso", (), "admin", by="test", now_us=1)
    store.add(weak)
    write_admin(disk, file, weak_secret)
    assert admin_needed(store, disk, file)
