"""Modern era: tools and a prompt that need something from the client, so that the same call comes again with the answers."""

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)


def form(message: str, name: str, kind: str = "string") -> ElicitRequest:
    """Asks the user for one value."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(question: str, max_tokens: int) -> CreateMessageRequest:
    """Asks the client's model."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text=question))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens))


def answer(ctx: Context, key: str, kind: type):
    """The client's answer to one question, when it has come and is of the right kind."""
    given = (ctx.input_responses or {}).get(key)
    return given if isinstance(given, kind) else None


def ask(state: str | None = None, **questions) -> InputRequiredResult:
    return InputRequiredResult(input_requests=questions, request_state=state)


def fill(server: MCPServer) -> None:
    one_round(server)
    with_state(server)
    by_capability(server)

    @server.prompt(description="Asks for its context first.")
    def test_input_required_result_prompt(ctx: Context) -> str | InputRequiredResult:
        if given := answer(ctx, "user_context", ElicitResult):
            return f"Use this context: {given.content}"
        return ask(user_context=form("What context should the prompt use?", "context"))


def one_round(server: MCPServer) -> None:
    @server.tool(description="Asks the user for a name.", structured_output=False)
    def test_input_required_result_elicitation(ctx: Context) -> str | InputRequiredResult:
        given = answer(ctx, "user_name", ElicitResult)
        if given and given.content and "name" in given.content:
            return f"Hello, {given.content['name']}!"
        return ask(user_name=form("What is your name?", "name"))

    @server.tool(description="Asks the client's model for a capital.", structured_output=False)
    def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
        if given := answer(ctx, "capital_question", CreateMessageResult):
            return f"The model says: {given.content.text}"
        return ask(capital_question=sample("What is the capital of France?", 100))

    @server.tool(description="Asks the client for its roots.", structured_output=False)
    def test_input_required_result_list_roots(ctx: Context) -> str | InputRequiredResult:
        if given := answer(ctx, "client_roots", ListRootsResult):
            return "Roots: " + ", ".join(str(root.uri) for root in given.roots)
        return ask(client_roots=ListRootsRequest())

    @server.tool(description="Asks the user while a stream could be open.", structured_output=False)
    def test_streaming_elicitation(ctx: Context) -> str | InputRequiredResult:
        if given := answer(ctx, "confirm", ElicitResult):
            return f"The user said {given.action}."
        return ask(confirm=form("Go on?", "ok", "boolean"))


def with_state(server: MCPServer) -> None:
    """The SDK seals what a tool puts in `request_state` and refuses what it has not sealed, so that a tool sees only its own."""

    @server.tool(description="Keeps a state over two rounds.", structured_output=False)
    def test_input_required_result_request_state(ctx: Context) -> str | InputRequiredResult:
        if ctx.request_state == "waiting" and answer(ctx, "confirm", ElicitResult):
            return "state-ok"
        return ask("waiting", confirm=form("Please confirm", "ok", "boolean"))

    @server.tool(description="Refuses a state that is not its own.", structured_output=False)
    def test_input_required_result_tampered_state(ctx: Context) -> str | InputRequiredResult:
        if ctx.request_state == "untouched" and answer(ctx, "confirm", ElicitResult):
            return "state-ok"
        return ask("untouched", confirm=form("Please confirm", "ok", "boolean"))

    @server.tool(description="Asks three things at once.", structured_output=False)
    def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
        questions = {
            "user_name": (form("What is your name?", "name"), ElicitResult),
            "greeting": (sample("Generate a greeting", 50), CreateMessageResult),
            "client_roots": (ListRootsRequest(), ListRootsResult),
        }
        missing = {key: request for key, (request, kind) in questions.items() if not answer(ctx, key, kind)}
        return ask("three questions", **missing) if missing else "All three were answered."

    @server.tool(description="Asks in two rounds.", structured_output=False)
    def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
        if ctx.request_state and ctx.request_state.startswith("name=") and (second := answer(ctx, "step2", ElicitResult)):
            return f"{ctx.request_state}, color={second.content}"
        if ctx.request_state == "first" and (first := answer(ctx, "step1", ElicitResult)):
            return ask(f"name={first.content}", step2=form("Step 2: What is your favorite color?", "color"))
        return ask("first", step1=form("Step 1: What is your name?", "name"))


def by_capability(server: MCPServer) -> None:
    @server.tool(description="Asks only what the client can answer.", structured_output=False)
    def test_input_required_result_capabilities(ctx: Context) -> str | InputRequiredResult:
        can = ctx.client_capabilities
        questions = {}
        if can and can.sampling:
            questions["greeting"] = sample("Generate a greeting", 50)
        if can and can.elicitation:
            questions["user_name"] = form("What is your name?", "name")
        if not questions or ctx.input_responses:
            return "Nothing to ask."
        return ask(**questions)

    @server.tool(description="Cannot work without the client's model.", structured_output=False)
    def test_missing_capability(ctx: Context) -> str:
        if ctx.client_capabilities and ctx.client_capabilities.sampling:
            return "The client has a model."
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="This tool needs the client capability `sampling`.",
            data={"requiredCapabilities": {"sampling": {}}},
        )
