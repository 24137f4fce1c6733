"""Client metadata documents: what the gateway fetches, what it remembers, and for how long."""

import itertools

import manifests as m
import pytest
from internet import Web
from quirks import Habits, Script, document, loopback
from world import World

HOST = "https://claude.ai"
REDIRECTS = ["http://127.0.0.1/callback"]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def web(folder):
    web = Web(folder)
    yield web
    web.close()


@pytest.fixture(scope="module")
def world(folder, web):
    world = World(folder, "open")
    world.gateway.environment = {"SSL_CERT_FILE": str(web.trust)}
    with world:
        yield world


def client(**members) -> Habits:
    """A client with a document of its own, which is not served yet."""
    url = f"{HOST}/oauth/{next(_numbers)}/client.json"
    return Habits("documented", REDIRECTS, loopback("/callback"), document(url, "Documented", REDIRECTS, **members))


def page_of(world: World, habits: Habits) -> str:
    """What the user sees first."""
    browser = world.browser()
    with pytest.raises(AssertionError):
        Script(habits, world.url("open")).authorize(browser)
    return browser.seen()[-1]["text"]


@pytest.mark.requirement("as.document.logo")
def test_a_logo_and_a_home_page_are_never_fetched(world, web):
    habits = client(logo_uri=f"{HOST}/logo.png", client_uri=f"{HOST}/home", tos_uri=f"{HOST}/terms", policy_uri=f"{HOST}/policy")
    url = habits.document["client_id"]
    web.put(url, habits.document)
    web.put(f"{HOST}/logo.png", b"\x89PNG", Content_Type="image/png")
    before = len(web.asked)
    Script(habits, world.url("open")).sign_in(world.browser())
    assert web.asked[before:] == [url]


@pytest.mark.requirement("as.document.cache")
def test_a_document_is_remembered_and_a_failure_is_not(world, web):
    habits = client()
    url = habits.document["client_id"]
    broken = [(404, b""), (200, b"not json"), (200, b"{}"), (503, b"")]
    for status, body in broken:
        web.put(url, body, status=status, Cache_Control="max-age=3600")
        assert "Documented" not in page_of(world, habits)
    assert web.asked.count(url) == len(broken)
    web.put(url, habits.document, Cache_Control="max-age=3600")
    for _ in range(2):
        Script(habits, world.url("open")).sign_in(world.browser())
    assert web.asked.count(url) == len(broken) + 1


@pytest.mark.requirement("as.document.cache")
def test_a_remembered_document_of_a_host_that_is_no_longer_allowed_is_not_used(world, web):
    habits = client()
    web.put(habits.document["client_id"], habits.document, Cache_Control="max-age=3600")
    Script(habits, world.url("open")).sign_in(world.browser())

    def allow(*hosts: str) -> None:
        clients = {"metadataDocuments": {"allowedHosts": list(hosts)}}
        world.gateway.edited(lambda: world.manifests.put(m.gateway(world.gateway.public_url, m.oidc(world.idp.base), clients=clients)))

    allow("chatgpt.com")
    try:
        assert "Documented" not in page_of(world, habits)
    finally:
        allow("*")
    Script(habits, world.url("open")).sign_in(world.browser())
