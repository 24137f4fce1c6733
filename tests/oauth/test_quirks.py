"""Clients on record sign in at the first try and call a tool; they go on when their token ends."""

import pytest
from internet import Web
from quirks import CLIENTS, Script, key_set
from raw import Caller
from world import World


@pytest.fixture(scope="module")
def web(folder):
    web = Web(folder)
    for habits in CLIENTS:
        if habits.document:
            web.put(habits.document["client_id"], habits.document)
    web.put("https://chatgpt.com/oauth/jwks.json", key_set())
    yield web
    web.close()


@pytest.fixture(scope="module")
def world(folder, web):
    """Its gateway fetches documents as any does; only the authority of the sites' certificate is the tests' own."""
    world = World(folder, "open")
    world.gateway.environment = {"SSL_CERT_FILE": str(web.trust)}
    with world:
        yield world


@pytest.mark.requirement("quirks.scripts")
@pytest.mark.parametrize("habits", CLIENTS, ids=[habits.name for habits in CLIENTS])
def test_a_client_on_record_signs_in_calls_and_goes_on(world, web, habits):
    client = Script(habits, world.url("open"))
    tokens = client.sign_in(world.browser())
    assert not habits.document or client.client_id in web.asked
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "mcp"
    assert Caller(world.url("open"), tokens["access_token"]).call("echo", text="hello").result["content"][0]["text"] == "hello"
    renewed = client.refresh(tokens)
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert Caller(world.url("open"), renewed["access_token"]).names()
