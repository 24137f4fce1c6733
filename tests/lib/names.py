"""A name server that a test programs, and a program that asks it and nobody else."""

import os
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain, cycle, repeat
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
from sockets import stop_listening

HOST = "127.0.0.77"


class Names:
    """Answers A and AAAA on port 53 of an address of its own. `names[name]` yields the addresses of one query after another."""

    def __init__(self):
        self.names: dict[str, Iterator[list[str]]] = defaultdict(lambda: repeat([]))
        self.queries: Counter[str] = Counter()  # queries for addresses of a name, a pair counted once
        self._turn: dict[str, list[str] | None] = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def always(self, name: str, *addresses: str) -> None:
        self.names[name] = repeat(list(addresses))

    def flips(self, name: str, *addresses: str) -> None:
        """Another address with each query."""
        self.names[name] = cycle([each] for each in addresses)

    def first(self, name: str, address: str, then: str) -> None:
        self.names[name] = chain([[address]], repeat([then]))

    def silent(self, name: str) -> None:
        self.names[name] = repeat(None)

    def close(self) -> None:
        stop_listening(self.socket)

    def _serve(self) -> None:
        while True:
            try:
                data, peer = self.socket.recvfrom(4096)
                if peer is None:
                    return
                if answer := self._answer(dns.message.from_wire(data)):
                    self.socket.sendto(answer.to_wire(), peer)
            except OSError:
                return

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text().rstrip(".").lower()
        wanted = {dns.rdatatype.A: lambda each: ":" not in each, dns.rdatatype.AAAA: lambda each: ":" in each}.get(question.rdtype)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA | dns.flags.AA
        if wanted is None:
            return answer
        # A resolver asks for both kinds at once: the pair is one query, and the turn goes by A.
        if question.rdtype == dns.rdatatype.A or name not in self._turn:
            self._turn[name] = next(self.names[name])
            self.queries[name] += 1
        if self._turn[name] is None:
            return None
        found = [each for each in self._turn[name] if wanted(each)]
        if found:
            answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", dns.rdatatype.to_text(question.rdtype), *found))
        return answer


def asking(folder: Path, program: str | Path, seconds: int = 1) -> Path:
    """A program that runs this one with the server above as its resolver: /etc/resolv.conf in a mount namespace of its own. It waits so many
    seconds for an answer."""
    assert os.geteuid() == 0, "DNS is answered on port 53 and /etc/resolv.conf replaced in a namespace: that needs root"
    resolver, wrapper = folder / "resolv.conf", folder / "asking"
    resolver.write_text(f"nameserver {HOST}\noptions timeout:{seconds} attempts:1\n")
    wrapper.write_text(f"#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {resolver} /etc/resolv.conf && exec \"$0\" \"$@\"' {program} \"$@\"\n")
    wrapper.chmod(0o700)
    return wrapper
