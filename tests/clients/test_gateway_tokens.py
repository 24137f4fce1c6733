"""The gateway's own tokens: short access, rotating refresh with a grace window, families that end, revocation."""

import time

import pytest
from oauth import grant
from processes import wait_until
from world import World


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, "open", tokens={"access": "3s", "refresh": "1h"}) as world:
        yield world


@pytest.fixture
def oauth(world):
    return world.oauth("open")


@pytest.fixture(scope="module")
def ana(world):
    return world.browser("ana")


def works(world, token: str) -> bool:
    answer = world.caller("open", token=token).call("echo", text="x")
    assert answer.status in (200, 401)
    return answer.status == 200


@pytest.mark.parametrize("name", ["typescript-sdk", "typescript-client", "python-mcp", "fastmcp", "mcp-remote"])
def test_a_clients_token_expires_and_it_goes_on_without_its_user(world, name):
    browser = world.browser("ana")
    client = world.client(name, "open", browser)
    client.connect()
    pages = len(browser.seen())
    for _ in range(2):
        time.sleep(3.5)
        assert client.text("echo", text="still here") == "still here"
    assert len(browser.seen()) == pages
    client.stop()


@pytest.mark.requirement("as.token.expiry")
def test_an_access_token_ends_when_it_says(world, oauth, ana):
    issued = oauth.sign_in(ana)
    assert issued.expires_in == 3
    assert works(world, issued.access_token)
    time.sleep(3.2)
    answer = world.caller("open", token=issued.access_token).call("echo", text="x")
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_request_without_a_token_is_challenged_without_an_error(world, oauth):
    answer = world.caller("open", token=None, browser=world.browser("ana"))
    answer.token = None
    refused = answer.call("echo", text="x")
    assert refused.status == 401
    challenge = refused.headers["www-authenticate"]
    assert f'resource_metadata="{oauth.metadata_url}"' in challenge
    assert "error=" not in challenge


@pytest.mark.requirement("as.refresh.rotates")
def test_a_refresh_token_rotates_and_the_new_one_works(world, oauth, ana):
    first = oauth.sign_in(ana)
    second = grant(oauth.refresh(first.refresh_token))
    assert second.refresh_token != first.refresh_token
    assert works(world, second.access_token)
    assert grant(oauth.refresh(second.refresh_token)).refresh_token != second.refresh_token


@pytest.mark.requirement("as.refresh.grace")
def test_two_processes_of_a_client_that_refresh_at_once_both_go_on(world, oauth, ana):
    first = oauth.sign_in(ana)
    one, other = grant(oauth.refresh(first.refresh_token)), grant(oauth.refresh(first.refresh_token))
    assert works(world, one.access_token)
    assert works(world, other.access_token)


@pytest.mark.requirement("as.refresh.reuse")
def test_a_refresh_token_that_is_used_again_after_its_successor_was_ends_the_family(world, oauth, ana):
    first = oauth.sign_in(ana)
    second = grant(oauth.refresh(first.refresh_token))
    third = grant(oauth.refresh(second.refresh_token))
    reused = oauth.refresh(first.refresh_token)
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    assert oauth.refresh(third.refresh_token).json()["error"] == "invalid_grant"
    wait_until(lambda: not works(world, third.access_token), seconds=2, what="the family's access token to end")


@pytest.mark.requirement("as.code.once")
def test_a_code_that_is_used_twice_ends_what_it_gave(world, oauth, ana):
    code = oauth.code(ana)
    issued = oauth.exchange(code)
    again = oauth.token(grant_type="authorization_code", code=code, redirect_uri=oauth.redirect, code_verifier=oauth.verifier)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert oauth.refresh(issued.refresh_token).json()["error"] == "invalid_grant"
    wait_until(lambda: not works(world, issued.access_token), seconds=2, what="the access token to end")


@pytest.mark.requirement("as.revocation")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_a_revoked_token_is_dead_within_two_seconds(world, oauth, ana, kind):
    issued = oauth.sign_in(ana)
    assert works(world, issued.access_token)
    assert oauth.revoke(getattr(issued, kind)).status_code == 200
    wait_until(lambda: not works(world, issued.access_token), seconds=2, what="the access token to end")
    if kind == "refresh_token":
        assert oauth.refresh(issued.refresh_token).json()["error"] == "invalid_grant"
    assert oauth.revoke("no such token").status_code == 200  # RFC 7009 section 2.2


@pytest.mark.requirement("as.code.bound")
def test_a_code_is_bound_to_its_verifier_redirect_and_client(world, oauth, ana):
    other = world.oauth("open")
    for form in ({"code_verifier": "x" * 43}, {"redirect_uri": "http://127.0.0.1:9/other"}, {"client_id": other.client["client_id"]}):
        code = oauth.code(ana)
        right = {"code": code, "redirect_uri": oauth.redirect, "code_verifier": oauth.verifier}
        refused = oauth.token(grant_type="authorization_code", **(right | form))
        assert refused.status_code in (400, 401)
        assert refused.json()["error"] in ("invalid_grant", "invalid_client")


@pytest.mark.requirement("as.consent.kept")
def test_a_second_sign_in_of_a_client_on_this_machine_asks_for_its_approval_again(world, oauth):
    browser = world.browser("ana")
    oauth.sign_in(browser)
    idp, pages = len(world.idp.requests()), len(browser.seen())
    oauth.sign_in(browser)
    shown = [page["title"] for page in browser.seen()[pages:] if page["status"] is not None]
    assert [title for title in shown if title.startswith("Allow ")], shown
    assert len(world.idp.requests()) == idp, "the session is still there: nobody signs in again"


@pytest.mark.requirement("as.consent.kept")
def test_a_silent_sign_in_at_another_port_of_this_machine_gives_no_code(world, oauth):
    from urllib.parse import parse_qs, urlsplit

    browser = world.browser("ana")
    oauth.sign_in(browser)
    impostor = oauth.redirect.replace(":9/", ":47999/")
    assert impostor != oauth.redirect
    visit = oauth.visit(browser, redirect_uri=impostor, prompt="none")
    answer = parse_qs(urlsplit(visit.url).query)
    assert visit.url.startswith(impostor)
    assert answer["error"] == ["interaction_required"]
    assert "code" not in answer


@pytest.mark.requirement("as.consent.kept")
def test_a_second_sign_in_of_a_web_client_asks_nobody(world):
    from oauth import OAuthClient

    oauth = OAuthClient(world.url("open"), redirect="https://app.invalid/callback")
    browser = world.browser("ana")
    oauth.sign_in(browser)
    pages = len(browser.seen())
    oauth.sign_in(browser)
    assert [page["title"] for page in browser.seen()[pages:] if page["status"] is not None] == []


@pytest.mark.requirement("as.consent.first")
def test_a_user_who_says_no_sends_the_client_access_denied_and_never_meets_the_identity_provider(world, oauth):
    from oauth import Denied

    browser = world.browser("ana", decide="deny")
    before = len(world.idp.requests())
    with pytest.raises(Denied) as denied:
        oauth.code(browser)
    assert denied.value.parameters["error"] == "access_denied"
    assert len(world.idp.requests()) == before
