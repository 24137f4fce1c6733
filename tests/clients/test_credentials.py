"""Neither side ever sees the other's credential, and none lies in the state folder in the clear."""

import json
import re

import pytest
from leaks import where
from world import KEY, World


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, "accounts", "keyed", tapped=True) as world:
        for name in ("typescript-sdk", "python-mcp"):
            browser = world.browser("ana")
            for route in ("accounts", "keyed"):
                client = world.client(name, route, browser)
                client.connect()
                client.names()
                client.text("echo", text="hello")
                if route == "accounts":
                    assert client.text("whoami") == "ana"
                    # A refresh at the origin is part of it.
                    world.authorization.lever("revoke", login="ana", what="access")
                    assert client.text("whoami") == "ana"
                client.stop()
        oauth = world.oauth("accounts")
        renewed = oauth.refresh(oauth.sign_in(world.browser("bob")).refresh_token)
        assert renewed.status_code == 200
        yield world


@pytest.fixture(scope="module")
def origins_secrets(world) -> set[str]:
    """What origins and providers gave the gateway."""
    issued = world.authorization.tokens()
    assert len(issued) >= 4
    from_provider = {
        json.loads(request["answer"])[key]
        for request in world.idp.requests()
        if request["url"].startswith("/token") and request["status"] == 200
        for key in ("access_token", "id_token")
    }
    return issued | from_provider | {KEY, world.idp.secret}


@pytest.fixture(scope="module")
def gateways_secrets(world) -> set[str]:
    """What the gateway gave clients and browsers."""
    answered = world.tap.answered.decode("latin-1")
    tokens = set(re.findall(r'"(?:access_token|refresh_token)"\s*:\s*"([^"]+)"', answered))
    cookies = set(re.findall(r"(?im)^set-cookie: [^=]+=([^;\r\n]{8,})", answered))
    sessions = set(re.findall(r"(?im)^mcp-session-id: ([^\r\n]+)", answered))
    assert len(tokens) >= 10
    assert cookies
    assert sessions
    return tokens | cookies | sessions


@pytest.mark.requirement("client.passthrough")
def test_the_recordings_hold_what_each_side_should_have_seen(world, origins_secrets, gateways_secrets):
    """Else the tests below could not fail."""
    origin = "".join(world.origins[name].received() for name in ("accounts", "keyed"))
    assert KEY in origin
    assert any(token in origin for token in world.authorization.tokens())
    sent = world.tap.sent.decode("latin-1")
    assert any(secret in sent for secret in gateways_secrets)


@pytest.mark.requirement("client.passthrough")
def test_no_client_and_no_browser_ever_receives_an_origins_credential(world, origins_secrets):
    assert where(origins_secrets, bytes(world.tap.answered)) == []
    assert where(origins_secrets, bytes(world.tap.sent)) == []


@pytest.mark.requirement("client.passthrough")
def test_no_origin_ever_receives_a_gateways_credential(world, gateways_secrets):
    for name in ("accounts", "keyed"):
        assert where(gateways_secrets, world.origins[name].received().encode("latin-1")) == []
    for provider in (world.authorization, world.idp):
        requests = [request | {"answer": ""} for request in provider.requests()]
        assert where(gateways_secrets, json.dumps(requests).encode()) == []


@pytest.mark.requirement("client.passthrough")
def test_an_origin_receives_no_cookie_and_only_its_own_authorization(world):
    for name in ("accounts", "keyed"):
        for message in world.origins[name].messages():
            assert "cookie" not in message["headers"]
            if name == "keyed":
                assert "authorization" not in message["headers"]
    mine = world.authorization.tokens()
    carried = {message["headers"].get("authorization", "") for message in world.origins["accounts"].messages()}
    assert {each.removeprefix("Bearer ") for each in carried if each} <= mine


@pytest.mark.requirement("client.passthrough")
def test_each_origin_receives_its_own_credential_and_no_other_origins(world):
    assert KEY not in world.origins["accounts"].received()
    assert where(world.authorization.tokens(), world.origins["keyed"].received().encode()) == []


@pytest.mark.requirement("client.secrets")
def test_the_state_folder_holds_no_credential_in_the_clear(world, origins_secrets, gateways_secrets):
    files = [path for path in world.gateway.state.rglob("*") if path.is_file()]
    assert any(path.stat().st_size > 4096 for path in files), "there is no store to search"
    refresh = set(re.findall(r'"refresh_token"\s*:\s*"([^"]+)"', world.tap.answered.decode("latin-1")))
    for path in files:
        assert where(origins_secrets | refresh, path.read_bytes()) == [], path


def test_the_state_folder_is_its_owners_alone(world):
    assert world.gateway.state.stat().st_mode & 0o077 == 0


@pytest.mark.requirement("client.secrets")
def test_events_and_logs_hold_no_credential(world, origins_secrets, gateways_secrets):
    for text in (world.gateway.stdout.read_bytes(), world.gateway.log().encode()):
        assert where(origins_secrets | gateways_secrets, text) == []
