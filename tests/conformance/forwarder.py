"""Adds a token to the suite's requests: the suite has none to send, and the gateway lets nobody in without.

It listens where the gateway's public URL says, and the gateway behind it, so that Host and Origin need no change: the gateway sees them as
the suite sent them, foreign ones included. It inserts one header line; every other byte passes as it comes, both ways, at once.
"""

import socket
import threading
from contextlib import suppress

from processes import free_port
from sockets import end_connections, pump, stop_listening

LONGEST_HEAD = 65_536


class Forwarder:
    def __init__(self, host: str, to: tuple[str, int], port: int | None = None):
        self.host, self.to = host, to
        self.port = port or free_port(host)
        self.tokens: dict[str, str] = {}  # by path
        self.added = 0
        self.listener = socket.create_server((host, self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.to, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._run, args=(near, far), daemon=True).start()
            threading.Thread(target=pump, args=(far, near), daemon=True).start()

    def _run(self, near, far):
        with suppress(OSError, EOFError, ValueError):
            self._requests(near, far)
        # Whichever side ends first ends the other: the gateway must notice a client that disconnects.
        end_connections(near, far)

    def _requests(self, near, far):
        reader = Reader(near)
        while True:
            head = reader.until(b"\r\n\r\n")
            far.sendall(self._with_token(head))
            names = dict(line.lower().partition(b":")[::2] for line in head.split(b"\r\n")[1:])
            if b"chunked" in names.get(b"transfer-encoding", b""):
                chunks(reader, far)
            else:
                reader.pass_on(far, int(names.get(b"content-length", b"0")))

    def _with_token(self, head: bytes) -> bytes:
        line, rest = head.split(b"\r\n", 1)
        token = self.tokens.get(line.split(b" ")[1].split(b"?")[0].decode("latin-1"))
        if not token:
            return head
        self.added += 1
        return line + b"\r\nAuthorization: Bearer " + token.encode() + b"\r\n" + rest

    def close(self):
        stop_listening(self.listener)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Reader:
    """Reads a socket by delimiter and by length."""

    def __init__(self, source):
        self.source = source
        self.kept = b""

    def more(self) -> None:
        chunk = self.source.recv(65_536)
        if not chunk:
            raise EOFError
        self.kept += chunk

    def until(self, mark: bytes) -> bytes:
        while mark not in self.kept:
            if len(self.kept) > LONGEST_HEAD:
                raise ValueError("this head has no end")
            self.more()
        found, _, self.kept = self.kept.partition(mark)
        return found + mark

    def pass_on(self, target, length: int) -> None:
        while length:
            if not self.kept:
                self.more()
            part, self.kept = self.kept[:length], self.kept[length:]
            target.sendall(part)
            length -= len(part)


def chunks(reader: Reader, target) -> None:
    """Passes on a chunked body, trailers included (RFC 9112 section 7.1)."""
    while True:
        line = reader.until(b"\r\n")
        target.sendall(line)
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        reader.pass_on(target, size + 2)
    while (line := reader.until(b"\r\n")) != b"\r\n":
        target.sendall(line)
    target.sendall(line)
