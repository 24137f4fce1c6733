"""What the gateway is told to offer of the origin's hundred tools, and what that comes to."""

import copy
import fnmatch

TEAM = {"include": ["*"], "exclude": ["share_*"]}
TOOLS = {
    "include": ["*"],
    "exclude": ["delete_*"],
    "overrides": [
        {"name": "get_project", "as": "project"},
        {"name": "get_document", "as": "read_document", "description": "Reads one document. Ask before quoting from it."},
        {"name": "list_team", "as": "teams"},
        {"name": "archive_issue", "annotations": {"destructiveHint": True}},
    ],
}
HIDDEN = "delete_issue"  # by the curation
FORBIDDEN = "share_issue"  # by the team
RENAMED = ("get_project", "project")


def offered(tools: list[dict]) -> list[dict]:
    """The origin's tools as the gateway should list them, definition by definition, in the origin's order."""
    overrides = {each["name"]: each for each in TOOLS["overrides"]}
    found = []
    for tool in copy.deepcopy(tools):
        if matches(tool["name"], TOOLS["exclude"]):
            continue
        override = overrides.get(tool["name"], {})
        tool["name"] = override.get("as", tool["name"])
        if "description" in override:
            tool["description"] = override["description"]
        if "annotations" in override:
            tool["annotations"] = {**tool["annotations"], **override["annotations"]}
        if not matches(tool["name"], TEAM["exclude"]):
            found.append(tool)
    return found


def matches(name: str, globs: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)
