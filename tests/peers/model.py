"""A language model that does as told, behind the interfaces of two vendors, so that their clients can be made to use a tool.

python model.py '{"host": "127.0.0.1", "port": 9000}'

It looks for a line of JSON in the conversation. `{"list": true}`: it answers with the names of the tools that it is offered, as JSON.
`{"call": "echo", "arguments": {...}}`: it calls the tool whose name ends so, and then answers with what came back. Where there is no such
tool yet, but a shell, it waits a little.
"""

import http.server
import json
import re
import sys

ORDER = re.compile(r'\{"(?:list|call)":.*\}')
# What it makes a client's shell say, to pass the time until a tool is there: some begin before their servers are connected.
WAITING = "not there yet"
PATIENCE = 15


def order(conversation: str) -> dict:
    return next((json.loads(found) for found in ORDER.findall(conversation)), {})


class Anthropic:
    """POST /v1/messages: https://docs.anthropic.com/en/api/messages-streaming"""

    @staticmethod
    def read(asked: dict) -> tuple[list[str], dict, list | str | None]:
        parts = [part for each in asked["messages"] if isinstance(each["content"], list) for part in each["content"]]
        texts = [each["content"] for each in asked["messages"] if isinstance(each["content"], str)]
        texts += [part["text"] for part in parts if part["type"] == "text"]
        results = [part["content"] for part in parts if part["type"] == "tool_result"]
        return [tool["name"] for tool in asked.get("tools", [])], order("\n".join(texts)), results[-1] if results else None

    @staticmethod
    def write(block: dict, asked: dict) -> list[tuple[str, dict]]:
        called = block["type"] == "tool_use"
        empty = {**block, "input": {}} if called else {**block, "text": ""}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])} if called else {"type": "text_delta", "text": block["text"]}
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "content": [], "stop_reason": None}
        events = [
            {"type": "message_start", "message": {**message, "stop_sequence": None, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use" if called else "end_turn", "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        return [(event["type"], event) for event in events]

    @classmethod
    def call(cls, tool: str, arguments: dict, asked: dict):
        return cls.write({"type": "tool_use", "id": "toolu_1", "name": tool, "input": arguments}, asked)

    @classmethod
    def say(cls, text: str, asked: dict):
        return cls.write({"type": "text", "text": text}, asked)


class Gemini:
    """POST …:streamGenerateContent: https://ai.google.dev/api/generate-content"""

    @staticmethod
    def read(asked: dict) -> tuple[list[str], dict, list | str | None]:
        parts = [part for each in asked["contents"] for part in each["parts"]]
        results = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
        tools = [each["name"] for tool in asked.get("tools", []) for each in tool.get("functionDeclarations", [])]
        return tools, order("\n".join(part["text"] for part in parts if "text" in part)), results[-1] if results else None

    @staticmethod
    def write(part: dict) -> list[tuple[None, dict]]:
        candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        return [(None, {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}})]

    @classmethod
    def call(cls, tool: str, arguments: dict, asked: dict):
        return cls.write({"functionCall": {"name": tool, "args": arguments}})

    @classmethod
    def say(cls, text: str, asked: dict):
        return cls.write({"text": text})


def answer(vendor, asked: dict):
    tools, wanted, result = vendor.read(asked)
    if "list" in wanted:
        return vendor.say(json.dumps(tools), asked)
    if result is not None and WAITING not in json.dumps(result):
        return vendor.say(json.dumps(result), asked)
    tool = next((name for name in tools if "call" in wanted and name.endswith(wanted["call"])), None)
    if tool:
        return vendor.call(tool, wanted["arguments"], asked)
    if "bash" in tools and json.dumps(asked).count(WAITING) < PATIENCE:
        return vendor.call("bash", {"command": f"sleep 1; echo {WAITING}", "description": "wait"}, asked)
    return vendor.say(f"no such tool among {tools}", asked)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        if path.endswith("/v1/messages"):
            vendor, streamed = Anthropic, asked.get("stream")
        elif path.endswith(("streamGenerateContent", "generateContent")):
            vendor, streamed = Gemini, path.endswith("streamGenerateContent")
        else:
            return self.send_error(404)
        events = answer(vendor, asked)
        if streamed:
            lines = [f"event: {name}\n" * bool(name) + f"data: {json.dumps(event)}\n\n" for name, event in events]
            return self.reply("text/event-stream", "".join(lines))
        return self.reply("application/json", json.dumps(events[-1][1]))

    def do_HEAD(self):
        self.reply("text/plain", "")

    def reply(self, kind: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


given = json.loads(sys.argv[1])
http.server.ThreadingHTTPServer((given["host"], given["port"]), Handler).serve_forever()
