"""One person's way through the pages in Chromium, over https: every form is really submitted, under the page's own Content Security Policy."""

import base64
import hashlib
import json
import ssl
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import manifests as m
import pytest
from cluster_identity import Authority
from gateway import HOST
from peers import PEERS
from processes import Process, free_port
from world import World

HERE = Path(__file__).parent
REDIRECT = "http://127.0.0.1:9/callback"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(b"a-verifier-that-is-long-enough-0123456789-0123456789").digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def world(folder):
    authority = Authority(folder / "authority", "the tests")
    certificate, key = authority.server("gateway", HOST)
    world = World(folder, "accounts")
    port = free_port(HOST)
    world.public = f"https://{HOST}:{port}"
    world.trust = ssl.create_default_context(cafile=str(authority.file))
    world.idp.settings["redirect"] = f"{world.public}/login/callback"
    world.manifests.put(m.gateway(world.public, m.oidc(world.idp.base)))
    front = json.dumps({"host": HOST, "port": port, "to": world.gateway.port, "certificate": str(certificate), "key": str(key)})
    process = Process(["node", PEERS / "tls-front.mjs", front], log=folder / "front.log")
    try:
        process.wait_ready(HOST, port)
        with world:
            yield world
    finally:
        process.stop()


def authorize_url(world) -> str:
    """Where a client that has just registered sends its user."""
    route = f"{world.public}/mcp/accounts"
    with httpx2.Client(verify=world.trust, trust_env=False) as http:
        server = http.get(f"{world.public}/.well-known/oauth-authorization-server/mcp/accounts").raise_for_status().json()
        client = {"client_name": "a client", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
        registered = http.post(server["registration_endpoint"], json=client).raise_for_status().json()
    asked = {"response_type": "code", "client_id": registered["client_id"], "redirect_uri": REDIRECT, "code_challenge": CHALLENGE}
    return f"{server['authorization_endpoint']}?{urlencode({**asked, 'code_challenge_method': 'S256', 'state': 's', 'resource': route})}"


@pytest.fixture(scope="module")
def flow(world):
    given = {"base": world.public, "authorize": authorize_url(world), "redirect": REDIRECT, "login": "ana"}
    done = subprocess.run(["node", HERE / "flow.mjs", json.dumps(given)], capture_output=True, text=True, timeout=170, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_that_the_pages_do_violates_their_policy(flow):
    assert flow["violations"] == []
    assert flow["provoked"] >= 1, "a script on purpose was not counted, so the line above shows nothing"


def test_each_form_leads_to_the_page_that_it_promises(flow):
    seen = {each["step"]: each for each in flow["seen"]}
    assert "Ana Lovelace" in seen["signed in"]["text"]
    assert "a client" in seen["consent"]["text"]
    assert "ana@example.com" in seen["consent"]["text"]
    assert "Disconnect" not in seen["not connected"]["text"]
    assert "Disconnect" in seen["connected"]["text"]
    assert "Disconnect" not in seen["disconnected"]["text"]
    for step in ("signed out", "afterwards"):
        assert "Ana Lovelace" not in seen[step]["text"]
        assert "Sign in" in seen[step]["text"]


def test_the_client_gets_a_code_for_its_state_and_from_this_issuer(world, flow):
    assert len(flow["sent"]) == 1
    answer = {name: values[0] for name, values in parse_qs(urlsplit(flow["sent"][0]).query).items()}
    assert answer["state"] == "s"
    assert answer["iss"] == f"{world.public}/mcp/accounts"
    assert answer["code"].startswith("pc_code_")


@pytest.mark.requirement("as.consent.cookies")
def test_over_https_every_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts(flow):
    assert flow["cookies"]
    for cookie in flow["cookies"]:
        assert cookie["name"].startswith("__Host-"), cookie["name"]
        assert cookie["secure"] and cookie["httpOnly"], cookie["name"]
        assert cookie["path"] == "/"
        assert cookie["sameSite"] == "Lax", cookie["name"]
