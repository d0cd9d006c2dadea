"""Locust's master and workers over CURVE: encrypted, and open only to who knows the secret.

Locust's own sockets are plain and take whoever comes.  ZeroMQ's CURVE (RFC 26) needs a pair of
keys on each side; both are derived from the one secret, so that nobody without it gets past the
handshake, in either direction: a worker believes no false master either.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import gevent
import zmq as plain_zmq
import zmq.green as zmq
from locust.exception import RPCError
from locust.rpc import zmqrpc
from zmq.utils import z85

from crmops.errors import CannotRun

FAILED = (
    plain_zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | plain_zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | plain_zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Keys(NamedTuple):
    """Both sides' pairs of keys, as Z85 text."""

    master_public: bytes
    master_secret: bytes
    worker_public: bytes
    worker_secret: bytes


def derive_keys(secret: str) -> Keys:
    """The keys of a secret (scrypt, RFC 7914, 16 MB: guessing from a recorded handshake is dear).

    Raises CannotRun where ZeroMQ was built without CURVE.
    """
    if not plain_zmq.has("curve"):
        raise CannotRun(
            "ZeroMQ was built without CURVE, and nothing else would keep strangers out",
            hint="Install pyzmq from its wheel: `pip install --force-reinstall pyzmq`.",
        )
    found = []
    for role in (b"master", b"worker"):
        raw = hashlib.scrypt(
            secret.encode(), salt=b"crmops load " + role, n=2**14, r=8, p=1, dklen=32
        )
        private = z85.encode(raw)
        found += [plain_zmq.curve_public(private), private]
    return Keys(*found)


def seal(keys: Keys, refused: Callable[[], None]) -> None:
    """Make every socket of Locust's in this process a CURVE one.

    ``refused`` is called whenever a handshake fails: the other side does not know the secret.
    """

    class Master(zmqrpc.Server):
        """Locust's server socket with the master's keys."""

        def __init__(self, host: str, port: int) -> None:
            _open(self, zmq.ROUTER, host, port)
            self.socket.curve_server = True
            self.socket.curve_publickey = keys.master_public
            self.socket.curve_secretkey = keys.master_secret
            _watch(self.socket, refused)
            try:
                if port == 0:
                    self.port = self.socket.bind_to_random_port(f"tcp://{host}")
                else:
                    self.socket.bind(f"tcp://{host}:{port}")
                    self.port = port
            except plain_zmq.ZMQError as error:
                raise RPCError(f"Socket bind failure: {error}") from None

    class Worker(zmqrpc.Client):
        """Locust's client socket with the worker's keys."""

        def __init__(self, host: str, port: int, identity: str) -> None:
            _open(self, zmq.DEALER, host, port)
            self.socket.setsockopt(zmq.IDENTITY, identity.encode())
            self.socket.curve_serverkey = keys.master_public
            self.socket.curve_publickey = keys.worker_public
            self.socket.curve_secretkey = keys.worker_secret
            _watch(self.socket, refused)
            self.socket.connect(f"tcp://{host}:{port}")
            self.memory_usage = 0
            self.user_classes_count: dict[str, int] = {}

    vars(zmqrpc).update(Server=Master, Client=Worker)  # locust looks them up there


def _open(socket: zmqrpc.BaseSocket, kind: int, host: str, port: int) -> None:
    prepare: Callable[..., None] = zmqrpc.BaseSocket.__init__
    only = not host.startswith("[") and socket.ipv4_only(host, port)
    prepare(socket, kind, ipv4_only=only)
    socket.socket.setsockopt(zmq.HANDSHAKE_IVL, 10_000)


def _watch(socket: Any, refused: Callable[[], None]) -> None:
    monitor = socket.get_monitor_socket(FAILED)

    def listen() -> None:
        while True:
            event, *_ = monitor.recv_multipart()
            number, _value = struct.unpack("=hi", event[:6])
            if number & 0xFFFF & FAILED:
                refused()

    gevent.spawn(listen)
