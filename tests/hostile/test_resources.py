"""Resource URIs that an origin reads as another resource than their text says (RFC 3986 section 6)."""

import itertools

import pytest
from raw import MODERN

NO_TEMPLATES = {"resourceTemplates": {"include": []}}
EXCLUDES = {"capabilities": {"resources": {"exclude": ["docs://team/private"]}, **NO_TEMPLATES}}
INCLUDES = {"capabilities": {"resources": {"include": ["docs://team/public/*"]}, **NO_TEMPLATES}}
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
IDS = itertools.count(1)

SPELLINGS_OF_PRIVATE = [
    "docs://team/private",
    "docs://team/x/../private",
    "docs://team/./private",
    "docs://team/%70rivate",
    "docs://team/%2e/private",
    "docs://team/x/%2E%2e/private",
    "docs://team/x/%252e%252e/private",
    "docs://team%2fprivate",
    "docs://team\\private",
    "docs://team%5cprivate",
    "docs://te%61m/private",
    "DOCS://team/private",
    "docs://TEAM/private",
    "docs://team:/private",
    "docs://team//private",
    "docs://team/private/",
    "docs://team/private?",
    "docs://team/private?version=1",
    "docs://team/private#part",
    "docs://team/private\t",
    " docs://team/private",
    "docs://team/private\n",
    "docs://team/private%00",
]
# What readers of the URL standard, and readers that decode everything, take for a rule's resource: (rule, URI).
OTHER_READERS = [
    ("docs://Team/private", "DOCS://Team/private"),
    ("docs://Team/private", "docs://team/private"),
    ("docs://team/a:b", "docs://team/a%3Ab"),
    ("docs://team/a%3Ab", "docs://team/a:b"),
    ("docs://team/private", "docs://team/private%3Fversion=1"),
    ("docs://team/private", "docs://team/private%23part"),
    ("file:///srv/private", "file:/srv/private"),
    ("file:///srv/private", "file://localhost/srv/private"),
    ("https://team.example/*", "https:team.example/private"),
    ("https://team.example/*", "https:///team.example/private"),
    ("http://127.0.0.1/*", "http://0x7f.1/private"),
]
OUTSIDE_OF_PUBLIC = [
    "docs://team/public/../private",
    "docs://team/public/%2e%2e/private",
    "docs://team/public/..%2fprivate",
    "docs://team/public/..\\private",
    "docs://team/public/x/../../private",
    "docs://team/public/..;x/private",
    "docs://team/private?docs://team/public/",
]


def read(given, uri: str, method: str = "resources/read"):
    """Without `Mcp-Name`, which could not carry each of these."""
    params = {"uri": uri, "_meta": META}
    if method == "subscriptions/listen":
        params = {"notifications": {"resourceSubscriptions": [uri]}, "_meta": META}
    return given.caller.post({"jsonrpc": "2.0", "id": next(IDS), "method": method, "params": params}, {"Mcp-Method": method})


def arrived(given) -> list[dict]:
    messages = [asked.message for asked in given.impostor.asked if asked.method == "POST" and asked.message]
    return [each for each in messages if each.get("method") in ("resources/read", "subscriptions/listen")]


def test_a_uri_of_any_length_and_any_number_of_uris_cost_little(attack):
    """Rules are compared with every URI, so their length and number are limited."""
    given = attack(open=True, virtual=EXCLUDES)
    assert "error" not in read(given, "docs://team/" + "x" * 8_000).message
    assert read(given, "docs://team/" + "x" * 8_192).error["data"]["reason"] == "resource_not_allowed"
    many = {"notifications": {"resourceSubscriptions": [f"docs://{number}" for number in range(1_001)]}, "_meta": META}
    answer = given.caller.post({"jsonrpc": "2.0", "id": next(IDS), "method": "subscriptions/listen", "params": many})
    assert answer.error["data"]["reason"] == "too_many_subscriptions"
    assert len(arrived(given)) == 1


@pytest.mark.parametrize("method", ["resources/read", "subscriptions/listen"])
@pytest.mark.parametrize("rules, uris", [(EXCLUDES, SPELLINGS_OF_PRIVATE), (INCLUDES, OUTSIDE_OF_PUBLIC)], ids=["excluded", "not included"])
def test_no_spelling_of_a_hidden_resource_reaches_the_origin(attack, rules, uris, method):
    given = attack(open=True, virtual=rules)
    for uri in uris:
        answer = read(given, uri, method)
        assert answer.error["data"]["reason"] == "resource_not_allowed", uri
    assert arrived(given) == []


@pytest.mark.parametrize("method", ["resources/read", "subscriptions/listen"])
def test_what_some_reader_takes_for_an_excluded_resource_does_not_reach_the_origin(attack, method):
    rules = sorted({rule for rule, _ in OTHER_READERS})
    given = attack(open=True, virtual={"capabilities": {"resources": {"exclude": rules}, **NO_TEMPLATES}})
    for _, uri in OTHER_READERS:
        assert read(given, uri, method).error["data"]["reason"] == "resource_not_allowed", uri
    assert arrived(given) == []


@pytest.mark.parametrize(
    "rules, uri",
    [
        (EXCLUDES, "docs://team/privately"),
        (EXCLUDES, "docs://team/a%20b?x=1#y"),
        (EXCLUDES, "docs://team/größe"),
        (INCLUDES, "docs://team/public/a.b/..c"),
        (INCLUDES, "docs://team/public/a?x=1&y=b.c"),
    ],
)
def test_what_the_rules_offer_reaches_the_origin_as_written(attack, rules, uri):
    given = attack(open=True, virtual=rules)
    read(given, uri)
    assert [each["params"]["uri"] for each in arrived(given)] == [uri]


def test_without_a_rule_any_uri_reaches_the_origin_as_written(attack):
    given = attack(open=True)
    for uri in (uris := [*SPELLINGS_OF_PRIVATE, *OUTSIDE_OF_PUBLIC]):
        read(given, uri)
    assert [each["params"]["uri"] for each in arrived(given)] == uris
