"""While a person is away at an authorization server, and after: mix-up, wrong issuers, endpoints that move (RFC 9207, RFC 9700
section 4.4, advisory class "refresh token sent to a changed endpoint")."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from impostor import Impostor, raw, redirect, reply
from processes import wait_until

AS = "/.well-known/oauth-authorization-server"
PRM = "/.well-known/oauth-protected-resource/mcp"


def not_connected(given, reason: str) -> None:
    visit = given.connect()
    assert visit.status >= 400, f"{visit.status} {visit.url}"
    given.one_event("auth.connected", reason=reason)
    assert given.caller.names() == ["connect_account"]


@pytest.mark.parametrize("iss", [None, "https://elsewhere.example", "{base}/", "", "{upper}"])
def test_an_answer_without_the_issuer_or_with_another_is_discarded(attack, iss):
    """RFC 9207 section 2.4. The code goes nowhere."""
    given = attack()
    stated = iss if iss is None else iss.format(base=given.impostor.base, upper=given.impostor.base.upper())
    given.impostor.on["/authorize"] = lambda asked: redirect(given.impostor.callback(asked, iss=stated))
    not_connected(given, "wrong_issuer")
    assert not given.impostor.requests("/token")


def test_a_wrong_issuer_is_discarded_where_none_was_promised_too(attack):
    given = attack()
    given.impostor.on[AS] = lambda _: reply({**given.impostor.server_metadata, "authorization_response_iss_parameter_supported": False})
    given.impostor.on["/authorize"] = lambda asked: redirect(given.impostor.callback(asked, iss="https://elsewhere.example"))
    not_connected(given, "wrong_issuer")
    assert not given.impostor.requests("/token")


def test_an_error_of_another_issuer_is_not_believed(attack):
    given = attack()
    given.impostor.on["/authorize"] = lambda asked: redirect(given.impostor.callback(asked, iss="https://elsewhere.example", code=None, error="access_denied"))
    not_connected(given, "wrong_issuer")


@pytest.mark.parametrize("changes", [{"state": None}, {"state": "guessed"}, {"state": ""}], ids=str)
def test_an_answer_without_our_state_is_nobodys(attack, changes):
    given = attack()
    given.impostor.on["/authorize"] = lambda asked: redirect(given.impostor.callback(asked, **changes))
    not_connected(given, "unknown_flow")
    assert not given.impostor.requests("/token")


def test_an_answer_that_comes_twice_counts_once(attack):
    given = attack().connected()
    asked = given.impostor.requests("/authorize")[0]
    replayed = f"{asked.query['redirect_uri']}?{urlencode({'code': 'again', 'state': asked.query['state'], 'iss': given.impostor.issuer})}"
    assert given.browser.open(replayed).status == 400
    assert len(given.impostor.requests("/token")) == 1
    assert given.caller.call("whoami").result["content"][0]["text"] in given.impostor.tokens


def test_a_code_of_one_origin_is_never_sent_to_another(attack):
    """Mix-up (RFC 9700 section 4.4): the attacker's server sends the browser on to the honest one, whose code then comes back under
    the attacker's state: to the honest origin's callback, or to the attacker's own."""
    honest, evil = attack(), attack()
    honest.connected()
    theirs = honest.impostor.requests("/authorize")[0].query
    for redirect_uri in (theirs["redirect_uri"], None):
        before = len(honest.impostor.requests("/token"))

        def send_on(asked, redirect_uri=redirect_uri):
            query = {**asked.query, "client_id": theirs["client_id"], "redirect_uri": redirect_uri or asked.query["redirect_uri"]}
            return redirect(f"{honest.impostor.base}/authorize?{urlencode(query)}")

        evil.impostor.on["/authorize"] = send_on
        assert evil.connect().status >= 400
        assert len(honest.impostor.requests("/token")) == before
        assert not evil.impostor.requests("/token")
    refused = lambda: [event["reason"] for each in (honest, evil) for event in each.events("auth.connected", outcome="denied")]  # noqa: E731
    wait_until(lambda: sorted(refused()) == ["unknown_flow", "wrong_issuer"], what="an event for each")


def test_each_origin_has_a_callback_of_its_own(attack):
    one, other = attack().connected(), attack().connected()
    uris = {attacked.impostor.requests("/authorize")[0].query["redirect_uri"] for attacked in (one, other)}
    assert len(uris) == 2


@pytest.mark.requirement("advisory.refresh-endpoint")
def test_a_token_endpoint_that_moves_never_gets_the_refresh_token(attack):
    """The metadata changes after the person has connected. What was granted goes where it was granted, or nowhere."""
    given, thief = attack(), Impostor("127.0.0.3")
    given.impostor.on["/token"] = lambda _: reply(given.impostor.issue(expires_in=1))
    given.connected()
    given.impostor.on[AS] = lambda _: reply({**given.impostor.server_metadata, "token_endpoint": f"{thief.base}/token", "revocation_endpoint": f"{thief.base}/revoke"})
    wait_until(lambda: given.caller.call("whoami") and len(given.impostor.requests("/token")) >= 2, what="a refresh at the old endpoint")
    assert not thief.asked
    thief.close()


def test_an_issuer_that_is_swapped_gets_nothing_of_the_one_before(attack):
    """Credentials are keyed by issuer: another one means another registration, and consent."""
    given, thief = attack(), Impostor("127.0.0.3")
    given.connected()
    given.impostor.issuer = thief.base
    given.impostor.on["/mcp"] = lambda _: given.impostor.challenge()
    answer = given.caller.call("whoami")
    assert answer.status == 200
    assert not thief.asked, "a refusal of the origin's is no reason to ask somebody else"
    assert given.connect().status == 200
    before = given.impostor.tokens
    assert not any(token in thief.received() for token in before)
    ids = {each.query["client_id"] for each in given.impostor.requests("/authorize")}
    assert not ids & {each.query["client_id"] for each in thief.requests("/authorize")}
    thief.close()


def test_an_origin_whose_url_changes_gets_no_token_that_was_granted_to_the_old(attack):
    given, thief = attack(), Impostor("127.0.0.3")
    given.connected()
    assert given.caller.call("whoami").status == 200
    given.edit(lambda spec: spec.update(url=thief.url))
    answer = given.caller.call("whoami")
    assert "/connect/" in answer.text
    assert not any(token in thief.received() for token in given.impostor.tokens)
    thief.close()


def test_an_origin_that_always_says_401_is_asked_twice_and_no_more(attack):
    given = attack().connected()
    given.impostor.on["/mcp"] = lambda _: given.impostor.challenge()
    before = len(given.impostor.requests("/mcp")), len(given.impostor.requests("/token"))
    answer = given.caller.call("whoami")
    assert "/connect/" in answer.text
    assert len(given.impostor.requests("/mcp")) - before[0] == 2
    assert len(given.impostor.requests("/token")) - before[1] == 1


def test_a_redirect_of_the_origins_takes_no_token_along(attack):
    given, thief = attack().connected(), Impostor("127.0.0.3")
    for status in (301, 302, 303, 307, 308):
        given.impostor.on["/mcp"] = lambda _, status=status: raw(status, b"", ("Location", f"{thief.base}/mcp"))
        answer = given.caller.call("whoami")
        assert (answer.status, answer.error["data"]["reason"]) == (502, "upstream_redirects")
    assert not thief.asked
    thief.close()


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": "a b"},
        {"access_token": "a\r\nX-Evil: 1"},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": "é"},
        {"access_token": 7},
        {"token_type": "MAC"},
        {"token_type": "DPoP"},
        {"error": "invalid_grant"},
    ],
    ids=str,
)
def test_a_token_that_cannot_be_one_is_not_kept(attack, answer):
    given = attack()
    given.impostor.on["/token"] = lambda _: reply(given.impostor.issue(**answer))
    not_connected(given, "no_token")


@pytest.mark.parametrize("seconds", [-1, 0, 1e300, "never", "3600", 10**30])
def test_a_lifetime_that_makes_no_sense_harms_nobody(attack, seconds):
    given = attack()
    given.impostor.on["/token"] = lambda _: reply(given.impostor.issue(expires_in=seconds))
    visit = given.connect()
    assert visit.status in (200, 400)
    assert given.caller.send("tools/list").status == 200


def test_a_server_that_quotes_what_it_was_sent_puts_no_secret_into_events_pages_or_logs(attack):
    """Some quote the token that they refuse."""
    given = attack()
    secret = "a-client-secret-that-only-the-server-knows"
    given.impostor.on[AS] = lambda _: reply({**given.impostor.server_metadata, "token_endpoint_auth_methods_supported": ["client_secret_post"]})
    given.impostor.on["/register"] = lambda _: reply({"client_id": "c", "client_secret": secret, "token_endpoint_auth_method": "client_secret_post"}, 201)
    given.impostor.on["/token"] = lambda asked: reply({"error": "invalid_grant", "error_description": f"no good: {' '.join(asked.form.values())}"}, 400)
    visit = given.connect()
    sent = given.impostor.requests("/token")[0].form
    said = visit.page.text + str(given.one_event("auth.connected", reason="no_token")) + given.world.gateway.log()
    for value in (secret, sent["code"], sent["code_verifier"]):
        assert value not in said
    assert "no good" in said


def test_the_person_is_asked_for_no_more_than_is_configured(attack):
    """A hostile origin cannot widen what is asked for at a server that both use."""
    given = attack()
    given.impostor.on["/mcp"] = lambda _: raw(
        401, b"", ("WWW-Authenticate", f'Bearer scope="admin delete:everything", resource_metadata="{given.impostor.base}{PRM}"')
    )
    given.connect()
    assert parse_qs(urlsplit(given.impostor.requests("/authorize")[0].target).query)["scope"] == ["read"]
