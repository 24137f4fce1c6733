"""Clients as their vendors ship them sign in at the company's identity provider, list the tools and call one (VENDORS.md).

The gateway fetches nobody's metadata document here, as one without a way to the internet; with documents: ../oauth/test_programs.py.
"""

import re

import pytest
from processes import wait_until
from vendors import VENDORS, Model
from world import World


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, "open", "accounts", clients={"metadataDocuments": {"allowedHosts": []}}) as world:
        yield world


@pytest.fixture(scope="module")
def model(folder):
    with Model(folder) as model:
        yield model


@pytest.mark.requirement("quirks.vendors")
@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_client_signs_in_lists_and_calls(world, model, folder, name):
    ana = world.browser("ana")
    client = VENDORS[name](world.url("open"), ana, folder / name, model)
    try:
        client.sign_in()
        assert {"echo", "add"} <= set(client.tools())
        assert "it works for ana" in client.call("echo", text="it works for ana")
    finally:
        client.stop()
    assert world.origins["open"].tools_called()[-1] == "echo"
    assert world.gateway.wait_event("mcp.capability", capability="echo", outcome="success")["subject"] == "company:ana"
    assert any("/consent/" in page["url"] for page in ana.seen()), "it was let in without asking anybody"


@pytest.mark.requirement("quirks.vendors")
@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_client_reaches_an_origin_that_wants_each_persons_own_account(world, model, folder, name):
    before = world.origins["accounts"].tools_called().count("whoami")
    client = VENDORS[name](world.url("accounts"), world.browser("ana"), folder / f"{name}-accounts", model)
    try:
        client.sign_in()
        assert re.search(r"\bana\b", client.call("whoami"))
    finally:
        client.stop()
    called = world.origins["accounts"].tools_called().count("whoami")
    assert called > before
    events = lambda: world.gateway.events("mcp.capability", capability="whoami", outcome="success")  # noqa: E731
    wait_until(lambda: len(events()) == called, what="an event for each call")
