"""Programs of the cluster sign in with the tokens that it gives them: made by TokenRequest for one virtual MCP, verified by TokenReview.

What the API server says is not imitated anywhere: its tokens, its reviews and its memory of them are the real ones.
"""

import time

import httpx2
import jwt
import manifests as m
import pytest
from cluster_parts import NAMESPACE, RELEASE
from cluster_world import ClusterWorld
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from processes import wait_until
from raw import Caller

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
REPLICA = "system:serviceaccount:portcullis:portcullis-data-plane"
# The API server remembers for ten seconds that a token was good.
REMEMBERED = 15


@pytest.fixture(scope="module")
def world(folder):
    """`mcp/reporter` is of a team that may use two tools of `open`; `mcp/stranger` is of none; `open` lets every person in."""
    with ClusterWorld(folder, "open", "json") as world:
        world.cluster.namespace("mcp")
        for name in ("reporter", "stranger"):
            account(world, name)
        world.apply(machines("mcp/reporter"))
        wait_until(lambda: JWT_BEARER in grants(world), what="the team to be served")
        yield world


def machines(*accounts: str) -> dict:
    return m.team("machines", {"virtualMcp": "open", "tools": {"include": ["echo", "add"]}}, serviceAccounts=list(accounts))


def account(world, name: str) -> None:
    world.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}, namespace="mcp")


def token(world, name: str = "reporter", *, route: str = "open", **more) -> str:
    """What a pod finds in its projected volume."""
    return world.api.token(name, "mcp", audience=world.url(route), seconds=600, **more)


def grants(world, route: str = "open") -> list[str]:
    return httpx2.get(f"{world.url(route)}/.well-known/oauth-authorization-server", trust_env=False).json()["grant_types_supported"]


def show(world, assertion: str, route: str = "open", **more: str) -> httpx2.Response:
    """Shows a token at a route's token endpoint."""
    form = {"grant_type": JWT_BEARER, "assertion": assertion, **more}
    return httpx2.post(f"{world.url(route)}/oauth/token", data=form, trust_env=False)


def answered(world, assertion: str, status: int, what: str) -> None:
    """Shows a token until this comes of it. Not faster than one address may have tokens reviewed."""
    wait_until(lambda: show(world, assertion).status_code == status, seconds=REMEMBERED, every=0.25, what=what)


def refused(world, assertion: str, error: str, route: str = "open", **more: str) -> str:
    """That it gives nothing; returns why, as a person reads it."""
    answer = show(world, assertion, route, **more)
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text
    assert "access_token" not in answer.text
    return answer.json()["error_description"]


def reviews(world) -> int:
    """How often the cluster was asked whose a token is."""
    return sum(each["objectRef"].get("resource") == "tokenreviews" for each in world.cluster.requests(REPLICA, "create"))


def resigned(world, key=None, **changes) -> str:
    """A token as the API server makes them, signed by itself unless by another `key`, that says something else."""
    made = token(world)
    head, claims = jwt.get_unverified_header(made), jwt.decode(made, options={"verify_signature": False})
    key = key or load_pem_private_key(world.cluster.signing[0].read_bytes(), None)
    return jwt.encode(claims | changes, key, algorithm="ES256", headers={"kid": head["kid"]})


@pytest.mark.requirement("as.headless.service-account")
def test_an_account_of_a_team_signs_in_with_its_token_and_calls_what_the_team_may(world):
    answer = show(world, token(world))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "refresh_token" not in answer.json()
    caller = Caller(world.url("open"), answer.json()["access_token"])
    assert set(caller.names()) == {"echo", "add"}
    assert caller.call("echo", text="hello").result["content"][0]["text"] == "hello"
    assert "error" in caller.call("slowly", steps=1).message
    replica = world.replicas[0]
    replica.wait_event("auth.token", outcome="success", subject="system:serviceaccount:mcp:reporter")
    replica.wait_event("mcp.capability", subject="system:serviceaccount:mcp:reporter", capability="echo", outcome="success")


def test_the_data_plane_asks_the_cluster_in_its_own_name(world):
    before = reviews(world)
    assert show(world, token(world)).status_code == 200
    wait_until(lambda: reviews(world) > before, what="the review to be audited")


def test_a_token_counts_as_often_as_it_comes_because_pods_keep_theirs_until_it_is_rotated(world):
    mounted = token(world)
    gateway = [show(world, mounted).json()["access_token"] for _ in range(3)]
    assert len(set(gateway)) == 3
    for each in gateway:
        assert Caller(world.url("open"), each).names()


@pytest.mark.requirement("as.headless.service-account")
def test_what_is_granted_is_for_one_route(world):
    granted = show(world, token(world)).json()["access_token"]
    answer = Caller(world.url("json"), granted).call("echo", text="hello")
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_the_token_itself_opens_nothing(world):
    mounted = token(world)
    assert Caller(world.url("open"), mounted).call("echo", text="hello").status == 401
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    form = {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": mounted}
    answer = httpx2.post(f"{world.url('open')}/oauth/token", data=form, trust_env=False)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.requirement("as.headless.service-account")
def test_a_token_for_another_audience_is_refused_without_asking_the_cluster(world):
    before = reviews(world)
    others = {
        "another server": world.api.token("reporter", "mcp", audience="https://elsewhere.example", seconds=600),
        "the API server": world.api.token("reporter", "mcp"),
        "another virtual MCP": token(world, route="json"),
        "the bare origin": world.api.token("reporter", "mcp", audience=world.public_url, seconds=600),
        "the route, with a slash": world.api.token("reporter", "mcp", audience=f"{world.url('open')}/", seconds=600),
    }
    for what, made in others.items():
        assert "aud" in refused(world, made, "invalid_grant"), what
    world.replicas[0].wait_event("auth.token", reason="assertion_mismatch")
    assert reviews(world) == before, "tokens that are of use elsewhere were shown around"


@pytest.mark.requirement("as.headless.service-account")
def test_an_audience_that_was_written_into_a_token_is_the_clusters_to_refuse(world):
    """It says that it is for us, and so do its claims; only whoever has the cluster's key can make that true."""
    forged = resigned(world, ec.generate_private_key(ec.SECP256R1()))
    assert "cluster" in refused(world, forged, "invalid_grant")
    head, claims, signature = world.api.token("reporter", "mcp").split(".")
    ours = token(world).split(".")[1]
    assert "cluster" in refused(world, f"{head}.{ours}.{signature}", "invalid_grant")
    world.replicas[0].wait_event("auth.token", reason="service_account_token")


def test_the_route_of_the_other_issuer_takes_no_token_of_an_account_that_none_of_its_teams_names(world):
    assert JWT_BEARER not in grants(world, "json")
    said = refused(world, token(world, route="json"), "access_denied", route="json")
    assert "system:serviceaccount:mcp:reporter" in said
    assert refused(world, token(world), "invalid_target", resource=world.url("json"))


@pytest.mark.requirement("as.headless.service-account")
def test_an_account_in_no_team_is_refused_although_the_route_is_for_everyone(world):
    said = refused(world, token(world, "stranger"), "access_denied")
    assert "system:serviceaccount:mcp:stranger" in said
    world.replicas[0].wait_event("auth.token", outcome="denied", reason="no_access")


def test_an_account_of_the_same_name_in_another_namespace_is_another_one(world):
    world.cluster.namespace("elsewhere")
    world.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reporter"}}, namespace="elsewhere")
    other = world.api.token("reporter", "elsewhere", audience=world.url("open"), seconds=600)
    assert "elsewhere" in refused(world, other, "access_denied")


@pytest.mark.requirement("as.headless.service-account")
def test_a_token_that_has_ended_is_refused_by_the_cluster(world):
    now = int(time.time())
    assert show(world, resigned(world)).status_code == 200, "signed as the API server signs"
    assert "expired" in refused(world, resigned(world, iat=now - 1200, nbf=now - 1200, exp=now - 600), "invalid_grant")


@pytest.mark.parametrize("garbage", ["", "x", "a.b.c", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30.", "." * 5, "x" * 70_000])
def test_garbage_is_refused(world, garbage):
    answer = show(world, garbage)
    assert answer.status_code in (400, 413), answer.text
    assert "access_token" not in answer.text


def test_an_unsigned_token_is_refused(world):
    claims = jwt.decode(token(world), options={"verify_signature": False})
    refused(world, jwt.encode(claims, None, algorithm="none"), "invalid_grant")


@pytest.mark.requirement("as.headless.service-account")
def test_the_token_of_a_deleted_account_is_refused(world):
    account(world, "leaver")
    world.apply(machines("mcp/reporter", "mcp/leaver"))
    mounted = token(world, "leaver")
    answered(world, mounted, 200, what="the leaver to be let in")
    unused = token(world, "leaver")
    world.api.delete("ServiceAccount", "leaver", "mcp")
    refused(world, unused, "invalid_grant")
    answered(world, mounted, 400, what="the cluster to forget the account's token")
    account(world, "leaver")
    refused(world, mounted, "invalid_grant")
    assert show(world, token(world, "leaver")).status_code == 200, "a new account of this name has tokens of its own"


@pytest.mark.requirement("as.headless.service-account")
def test_a_pods_token_ends_with_the_pod(world):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "job"}}
    pod["spec"] = {"serviceAccountName": "reporter", "automountServiceAccountToken": False, "containers": [{"name": "job", "image": "none"}]}
    made = world.api.create(pod, "mcp")
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "job", "uid": made["metadata"]["uid"]}
    mounted, unused = (token(world, bound=bound) for _ in range(2))
    assert show(world, mounted).status_code == 200
    world.api.delete("Pod", "job", "mcp")
    refused(world, unused, "invalid_grant")
    answered(world, mounted, 400, what="the cluster to forget the pod's token")


def test_an_account_that_leaves_its_team_loses_what_it_has(world):
    account(world, "mover")
    world.apply(machines("mcp/reporter", "mcp/mover"))
    mounted = token(world, "mover")
    answered(world, mounted, 200, what="the mover to be let in")
    caller = Caller(world.url("open"), show(world, mounted).json()["access_token"])
    assert caller.names()
    world.apply(machines("mcp/reporter"))
    wait_until(lambda: caller.send("tools/list").status == 403, what="the mover to be shut out")
    refused(world, mounted, "access_denied")


@pytest.mark.requirement("as.headless.fault")
def test_without_the_right_to_ask_the_cluster_nobody_is_let_in_and_nobody_is_told_that_their_token_is_bad(world):
    binding = world.api.get("ClusterRoleBinding", f"{RELEASE}-data-plane")
    mounted = token(world)
    world.delete(binding)
    try:
        answered(world, mounted, 503, what="the right to be gone")
        answer = show(world, mounted)
        assert answer.json()["error"] == "server_error"
        assert answer.headers["retry-after"]
        world.replicas[0].wait_event("auth.token", reason="review_unavailable")
    finally:
        kept = {"name": binding["metadata"]["name"]}
        world.apply({**binding, "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": kept})
    answered(world, mounted, 200, what="the right to be back")


@pytest.mark.requirement("as.headless.service-account")
def test_no_token_is_stored_or_written_down(world):
    mounted = token(world)
    granted = show(world, mounted).json()["access_token"]
    assert Caller(world.url("open"), granted).names()
    replica = world.replicas[0]
    signatures = [each.rpartition(".")[2] for each in (mounted, granted)]
    kept = [file for file in replica.folder.rglob("*") if file.is_file()]
    assert kept
    for file in kept:
        content = file.read_bytes()
        assert not any(each.encode() in content for each in signatures), f"{file.name} of {NAMESPACE} holds a token"
