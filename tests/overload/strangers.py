"""What strangers do, each kind in a process of its own: `python strangers.py KIND PORT NUMBER [SECONDS]`. The last line of the output is
a JSON object with numbers."""

import json
import resource
import select
import socket
import sys
import time
from contextlib import suppress

HOST = "127.0.0.1"


def machine(network: int, number: int) -> str:
    """One of a thousand addresses."""
    return f"127.{network}.{number // 250 % 4}.{1 + number % 250}"


def connect(port: int, address: str) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=30, source_address=(address, 0))


def head(port: int, path: str, length: int, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", f"Host: {HOST}:{port}", "Content-Type: application/json", f"Content-Length: {length}", *lines, "", ""]).encode()


def held(port: int, number: int, seconds: float) -> dict:
    """Opens connections with half a body each, and opens another for each that is closed."""
    start = head(port, "/mcp/open/oauth/register", 60_000) + b"x" * 30_000
    opened = failed = closed = 0
    poll, open_now = select.poll(), {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        while len(open_now) < number and time.monotonic() < end:
            try:
                each = connect(port, machine(90, opened))
                each.setblocking(False)
                with suppress(BlockingIOError):
                    each.send(start)
                open_now[each.fileno()] = each
                poll.register(each, select.POLLIN)
            except OSError:
                failed += 1
            opened += 1
            if opened % 100 == 0:
                closed += discard(poll, open_now, 0)
        closed += discard(poll, open_now, 100)
    return {"opened": opened, "failed": failed, "closed by the gateway": closed, "open at the end": len(open_now)}


def discard(poll: select.poll, open_now: dict, patience: int) -> int:
    """Closes the connections that the gateway has answered or closed."""
    over = poll.poll(patience)
    for number, _ in over:
        poll.unregister(number)
        open_now.pop(number).close()
    return len(over)


def registered(port: int, number: int, _: float) -> dict:
    """Registers clients, each from one of a thousand addresses."""
    statuses: dict[str, int] = {}
    body = json.dumps({"client_name": "stranger", "redirect_uris": ["http://127.0.0.1:9/callback"], "token_endpoint_auth_method": "none"}).encode()
    request = head(port, "/mcp/open/oauth/register", len(body), "Connection: close") + body
    for count in range(number):
        try:
            with connect(port, machine(91, count)) as each:
                each.sendall(request)
                status = each.recv(65_536)[9:12].decode() or "closed"
        except OSError:
            status = "failed"
        statuses[status] = statuses.get(status, 0) + 1
    return statuses


def refused(port: int, number: int, _: float) -> dict:
    """Sends requests with made-up tokens, a hundred at once on each of ten connections."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    hundred = (head(port, "/mcp/open", len(body), "Authorization: Bearer made-up") + body) * 100
    answered = sent = turn = 0
    connections: list[socket.socket | None] = [None] * 10
    while answered < number:
        turn += 1
        for index, each in enumerate(connections):
            try:
                if each is None:
                    each = connections[index] = connect(port, machine(92, sent))
                each.sendall(hundred)
                sent += 100
                answered += replies(each, 100)
            except OSError:
                if each:
                    each.close()
                connections[index] = None
    return {"sent": sent, "refused": answered}


def replies(connection: socket.socket, number: int) -> int:
    """Reads so many replies. A body contains no status line."""
    found, rest = 0, b""
    while found < number:
        chunk = connection.recv(262_144)
        if not chunk:
            raise ConnectionError
        rest += chunk
        found += rest.count(b"HTTP/1.1 401 ")
        rest = rest[-12:]
    return found


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    what = {"held": held, "registered": registered, "refused": refused}[sys.argv[1]]
    print(json.dumps(what(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
