"""What is not curated is neither listed nor reachable by name; what is renamed is renamed in lists and calls."""

import json

import manifests as m
import pytest
from raw import LEGACY, MODERN
from world import World

CURATED = {
    "tools": {
        "include": ["echo", "*_issue", "list_issues"],
        "exclude": ["delete_*"],
        "overrides": [{"name": "get_issue", "as": "issue", "description": "Reads one issue.", "annotations": {"destructiveHint": False}}],
    },
    "prompts": {"include": ["greet"], "overrides": [{"name": "greet", "as": "salute", "description": "Says hello."}]},
    "resources": {"include": ["docs://readme"]},
    "resourceTemplates": {"include": ["notes://*"]},
}
ERAS = pytest.mark.parametrize("era", [LEGACY, MODERN])
ANSWERS = pytest.mark.parametrize("answers", ["open", "json"], ids=["sse", "json"])


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, "open", "json") as world:
        edits = [m.virtual(f"curated-{name}", name, capabilities=CURATED) for name in ("open", "json")]
        edits.append(m.virtual("nothing", "open", capabilities={kind: {"include": []} for kind in CURATED}))
        world.gateway.stop()
        world.manifests.put(*edits)
        world.gateway.start()
        yield world


@pytest.fixture(scope="module")
def token(world):
    browser = world.browser("ana")
    tokens = {}

    def get(route):
        if route not in tokens:
            tokens[route] = world.oauth(route).sign_in(browser).access_token
        return tokens[route]

    return get


@pytest.fixture
def curated(world, token, era, answers):
    route = f"curated-{answers}"
    return world.caller(route, era=era, token=token(route)), world.origins[answers]


@ERAS
@ANSWERS
def test_only_curated_items_are_listed(curated):
    caller, _ = curated
    assert caller.names("tools") == ["echo", "list_issues", "issue"]
    assert caller.names("prompts") == ["salute"]
    assert caller.names("resources") == ["docs://readme"]
    assert caller.names("resourceTemplates") == ["notes://{id}"]


@pytest.mark.requirement("advisory.descriptions")
@ERAS
@ANSWERS
def test_an_override_shows_in_the_list_and_leaves_the_rest_as_the_origin_has_it(curated):
    caller, origin = curated
    tool = next(each for each in caller.send("tools/list").result["tools"] if each["name"] == "issue")
    assert tool["description"] == "Reads one issue."
    assert tool["annotations"] == {"readOnlyHint": True, "destructiveHint": False}
    assert tool["inputSchema"]["required"] == ["id"]
    prompt = caller.send("prompts/list").result["prompts"][0]
    assert prompt["description"] == "Says hello."


@ERAS
@ANSWERS
def test_a_renamed_item_is_called_by_its_new_name_and_reaches_the_origin_by_its_own(curated):
    caller, origin = curated
    answer = caller.call("issue", id="PORT-7")
    assert answer.result["content"][0]["text"] == "issue PORT-7"
    reached = origin.messages("tools/call")[-1]
    assert reached["params"]["name"] == "get_issue"
    if caller.era == MODERN:
        assert reached["headers"]["mcp-name"] == "get_issue"
    assert "Greet Ana" in json.dumps(caller.send("prompts/get", name="salute", arguments={"name": "Ana"}).result)
    assert origin.messages("prompts/get")[-1]["params"]["name"] == "greet"


@pytest.mark.requirement("advisory.object-access")
@ERAS
@ANSWERS
@pytest.mark.parametrize("name", ["delete_issue", "add", "get_issue", "no_such_tool"])
def test_a_tool_that_is_not_offered_is_refused_and_never_reaches_the_origin(curated, name, world):
    caller, origin = curated
    before, cursor = origin.tools_called(), world.gateway.cursor()
    error = caller.call(name, id="PORT-1", a=1, b=2).error
    assert error["code"] == -32602
    assert error["message"] == f"Unknown tool: {name}"
    assert origin.tools_called() == before
    denied = world.gateway.wait_event("policy.denied", after=cursor, capability=name)
    assert denied["outcome"] == "denied"
    assert denied["subject"].endswith("ana")


@ERAS
@ANSWERS
def test_a_prompt_that_is_not_offered_is_refused_and_never_reaches_the_origin(curated):
    caller, origin = curated
    before = len(origin.messages("prompts/get"))
    for name in ("farewell", "greet"):
        assert caller.send("prompts/get", name=name, arguments={"name": "Ana"}).error["code"] == -32602
    assert len(origin.messages("prompts/get")) == before


@ERAS
@ANSWERS
@pytest.mark.parametrize("uri", ["docs://salaries", "payroll://1"])
def test_a_resource_that_is_not_offered_is_refused_and_never_reaches_the_origin(curated, uri):
    caller, origin = curated
    before = len(origin.messages("resources/read"))
    assert caller.send("resources/read", uri=uri).error["code"] == (-32602 if caller.era == MODERN else -32002)
    assert len(origin.messages("resources/read")) == before


@ERAS
@ANSWERS
@pytest.mark.parametrize(("uri", "text"), [("docs://readme", "read me"), ("notes://42", "note 42")])
def test_a_resource_is_readable_if_it_or_a_template_that_expands_to_it_is_offered(curated, uri, text):
    caller, _ = curated
    assert caller.send("resources/read", uri=uri).result["contents"][0]["text"] == text


@ERAS
@ANSWERS
def test_completion_is_answered_for_what_is_offered_and_refused_for_the_rest(curated):
    caller, origin = curated
    argument = {"name": "name", "value": "x"}
    offered = caller.send("completion/complete", ref={"type": "ref/prompt", "name": "salute"}, argument=argument)
    assert offered.result["completion"]["values"] == ["xa", "xb"]
    before = len(origin.messages("completion/complete"))
    for ref in ({"type": "ref/prompt", "name": "farewell"}, {"type": "ref/resource", "uri": "payroll://{id}"}):
        assert "code" in caller.send("completion/complete", ref=ref, argument=argument).error
    assert len(origin.messages("completion/complete")) == before


@ERAS
def test_an_empty_include_offers_nothing(world, token, era):
    caller = world.caller("nothing", era=era, token=token("nothing"))
    for kind in ("tools", "prompts", "resources", "resourceTemplates"):
        assert caller.names(kind) == []
    assert caller.call("echo", text="x").error["code"] == -32602


@pytest.mark.parametrize("name", ["typescript-sdk", "typescript-client", "python-mcp", "fastmcp"])
def test_real_clients_see_the_curated_catalog_and_call_by_the_new_name(world, name):
    client = world.client(name, "curated-open")
    try:
        client.connect()
        assert client.names() == ["echo", "list_issues", "issue"]
        assert client.names("prompts") == ["salute"]
        assert client.names("resources") == ["docs://readme"]
        assert client.names("templates") == ["notes://{id}"]
        assert client.text("issue", id="PORT-9") == "issue PORT-9"
        assert client.ask("read", uri="notes://3")["contents"][0]["text"] == "note 3"
    finally:
        client.stop()
