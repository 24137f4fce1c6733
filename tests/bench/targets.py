"""The three ways to the same origin, set up and signed in."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import curation
import manifests as m
from parts import WITHOUT_GATEWAY, LoadOrigin, Nginx, family
from peers import ORIGIN_HOST, AuthorizationServer
from processes import free_port
from raw import MODERN, Caller
from world import World

TARGETS = ("direct", "nginx", "portcullis")
ROUTE = "tracker"


@dataclass
class Target:
    """Where to go, with which token, and whose processor time it costs beyond the origin's."""

    name: str
    url: str
    token: str
    processes: list[int] = field(default_factory=list)
    curated: bool = False

    def caller(self) -> Caller:
        return Caller(self.url, self.token, MODERN)


class Setting:
    """The origin and what stands in front of it. With the gateway, everything is on: tokens checked, a team with tool rules,
    curation, each user's own credential at the origin, events to a file."""

    def __init__(self, folder: Path, targets: list[str]):
        self.threads = len(os.sched_getaffinity(0))  # of nginx, the gateway and the origin alike
        port = free_port(ORIGIN_HOST)
        url = f"http://{ORIGIN_HOST}:{port}/mcp"
        self.authorization = AuthorizationServer(folder, url)
        self.origin = LoadOrigin(folder, self.authorization.base, port, self.threads)
        self.proxy = Nginx(folder, self.origin, self.threads) if "nginx" in targets else None
        self.world = world(folder, self.origin) if "portcullis" in targets else None
        self.wanted = targets
        self.targets: list[Target] = []
        self.names: dict[bool, list[str]] = {}  # of a list, by whether it is curated

    def __enter__(self):
        try:
            for peer in filter(None, (self.authorization, self.origin, self.proxy)):
                peer.start()
            if self.world:
                self.world.__enter__()
            self.targets = [getattr(self, name)() for name in self.wanted]
        except BaseException:
            self.tell_logs()
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.world:
            self.world.__exit__()
        for peer in filter(None, (self.proxy, self.origin, self.authorization)):
            peer.stop()

    def tell_logs(self) -> None:
        if self.world and self.world.gateway.process:
            print(f"the gateway's log ends:\n{self.world.gateway.log()[-4000:]}")

    def target(self, name: str) -> Target | None:
        return next((each for each in self.targets if each.name == name), None)

    def direct(self) -> Target:
        return Target("direct", self.origin.url, WITHOUT_GATEWAY)

    def nginx(self) -> Target:
        return Target("nginx", self.proxy.url, WITHOUT_GATEWAY, family(self.proxy.process.popen.pid))

    def portcullis(self) -> Target:
        """Signs in at the company's identity provider and connects the account at the origin, as a person would."""
        grant = self.world.oauth(ROUTE).sign_in(self.world.browser("ana"))
        gateway = self.world.gateway
        return Target("portcullis", gateway.url(ROUTE), grant.access_token, [gateway.process.popen.pid], curated=True)


def world(folder: Path, origin: LoadOrigin) -> World:
    made = World(folder)
    made.manifests.put(
        m.origin(ROUTE, origin.url, m.USER_OAUTH),
        m.virtual(ROUTE, ROUTE, access="Teams", capabilities={"tools": curation.TOOLS}),
        m.team("finance", {"virtualMcp": ROUTE, "tools": curation.TEAM}, groups=["finance"]),
        m.team("others", {"virtualMcp": ROUTE, "tools": {"include": ["get_*"]}}, groups=["others"]),
    )
    return made
