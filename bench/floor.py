"""The floor: the least that any agent of this kind must do, as one loop without anything else.

    python -m bench.floor receive                     prints its port; reads and answers
    python -m bench.floor send PORT WORK DIRECTORY    prints "ready"; a line on stdin begins it

``send`` reads files, cuts at the last newline, counts newlines, compresses (zstd -1), digests (SHA-256),
appends to a file, syncs it once for 16 MiB of raw log, sends over loopback, and notes each answer durably:
the batches and syncs of the agent, without its books.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import sys
from collections.abc import Iterator

import zstandard

_BATCH_BYTES = 4 << 20
_COMMIT_BYTES = 16 << 20
_READ_BYTES = 1 << 20
_HEAD = struct.Struct("<QQ32s")


def receive() -> None:
    """One connection, to its end."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    peer, _ = listener.accept()
    with peer, peer.makefile("rb") as incoming:
        while head := incoming.read(_HEAD.size):
            incoming.read(_HEAD.unpack(head)[0])
            peer.sendall(head)


def send(port: int, work: str, directory: str) -> None:
    peer = socket.create_connection(("127.0.0.1", port))
    with open(f"{work}/spool", "wb", buffering=0) as spool, open(f"{work}/acks", "wb", buffering=0) as acks:
        print("ready", flush=True)
        sys.stdin.readline()
        commit: list[tuple[bytes, bytes]] = []
        compressor, memory = zstandard.ZstdCompressor(level=1), bytearray(_BATCH_BYTES + _READ_BYTES)
        committed = records = 0
        for path in sorted(os.listdir(directory)):
            for batch in _batches(f"{directory}/{path}", memory):
                count, raw_bytes = memory.count(b"\n", 0, len(batch)), len(batch)
                payload = compressor.compress(batch)
                head = _HEAD.pack(len(payload), count, hashlib.sha256(payload).digest())
                os.writev(spool.fileno(), (head, payload))
                commit.append((head, payload))
                committed += raw_bytes
                records += count
                if committed >= _COMMIT_BYTES:
                    _deliver(peer, spool.fileno(), acks.fileno(), commit)
                    commit, committed = [], 0
        _deliver(peer, spool.fileno(), acks.fileno(), commit)
    print(records, flush=True)
    sys.stdin.readline()


def _batches(path: str, memory: bytearray) -> Iterator[memoryview]:
    """Whole lines, in memory that is used again and again: each is valid until the next is asked for."""
    view, filled = memoryview(memory), 0
    with open(path, "rb", buffering=0) as file:
        while True:
            while filled < _BATCH_BYTES and (got := file.readinto(view[filled : filled + _READ_BYTES])):
                filled += got
            end = memory.rfind(b"\n", 0, filled) + 1
            if not end:
                return
            yield view[:end]
            memory[: filled - end] = memory[end:filled]
            filled -= end


def _deliver(peer: socket.socket, spool: int, acks: int, commit: list[tuple[bytes, bytes]]) -> None:
    os.fdatasync(spool)
    for head, payload in commit:
        peer.sendall(head)
        peer.sendall(payload)
        answer = b""
        while len(answer) < _HEAD.size:
            answer += peer.recv(_HEAD.size - len(answer))
        os.write(acks, answer)
    os.fdatasync(acks)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["receive"]:
            receive()
        case ["send", port, work, directory]:
            send(int(port), work, directory)
