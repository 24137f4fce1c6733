"""What the Python origin offers: tools, prompts, resources, templates, some of which the tests hide or rename."""

import asyncio
from itertools import count

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import Completion, ToolAnnotations


def fill(server: MCPServer) -> None:
    tools(server)
    prompts(server)
    resources(server)
    completions(server)


def tools(server: MCPServer) -> None:
    calls = count(1)

    @server.tool(description="Says it back.")
    def echo(text: str) -> str:
        return text

    @server.tool(description="Adds two numbers.")
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool(description="Lists issues.", annotations=ToolAnnotations(read_only_hint=True))
    def list_issues() -> list[str]:
        return ["PORT-1", "PORT-2"]

    @server.tool(description="Reads an issue.", annotations=ToolAnnotations(read_only_hint=True))
    def get_issue(id: str) -> str:
        return f"issue {id}"

    @server.tool(description="Deletes an issue.", annotations=ToolAnnotations(destructive_hint=True))
    def delete_issue(id: str) -> str:
        return f"deleted {id}"

    @server.tool(description="How many times this has been called, in this process.")
    def counter() -> int:
        return next(calls)

    @server.tool(description="Whose token the origin sees.")
    def whoami() -> str:
        token = get_access_token()
        return token.subject if token and token.subject else "nobody"

    @server.tool(description="Counts to `steps`, reporting progress.")
    async def slowly(steps: int, ctx: Context, seconds: float = 0.05) -> str:
        for step in range(1, steps + 1):
            await ctx.report_progress(step, steps)
            await asyncio.sleep(seconds)
        return f"counted to {steps}"

    @server.tool(description="Fails.")
    def broken() -> str:
        raise ValueError("this tool always fails")


def prompts(server: MCPServer) -> None:
    @server.prompt(description="A greeting.")
    def greet(name: str) -> str:
        return f"Greet {name}."

    @server.prompt(description="A farewell.")
    def farewell(name: str) -> str:
        return f"Say goodbye to {name}."


def resources(server: MCPServer) -> None:
    @server.resource("docs://readme", mime_type="text/plain")
    def readme() -> str:
        return "read me"

    @server.resource("docs://salaries", mime_type="text/plain")
    def salaries() -> str:
        return "nobody's business"

    @server.resource("notes://{id}", mime_type="text/plain")
    def note(id: str) -> str:
        return f"note {id}"

    @server.resource("payroll://{id}", mime_type="text/plain")
    def payroll(id: str) -> str:
        return f"payroll {id}"


def completions(server: MCPServer) -> None:
    @server.completion()
    async def complete(ref, argument, context) -> Completion:
        return Completion(values=[f"{argument.value}a", f"{argument.value}b"], has_more=False)
