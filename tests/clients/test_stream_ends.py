"""How long a stream may stay open: a program's until its token expires, a person's until the grant ends or the identity provider says that
the person has left. Two gateways on one PostgreSQL."""

import time
from urllib.parse import parse_qsl

import httpx2
import jwt
import manifests as m
import pytest
from peers import IdentityProvider
from postgres import Postgres
from raw import LEGACY, MODERN
from replicas import Replica, at
from streams import Stream
from world import World

ACCESS, REFRESH = 5, 45  # lifetimes of access tokens and of grants, in seconds
SECRET = "a-secret-of-the-reporter-that-is-long-enough"


@pytest.fixture(scope="module")
def world(folder):
    workloads = [{"name": "reporter", "displayName": "The reporter", "secretRef": {"name": "reporter", "key": "secret"}}]
    with Postgres(folder, auth="md5") as database:
        world = World(folder, "open")
        public = world.gateway.public_url
        world.idp = IdentityProvider(folder / "employees", public, refresh=True)
        world.peers[0] = world.idp
        tokens = {"access": f"{ACCESS}s", "refresh": f"{REFRESH}s"}
        world.manifests.put(
            m.gateway(public, m.oidc(world.idp.base), tokens=tokens, clients={"workloads": workloads}),
            m.secret("reporter", secret=SECRET),
            m.team("machines", {"virtualMcp": "open"}, workloads=["reporter"]),
        )
        world.gateway = Replica(folder / "one", world.manifests, database.url, port=world.gateway.port)
        with world, world.gateway.another(folder / "two") as world.second:
            yield world


def expiry(token: str) -> float:
    """When a token expires, on the clock of `Stream`."""
    return jwt.decode(token, options={"verify_signature": False})["exp"] - time.time() + time.monotonic()


def listening(world, token: str, times: int = 1) -> list[Stream]:
    """Streams of both eras at both replicas."""
    return [
        Stream(at(world.caller("open", token=token, era=era), replica, "open"))
        for replica in (world.gateway, world.second)
        for era in (LEGACY, MODERN)
        for _ in range(times)
    ]


def asked(world) -> int:
    """How often the identity provider was asked for the present claims of somebody."""
    requests = [each for each in world.idp.requests() if each["url"] == "/token"]
    return sum(dict(parse_qsl(each["body"])).get("grant_type") == "refresh_token" for each in requests)


@pytest.mark.requirement("as.stream.end")
def test_the_streams_of_a_program_end_with_its_token(world):
    metadata = httpx2.get(f"{world.url('open')}/.well-known/oauth-authorization-server", trust_env=False).raise_for_status().json()
    form = {"grant_type": "client_credentials", "client_id": "reporter", "client_secret": SECRET}
    token = httpx2.post(metadata["token_endpoint"], data=form, trust_env=False).raise_for_status().json()["access_token"]
    streams = listening(world, token)
    assert all(stream.open for stream in streams)
    for stream in streams:
        late = stream.wait_end(ACCESS + 5) - expiry(token)
        assert -0.5 < late < 2.5, f"ended {late:.2f} s after the token"


@pytest.mark.requirement("as.stream.end", "idp.renewal.once")
def test_the_owner_of_open_streams_is_asked_for_once_per_token_and_the_streams_end_when_they_have_left(world):
    began = time.monotonic()
    token = world.oauth("open").sign_in(world.browser("bob")).access_token
    before = asked(world)
    streams = listening(world, token, 2)
    time.sleep(3 * ACCESS + 2)
    assert all(stream.open for stream in streams), "the token has expired, the grant has not"
    assert 2 <= asked(world) - before <= 3, "once per lifetime of an access token, however many streams are open"
    world.idp.lever("revoke", login="bob", what="grant")
    left = time.monotonic()
    ends = [stream.wait_end(ACCESS + 5) for stream in streams]
    assert max(ends) - left < ACCESS + 4
    assert max(ends) < began + REFRESH, "the grant has not ended by itself"
    denied = [event for gateway in (world.gateway, world.second) for event in gateway.events("auth.renewed", outcome="denied")]
    assert len(denied) == 1


@pytest.mark.requirement("as.stream.end")
def test_the_streams_of_a_person_end_with_the_grant(world):
    token = world.oauth("open").sign_in(world.browser("ana")).access_token
    ends_at = expiry(token) - ACCESS + REFRESH
    streams = listening(world, token)
    for stream in streams:
        late = stream.wait_end(REFRESH + 5) - ends_at
        assert -1.5 < late < 2.5, f"ended {late:.2f} s after the grant"
