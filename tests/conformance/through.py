"""What the suite's `client` mode runs for a scenario: makes an origin and a route of the suite's server, signs in, connects, and calls.

python through.py WORLD.JSON SERVER-URL, with the scenario in MCP_CONFORMANCE_SCENARIO, its revision in MCP_CONFORMANCE_PROTOCOL_VERSION and
what the scenario gives to its client in MCP_CONFORMANCE_CONTEXT.
"""

import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))

import httpx2
import manifests as m
from browser import Browser
from oauth import OAuthClient
from processes import wait_until
from raw import LEGACY, MODERN, Caller

LINK = re.compile(r"https?://[^\s\"\\]+/connect/[^\s\"\\]+")
SCENARIO = os.environ["MCP_CONFORMANCE_SCENARIO"]
REVISION = os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"]
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))


def auth() -> tuple[dict, list[dict]]:
    """How the origin is signed in to, and the Secrets that this takes."""
    name = SCENARIO.replace("/", "-")
    if not SCENARIO.startswith("auth/"):
        return {"none": {}}, []
    shown = CONTEXT.get("client_secret") or CONTEXT.get("private_key_pem")
    if shown is None:
        return {"userOAuth": {"scopes": [], "registration": {"auto": {}}}}, []
    secret = m.secret(name, hosts="localhost", secret=shown)
    client = {"id": CONTEXT["client_id"], "secretRef": {"name": name, "key": "secret"}}
    if "private_key_pem" in CONTEXT:
        client["tokenEndpointAuthMethod"] = "private_key_jwt"
    if SCENARIO.startswith("auth/client-credentials-"):
        return {"clientCredentials": {"client": client}}, [secret]
    return {"userOAuth": {"scopes": [], "registration": {"client": client}}}, [secret]


def route(world: dict, url: str) -> str:
    """Makes the origin and its route, and waits until it is served."""
    name = SCENARIO.replace("/", "-").replace("_", "-").lower()
    how, secrets = auth()
    m.Folder(world["manifests"], *secrets, m.origin(name, url, how), m.virtual(name, name))
    place = f"{world['public_url']}/.well-known/oauth-protected-resource/mcp/{name}"
    wait_until(lambda: httpx2.get(place, trust_env=False).status_code == 200, what=f"the route {name}")
    return f"{world['public_url']}/mcp/{name}"


def main() -> None:
    world = json.loads(Path(sys.argv[1]).read_text())
    # One person, but each scenario has a browser of its own, so that they do not wait for each other.
    browser = Browser.create(Path(world["browsers"]) / SCENARIO.replace("/", "-"), "ana")
    url = route(world, sys.argv[2])
    client = OAuthClient(url)
    visit = client.visit(browser)
    if not visit.url.startswith(client.redirect):
        # The origin does not hold, and the person reads why. They go on without an account.
        print(f"not connected: {visit.status} {visit.page.text}")
        browser.wish(connect=False)
        visit = client.visit(browser)
    code = dict(pair.split("=", 1) for pair in urlsplit(visit.url).query.split("&"))["code"]
    caller = Caller(url, client.exchange(code).access_token, MODERN if REVISION == MODERN else LEGACY)
    use(caller, browser)


def use(caller: Caller, browser: Browser) -> None:
    """What every scenario's client does: begin, list, call each tool; where a connect link comes back, follow it and call again."""
    if caller.era == LEGACY:
        print("initialize", caller.initialize().text)
    listed = caller.send("tools/list")
    print("tools/list", listed.text)
    tools = (listed.message or {}).get("result", {}).get("tools", [])
    for tool in tools:
        arguments = {name: 1 if kind.get("type") in ("number", "integer") else "x" for name, kind in tool["inputSchema"].get("properties", {}).items()}
        for _ in range(3):
            answer = caller.call(tool["name"], **arguments)
            print("tools/call", tool["name"], answer.status, answer.text)
            link = LINK.search(answer.text)
            if not link:
                break
            browser.open(link[0])


main()
