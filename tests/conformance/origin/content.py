"""What answers at once: tools by kind of content, resources, prompts, completions."""

import json
from base64 import b64decode
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.mcpserver.tools import Tool
from mcp_types import AudioContent, Completion, ContentBlock, EmbeddedResource, ImageContent, TextContent, TextResourceContents
from pydantic import Field

# One red pixel, and a WAV file without a sample.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def image() -> ImageContent:
    return ImageContent(type="image", data=PNG, mime_type="image/png")


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def schema_tool() -> Tool:
    """A tool whose schema is given, not derived from a function: every keyword of it has to arrive at the client."""

    def json_schema_2020_12_tool(name: str = "", contactMethod: str = "", phone: str = "", email: str = "") -> str:
        return f"{name} is reached by {contactMethod or 'nothing'}: {phone or email}"

    tool = Tool.from_function(json_schema_2020_12_tool, description="A tool with JSON Schema 2020-12 features.", structured_output=False)
    tool.parameters = SCHEMA
    return tool


def fill(server: MCPServer) -> None:
    tools(server)
    resources(server)
    prompts(server)

    @server.completion()
    async def complete(ref, argument, context) -> Completion:
        return Completion(values=[f"{argument.value}-one", f"{argument.value}-two"], total=2, has_more=False)


def tools(server: MCPServer) -> None:
    @server.tool(description="Answers with text.", structured_output=False)
    def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(description="Answers with an image.")
    def test_image_content() -> ImageContent:
        return image()

    @server.tool(description="Answers with a sound.")
    def test_audio_content() -> AudioContent:
        return AudioContent(type="audio", data=WAV, mime_type="audio/wav")

    @server.tool(description="Answers with a resource inside.")
    def test_embedded_resource() -> EmbeddedResource:
        return embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")

    @server.tool(description="Answers with several kinds of content.")
    def test_multiple_content_types() -> list[ContentBlock]:
        return [
            TextContent(type="text", text="Multiple content types test:"),
            image(),
            embedded("test://mixed-content-resource", "application/json", json.dumps({"test": "data", "value": 123})),
        ]

    @server.tool(description="Always fails.", structured_output=False)
    def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(description="Wants its argument in a header too.", structured_output=False)
    def test_header_parameter(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
        return f"in {region}"


def resources(server: MCPServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain", description="Text.")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png", description="An image.")
    def static_binary() -> bytes:
        return b64decode(PNG)

    @server.resource("test://watched-resource", mime_type="text/plain", description="Something to subscribe to.")
    def watched() -> str:
        return "Watch me."

    @server.resource("test://template/{id}/data", mime_type="application/json", description="Data by number.")
    def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def prompts(server: MCPServer) -> None:
    @server.prompt(description="Without arguments.")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="With two arguments.")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="With a resource inside.")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
        return [
            UserMessage(embedded(resourceUri, "text/plain", "Embedded resource content for testing.")),
            UserMessage("Please process the embedded resource above."),
        ]

    @server.prompt(description="With an image.")
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(image()), UserMessage("Please analyze the image above.")]
