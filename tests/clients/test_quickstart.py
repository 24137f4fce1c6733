"""`portcullis serve --manifests examples/quickstart`, with other ports and hosts and nothing else changed: every client signs in at an
OpenID provider, connects an account where that is needed, and calls a tool."""

import json
from pathlib import Path

import pytest
from browser import Browser
from drivers import KINDS, Driver, inspect
from gateway import HOST, Gateway
from manifests import Folder
from peers import ORIGIN_HOST, AuthorizationServer, Everything, IdentityProvider, Origin
from processes import free_port

QUICKSTART = Path(__file__).resolve().parents[2] / "examples/quickstart"
TOOLS = {"everything": ("echo", {"message": "hello"}, "hello"), "issues": ("issue", {"id": "PORT-7"}, "issue PORT-7")}


@pytest.fixture(scope="module")
def quickstart(folder):
    """The gateway, with real parts where the example says that they are."""
    port = free_port(HOST)
    issues_port = free_port(ORIGIN_HOST)
    idp = IdentityProvider(folder, f"http://{HOST}:{port}")
    idp.settings["secret"] = "put-the-client-secret-here"
    authorization = AuthorizationServer(folder, f"http://{ORIGIN_HOST}:{issues_port}/mcp")
    everything = Everything(folder, "everything")
    issues = Origin(folder, "issues", issues_port, issuer=authorization.base)
    places = {"8080": f"{HOST}:{port}", "9000": idp, "9001": everything, "9002": issues}
    manifests = Folder(folder / "quickstart")
    for file in QUICKSTART.glob("*.yaml"):
        text = file.read_text()
        for known, place in places.items():
            text = text.replace(f"127.0.0.1:{known}", place if isinstance(place, str) else place.base.removeprefix("http://"))
        manifests.write(file.name, text)
    started = []
    try:
        for peer in (idp, authorization, everything, issues):
            started.append(peer)
            peer.start()
        with Gateway(folder, manifests, port) as gateway:
            yield gateway
    finally:
        for peer in started:
            peer.stop()


@pytest.fixture(scope="module")
def ana(folder):
    return Browser.create(folder / "browser", "ana")


@pytest.mark.parametrize("route", TOOLS)
@pytest.mark.parametrize("name", KINDS)
def test_every_client_signs_in_and_calls_a_tool(quickstart, ana, folder, name, route):
    tool, arguments, answer = TOOLS[route]
    home = folder / f"{name}-{route}"
    home.mkdir()
    client = Driver(name, quickstart.url(route), ana, home)
    try:
        print(client.connect()["era"])
        assert tool in client.names()
        assert answer in client.text(tool, **arguments)
    finally:
        client.stop()


@pytest.mark.parametrize("route", TOOLS)
def test_the_inspector_signs_in_and_calls_a_tool(quickstart, ana, folder, route):
    tool, arguments, answer = TOOLS[route]
    called = inspect(
        quickstart.url(route), ana, folder / f"inspector-{route}", "--method", "tools/call", "--tool-name", tool,
        "--tool-args-json", json.dumps(arguments),
    )  # fmt: skip
    assert answer in json.dumps(called)


def test_the_team_and_the_curation_of_the_example_hold(quickstart, ana, folder):
    home = folder / "curated"
    home.mkdir()
    client = Driver("python-mcp", quickstart.url("issues"), ana, home)
    try:
        client.connect()
        assert client.names() == ["list_issues", "issue"]
    finally:
        client.stop()
