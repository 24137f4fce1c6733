"""Vendors' own clients that show a metadata document sign in with it. The programs are real; the documents are made from what is on
public record of them, at the addresses that the programs name."""

import pytest
from internet import Web
from quirks import document
from vendors import VENDORS, Model
from world import World

DOCUMENTS = {
    "codex": document("https://chatgpt.com/oauth/codex/client.json", "Codex", ["http://127.0.0.1/callback", "http://localhost/callback"]),
    "claude-code": document(
        "https://claude.ai/oauth/claude-code-client-metadata", "Claude Code", ["http://localhost/callback", "http://127.0.0.1/callback"]
    ),
}


@pytest.fixture(scope="module")
def web(folder):
    web = Web(folder)
    for each in DOCUMENTS.values():
        web.put(each["client_id"], each)
    yield web
    web.close()


@pytest.fixture(scope="module")
def world(folder, web):
    world = World(folder, "open")
    world.gateway.environment = {"SSL_CERT_FILE": str(web.trust)}
    with world:
        yield world


@pytest.fixture(scope="module")
def model(folder):
    with Model(folder) as model:
        yield model


@pytest.mark.requirement("quirks.vendors")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_vendors_client_signs_in_with_its_document_and_calls(world, web, model, folder, name):
    ana = world.browser("ana")
    client = VENDORS[name](world.url("open"), ana, folder / name, model)
    try:
        client.sign_in()
        assert "it works" in client.call("echo", text="it works")
    finally:
        client.stop()
    assert DOCUMENTS[name]["client_id"] in web.asked
    world.gateway.wait_event("mcp.capability", capability="echo", client_id=DOCUMENTS[name]["client_id"], outcome="success")
    assert any(DOCUMENTS[name]["client_name"] in page["text"] for page in ana.seen() if "/consent/" in page["url"])
