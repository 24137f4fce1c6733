"""An origin that means no good, the route that leads to it, and the person who is to be its victim."""

import json
import re
from itertools import count

import manifests as m
from browser import Visit
from impostor import Impostor
from processes import wait_until
from raw import LEGACY, MODERN, Caller

LINK = re.compile(r"https?://[^\s\"'<>)\\]+/connect/[^\s\"'<>)\\]+")
_numbers = count(1)


class Attack:
    """One hostile origin behind the gateway of a world. `connect` takes its user to it; what came of it is in the visit and events."""

    def __init__(
        self,
        world,
        *,
        url: str | None = None,
        open: bool = False,
        impostor: Impostor | None = None,
        auth: dict | None = None,
        virtual: dict | None = None,
        login: str = "ana",
        **spec,
    ):
        self.world = world
        self.name = f"impostor-{next(_numbers)}"
        self.impostor = impostor or Impostor()
        self.impostor.open = open
        world.__dict__.setdefault("impostors", []).append(self.impostor)
        self.login = login
        self.manifests = [
            m.origin(self.name, url or self.impostor.url, auth or ({"none": {}} if open else m.USER_OAUTH), **spec),
            m.virtual(self.name, self.name, **(virtual or {})),
        ]
        world.gateway.edited(lambda: world.manifests.write(f"{self.name}.yaml", m.several(*self.manifests)))
        self._caller: Caller | None = None

    def edit(self, change) -> None:
        """Changes the origin's manifest as its administrator would."""
        change(self.manifests[0]["spec"])
        self.world.gateway.edited(lambda: self.world.manifests.write(f"{self.name}.yaml", m.several(*self.manifests)))

    @property
    def origin(self) -> str:
        return f"default/{self.name}"

    @property
    def browser(self):
        """The victim's, the same throughout the suite for one login."""
        kept = self.world.__dict__.setdefault("victims", {})
        if self.login not in kept:
            kept[self.login] = self.world.browser(self.login, connect=False)
        return kept[self.login]

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            self.browser.wish(connect=False)
            token = self.world.oauth(self.name).sign_in(self.browser).access_token
            self._caller = Caller(self.world.url(self.name), token, MODERN)
        return self._caller

    def legacy(self) -> Caller:
        """The same user in the legacy era, initialized."""
        caller = Caller(self.caller.url, self.caller.token, LEGACY)
        caller.initialize()
        return caller

    def link(self) -> str:
        """A connect link, as a client shows it."""
        answer = self.caller.call("connect_account")
        found = LINK.search(json.dumps(answer.message))
        assert found, f"no connect link in {answer.text}"
        return found[0]

    def connect(self) -> Visit:
        """The victim opens the link and says yes to everything."""
        link = self.link()
        self.browser.wish(connect=True)
        try:
            return self.browser.open(link)
        finally:
            self.browser.wish(connect=False)

    def connected(self) -> "Attack":
        visit = self.connect()
        assert visit.status == 200, f"{visit.status} {visit.url}: {visit.page.text}"
        return self

    def events(self, event: str | None = None, **fields) -> list[dict]:
        return self.world.gateway.events(event, origin=self.origin, **fields)

    def failures(self) -> list[dict]:
        """The events of attempts to connect that came to nothing, as soon as there is one."""
        kinds = ("upstream.request", "auth.connected")
        return wait_until(lambda: [each for each in self.events() if each["event"] in kinds], what="an event of the failure")

    def one_event(self, event: str, **fields) -> dict:
        """The event of what went wrong: there is one, and no second."""
        wait_until(lambda: self.events(event, **fields), what=f"the event {event} {fields} among {self.events()}")
        found = self.events(event, **fields)
        assert len(found) == 1, found
        return found[0]

    def end(self) -> None:
        self.world.gateway.edited(lambda: (self.world.manifests.path / f"{self.name}.yaml").unlink())
        self.impostor.close()
