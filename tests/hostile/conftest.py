"""One gateway for the whole suite, among people and origins that mean no good; and the table of what it withstands."""

import shutil
import tempfile
from pathlib import Path

import httpx2
import manifests as m
import pytest
import reporting
from attack import Attack
from reporting import *  # noqa: F403
from reporting import counts, require
from threats import Threats
from world import World

TEAM = m.team("finance", {"virtualMcp": "guarded", "tools": {"include": ["echo", "whoami"]}}, groups=["finance"])
threats = Threats(Path(__file__).resolve().parent)


def pytest_configure():
    require("PORTCULLIS_BIN", "the gateway")


class Crowd(World):
    """Hundreds of clients register within minutes: each comes from a machine of its own, as the gateway would have it."""

    machines = 0

    def machine(self) -> str:
        self.machines += 1
        return f"127.9.{self.machines // 250}.{1 + self.machines % 250}"


@pytest.fixture(scope="session")
def world():
    folder = Path(tempfile.mkdtemp(prefix="portcullis-hostile-"))
    world = Crowd(folder, "open", "accounts")
    world.manifests.put(m.virtual("other", "open"), m.virtual("guarded", "open", access="Teams"), TEAM)
    with world:
        yield world
    if counts["failed"]:
        print(f"\nlogs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def base(world):
    return world.gateway.public_url


@pytest.fixture(scope="session")
def ana(world):
    return world.browser("ana")


@pytest.fixture(scope="session")
def token(world, ana):
    return world.oauth("open").sign_in(ana).access_token


@pytest.fixture
def caller(world, token):
    return world.caller("open", token=token)


@pytest.fixture(scope="session")
def http():
    with httpx2.Client(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def unseen(world):
    """Whatever the test sends, the origin sees nothing of it."""
    before = len(world.origins["open"].requests())
    yield
    assert len(world.origins["open"].requests()) == before


@pytest.fixture
def attack(world):
    """Makes origins that a test programs, each with a route and a user of its own."""
    made: list[Attack] = []

    def make(**given) -> Attack:
        made.append(Attack(world, **given))
        return made[-1]

    yield make
    for each in made:
        each.end()


def pytest_runtest_logreport(report):
    threats.note(report)
    reporting.pytest_runtest_logreport(report)


def pytest_sessionfinish(session):
    given = session.config.option
    if not given.collectonly:
        counts["failed"] += threats.report(whole=not given.keyword and not given.file_or_dir)
