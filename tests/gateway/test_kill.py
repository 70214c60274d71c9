"""T17, T47: the gateway is killed under load, again and again; what had a receipt is in the journal."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from gapless.model.batch import BatchHeader
from gapless.model.entry import BatchEntry, Kind
from gapless.model.receipt import Receipt
from gapless.model.signing import Signed, Signer, verify
from waiting import until

from .support import STREAM, batch, body, entries, epoch

SENDERS = 4
KILLS = 4
SERVER = Path(__file__).with_name("server.py")


@contextmanager
def server(directory: Path, number: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A gateway process, killed at the latest when the block ends; its URL."""
    port_file = directory / f"port-{number}"
    process = subprocess.Popen([sys.executable, str(SERVER), str(directory), str(port_file)])
    try:
        until(lambda: port_file.exists() or process.poll() is not None)
        yield process, f"http://127.0.0.1:{port_file.read_text()}"
    finally:
        process.kill()
        process.wait()


class Sender(threading.Thread):
    """Sends one epoch's batches in order, two at a time, and keeps sending what has no receipt."""

    def __init__(self, number: int, token: str, url: str, receipts: dict[str, list[Signed]]) -> None:
        super().__init__(daemon=True)
        self.epoch = epoch(number + 1)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._url = url
        self._receipts = receipts[self.epoch]
        self.stop = threading.Event()

    def batch(self, number: int) -> tuple[BatchHeader, bytes]:
        return batch(20 * number, 20 * number + 20, epoch=self.epoch, salt=str(number) * 30)

    def run(self) -> None:
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=10) as client:
            while not self.stop.is_set():
                done = len(self._receipts)
                try:
                    answer = client.post("/v1/batches", content=body(self.batch(done), self.batch(done + 1)))
                except httpx.TransportError:
                    return  # killed: the next server gets the same two again
                assert answer.status_code in (200, 429), answer.text
                for result in answer.json().get("results", ()):
                    assert result["status"] == "receipt", result
                    self._receipts.append(msgspec.convert(result["receipt"], Signed))


@pytest.mark.case("T17", "T47")
@pytest.mark.system
def test_what_has_a_receipt_survives_every_kill(tmp_path: Path) -> None:
    chance = random.Random(17)
    receipts: dict[str, list[Signed]] = {epoch(number + 1): [] for number in range(SENDERS)}
    for number in range(KILLS):
        with server(tmp_path, number) as (process, url):
            token = (tmp_path / "admin.token").read_text().strip()
            senders = [Sender(sender, token, url, receipts) for sender in range(SENDERS)]
            before = sum(map(len, receipts.values()))
            for sender in senders:
                sender.start()
            goal = before + chance.randrange(20, 120)
            until(lambda goal=goal: sum(map(len, receipts.values())) >= goal)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            for sender in senders:
                sender.stop.set()
                sender.join(20)
                assert not sender.is_alive()

    public_key = Signer(bytes.fromhex((tmp_path / "receipt.key").read_text())).public_key
    journaled: dict[tuple[str, int], tuple[BatchEntry, bytes, int]] = {}
    for entry in entries(tmp_path / "journal", Kind.BATCH):
        decoded = msgspec.json.decode(entry.meta, type=BatchEntry)
        key = (decoded.header.epoch, decoded.header.first)
        assert key not in journaled, "a batch was journaled twice"
        journaled[key] = (decoded, bytes(entry.body), entry.position)
    for sender_epoch, signed_receipts in receipts.items():
        sender = Sender(int(sender_epoch, 16) - 1, "", "", receipts)
        assert len(signed_receipts) > KILLS
        for number, signed in enumerate(signed_receipts):
            receipt = verify(signed, public_key, Receipt)
            header, payload = sender.batch(number)
            decoded, stored, position = journaled[sender_epoch, header.first]
            assert stored == payload
            assert decoded.header == header
            assert (receipt.stream, receipt.epoch, receipt.first) == (STREAM, sender_epoch, header.first)
            assert (receipt.digest, receipt.position) == (header.digest, position)
            assert receipt.journaled_us == decoded.journaled_us
    # What is there beyond the receipts is at most what each sender had under way when it ended.
    assert len(journaled) - sum(map(len, receipts.values())) <= 2 * SENDERS


@pytest.mark.system
def test_it_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    with server(tmp_path, 0) as (process, url):
        token = (tmp_path / "admin.token").read_text().strip()
        content = body(batch(0, 10))
        answer = httpx.post(
            f"{url}/v1/batches", content=content, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
