"""One person and another: whose consent, whose link, whose answer (RFC 9700 section 4, MCP security best practices)."""

import base64
import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx2
import manifests as m
import pytest
from attack import LINK
from cookies import Jar
from impostor import result
from oauth import NOWHERE, grant
from page import Page
from processes import wait_until
from raw import LEGACY, MODERN


class Tab:
    """A browser of which each step is the test's."""

    def __init__(self, base: str):
        self.base = base
        self.http = httpx2.Client(timeout=20, trust_env=False)

    def get(self, url: str) -> httpx2.Response:
        return self.http.get(urljoin(self.base, url), headers={"Sec-Fetch-Site": "none"})

    def post(self, url: str, form: dict, **headers: str) -> httpx2.Response:
        return self.http.post(urljoin(self.base, url), data=form, headers={"Origin": self.base, **headers})


def shown(answer: httpx2.Response) -> dict:
    """The fields of the form on a consent page."""
    return {name: value for name, _, value in Page(answer.text).forms[0].fields}


def asked(oauth, tab: Tab) -> tuple[str, dict]:
    """Begins an authorization; the address and the fields of its consent page."""
    url = tab.get(oauth.authorize_url()).headers["location"]
    return url, shown(tab.get(url))


def redeemed(oauth, code: str, **changes: str) -> httpx2.Response:
    return oauth.token(**{"grant_type": "authorization_code", "code": code, "redirect_uri": oauth.redirect, "code_verifier": oauth.verifier, **changes})


# Codes


def test_a_code_that_is_injected_into_another_clients_flow_gives_nothing(world, ana):
    """RFC 9700 section 4.5: the attacker has the victim's code and redeems it in a flow of their own."""
    victim, attacker = world.oauth("open"), world.oauth("open")
    code = victim.code(ana)
    attacker.authorize_url()
    refused = redeemed(attacker, code)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert redeemed(victim, code).status_code == 400, "a code that was tried by another client is spent"


def test_a_code_of_ones_own_flow_is_not_redeemed_with_the_verifier_of_another(world, ana):
    oauth = world.oauth("open")
    code = oauth.code(ana)
    first = oauth.verifier
    oauth.code(ana)
    assert first != oauth.verifier
    assert redeemed(oauth, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("verifier", ["", "challenge", None])
def test_a_challenge_cannot_be_left_behind_at_the_token_endpoint(world, ana, verifier):
    """PKCE downgrade (RFC 9700 section 4.8.2): no verifier, or the challenge itself as under `plain`."""
    oauth = world.oauth("open")
    visit = oauth.visit(ana)
    code = parse_qs(urlsplit(visit.url).query)["code"][0]
    if verifier == "challenge":
        verifier = base64.urlsafe_b64encode(hashlib.sha256(oauth.verifier.encode()).digest()).rstrip(b"=").decode()
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": oauth.redirect}
    refused = oauth.token(**form, **({} if verifier is None else {"code_verifier": verifier}))
    assert (refused.status_code, refused.json()["error"]) in ((400, "invalid_grant"), (400, "invalid_request"))


def test_a_code_and_a_refresh_token_are_good_at_their_own_issuer_alone(world, ana):
    here, there = world.oauth("open"), world.oauth("other")
    there.client, there.redirect = here.client, here.redirect
    code = here.code(ana)
    there.verifier = here.verifier
    assert redeemed(there, code).json()["error"] in ("invalid_grant", "invalid_target")
    issued = here.sign_in(ana)
    assert there.refresh(issued.refresh_token).json()["error"] in ("invalid_grant", "invalid_target")
    assert grant(here.refresh(issued.refresh_token)).access_token


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "code_challenge", "code_challenge_method", "state", "resource", "response_type"])
def test_a_parameter_that_comes_twice_is_refused(world, name):
    """RFC 6749 section 3.1."""
    oauth = world.oauth("open")
    value = {"redirect_uri": "https://evil.example/callback", "code_challenge_method": "plain"}.get(name, "another")
    answer = Tab(world.gateway.public_url).get(f"{oauth.authorize_url()}&{urlencode({name: value})}")
    if answer.is_redirect:
        sent = urlsplit(answer.headers["location"])
        assert answer.headers["location"].startswith(NOWHERE)
        assert parse_qs(sent.query)["error"] in (["invalid_request"], ["invalid_target"])
    else:
        assert answer.status_code == 400


@pytest.mark.parametrize("name", ["grant_type", "client_id", "code", "code_verifier", "redirect_uri"])
def test_a_parameter_that_comes_twice_at_the_token_endpoint_is_refused(world, ana, name):
    oauth = world.oauth("open")
    form = {"grant_type": "authorization_code", "code": oauth.code(ana), "client_id": oauth.client["client_id"], "redirect_uri": oauth.redirect, "code_verifier": oauth.verifier}
    body = urlencode(form) + "&" + urlencode({name: form[name]})
    answer = oauth.http.post(oauth.server["token_endpoint"], content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


# Consent


def test_a_consent_is_of_the_browser_that_gave_it(world, base):
    """Advisory class: consent not bound to the browser. The attacker approves and sends the victim on to sign in."""
    attacker, victim = Tab(base), Tab(base)
    url, fields = asked(world.oauth("open"), attacker)
    approved = attacker.post(url, {**fields, "decision": "approve"})
    assert approved.status_code == 200
    assert "cookie" in str(approved.request.headers).lower() or approved.headers.get("set-cookie")
    again = victim.post(url, {**fields, "decision": "approve"})
    assert again.status_code in (403, 410)
    assert "set-cookie" not in again.headers or "session" not in again.headers["set-cookie"]
    assert victim.get(url).status_code in (403, 410)


def test_a_sign_in_that_one_browser_began_does_not_end_in_another(world, base):
    """Login CSRF and stolen `state`: the attacker's answer of the identity provider, opened by the victim."""
    attacker, victim = Tab(base), Tab(base)
    url, fields = asked(world.oauth("open"), attacker)
    leaving = attacker.post(url, {**fields, "decision": "approve"})
    state = parse_qs(urlsplit(Page(leaving.text).refresh or Page(leaving.text).links[0].href).query)["state"][0]
    for tab in (victim, attacker):
        answer = tab.get(f"/login/callback?{urlencode({'state': state, 'code': 'stolen', 'iss': 'https://evil.example'})}")
        assert answer.status_code in (400, 502)
        assert "set-cookie" not in answer.headers
    again = attacker.get(f"/login/callback?{urlencode({'state': state, 'code': 'stolen'})}")
    assert again.status_code == 400, "a state is good once"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "", "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://127.0.0.1"}],
    ids=str,
)
def test_a_form_that_another_site_sends_is_refused(world, base, headers):
    tab = Tab(base)
    url, fields = asked(world.oauth("open"), tab)
    assert tab.post(url, {**fields, "decision": "approve"}, **headers).status_code == 403


def test_a_consent_page_without_its_token_or_with_anothers_does_nothing(world, base):
    tab = Tab(base)
    url, fields = asked(world.oauth("open"), tab)
    _, others = asked(world.oauth("open"), Tab(base))
    for wrong in ({}, {"token": ""}, others, {"token": fields["token"][:-1]}):
        assert tab.post(url, {**wrong, "decision": "approve"}).status_code == 403
    assert tab.post(url, {**fields, "decision": "deny"}).status_code == 200


# Links and ids of others


def test_a_connect_link_that_somebody_else_opens_connects_nobody(world):
    """Advisory class: missing object-level authorization on connect by id."""
    ana = world.browser("ana", connect=False)
    caller = world.caller("accounts", ana)
    link = LINK.search(json.dumps(caller.call("connect_account").message))[0]
    bob = world.browser("bob")
    world.caller("accounts", world.browser("bob", connect=False))
    world.oauth("accounts").sign_in(bob)
    cursor = world.gateway.cursor()
    assert bob.open(link).status == 403
    assert caller.names() == ["connect_account"] or caller.call("whoami").result["isError"]
    denied = world.gateway.wait_event("policy.denied", after=cursor, reason="link_of_another")
    assert denied["subject"].endswith("bob")


@pytest.mark.parametrize("path", ["/connect/{id}", "/connect/{id}?ticket=", "/connect/{id}?ticket=guessed", "/connect/1?ticket=x", "/connect/accounts?ticket=x", "/connect/..%2f?ticket=x", "/connect/{id}/callback", "/connect/{id}/callback?state=x&code=y", "/consent/guessed"])  # fmt: skip
def test_an_id_that_was_guessed_opens_nothing(world, base, path):
    link = LINK.search(json.dumps(world.caller("accounts", world.browser("eve", connect=False)).call("connect_account").message))[0]
    origin = urlsplit(link).path.removeprefix("/connect/")
    assert len(origin) >= 16, "an origin's id is not to be guessed"
    answer = Tab(base).get(path.format(id=origin))
    assert answer.status_code in (400, 404, 410)


def form_of(base: str, browser, ending: str) -> tuple[str, dict]:
    """Address and fields of a form on the page of somebody's connections."""
    jar = Jar(json.loads(browser.cookies.read_text()))
    page = httpx2.get(f"{base}/connections", headers={"Cookie": jar.header(f"{base}/connections", method="GET", cross_site=False)}, trust_env=False)
    form = next(form for form in Page(page.text).forms if form.action.endswith(ending))
    return form.action, {name: value for name, _, value in form.fields}


@pytest.mark.parametrize("whose", ["nobody's", "another person's"])
def test_a_connection_is_changed_by_its_owners_session_alone(world, base, whose):
    """The real form of a real connection, from where its owner is not signed in; at the end its owner sends it."""
    login = {"nobody's": "ana", "another person's": "eve"}[whose]
    owner, bob = world.browser(login), world.browser("bob")
    caller = world.caller("accounts", owner)
    world.oauth("accounts").sign_in(bob)
    assert caller.call("whoami").result["content"][0]["text"] == login
    action, fields = form_of(base, owner, "/disconnect")

    def send(form: dict, browser=None, what: str = "disconnect") -> int:
        url = urljoin(base, action.removesuffix("disconnect") + what)
        headers = {"Origin": base, "Sec-Fetch-Site": "same-origin"}
        if browser:
            headers["Cookie"] = Jar(json.loads(browser.cookies.read_text())).header(url, method="POST", cross_site=False)
        return httpx2.post(url, data=form, headers=headers, trust_env=False, timeout=20).status_code

    cursor = world.gateway.cursor()
    sender = None if whose == "nobody's" else bob
    for what in ("disconnect", "connect"):
        for form in (fields, {**fields, "token": ""}, {**fields, "token": "x"}, {key: value for key, value in fields.items() if key != "token"}):
            assert send(form, sender, what) in (403, 422), form
    assert caller.call("whoami").result["content"][0]["text"] == login
    assert world.gateway.events("auth.disconnected", after=cursor) == []
    assert send(fields, owner) in (200, 303)
    assert world.gateway.wait_event("auth.disconnected", after=cursor)["subject"].endswith(login)


def test_a_list_and_a_call_are_each_persons_own_and_marked_private(world):
    """Advisory classes: object-level authorization on list and call; `private` results cached across users."""
    world.gateway.edited(lambda: world.manifests.put(m.virtual("shared", "open", access="Teams"), m.team("readers", {"virtualMcp": "shared", "tools": {"include": ["echo"]}}, groups=["engineering"]), m.team("writers", {"virtualMcp": "shared", "tools": {"include": ["add"]}}, groups=["finance"])))  # fmt: skip
    ana, bob = world.caller("shared", world.browser("ana")), world.caller("shared", world.browser("bob"))
    for _ in range(3):
        for caller, own, others in ((ana, "add", "echo"), (bob, "echo", "add")):
            listed = caller.send("tools/list")
            assert [tool["name"] for tool in listed.result["tools"]] == [own]
            assert listed.result["cacheScope"] == "private"
            assert caller.call(others, text="x", a=1, b=1).error["data"]["reason"] == "tool_not_allowed"


def test_somebody_in_no_team_learns_nothing_of_a_route(world):
    browser = world.browser("eve")
    visit = world.oauth("guarded").visit(browser)
    assert "access_denied" in visit.url or "access" in visit.page.text
    assert not any("whoami" in page["text"] for page in browser.seen())


# Many at once


@pytest.mark.requirement("advisory.mix-up")
def test_a_hundred_calls_at_once_by_many_people_are_each_answered_with_their_own(world, attack):
    """Advisory class: cross-user response mix-up. The origin answers late and in another order, over few connections."""
    given = attack(open=True)
    gathered = threading.Barrier(20)

    def late(request):
        if b'"tools/call"' in request.body:
            gathered.wait(20)
            return result(request, {"resultType": "complete", "content": [{"type": "text", "text": request.message["params"]["arguments"]["marker"]}]})
        return given.impostor.mcp(request)

    given.impostor.on["/mcp"] = late
    callers = [world.caller(given.name, world.browser(login)) for login in ("ana", "bob", "eve")]

    def call(number: int) -> bool:
        marker = f"{number}-{number * 7919}"
        answer = callers[number % 3].call("whoami", marker=marker)
        return answer.result["content"][0]["text"] == marker

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(call, range(100)))
    wait_until(lambda: len(given.events("mcp.capability")) == 100, what="a hundred events")
    assert len({event["subject"] for event in given.events("mcp.capability")}) == 3


@pytest.mark.requirement("advisory.mix-up")
def test_a_call_that_was_given_up_leaves_nothing_for_the_next(world, attack):
    """Its connection to the origin is not used again, so that a late answer meets nobody."""
    given = attack(open=True)
    released = threading.Event()

    def slow(request):
        if b'"slow"' in request.body:
            released.wait(20)
            return result(request, {"resultType": "complete", "content": [{"type": "text", "text": "late"}]})
        return given.impostor.mcp(request)

    given.impostor.on["/mcp"] = slow
    first, second = world.caller(given.name, world.browser("ana")), world.caller(given.name, world.browser("bob"))
    first.http.timeout = httpx2.Timeout(0.5)
    with pytest.raises(httpx2.TimeoutException):
        first.call("slow")
    released.set()
    for _ in range(10):
        assert second.call("whoami").result["content"][0]["text"] == "None"


@pytest.mark.requirement("advisory.mix-up")
def test_an_origin_that_answers_twice_answers_nobody_elses_question(world, attack):
    """Response splitting on the connection to the origin, which is kept: what nobody asked for is thrown away with it."""
    given = attack(open=True)
    surplus = given.impostor

    def twice(request):
        answer = surplus.mcp(request)
        return answer + answer.replace(b"None", b"EVIL") if b'"tools/call"' in request.body else answer

    surplus.on["/mcp"] = twice
    callers = [world.caller(given.name, world.browser(login)) for login in ("ana", "bob")]
    for number in range(20):
        answer = callers[number % 2].call("whoami")
        assert "EVIL" not in answer.text
        assert answer.status in (200, 502)


@pytest.mark.requirement("advisory.mix-up")
@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_a_session_of_one_person_is_no_session_of_another_at_the_origin(world, era):
    ana, bob = (world.caller("open", world.browser(login), era=era) for login in ("ana", "bob"))
    assert ana.call("echo", text="ana").result["content"][0]["text"] == "ana"
    assert bob.call("echo", text="bob").result["content"][0]["text"] == "bob"
    if era == LEGACY:
        assert ana.session != bob.session
        inner = [dict(zip(each["headers"][::2], each["headers"][1::2], strict=True)).get("mcp-session-id") for each in world.origins["open"].requests()[-2:]]
        assert inner[0] != inner[1]
        assert not {ana.session, bob.session} & set(inner), "an origin's session id is not shown outside"
