"""One keep-alive connection of one person: a raw descriptor, one watcher, no pool, no timers.

A stock gevent socket tries to read, fails, makes a timer, starts and stops a watcher, for every
answer; here the wait comes first, the watcher stays on and time limits are the sweeper's.  That
is a fifth of the cost.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import gevent
from gevent import getcurrent, monkey

from loadtests.child.sweeper import Overdue, Sweeper
from loadtests.http1 import Answer, ProtocolError, read_answer, whole_answer

PlainSocket: type[socket.socket] = monkey.get_original("socket", "socket")
RECEIVE = 32_768
READ, WRITE = 1, 2


class ConnectionLost(Exception):
    """The connection could not be made, or broke.  The text holds no address."""


class Endpoint:
    """Where to connect to: the addresses of a host, looked up once, and the TLS context of all.

    A context for each person would cost 49 ms and 856 KB each.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self.host, self.port, self.context = host, port, context
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConnectionLost(f"the host is not known: {error.strerror}") from None
        self.addresses = list(dict.fromkeys((each[0], each[4]) for each in found))


class Connection:
    """Sends requests and reads answers, one at a time.

    ``limit`` is for a whole exchange, ``read_limit`` for silence, both in seconds.
    """

    def __init__(
        self, endpoint: Endpoint, sweeper: Sweeper, limit: float, read_limit: float | None = None
    ) -> None:
        self._endpoint = endpoint
        self._sweeper = sweeper
        self._limit = limit
        self.read_limit = limit if read_limit is None else read_limit
        self.due = 0.0
        self.silent_since = 0.0
        self.seen = self.reads = 0
        self.opened = 0
        self._sock: socket.socket | None = None
        self._tls: _Tls | None = None
        self._send, self._receive = self.send_raw, self.receive_raw
        self._reader: Any = None
        self._hub: Any = None
        self._raw_send: Callable[[bytes], int] = _closed
        self._raw_receive: Callable[[int], bytes] = _closed
        self._waiting: Any = None
        self._writing: Any = None
        self._readable = False

    def exchange(self, message: bytes, method: str, *, idempotent: bool) -> Answer:
        """Send a request and read its answer.

        A kept-alive connection that the server has closed is replaced: silently if that shows
        before sending, else by sending once more, for idempotent requests only.  Raises
        ConnectionLost, ProtocolError or Overdue, and never leaves half an answer behind.
        """
        now = time.monotonic()
        self.silent_since, self.due = now, now + self._limit
        try:
            return self._exchange(message, method, idempotent)
        except BaseException:
            self.close()
            raise
        finally:
            self.due = 0.0

    def _exchange(self, message: bytes, method: str, idempotent: bool) -> Answer:
        reused = self._sock is not None and not self._readable
        if not reused:
            self._connect()
        try:
            self._send(message)
            first = self._receive()
            if not first:
                raise ConnectionLost("closed without an answer")
        except ConnectionLost:
            if not (reused and idempotent):
                raise
            self._connect()
            self._send(message)
            first = self._receive()
            if not first:
                raise
        return self._read(method, first)

    def _read(self, method: str, data: bytes) -> Answer:
        if quick := whole_answer(method, data):
            return quick
        reading = read_answer(method, data)
        try:
            next(reading)
            while True:
                reading.send(self._receive())
        except StopIteration as done:
            answer: Answer = done.value
        if not answer.reusable:
            self.close()
        return answer

    def _on_readable(self) -> None:
        """Called in the hub whenever there is something to read.

        What nobody waits for is the end of file, or bytes that nobody asked for: the connection
        is then not used again, so that they are never taken for the next answer.
        """
        if self._waiting is not None:
            self._waiting.switch()
            return
        if self._tls is not None and self._sock is not None:
            with suppress(OSError):
                data = self._sock.recv(RECEIVE)
                if data and self._tls.is_silent(data):
                    return
        self._readable = True
        self._reader.stop()

    def _connect(self) -> None:
        self.close()
        last: Exception | None = None
        for family, address in self._endpoint.addresses:
            try:
                self._open(family, address)
            except OSError as error:
                self.close()
                last = error
                continue
            if self._endpoint.context is not None:
                self._tls = _Tls(self, self._endpoint.context, self._endpoint.host)
                self._tls.handshake()
                self._send, self._receive = self._tls.send, self._tls.receive
            self.opened += 1
            return
        raise ConnectionLost(f"cannot connect: {_words(last)}")

    def _open(self, family: int, address: Any) -> None:
        sock = PlainSocket(family, socket.SOCK_STREAM)
        self._sock, self._raw_send, self._raw_receive = sock, sock.send, sock.recv
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hub = gevent.get_hub()
        self._reader = self._hub.loop.io(sock.fileno(), READ)
        self._sweeper.watch(self)
        try:
            sock.connect(address)
        except BlockingIOError:
            self._wait_writable()
            if problem := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(problem, os.strerror(problem)) from None
        self._readable = False
        self._reader.start(self._on_readable)

    def send_raw(self, message: bytes) -> None:
        """Send bytes as they are.  Raises ConnectionLost."""
        rest = message
        while True:
            try:
                sent = self._raw_send(rest)
            except BlockingIOError:
                self._wait_writable()
                continue
            except OSError as error:
                raise ConnectionLost(f"cannot send: {_words(error)}") from None
            if sent == len(rest):
                return
            rest = rest[sent:]

    def receive_raw(self) -> bytes:
        """Wait for bytes and return them; none at the end of file.  Raises ConnectionLost."""
        while True:
            self._waiting = getcurrent()
            try:
                self._hub.switch()
            finally:
                self._waiting = None
            try:
                data = self._raw_receive(RECEIVE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise ConnectionLost(f"cannot receive: {_words(error)}") from None
            self.reads += 1
            return data

    def _wait_writable(self) -> None:
        if self._sock is None:
            _closed(None)
        watcher = self._hub.loop.io(self._sock.fileno(), WRITE)
        self._writing = getcurrent()
        try:
            self._hub.wait(watcher)
        finally:
            self._writing = None
            watcher.close()

    def expire(self, why: str) -> None:
        """End the wait that goes on, if any still does (called by the sweeper, in the hub)."""
        waiting, self.due = self._waiting or self._writing, 0.0
        if waiting is not None:
            waiting.throw(Overdue(why))

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        sock, self._sock, self._tls = self._sock, None, None
        self._raw_send = self._raw_receive = _closed
        self._send, self._receive = self.send_raw, self.receive_raw
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
            reader.close()
        if sock is not None:
            self._sweeper.forget(self)
            sock.close()


def _closed(_ignored: object) -> NoReturn:
    raise ConnectionLost("the connection was closed meanwhile")


class _Tls:
    """TLS over a connection's raw bytes, through memory: the socket itself stays plain."""

    def __init__(self, carrier: Connection, context: ssl.SSLContext, host: str) -> None:
        self._carrier = carrier
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname=host)

    def handshake(self) -> None:
        """Raises ConnectionLost if the server is not who it should be."""
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLCertVerificationError as error:
                raise ConnectionLost(
                    f"the certificate is refused: {error.verify_message}"
                ) from None
            except ssl.SSLError as error:
                raise ConnectionLost(f"no TLS: {error.reason or 'closed'}") from None
            else:
                self._flush()
                return

    def send(self, message: bytes) -> None:
        self._object.write(message)
        self._flush()

    def receive(self) -> bytes:
        """Bytes of the answer; none when the server has closed, with or without notice."""
        if not self._in.pending and not self._object.pending():
            self._feed()  # an attempt to read nothing costs an exception
        while True:
            try:
                return self._object.read(RECEIVE)
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise ConnectionLost(f"TLS broke: {error.reason or 'closed'}") from None

    def is_silent(self, data: bytes) -> bool:
        """Whether bytes that came between two answers are TLS's own (session tickets)."""
        self._in.write(data)
        try:
            self._object.read(1)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            pass
        return False

    def _flush(self) -> None:
        if self._out.pending:
            self._carrier.send_raw(self._out.read())

    def _feed(self) -> None:
        data = self._carrier.receive_raw()
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()


def _words(error: Exception | None) -> str:
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text).lower()


__all__ = ["Connection", "ConnectionLost", "Endpoint", "Overdue", "ProtocolError"]
