"""Legacy era: tools that ask the client something on its open stream and wait for the answer."""

import json

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import SamplingMessage, TextContent

DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}


def titled(*pairs: tuple[str, str]) -> list[dict]:
    return [{"const": value, "title": title} for value, title in pairs]


VALUES = ("value1", "First"), ("value2", "Second"), ("value3", "Third")
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": titled(*VALUES)},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled(*VALUES)}},
    },
}
USER = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    "required": ["username", "email"],
}


async def elicit(ctx: Context, message: str, schema: dict) -> str:
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_context.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content)}"


def fill(server: MCPServer) -> None:
    @server.tool(description="Asks the client's model.", structured_output=False)
    async def test_sampling(prompt: str, ctx: Context) -> str:
        if not (ctx.client_capabilities and ctx.client_capabilities.sampling):
            raise ToolError("this client has no model to ask")
        answer = await ctx.session.create_message(
            [SamplingMessage(role="user", content=TextContent(type="text", text=prompt))],
            max_tokens=100,
            related_request_id=ctx.request_context.request_id,
        )
        return f"LLM response: {answer.content.text}"

    @server.tool(description="Asks the user.", structured_output=False)
    async def test_elicitation(message: str, ctx: Context) -> str:
        return f"User response: {await elicit(ctx, message, USER)}"

    @server.tool(description="Asks the user, with a default for everything.", structured_output=False)
    async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
        return f"Elicitation completed: {await elicit(ctx, 'Please check these', DEFAULTS)}"

    @server.tool(description="Asks the user to choose.", structured_output=False)
    async def test_elicitation_sep1330_enums(ctx: Context) -> str:
        return f"Elicitation completed: {await elicit(ctx, 'Please choose', ENUMS)}"
