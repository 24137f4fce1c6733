"""After everything before it: what the hostile origins of this suite received, and what the gateway wrote down, byte by byte."""

import json
import re

import pytest
from processes import whole_lines

JWT = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{20,}")


@pytest.fixture
def impostors(world, attack):
    """All of them so far; one at least, so that this proves something when it is run alone."""
    attack().connected().caller.call("whoami")
    return world.impostors


@pytest.fixture
def written(world):
    return world.gateway.stdout.read_text() + world.gateway.log()


def test_no_hostile_origin_ever_received_a_credential_of_the_gateways(world, impostors):
    for impostor in impostors:
        received = impostor.received()
        assert not JWT.search(received), "an access token of ours"
        for ours in ("portcullis-session", "portcullis-browser", "pc_secret_", "pc_refresh_", world.idp.secret):
            assert ours not in received


def test_no_hostile_origin_ever_received_a_credential_of_another_origins(world, impostors):
    others = world.authorization.tokens()
    for impostor in impostors:
        received = impostor.received()
        foreign = others.union(*(each.tokens for each in impostors if each is not impostor))
        assert not [token for token in foreign if token in received]


def test_events_and_logs_hold_no_token_code_or_secret_of_anybody(world, impostors, written):
    assert not JWT.search(written)
    secrets = world.authorization.tokens() | {world.idp.secret}
    for impostor in impostors:
        secrets |= set(impostor.tokens)
        for asked in impostor.asked:
            if asked.method == "POST" and "form" in asked.headers.get("content-type", ""):
                secrets |= {value for name, value in asked.form.items() if name in ("code", "code_verifier", "refresh_token", "client_secret")}
    secrets -= {"is-this-client-still-known", "is-this-client-still-known-is-this-client-still-known"}
    assert not [secret for secret in secrets if len(secret) > 8 and secret in written]


def test_each_event_is_one_short_line_of_json_whatever_strangers_put_into_it(world, impostors):
    lines = whole_lines(world.gateway.stdout)
    assert len(lines) > 3
    for line in lines:
        assert len(line) < 8_192
        event = json.loads(line)
        assert event["event"] and event["outcome"]
        assert not re.search(r"[\x00-\x1f\x7f]", "".join(str(value) for value in event.values()))


def test_nothing_panicked(written):
    assert "panicked" not in written
