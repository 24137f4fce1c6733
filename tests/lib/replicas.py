"""Several gateways on one PostgreSQL, as a Deployment has them: the same keys, the same identities, the same manifests."""

import shutil
import time
from pathlib import Path

import measured
from gateway import Gateway
from processes import wait_until


class Replica(Gateway):
    """A gateway whose store is a database that others use too."""

    def __init__(self, folder: Path, manifests, database: str, *, port: int | None = None, public_port: int | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, manifests, port, public_port)
        self.database = database

    def env(self) -> dict[str, str]:
        return {**super().env(), "PORTCULLIS_DATABASE": self.database}

    def host(self) -> str:
        """What `Host` says, whichever replica is asked."""
        return self.public_url.partition("://")[2]

    def own_url(self, path: str) -> str:
        """A path at this very replica."""
        return f"http://127.0.0.1:{self.port}{path}"

    def another(self, folder: Path) -> "Replica":
        """One more, not started yet. Keys and identities are in the state folder; a cluster's replicas have them from the operator."""
        replica = Replica(folder, self.manifests, self.database, public_port=int(self.host().rpartition(":")[2]))
        shutil.copytree(self.state, replica.state)
        return replica


def at(caller, replica: Replica, slug: str):
    """Sends what a caller sends to this replica."""
    caller.url = replica.own_url(f"/mcp/{slug}")
    caller.http.headers["Host"] = replica.host()
    return caller


def holds_soon(condition, began: float, what: str):
    """As `wait_until`, for what is promised to hold on a replica within two seconds; prints how long after `began` it did. A machine may be
    busy: it fails after five, before the shortest of the tests' tokens would have ended by itself."""
    found = wait_until(condition, seconds=5, what=what)
    measured.note(f"{what}: {time.monotonic() - began:.2f} s of the promised 2")
    return found


def refused_soon(caller, began: float) -> None:
    """Its token is refused, at the replica that it calls."""
    holds_soon(lambda: caller.send("tools/list").status == 401, began, "the token to be refused")
