"""HTTP by hand, for requests that no client library would send and answers that arrive in pieces."""

import re
import socket
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Wire:
    """One connection. `send` these very bytes; `replies` reads until the other side has nothing more to say."""

    host: str
    port: int
    seconds: float = 10
    received: bytearray = field(default_factory=bytearray)
    machine: str | None = None  # the address that it comes from

    def __post_init__(self):
        source = (self.machine, 0) if self.machine else None
        self.socket = socket.create_connection((self.host, self.port), timeout=self.seconds, source_address=source)

    def send(self, *pieces: bytes | str) -> "Wire":
        for piece in pieces:
            self.socket.sendall(piece.encode("latin-1") if isinstance(piece, str) else piece)
        return self

    def read(self, enough=lambda received: False) -> bytes:
        """Reads until `enough`, or the other side closes, or nothing comes for a while."""
        try:
            while not enough(self.received) and (chunk := self.socket.recv(65_536)):
                self.received += chunk
        except (TimeoutError, ConnectionError):
            pass
        return bytes(self.received)

    def reply(self) -> Reply:
        """The first reply, or the only one."""
        found = self.replies(1)
        assert found, "the connection was closed without a reply"
        return found[0]

    def replies(self, most: int = 99) -> list[Reply]:
        self.read(lambda received: len(split(bytes(received))) >= most)
        return split(bytes(self.received))

    def is_closed(self) -> bool:
        """Whether the other side closes the connection, within the time limit."""
        try:
            while self.socket.recv(65_536):
                pass
            return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def pump(source: socket.socket, target: socket.socket, kept: bytearray | None = None) -> None:
    """Passes on, and adds to `kept`, what `source` sends. Ends both connections when one side ends."""
    with suppress(OSError):
        while chunk := source.recv(65_536):
            if kept is not None:
                kept.extend(chunk)
            target.sendall(chunk)
    end_connections(source, target)


def end_connections(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


def stop_listening(listener: socket.socket) -> None:
    """Closes it, and wakes whoever waits in `accept` or `recvfrom`. Closed alone it would keep them, and the kernel, when it has them call
    again, would have them take what comes to the next socket with the same number."""
    with suppress(OSError):  # one of datagrams says that it is not connected, and wakes them all the same
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def split(received: bytes) -> list[Reply]:
    """The whole replies among these bytes."""
    found = []
    while b"\r\n\r\n" in received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]
        length = next((int(value) for key, value in headers if key.lower() == "content-length"), None)
        if any(key.lower() == "transfer-encoding" for key, _ in headers):
            if (body := chunks(rest)) is None:
                break
            body, rest = body
        else:
            if len(rest) < (length or 0):
                break
            body, rest = rest[: length or 0], rest[length or 0 :]
        match = re.match(r"HTTP/1\.[01] (\d{3})", first)
        assert match, f"no status line: {first!r}"
        found.append(Reply(int(match[1]), headers, body))
        received = rest
    return found


def chunks(data: bytes) -> tuple[bytes, bytes] | None:
    """A chunked body and what follows it; `None` while it is not whole."""
    body = b""
    while True:
        size, end, rest = data.partition(b"\r\n")
        if not end:
            return None
        length = int(size.split(b";")[0], 16)
        if len(rest) < length + 2:
            return None
        body, data = body + rest[:length], rest[length + 2 :]
        if length == 0:
            return body, data
