"""Anonymous clients at the OAuth endpoints: what they store and fetch is bounded, and users do not notice (CWE-400, CWE-770).
docs/network.md has the limits. Hosts that never answer are names that the name server is silent about."""

import secrets
import sqlite3
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import count

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from names import Names, asking
from world import World

KEY = ec.generate_private_key(ec.SECP256R1())
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_machines = count(1)


@pytest.fixture(scope="module")
def names():
    names = Names()
    yield names
    names.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("strangers")
    world = World(folder, "open")
    world.idp.settings["logout"] = f"{world.gateway.public_url}/login/backchannel/company"
    world.gateway.binary = asking(folder, world.gateway.binary, seconds=5)
    with world:
        yield world


@pytest.fixture
def many():
    with ThreadPoolExecutor(128) as pool:
        yield pool


class Stranger:
    """A client at an address of its own that registers itself."""

    def __init__(self, world: World):
        self.base = f"{world.gateway.public_url}/mcp/open/oauth"
        self.issuer = world.oauth("open").issuer
        machine = f"127.31.{next(_machines)}.1"
        self.http = httpx2.Client(timeout=30, trust_env=False, transport=httpx2.HTTPTransport(local_address=machine))

    def register(self, **metadata) -> httpx2.Response:
        asked = {"client_name": "stranger", "redirect_uris": ["http://127.0.0.1:9/callback"], "token_endpoint_auth_method": "none", **metadata}
        return self.http.post(f"{self.base}/register", json=asked)

    def with_key(self, **keys) -> str:
        answer = self.register(token_endpoint_auth_method="private_key_jwt", **keys)
        assert answer.status_code == 201, answer.text
        return answer.json()["client_id"]

    def redeem(self, client: str) -> httpx2.Response:
        """A token request with a code that nobody issued. The client proves who it is."""
        now = int(time.time())
        claims = {"iss": client, "sub": client, "aud": self.issuer, "iat": now, "exp": now + 60, "jti": secrets.token_hex(8)}
        assertion = jwt.encode(claims, KEY, "ES256", headers={"kid": "1"})
        form = {
            "grant_type": "authorization_code", "code": "guessed", "code_verifier": "v" * 43, "redirect_uri": "http://127.0.0.1:9/callback",
            "client_id": client, "client_assertion_type": ASSERTION, "client_assertion": assertion,
        }  # fmt: skip
        return self.http.post(f"{self.base}/token", data=form)

    def authorize(self, document: str) -> httpx2.Response:
        asked = {
            "response_type": "code", "client_id": document, "redirect_uri": "http://127.0.0.1:9/callback", "state": "s",
            "code_challenge": "c" * 43, "code_challenge_method": "S256",
        }  # fmt: skip
        return self.http.get(f"{self.base}/authorize", params=asked)


def key_set() -> dict:
    return {"keys": [jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "1", "alg": "ES256", "use": "sig"}]}


def rows(world: World, table: str) -> int:
    with closing(sqlite3.connect(next(world.gateway.state.glob("*.sqlite*")))) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_registration_that_is_large_is_refused_and_nothing_is_stored(world):
    stranger, before = Stranger(world), rows(world, "clients")
    long = "x" * 300
    for large in (
        {"redirect_uris": [f"https://client.example/{number}/{long}" for number in range(20)]},
        {"jwks": {"keys": [key_set()["keys"][0] | {"kid": f"{number}{long}"} for number in range(20)]}, "token_endpoint_auth_method": "private_key_jwt"},
    ):
        answer = stranger.register(**large)
        assert answer.status_code == 400 and answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri"), answer.text
    assert rows(world, "clients") == before
    assert stranger.register(client_name="n" * 100).status_code == 201


def test_a_client_that_registers_itself_cannot_fill_the_table_of_used_assertions(world):
    stranger = Stranger(world)
    client = stranger.with_key(jwks=key_set())
    answers = [stranger.redeem(client) for _ in range(100)]
    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(400, "invalid_grant")}
    assert rows(world, "used_assertions") == 0


def test_a_machine_that_guesses_is_asked_to_wait_and_others_are_not(world):
    guessing, other = Stranger(world), world.oauth("open")
    tokens = other.sign_in(world.browser("ana"))
    client = guessing.with_key(jwks=key_set())
    answers = [guessing.redeem(client) for _ in range(200)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited and 120 <= len(answers) - len(limited) < 180
    assert all(int(answer.headers["retry-after"]) > 0 for answer in limited)
    assert other.refresh(tokens.refresh_token).status_code == 200


def held(world: World, names: Names, many: ThreadPoolExecutor, *, machines: int = 16) -> list[Future]:
    """Strangers that make the gateway fetch documents and key sets from hosts that never answer."""
    requests = []
    for _ in range(machines):
        stranger = Stranger(world)
        for number in range(4):
            host = f"slow-{secrets.token_hex(4)}.attack.test"
            names.silent(host)
            if number % 2:
                requests.append((stranger.authorize, f"https://{host}/client.json"))
            else:
                requests.append((stranger.redeem, stranger.with_key(jwks_uri=f"https://{host}/keys")))
    return [many.submit(*each) for each in requests]


def test_slow_hosts_that_strangers_name_delay_no_sign_in_and_no_logout(world, names, many):
    """A sign-in and a logout need the identity provider's metadata and keys, which a new process has not fetched yet."""
    caller = world.caller("open", world.browser("ana"))
    assert "error" not in caller.call("whoami").message
    for act in ("logout", "sign-in"):
        world.gateway.stop()
        world.gateway.start()
        running = held(world, names, many)
        time.sleep(0.5)
        assert sum(not each.done() for each in running) > 10, "the hosts are not slow"
        began = time.monotonic()
        if act == "logout":
            world.idp.lever("logout", login="ana", session=None)
            assert caller.send("tools/list").status == 401
        else:
            world.oauth("open").sign_in(world.browser("bob"))
        seconds = time.monotonic() - began
        assert sum(not each.done() for each in running) > 0, "the strangers had been answered before"
        assert seconds < 3, act
        answers = [each.result() for each in running]
        # Some are asked to wait, because too many wait already.
        assert {answer.status_code for answer in answers} <= {400, 401, 429, 503}


def test_a_document_is_fetched_once_for_all_who_ask_at_the_same_time(world, names, many):
    """Failures are not cached (draft-ietf-oauth-client-id-metadata-document, "Metadata Caching"): a corrected client works at once."""
    names.silent("popular.attack.test")
    strangers = [Stranger(world) for _ in range(12)]
    for round in (1, 2):
        answers = many.map(lambda stranger: stranger.authorize("https://popular.attack.test/client.json"), strangers)
        assert {answer.status_code for answer in answers} == {400}
        assert names.queries["popular.attack.test"] == round


def test_a_key_set_is_fetched_once_for_all_who_ask_and_not_again_after_a_failure(world, names, many):
    names.silent("keys.attack.test")
    strangers = [Stranger(world) for _ in range(12)]
    clients = [(stranger, stranger.with_key(jwks_uri="https://keys.attack.test/keys")) for stranger in strangers]
    for _ in range(2):
        answers = many.map(lambda pair: pair[0].redeem(pair[1]), clients)
        assert {answer.status_code for answer in answers} <= {401, 503}
        assert names.queries["keys.attack.test"] == 1
