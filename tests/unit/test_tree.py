"""The tree keeps the invariants of ARCHITECTURE.md: which crate may use which, and what may stand where."""

import re
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent.parent
CRATES = {}
for manifest in [*REPO.glob("*/Cargo.toml"), *REPO.glob("*/*/Cargo.toml")]:
    package = tomllib.loads(manifest.read_text())
    if "workspace" not in package:  # the fuzz targets are a workspace of their own
        CRATES[package["package"]["name"]] = (manifest.parent, package)

# Dependencies point one way: each crate may use those listed before it.
RESOURCES = ["config", "client-key", "crds", "compiler"]
COMMON = ["config", "client-key", "clock", "logging", "keyring", "mcp", "egress", "kube-endpoint", "key-encryption", "config-distribution"]
DATA_PLANE = [
    *("rate-limit", "events", "policy", "store", "jwt-verification", "origin-auth", "identity-providers", "authorization-server", "portal"),
    *("demo-origin", "gateway"),
]
ORDER = [f"portcullis-{name}" for name in [*COMMON, "crds", "compiler", *DATA_PLANE]]
PURE = ["crds/compiler", "crds/config", "crds/client-key", "common/config-distribution", "common/logging", "common/mcp", "dataplane/policy"]
MAX_LINES = 500


def crate(name):
    return CRATES[f"portcullis-{name}"]


def names(*crates):
    return {f"portcullis-{name}" for name in crates}


def uses(package):
    tables = [package.get("dependencies", {}), *(target.get("dependencies", {}) for target in package.get("target", {}).values())]
    return {name for table in tables for name in table if name.startswith("portcullis-")}


def sources(*places):
    return sorted(path for place in places for path in (REPO / place).rglob("*.rs") if "target" not in path.parts)


def product():
    return sources("crds", "common", "operator", "dataplane")


def test_crates_and_sources_are_found():
    assert set(ORDER) <= set(CRATES)
    assert len(product()) > 300


@pytest.mark.parametrize("name", ORDER)
def test_a_crate_uses_only_crates_listed_before_it(name):
    _, package = CRATES[name]
    before = set(ORDER[: ORDER.index(name)])
    assert uses(package) <= before, f"{name} must not use {uses(package) - before}"


@pytest.mark.parametrize("folder, allowed", [("crds", RESOURCES), ("common", COMMON), ("dataplane", [*COMMON, *DATA_PLANE])])
def test_folders_depend_one_way(folder, allowed):
    """`operator -> crds, common <- dataplane`, and both read the config documents of `crds/config`."""
    for name, (place, package) in CRATES.items():
        if place.relative_to(REPO).parts[0] != folder:
            continue
        extra = names("compiler") if name == "portcullis-gateway" else set()
        assert uses(package) <= names(*allowed) | extra, name


def test_the_operator_does_not_use_the_data_plane():
    assert uses(crate("operator")[1]) <= names(*COMMON, *RESOURCES)


def test_only_the_gateway_uses_the_demo_origin_and_only_its_folder_source_uses_the_compiler():
    for name, (_, package) in CRATES.items():
        if name != "portcullis-gateway":
            assert "portcullis-demo-origin" not in uses(package), name
    root = REPO / "dataplane/gateway/src"
    users = {path.relative_to(root).as_posix() for path in sources("dataplane/gateway/src") if "portcullis_compiler" in path.read_text()}
    assert all(each.startswith(("config_source/", "command/")) for each in users), users


def test_the_config_documents_are_serde_only():
    assert uses(crate("config")[1]) == uses(crate("client-key")[1]) == set()


def test_pure_crates_do_no_io():
    for path in sources(*(f"{folder}/src" for folder in PURE)):
        code = without_tests(path.read_text())
        for effect in ("std::fs", "tokio::", "reqwest", "std::net::Tcp", "SystemTime::now", "std::env"):
            assert effect not in code, f"{path.relative_to(REPO)} uses {effect}"


def test_config_distribution_does_not_use_kube():
    assert "kube" not in crate("config-distribution")[1]["dependencies"]


def test_only_the_store_holds_sql():
    statement = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s+\w+\s+set|delete\s+from|create\s+table)\s", re.IGNORECASE | re.DOTALL)
    for path in product():
        if "dataplane/store/" in path.as_posix():
            continue
        for literal in re.findall(r'"(?:[^"\\]|\\.)*"', path.read_text()):
            assert not statement.search(literal), f"{path.relative_to(REPO)}: {literal[:80]}"
        assert "sqlx::" not in path.read_text(), path.relative_to(REPO)


# What a migration may do (dataplane/store/MIGRATIONS.md, rule 1): versions N and N-1 serve from one schema.
EXPANSIONS = [
    r"CREATE TABLE \w+ \(.+\)",
    r"CREATE INDEX (IF NOT EXISTS )?\w+ ON \w+ \([\w, ()]+\)( WHERE \w+ IS NOT NULL)?",
    r"ALTER TABLE \w+ ADD COLUMN \w+ (TEXT|BIGINT)( NOT NULL DEFAULT ('[^']*'|-?\d+)| DEFAULT ('[^']*'|-?\d+))?",
]
# What a cache contains may be deleted: N-1 learns it again.
EMPTIED_CACHES = ["DELETE FROM origin_catalogs"]
# New constraints could reject rows that N-1 writes; on a new table they cannot.
CONTRACTIONS = ["DROP", "RENAME", "ALTER COLUMN", "UPDATE", "DELETE", "INSERT", "TRUNCATE", "CREATE UNIQUE INDEX"]


def statements(sql: str) -> list[str]:
    without_comments = re.sub(r"--[^\n]*", "", sql)
    return [" ".join(each.split()) for each in without_comments.split(";") if each.strip()]


def expands(statement: str) -> bool:
    return any(re.fullmatch(form, statement, re.IGNORECASE) for form in EXPANSIONS)


def test_migrations_only_expand_the_schema():
    files = sorted((REPO / "dataplane/store/migrations").glob("*.sql"))
    assert len(files) > 5
    for file in files:
        for statement in statements(file.read_text()):
            if statement in EMPTIED_CACHES:
                continue
            assert expands(statement), f"{file.name}: {statement[:120]}"
            if not statement.upper().startswith("CREATE TABLE"):
                assert not any(word in statement.upper() for word in CONTRACTIONS), f"{file.name}: {statement[:120]}"


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE grants",
        "ALTER TABLE grants RENAME COLUMN a TO b",
        "ALTER TABLE grants DROP COLUMN a",
        "ALTER TABLE grants ALTER COLUMN a TYPE BIGINT",
        "ALTER TABLE grants ADD COLUMN a TEXT NOT NULL",
        "ALTER TABLE grants ADD COLUMN a TEXT UNIQUE",
        "ALTER TABLE grants ADD COLUMN a TEXT REFERENCES clients (id)",
        "CREATE UNIQUE INDEX one ON grants (a)",
        "UPDATE grants SET a = 1",
        "DELETE FROM grants",
        "INSERT INTO grants VALUES (1)",
    ],
)
def test_a_migration_that_the_version_before_could_not_live_with_is_found(statement):
    assert not expands(statement)


def test_the_migrations_test_covers_every_table():
    made = set()
    for file in (REPO / "dataplane/store/migrations").glob("*.sql"):
        made |= {match[1] for statement in statements(file.read_text()) if (match := re.match(r"CREATE TABLE (\w+)", statement, re.IGNORECASE))}
    named = set(re.findall(r'"(\w+)",?\n', (REPO / "dataplane/store/tests/both/migrations.rs").read_text().split("];")[0])) | {"connect_tickets"}
    assert made == named


def test_nothing_is_unsafe():
    root = tomllib.loads((REPO / "Cargo.toml").read_text())
    assert root["workspace"]["lints"]["rust"]["unsafe_code"] == "forbid"
    for name, (_, package) in CRATES.items():
        assert package.get("lints", {}).get("workspace") is True, f"{name} does not take the workspace's lints"


def without_tests(code: str) -> str:
    return re.split(r"#\[cfg\(test\)\]\nmod \w+ \{", code)[0]


def test_a_file_is_one_idea():
    for path in product():
        relative = path.relative_to(REPO)
        if "tests" in relative.parts or path.stem in ("tests", "test"):
            continue
        lines = without_tests(path.read_text()).count("\n")
        assert lines <= MAX_LINES, f"{relative} has {lines} lines: look for the second idea in it"


def test_rust_has_no_stubs():
    for path in product():
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
    """No paths of a developer's machine, no hosts of package registries."""
    tracked = [path for place in ("crds", "common", "operator", "dataplane", "tests", "examples", "charts", "docs", "image", ".ci") for path in (REPO / place).rglob("*") if path.is_file()]
    words = [*(f"/{folder}/" for folder in ("root", "home/user")), "/work" + "/main", "registry." + "npmjs", "pypi." + "org"]
    for path in [*tracked, *REPO.glob("*.md"), *REPO.glob("*.toml"), REPO / "Cargo.lock"]:
        if {"target", "node_modules", "__pycache__"} & set(path.relative_to(REPO).parts) or path.suffix in (".png", ".pyc"):
            continue
        text = path.read_text(errors="replace")
        for word in words:
            assert word not in text, f"{path.relative_to(REPO)} mentions {word}"


def test_every_method_of_the_store_runs_on_a_newer_schema():
    """`use_everything` shows that an older version still works after the migrations of a newer one."""
    without_statements = {"open", "open_sqlite", "in_memory", "close"}
    methods = {name for path in (REPO / "dataplane/store/src").rglob("*.rs") for name in re.findall(r"pub async fn (\w+)", path.read_text())}
    used = (REPO / "dataplane/store/tests/both/migrations.rs").read_text()
    assert {name for name in methods - without_statements if f".{name}(" not in used} == set()
