"""Origins that ask for ever more rights (MCP basic/authorization, "Step-Up Authorization Flow"; RFC 6750 section 3.1)."""

import re

import pytest
from impostor import raw, reply

LINK = re.compile(r"https?://[^\s\"'<>)\\]+/connect/[^\s\"'<>)\\]+")


def refusing(given, status: int, challenge: str) -> None:
    """The impostor takes every token for lists, and none for calls."""

    def answer(request):
        if request.bearer in given.impostor.tokens and b'"tools/call"' in request.body:
            return raw(status, b"", ("WWW-Authenticate", challenge))
        return given.impostor.mcp(request)

    given.impostor.on["/mcp"] = answer


def asked(given) -> list[str]:
    return [each.query.get("scope", "") for each in given.impostor.requests("/authorize")]


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (403, 'Bearer error="insufficient_scope", scope="more"'),
        (401, 'Bearer error="insufficient_scope", scope="more"'),
        (401, 'Bearer error="invalid_token", scope="read more"'),
    ],
)
def test_what_was_consented_to_and_is_refused_all_the_same_is_an_error_and_no_round_without_end(attack, status, challenge):
    given = attack(auth={"userOAuth": {"scopes": ["read"], "registration": {"auto": {}}}}).connected()
    refusing(given, status, challenge)
    answer = given.caller.call("whoami")
    assert "www-authenticate" not in answer.headers
    given.browser.wish(connect=True)
    given.browser.open(LINK.search(answer.text)[0])
    given.browser.wish(connect=False)
    assert asked(given) == ["read", "read more"]
    for _ in range(2):
        answer = given.caller.call("whoami")
        assert answer.error["data"]["reason"] == "scope_refused"
        assert not LINK.search(answer.text)
    assert asked(given) == ["read", "read more"]


def test_scopes_are_text_on_pages_and_in_answers(attack):
    given = attack().connected()
    hostile = "<script>alert(1)</script> <img/src=x> &amp;"
    refusing(given, 403, f'Bearer error="insufficient_scope", scope="{hostile}"')
    answer = given.caller.call("whoami")
    given.browser.wish(connect=True)
    given.browser.open(LINK.search(answer.text)[0])
    given.browser.wish(connect=False)
    page = next(each for each in reversed(given.browser.seen()) if "Additional permissions" in each["text"])
    assert hostile in page["text"]


def test_a_challenge_beyond_measure_asks_for_little(attack):
    given = attack().connected()
    refusing(given, 403, f'Bearer error="insufficient_scope", scope="{" ".join(f"s{number}" for number in range(1000))}"')
    answer = given.caller.call("whoami")
    assert len(answer.text) < 4_000
    given.browser.wish(connect=True)
    given.browser.open(LINK.search(answer.text)[0])
    given.browser.wish(connect=False)
    assert len(asked(given)[-1].split()) <= 60


def test_a_403_without_a_challenge_of_that_kind_asks_nobody_for_anything(attack):
    given = attack().connected()
    for challenge in ("", 'Bearer error="insufficient_scope"', 'DPoP error="insufficient_scope", scope="more"', 'Bearer error="invalid_token", scope="more"'):
        refusing(given, 403, challenge)
        answer = given.caller.call("whoami")
        assert answer.error["data"]["reason"] == "forbidden_upstream"
        assert not LINK.search(answer.text)
    given.impostor.on["/mcp"] = lambda request: reply({"jsonrpc": "2.0", "id": request.message.get("id"), "result": {"content": [], "resultType": "complete"}})
    assert given.caller.call("whoami").result["content"] == []
