"""PostgreSQL as it is in production: over TLS with a certificate that is verified, and with a password that is changed while people work."""

import pytest
from cluster_identity import Authority
from gateway import run
from postgres import USER, Postgres
from processes import wait_until
from world import World


@pytest.fixture(scope="module")
def database(folder):
    with Postgres(folder, auth="md5") as database:
        yield database


@pytest.fixture(scope="module")
def world(folder, database):
    world = World(folder, "accounts")
    address = folder / "database-url"
    address.write_text(database.url + "\n")
    world.gateway.environment["PORTCULLIS_DATABASE_FILE"] = str(address)
    with world:
        world.address = address
        yield world


def test_given_another_password_when_its_file_says_so_then_work_goes_on_without_a_restart(world, database):
    ana = world.caller("accounts", world.browser("ana"))
    assert ana.call("whoami").result["content"][0]["text"] == "ana"
    old, new = database.password, "another-password"
    database.query(f"ALTER ROLE {USER} PASSWORD '{new}'")
    database.password = new
    cursor = world.gateway.cursor()
    database.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = '{USER}'")
    world.gateway.wait_log("password authentication failed", after=cursor)
    world.address.write_text("mysql://somewhere/else")
    world.gateway.wait_log("ignored the changed database URL", after=cursor)
    world.address.write_text(database.url)
    world.gateway.wait_log("new connections to the database use the changed URL", after=cursor)
    eve = world.caller("accounts", world.browser("eve"))
    assert eve.call("whoami").result["content"][0]["text"] == "eve"
    assert ana.call("whoami").status == 200
    assert world.gateway.starts == 1
    assert old not in world.gateway.log() and new not in world.gateway.log()


def test_given_a_certificate_when_its_authority_is_not_the_one_that_is_named_then_nobody_connects(folder):
    right, wrong = (Authority(folder / name, name) for name in ("right", "wrong"))
    (folder / "over-tls").mkdir()
    with Postgres(folder / "over-tls", auth="md5", tls=right.server("database", "127.0.0.1")) as database:
        world = World(folder / "tls", "open")
        address = folder / "database-url-over-tls"
        world.gateway.environment["PORTCULLIS_DATABASE_FILE"] = str(address)
        address.write_text(f"{database.url}?sslmode=verify-full&sslrootcert={right.file}")
        with world:
            caller = world.caller("open", world.browser("ana"))
            assert caller.call("whoami").status == 200
            encrypted = database.query(f"SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename = '{USER}'")
            assert int(encrypted) >= 1
            for untrusted in (f"{database.url}?sslmode=verify-full&sslrootcert={wrong.file}", f"{database.url}?sslmode=verify-full"):
                ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
                done = run("serve", "--state", folder / "elsewhere", "--manifests", world.manifests.path, "--database", untrusted, *ports)
                assert done.returncode != 0
                assert done.stderr.count("invalid peer certificate: UnknownIssuer") == 1, done.stderr
                assert database.password not in done.stderr
