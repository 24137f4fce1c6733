"""The tasks extension (`io.modelcontextprotocol/tasks`): a call that takes long answers with a task, which the client then asks about.

Optional in MCP. It is here because a gateway has to pass on methods that it does not know, with their own `Mcp-Name`, untouched.
"""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

from mcp.server.extension import Extension, MethodBinding, ToolBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types import HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, ElicitResult, InputRequiredResult, RequestParams
from pydantic import Field
from rounds import form

MODERN = frozenset({"2026-07-28"})
KEPT_MS = 600_000
ENDED = ("completed", "failed", "cancelled")


class TaskParams(RequestParams):
    task_id: str = Field(alias="taskId")


class UpdateParams(TaskParams):
    input_responses: dict[str, Any] = Field(alias="inputResponses")


def text(words: str, *, error: bool = False) -> dict:
    return {"content": [{"type": "text", "text": words}], "isError": error}


def wire(request) -> dict:
    return request.model_dump(mode="json", by_alias=True, exclude_none=True)


class Task:
    """One running call: its state as `tasks/get` shows it, and what it waits for."""

    def __init__(self, work):
        self.id = secrets.token_urlsafe(12)
        self.created = self.changed = now()
        self.status = "working"
        self.ended: dict[str, Any] = {}
        self.asked: dict[str, dict] = {}
        self.answers: dict[str, Any] = {}
        self.answered = asyncio.Event()
        self.running = asyncio.create_task(self.run(work))

    async def run(self, work) -> None:
        try:
            result = await work(self)
            self.end("completed", result=result)
        except asyncio.CancelledError:
            self.end("cancelled")
        except MCPError as broken:
            self.end("failed", error={"code": broken.error.code, "message": broken.error.message})

    def end(self, status: str, **ended) -> None:
        self.status, self.ended, self.asked, self.changed = status, ended, {}, now()

    async def ask(self, **questions) -> dict:
        """Waits until every question has its answer."""
        self.asked = {key: wire(question) for key, question in questions.items()}
        self.status, self.changed = "input_required", now()
        while self.asked:
            self.answered.clear()
            await self.answered.wait()
        self.status, self.changed = "working", now()
        return self.answers

    def answer(self, responses: dict) -> None:
        for key in list(self.asked):
            if key in responses:
                self.answers[key] = responses[key]
                del self.asked[key]
        self.answered.set()

    def brief(self) -> dict:
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": self.created,
            "lastUpdatedAt": self.changed,
            "ttlMs": KEPT_MS,
            "pollIntervalMs": 200,
        }

    def whole(self) -> dict:
        asked = {"inputRequests": dict(self.asked)} if self.asked else {}
        return {**self.brief(), **asked, **self.ended}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Tasks(Extension):
    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self):
        self.tasks: dict[str, Task] = {}

    def tools(self):
        """Listed here, and called here only by clients without the extension; for others `intercept_tool_call` makes a task."""

        def greet(name: str) -> str:
            return f"Hello, {name}!"

        async def slow_compute(seconds: float, label: str = "") -> str:
            await asyncio.sleep(seconds)
            return f"computed {label}"

        def failing_job() -> str:
            return "This is reached only as a task."

        def protocol_error_job() -> str:
            return "This is reached only as a task."

        def confirm_delete(filename: str) -> str:
            return f"Not deleted: nobody could be asked about {filename}."

        def multi_input() -> str:
            return "Nobody could be asked."

        def test_tool_with_task() -> str:
            return "This is reached only as a task."

        described = {
            greet: "Greets, at once.",
            slow_compute: "Sleeps, then answers.",
            failing_job: "Fails, as a tool does.",
            protocol_error_job: "Fails, as a server does.",
            confirm_delete: "Asks before it deletes.",
            multi_input: "Asks two things at once.",
            test_tool_with_task: "Asks first, then works.",
        }
        return [ToolBinding(tool, kwargs={"description": words, "structured_output": False}) for tool, words in described.items()]

    def methods(self):
        return [
            MethodBinding("tasks/get", TaskParams, self.get, MODERN),
            MethodBinding("tasks/update", UpdateParams, self.update, MODERN),
            MethodBinding("tasks/cancel", TaskParams, self.cancel, MODERN),
        ]

    async def intercept_tool_call(self, params, ctx, call_next):
        arguments = params.arguments or {}
        match params.name:
            case "failing_job" | "protocol_error_job" | "test_tool_with_task":
                require_client_extension(ctx, self.identifier)
            case "slow_compute" | "confirm_delete" | "multi_input" if not self.declared(ctx):
                return await call_next(ctx)
        match params.name:
            case "slow_compute":
                return self.create(lambda task: sleep(float(arguments.get("seconds", 0)), arguments.get("label", "")))
            case "failing_job":
                return self.create(fail)
            case "protocol_error_job":
                return self.create(crash)
            case "confirm_delete":
                return self.create(lambda task: confirm(task, arguments.get("filename", "")))
            case "multi_input":
                return self.create(two_questions)
            case "test_tool_with_task":
                given = (params.input_responses or {}).get("user_name")
                if not isinstance(given, ElicitResult):
                    return InputRequiredResult(input_requests={"user_name": form("What is your name?", "name")}, request_state="asked")
                return self.create(lambda task: greet_later(given.content))
        return await call_next(ctx)

    def declared(self, ctx) -> bool:
        capabilities = ctx.session.client_capabilities
        return bool(capabilities and capabilities.extensions and self.identifier in capabilities.extensions)

    def create(self, work) -> dict:
        task = Task(work)
        self.tasks[task.id] = task
        return {"resultType": "task", **task.brief()}

    def find(self, ctx, params: TaskParams) -> Task:
        require_client_extension(ctx, self.identifier)
        if (named := ctx.request.headers.get("mcp-name")) != params.task_id:
            raise MCPError(code=HEADER_MISMATCH, message=f"Mcp-Name is {named!r}, the task {params.task_id!r}")
        if not (task := self.tasks.get(params.task_id)):
            raise MCPError(code=INVALID_PARAMS, message="Unknown task", data={"taskId": params.task_id})
        return task

    async def get(self, ctx, params: TaskParams) -> dict:
        return self.find(ctx, params).whole()

    async def update(self, ctx, params: UpdateParams) -> dict:
        self.find(ctx, params).answer(params.input_responses)
        return {}

    async def cancel(self, ctx, params: TaskParams) -> dict:
        task = self.find(ctx, params)
        if task.status not in ENDED:
            task.running.cancel()
            await asyncio.wait([task.running])
        return {}


async def sleep(seconds: float, label: str) -> dict:
    await asyncio.sleep(seconds)
    return text(f"computed {label}")


async def fail(_task: Task) -> dict:
    await asyncio.sleep(1)
    return text("This job always fails.", error=True)


async def crash(_task: Task) -> dict:
    raise MCPError(code=INTERNAL_ERROR, message="The server broke while it ran this job.")


async def confirm(task: Task, filename: str) -> dict:
    answers = await task.ask(confirm=form(f"Delete {filename}?", "confirm", "boolean"))
    return text(f"{filename}: {answers['confirm'].get('action')}")


async def two_questions(task: Task) -> dict:
    answers = await task.ask(first=form("Who?", "name"), second=form("Sure?", "confirm", "boolean"))
    return text(", ".join(sorted(answers)))


async def greet_later(content: dict | None) -> dict:
    await asyncio.sleep(0.1)
    return text(f"Hello, {(content or {}).get('name')}!")
