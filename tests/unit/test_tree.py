"""The tree keeps the invariants that ARCHITECTURE.md promises: which room may use which, what may lie where."""

import re
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent.parent
ROOMS = {}
for manifest in [*REPO.glob("*/Cargo.toml"), *REPO.glob("*/*/Cargo.toml")]:
    package = tomllib.loads(manifest.read_text())
    if "workspace" not in package:  # the fuzz targets are a workspace of their own
        ROOMS[package["package"]["name"]] = (manifest.parent, package)

# Downhill: each room may use those before it, never those after it.
DATA_PLANE = ["ambient", "events", "keys", "wire", "policy", "store", "outbound", "api-server", "custody", "assertions", "vault", "providers", "identity", "portal", "gateway"]
FLOW = {f"portcullis-{name}": place for place, name in enumerate(DATA_PLANE)}
LONGEST = 500


def uses(package, *, tests=False):
    tables = [package.get("dependencies", {}), *(target.get("dependencies", {}) for target in package.get("target", {}).values())]
    if tests:
        tables.append(package.get("dev-dependencies", {}))
    return {name for table in tables for name in table if name.startswith("portcullis-")}


def sources(*places):
    return sorted(path for place in places for path in (REPO / place).rglob("*.rs") if "target" not in path.parts)


def test_the_rooms_are_found():
    assert set(FLOW) <= set(ROOMS)
    assert len(sources("crds", "operator", "dataplane")) > 20


@pytest.mark.parametrize("name", FLOW)
def test_a_room_of_the_data_plane_uses_only_rooms_before_it(name):
    _, package = ROOMS[name]
    for used in uses(package) & set(FLOW):
        assert FLOW[used] < FLOW[name], f"{name} must not use {used}"


@pytest.mark.parametrize("name", [*FLOW, "portcullis-demo-origin"])
def test_the_data_plane_knows_the_contract_and_not_the_resources(name):
    _, package = ROOMS[name]
    known = uses(package)
    assert "portcullis-crds" not in known
    if name != "portcullis-gateway":
        assert "portcullis-compiler" not in known


def test_only_the_gateway_uses_the_demo_origin_and_only_its_folder_source_the_compiler():
    for name, (_, package) in ROOMS.items():
        if name != "portcullis-gateway":
            assert "portcullis-demo-origin" not in uses(package), name
    outside = REPO / "dataplane/gateway/src"
    users = {path.relative_to(outside).as_posix() for path in sources("dataplane/gateway/src") if "portcullis_compiler" in path.read_text()}
    assert all(each.startswith(("snapshot/", "command/")) for each in users), users


def test_the_contract_is_serde_only_and_the_compiler_does_no_io():
    assert uses(ROOMS["portcullis-contract"][1]) == uses(ROOMS["portcullis-client-key"][1]) == set()
    assert uses(ROOMS["portcullis-compiler"][1]) <= {"portcullis-contract", "portcullis-crds", "portcullis-client-key"}
    for path in sources("crds/compiler/src", "crds/contract/src", "crds/client-key/src", "crds/publication/src", "dataplane/wire/src", "dataplane/policy/src"):
        code = without_tests(path.read_text())
        for effect in ("std::fs", "tokio::", "reqwest", "std::net::Tcp", "SystemTime::now", "std::env"):
            assert effect not in code, f"{path.relative_to(REPO)} uses {effect}"


def test_the_publication_knows_the_contract_and_the_keys_alone():
    """It is what operator and data plane have in common, and does no I/O."""
    assert uses(ROOMS["portcullis-publication"][1]) <= {"portcullis-contract", "portcullis-keys", "portcullis-ambient"}
    assert "kube" not in ROOMS["portcullis-publication"][1]["dependencies"]


def test_the_operator_does_not_know_the_data_plane():
    """But for the rings that it makes and how they are kept, clock and randomness, the API server that both ask, and the one guard on
    addresses: origins are asked for their catalogs by the same rules by which calls reach them."""
    vocabulary = {"contract", "crds", "compiler", "publication"}
    shared = {"ambient", "keys", "outbound", "api-server", "custody"}
    assert uses(ROOMS["portcullis-operator"][1]) <= {f"portcullis-{name}" for name in vocabulary | shared}


def test_only_the_store_holds_sql():
    statement = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s+\w+\s+set|delete\s+from|create\s+table)\s", re.IGNORECASE | re.DOTALL)
    for path in sources("crds", "operator", "dataplane"):
        if "dataplane/store/" in path.as_posix():
            continue
        for literal in re.findall(r'"(?:[^"\\]|\\.)*"', path.read_text()):
            assert not statement.search(literal), f"{path.relative_to(REPO)}: {literal[:80]}"
        assert "sqlx::" not in path.read_text(), path.relative_to(REPO)


def test_nothing_is_unsafe():
    root = tomllib.loads((REPO / "Cargo.toml").read_text())
    assert root["workspace"]["lints"]["rust"]["unsafe_code"] == "forbid"
    for name, (_, package) in ROOMS.items():
        assert package.get("lints", {}).get("workspace") is True, f"{name} does not take the workspace's lints"


def without_tests(code: str) -> str:
    return code.partition("#[cfg(test)]\nmod ")[0]


def test_a_file_is_one_idea():
    for path in sources("crds", "operator", "dataplane"):
        relative = path.relative_to(REPO)
        if "tests" in relative.parts or path.stem in ("tests", "test"):
            continue
        lines = without_tests(path.read_text()).count("\n")
        assert lines <= LONGEST, f"{relative} has {lines} lines: look for the second idea in it"


def test_rust_has_no_stubs():
    for path in sources("crds", "operator", "dataplane"):
        code = without_tests(path.read_text())
        assert not re.search(r"\b(todo|unimplemented)!\(", code), path.relative_to(REPO)


def test_every_event_and_every_reason_of_a_request_is_documented():
    documented = set(re.findall(r"`([a-z_.]+)`", (REPO / "dataplane/events/EVENTS.md").read_text()))
    kinds = re.findall(r'rename = "([a-z]+\.[a-z_]+)"\)\]\s+[A-Z]\w+,', (REPO / "dataplane/events/src/event.rs").read_text())
    assert len(kinds) > 10
    assert set(kinds) <= documented
    reasons = set()
    for path in sources("dataplane/gateway/src"):
        code = without_tests(path.read_text())
        for call in (r"Self::new\(\s*StatusCode::\w+,\s*code::\w+,", r"Self::unavailable\(", r"FailureOrigin::\w+,", r"break_off\(", r"rejected\("):
            reasons |= set(re.findall(call + r'\s*"([a-z_]+)"', code))
        reasons |= set(re.findall(r'\bSome\("([a-z]+_[a-z_]+)"\)', code)) & set(re.findall(r'reason.*?Some\("([a-z_]+)"\)', code))
    assert len(reasons) > 25
    assert reasons <= documented, reasons - documented


def test_text_names_no_machine():
    """Paths of whoever wrote it, and hosts of package registries, are nobody's business."""
    tracked = [path for place in ("crds", "operator", "dataplane", "tests", "examples", "charts", "docs", "image", ".ci") for path in (REPO / place).rglob("*") if path.is_file()]
    words = [*(f"/{folder}/" for folder in ("root", "home/user")), "/work" + "/main", "registry." + "npmjs", "pypi." + "org"]
    for path in [*tracked, *REPO.glob("*.md"), *REPO.glob("*.toml"), REPO / "Cargo.lock"]:
        if {"target", "node_modules", "__pycache__"} & set(path.relative_to(REPO).parts) or path.suffix in (".png", ".pyc"):
            continue
        text = path.read_text(errors="replace")
        for word in words:
            assert word not in text, f"{path.relative_to(REPO)} mentions {word}"
