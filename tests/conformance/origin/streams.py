"""What needs a stream: progress, log messages, changes, a stream that the server closes and the client resumes."""

import asyncio
from itertools import count
from weakref import WeakKeyDictionary

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventMessage, EventStore
from mcp_types import EmptyResult, LoggingLevel, SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams

SEVERITY = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


class Memory(EventStore):
    """Keeps every event of every stream, so that a legacy client may come back with `Last-Event-ID`."""

    def __init__(self):
        self.events: list[tuple] = []
        self.numbers = count(1)

    async def store_event(self, stream_id, message):
        event_id = str(next(self.numbers))
        self.events.append((event_id, stream_id, message))
        return event_id

    async def replay_events_after(self, last_event_id, send_callback):
        stream = next((stream for event, stream, _ in self.events if event == last_event_id), None)
        for event, its_stream, message in list(self.events):
            if its_stream == stream and int(event) > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, event))
        return stream


def fill(server: MCPServer) -> None:
    levels: WeakKeyDictionary[object, str] = WeakKeyDictionary()

    async def log(ctx: Context, level: LoggingLevel, text: str) -> None:
        """Sends a message unless the session asked for graver ones only. In the modern era the SDK looks at the request's own level."""
        wanted = levels.get(ctx.session._connection, "debug")
        if SEVERITY.index(level) >= SEVERITY.index(wanted):
            await ctx.log(level, text)

    @server.tool(description="Reports its progress.", structured_output=False)
    async def test_tool_with_progress(ctx: Context) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"{done} of 100")
            await asyncio.sleep(0.05)
        return "Done, with progress."

    @server.tool(description="Logs while it works.", structured_output=False)
    async def test_tool_with_logging(ctx: Context) -> str:
        for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await log(ctx, "info", text)
            await asyncio.sleep(0.05)
        return "Done, with log messages."

    @server.tool(description="Logs once.", structured_output=False)
    async def test_logging_tool(ctx: Context) -> str:
        await log(ctx, "info", "This goes only to who asked for it.")
        return "Done, with one log message."

    @server.tool(description="Closes its stream before it answers.", structured_output=False)
    async def test_reconnection(ctx: Context) -> str:
        await ctx.close_sse_stream()
        await asyncio.sleep(0.1)
        return "You came back."

    @server.tool(description="Tells subscribers that the tools changed.", structured_output=False)
    async def test_trigger_tool_change(ctx: Context) -> str:
        await ctx.notify_tools_changed()
        return "Told."

    @server.tool(description="Tells subscribers that the prompts changed.", structured_output=False)
    async def test_trigger_prompt_change(ctx: Context) -> str:
        await ctx.notify_prompts_changed()
        return "Told."

    legacy(server, levels)


def legacy(server: MCPServer, levels) -> None:
    """Methods that 2026-07-28 removed. `MCPServer` has no decorator for them; its lower level still routes them to legacy clients."""
    lower = server._lowlevel_server
    subscribed: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()

    async def set_level(ctx, params: SetLevelRequestParams) -> EmptyResult:
        levels[ctx.session._connection] = params.level
        return EmptyResult()

    async def subscribe(ctx, params: SubscribeRequestParams) -> EmptyResult:
        subscribed.setdefault(ctx.session._connection, set()).add(str(params.uri))
        return EmptyResult()

    async def unsubscribe(ctx, params: UnsubscribeRequestParams) -> EmptyResult:
        subscribed.get(ctx.session._connection, set()).discard(str(params.uri))
        return EmptyResult()

    lower.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    lower.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    lower.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
