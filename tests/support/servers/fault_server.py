"""An HTTP target that misbehaves on demand, as a process of its own.

    python tests/support/servers/fault_server.py --port N --log FILE [--host ADDRESS] [--certificate FILE --key FILE]

It prints one line of JSON when it listens. Each line of JSON on standard input is a list of rules that replaces the ones
in force, and is answered by the line `ok`; the process ends with its standard input. The first rule that has something
left is used; see `fault_server_rules.Rule`. Every request becomes a line of the log before its answer leaves, by one
write(2), so that what was acknowledged is in the log whatever kills this process. `fault_server_control` starts it and
reads the log.

Events are recognised by their field `"id":"..."`, in bodies that are plain, gzip or zstd.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import ssl
import struct
import sys
import time
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[2]))
from support.servers.fault_server_rules import BROKEN, Rule, event_ids

_MAX_HEAD_BYTES = 65_536
_ENDLESS = b"x" * 65_536


class Target:
    """The state that all connections share."""

    def __init__(self, log: str) -> None:
        self.rules = [Rule()]
        self.connections = 0
        self.in_service = 0
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._read_until = 0.0

    def rule(self) -> Rule:
        """The rule for the next request; the last one holds on when all have ended."""
        return next((rule for rule in self.rules if rule.use()), self.rules[-1])

    def pause_secs(self, count: int) -> float:
        """How long nothing must be read after so many bytes."""
        rate = self.rules[0].bytes_per_sec
        if not rate:
            return 0.0
        now = time.monotonic()
        self._read_until = max(now, self._read_until) + count / rate
        return self._read_until - now

    def note(self, record: dict[str, Any]) -> None:
        """Appends to the log."""
        os.write(self._log, json.dumps(record, separators=(",", ":")).encode() + b"\n")


class Peer(asyncio.Protocol):
    """One connection, one request at a time."""

    transport: asyncio.Transport

    def __init__(self, target: Target) -> None:
        self._target = target
        target.connections += 1
        self._number = target.connections
        self._buffer = bytearray()
        self._head: dict[str, str] | None = None
        self._rule = Rule()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open = True
        self._busy = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._open = False
        self._flowing.set()

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    def data_received(self, data: bytes) -> None:
        pause = self._target.pause_secs(len(data))
        if pause > 0:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(pause, self._read_on)
        self._buffer += data
        self._next()

    def _read_on(self) -> None:
        if self._open:
            self.transport.resume_reading()

    def _next(self) -> None:
        if self._busy or not self._open:
            return
        if self._head is None and not self._begin():
            return
        length = int((self._head or {}).get("content-length", "0"))
        if len(self._buffer) < length:
            return
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        head, self._head = self._head or {}, None
        limit = self._rule.max_at_once
        if limit and self._target.in_service >= limit:
            self._rule = Rule(status=429)
        if self._rule.delay_secs or self._rule.action == "endless":
            self._busy = True
            self._target.in_service += 1
            self._task = asyncio.ensure_future(self._serve_later(head, body))
        else:
            self._serve(head, body)

    def _begin(self) -> bool:
        """Reads the head; whether the body is wanted."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                self.transport.abort()
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        self._head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        self._rule = rule = self._target.rule()
        if rule.action == "reset_early":
            self._note(self._head, [], 0, 0)
            self._reset()
            return False
        if rule.action == "refuse_early" and int(self._head.get("content-length", "0")) > rule.max_body:
            self._note(self._head, [], 413, 0)
            self.transport.write(rule.answer(413).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            self._busy = True
            asyncio.get_running_loop().call_later(0.2, self.transport.close)
            return False
        return True

    async def _serve_later(self, head: dict[str, str], body: bytes) -> None:
        await asyncio.sleep(self._rule.delay_secs)
        self._target.in_service -= 1
        self._busy = False
        if self._open:
            self._serve(head, body)
        while self._open and self._rule.action == "endless":
            self.transport.write(_ENDLESS)
            await self._flowing.wait()
            await asyncio.sleep(0)
        if self._open:
            self._next()

    def _serve(self, head: dict[str, str], body: bytes) -> None:
        rule, action = self._rule, self._rule.action
        ids = event_ids(body, head.get("content-encoding", ""))
        status = rule.status
        if rule.max_body and len(body) > rule.max_body:
            status = 413
        elif rule.poison and rule.poison in ids:
            status = 400
        told = action in {"answer", "endless", "half_body", "reset_acknowledged", "refuse_early"}
        self._note(head, ids, status if told else 0, len(body))
        if action in {"answer", "refuse_early"}:
            self.transport.write(rule.answer(status))
            if self._buffer and not self._busy:
                self._next()
        elif action in {"reset_late", "reset_acknowledged"}:
            self._reset()
        elif action != "never":
            self.transport.write(BROKEN[action] if action != "endless" else b"HTTP/1.1 %d Endless\r\n\r\n" % status)
            if action != "endless":
                self.transport.close()

    def _note(self, head: dict[str, str], ids: list[str], status: int, size: int) -> None:
        names = ("content-type", "content-encoding", "idempotency-key")
        self._target.note(
            {
                "at": time.monotonic(),
                "connection": self._number,
                "status": status,
                "bytes": size,
                "ids": ids,
                "headers": {name: head[name] for name in names if name in head},
            }
        )

    def _reset(self) -> None:
        peer = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _obey(target: Target) -> None:
    """One command of whoever started this process."""
    line = sys.stdin.readline()
    if not line:
        asyncio.get_running_loop().stop()
        return
    target.rules = [Rule(**{**rule, "headers": tuple(rule.get("headers", ()))}) for rule in json.loads(line)]
    print("ok", flush=True)


async def _listen(options: argparse.Namespace, target: Target) -> None:
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    listener.bind((options.host, options.port))
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Peer(target), sock=listener, backlog=600, ssl=context)
    loop.add_reader(sys.stdin.fileno(), _obey, target)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)


def main() -> None:
    """Serves until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    options = parser.parse_args()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(
        lambda _loop, context: None if options.certificate else _loop.default_exception_handler(context)
    )
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_listen(options, Target(options.log)))
    loop.run_forever()


if __name__ == "__main__":
    main()
