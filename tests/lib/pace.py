"""How long from an apply to every replica serving it, how many requests a change costs, how much memory it takes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2
import manifests as m
from cluster_parts import resident
from cluster_world import ClusterWorld
from gateway import HOST
from processes import wait_until
from raw import MODERN

PATIENCE = 30  # seconds; what takes longer is a failure of its own


@dataclass
class Pace:
    """The samples of one sort of change, in seconds, and what it cost at the API server."""

    what: str
    seconds: list[float] = field(default_factory=list)
    requests: float = 0  # a change, of operator and data plane together
    writes: float = 0

    def percentile(self, part: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]


class Eye:
    """Looks at one replica, in a thread of its own, until it shows what is looked for."""

    def __init__(self, port: int, host: str):
        self.http = httpx2.Client(base_url=f"http://{HOST}:{port}", headers={"Host": host}, timeout=10, trust_env=False)
        self.pool = ThreadPoolExecutor(1)

    def watch(self, seen) -> "object":
        """A future of the moment at which `seen(http)` was true."""

        def look():
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                if seen(self.http):
                    return time.monotonic()
                time.sleep(0.002)
            raise TimeoutError(f"not served within {PATIENCE} s")

        return self.pool.submit(look)

    def close(self):
        self.pool.shutdown(wait=False)
        self.http.close()


class Changes:
    """Makes single changes to a world and times them at every replica's public listener."""

    def __init__(self, world: ClusterWorld, token: str, route: str):
        self.world, self.token, self.route = world, token, route
        host = f"{HOST}:{world.balancer.port}"
        self.eyes = [Eye(each.port, host) for each in world.replicas]
        self.number = 0

    def close(self):
        for each in self.eyes:
            each.close()

    def timed(self, apply, seen) -> float:
        """From just before the request until the last replica has shown it."""
        started = time.monotonic()
        futures = [each.watch(seen) for each in self.eyes]
        apply()
        return max(each.result() for each in futures) - started

    def measure(self, what: str, samples: int, change) -> Pace:
        """`change(n)` gives a pair of functions: what applies the n-th change, and what recognises it at a replica."""
        pace = Pace(what)
        self.settle()
        before = self.count()
        for _ in range(samples):
            self.number += 1
            pace.seconds.append(self.timed(*change(self.number)))
        self.settle()
        requests, writes = (after - was for after, was in zip(self.count(), before, strict=True))
        pace.requests, pace.writes = requests / samples, writes / samples
        return pace

    def settle(self, quiet: float = 1.5) -> None:
        """Until nobody has written anything for a moment."""
        last, since = self.count(), time.monotonic()

        def done():
            nonlocal last, since
            if (now := self.count()) != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > quiet

        wait_until(done, seconds=60, what="the operator to come to rest")

    def count(self) -> tuple[int, int]:
        """Requests and writes of the installation so far, Leases aside: those are renewed by the clock."""
        events = [each for each in self.world.cluster.requests() if each["user"]["username"].startswith("system:serviceaccount:")]
        events = [each for each in events if each.get("objectRef", {}).get("resource") != "leases"]
        return len(events), sum(each["verb"] in ("create", "update", "patch", "delete") for each in events)

    # The three changes of the table.

    def virtual(self, number: int):
        """A new virtual MCP: unknown (404) until it is served, then it wants a token (401)."""
        name = f"new-{number}"
        return (
            lambda: self.world.apply(m.virtual(name, "open")),
            lambda http: http.post(f"/mcp/{name}", json={}).status_code == 401,
        )

    def team(self, number: int):
        """Access given and taken in turn."""
        groups = ["finance"] if number % 2 else ["nobody"]
        return (
            lambda: self.world.apply(m.team("timed", {"virtualMcp": self.route}, groups=groups)),
            lambda http: (self.list_tools(http).status_code == 200) == (number % 2 == 1),
        )

    def origin(self, number: int):
        """An origin, to which every route leads, suspended and resumed in turn."""
        suspend = bool(number % 2)
        return (
            lambda: self.world.apply(m.origin("open", self.world.origins["open"].url, suspend=suspend)),
            lambda http: (self.list_tools(http, "open").status_code >= 400) == suspend,
        )

    def list_tools(self, http: httpx2.Client, route: str | None = None) -> httpx2.Response:
        version = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
        info = {"io.modelcontextprotocol/clientInfo": {"name": "timer", "version": "1"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": version | info}}
        headers = {
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {self.token if route is None else self.open_token}",
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": "tools/list",
        }
        return http.post(f"/mcp/{route or self.route}", json=message, headers=headers)

    open_token = ""


def fill(world: ClusterWorld, first: int, last: int, threads: int = 8) -> None:
    """Applies virtual MCPs from one number up to another, all of one origin."""
    numbers = iter(range(first, last))
    lock = threading.Lock()
    failures: list[Exception] = []

    def work():
        api = world.cluster.administrator()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                api.create(m.virtual(f"many-{number}", "open"))
            except Exception as error:  # noqa: BLE001 - told below
                failures.append(error)
                return

    pool = [threading.Thread(target=work) for _ in range(threads)]
    for each in pool:
        each.start()
    for each in pool:
        each.join()
    if failures:
        raise failures[0]


def memory(world: ClusterWorld) -> dict[str, float]:
    """Resident megabytes: the leading operator's, the largest replica's, the API server's."""
    mega = 1024 * 1024
    return {
        "operator": max(resident(each.process.popen.pid) for each in world.operators) / mega,
        "replica": max(each.memory() for each in world.replicas) / mega,
        "API server": resident(world.cluster.api_server.popen.pid) / mega,
    }
