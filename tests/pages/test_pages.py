"""Every page, as Chromium shows it: nothing that axe finds wrong, nothing wider than 320 pixels, no script, in light and in dark."""

import json
import os
import subprocess
from pathlib import Path

import httpx2
import manifests as m
import pytest
from portal import Portal
from world import World

HERE = Path(__file__).parent
LONG = "A virtual MCP with a very long name, such as people give to what they want to find again"

NAMES = [
    "welcome", "consent", "confirm", "no-access", "home", "connections", "connections-none", "connected", "clients", "clients-none",
    "people", "person", "admin-clients", "teams", "origins", "not-an-admin", "not-found",
]  # fmt: skip
STATUS = {"not-an-admin": 403, "not-found": 410}


@pytest.fixture(scope="module")
def seen(folder):
    """What was seen of each page, by its name."""
    world = World(folder, "open", "accounts", admins={"users": ["ana@example.com"]})
    world.manifests.put(
        m.virtual("a-slug-that-is-as-long-as-slugs-can-reasonably-be", "open", displayName=LONG, description="For everybody. " * 12),
        m.virtual("guarded", "open", access="Teams"),
        m.team("finance", {"virtualMcp": "guarded"}, groups=["finance"]),
    )
    with world:
        answers = look(pages(world))
    return {name: [each for each in answers if each["name"] == name] for name in NAMES}


def pages(world) -> dict[str, dict]:
    """The pages, each with the cookies of whoever is to look at it."""
    base = world.gateway.public_url
    ana, eve = world.browser("ana"), world.browser("eve", connect=False)
    for route in ("open", "accounts"):
        world.oauth(route).sign_in(ana)
    eve.open(base + "/")
    api = Portal(base, ana)
    person = api.get("/api/admin/people?q=ana@")["people"][0]["id"]
    here = {
        "welcome": ("/", None),
        "consent": (asked(world, "open", None), None),
        "confirm": (asked(world, "accounts", eve), eve),
        "no-access": (asked(world, "guarded", eve), eve),
        "home": ("/", ana),
        "connections": ("/connections", ana),
        "connections-none": ("/connections", eve),
        "clients": ("/clients", ana),
        "clients-none": ("/clients", eve),
        "people": ("/admin", ana),
        "person": (f"/admin/people/{person}", ana),
        "admin-clients": ("/admin/clients", ana),
        "teams": ("/admin/teams", ana),
        "origins": ("/admin/origins", ana),
        "not-an-admin": ("/admin", eve),
        "not-found": ("/consent/nothing", ana),
        "connected": (f"/connect/{api.get('/api/connections')['connections'][0]['origin']['id']}/done", ana),
    }
    return {
        name: {"url": url if url.startswith("http") else base + url, "cookies": cookies(browser)}
        for name, (url, browser) in here.items()
    }


def asked(world, route: str, browser) -> str:
    """The page to which a client's request leads."""
    header = "; ".join(f"{each['name']}={each['value']}" for each in cookies(browser))
    answer = httpx2.get(world.oauth(route).authorize_url(), headers={"Cookie": header}, trust_env=False)
    return answer.headers["location"]


def cookies(browser) -> list[dict]:
    if browser is None:
        return []
    known = json.loads(browser.cookies.read_text())
    return [{"name": each["name"], "value": each["value"], "domain": each["host"], "path": "/", "httpOnly": True} for each in known]


def look(wanted: dict[str, dict]) -> list[dict]:
    screenshots = os.environ.get("PORTCULLIS_SCREENSHOTS")
    if screenshots:
        Path(screenshots).mkdir(parents=True, exist_ok=True)
    ask = json.dumps({"pages": wanted, "screenshots": screenshots})
    done = subprocess.run(["node", HERE / "look.mjs", ask], capture_output=True, text=True, timeout=170, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_for_everybody_at_any_size_in_light_and_dark(seen, name):
    ways = seen[name]
    assert {(way["width"], way["scheme"]) for way in ways} == {(320, "light"), (320, "dark"), (1280, "light"), (1280, "dark")}
    for way in ways:
        assert way["status"] == STATUS.get(name, 200), way
        assert way["styled"], "the stylesheet was not applied"
        assert way["violations"] == [], way
        assert way["wider"] <= 0, f"{way['wider']} px wider than {way['width']}"
        assert way["scripts"] == 0
        assert way["refused"] == []
        assert way["title"].endswith(" · Portcullis")


def test_no_two_pages_have_the_same_title(seen):
    # Both ask the same question, before and after signing in.
    same = {"confirm", "connections-none", "clients-none"}
    titles = {name: seen[name][0]["title"] for name in NAMES if name not in same}
    assert len(set(titles.values())) == len(titles), titles
