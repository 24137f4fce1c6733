"""Whether what is measured is the real thing: protected, curated, with the user's own credential, and recorded."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import curation
import httpx2
from processes import wait_until
from targets import ROUTE, Setting


class Verdict(NamedTuple):
    what: str
    holds: bool
    instead: object = ""


class Verdicts:
    def __init__(self):
        self.passed = self.failed = 0

    def note(self, what: str, holds: bool, instead: object = "") -> None:
        if holds:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'ok    ' if holds else 'FAILED'}  {what}{'' if holds else f': {instead}'}", flush=True)

    def run(self, verdicts: Iterator[Verdict]) -> None:
        for verdict in verdicts:
            self.note(*verdict)


def before(setting: Setting) -> Iterator[Verdict]:
    tools = tools_of(setting.direct().caller())
    curated = curation.offered(tools)
    setting.names = {False: [tool["name"] for tool in tools], True: [tool["name"] for tool in curated]}
    yield Verdict("the origin has 100 tools", len(tools) == 100, len(tools))
    for target in setting.targets:
        refused = httpx2.post(target.url, json={}, trust_env=False)
        challenged = refused.status_code == 401 and "resource_metadata" in refused.headers.get("www-authenticate", "")
        yield Verdict(f"{target.name}: a request without a token gets a challenge", challenged, refused.status_code)
        listed = tools_of(target.caller())
        expected = curated if target.curated else tools
        yield Verdict(f"{target.name}: the list is the expected one, definition by definition", listed == expected, first_difference(listed, expected))
    if gateway := setting.target("portcullis"):
        yield from curated_calls(gateway.caller())
        yield from own_credential(setting)


def tools_of(caller) -> list[dict]:
    answer = caller.send("tools/list")
    assert "nextCursor" not in answer.result, "the list has pages"
    return answer.result["tools"]


def first_difference(found: list, expected: list) -> str:
    if len(found) != len(expected):
        return f"{len(found)} tools instead of {len(expected)}"
    return next((f"{a} instead of {b}" for a, b in zip(found, expected, strict=True) if a != b), "")


def curated_calls(caller) -> Iterator[Verdict]:
    name, shown = curation.RENAMED
    answer = caller.call(shown, id="PORT-1").result["content"][0]["text"]
    yield Verdict("a renamed tool reaches the origin by its own name", answer == f"{name}: PORT-1", answer)
    for hidden, why in ((curation.HIDDEN, "curation"), (curation.FORBIDDEN, "the team"), (name, "its new name")):
        refused = caller.call(hidden, id="PORT-1").message
        yield Verdict(f"a tool that {why} hides is refused", refused.get("error", {}).get("code") == -32602, refused)


def own_credential(setting: Setting) -> Iterator[Verdict]:
    asked = [each for each in setting.authorization.requests() if each["url"].startswith("/token/introspection")]
    vouched = [each for each in asked if '"sub":"ana"' in each["answer"]]
    yield Verdict("the origin saw ana's own token and asked about it once", len(asked) == len(vouched) == 1, len(asked))


def after(setting: Setting, results) -> Iterator[Verdict]:
    if setting.target("portcullis"):
        events = setting.world.gateway.stdout
        sent = sum(by_target["portcullis"].requests for by_target in results.values())
        wait_until(lambda: settled(events), seconds=10, what="the events to be written")
        lines = recorded(events)
        size = events.stat().st_size >> 20
        yield Verdict(f"requests are recorded: {len(lines)} events, {size} MiB, for {sent} requests that were measured", bool(lines), "none")
        odd = next((line for line in lines if not (b"ana" in line and ROUTE.encode() in line and b'"success"' in line)), None)
        yield Verdict("every event says whose request it was, on which route, and how it ended", odd is None, odd)
        yield from own_credential(setting)


def settled(path) -> bool:
    """Whether the file has stopped growing."""
    before = path.stat().st_size
    time.sleep(0.2)
    return path.stat().st_size == before


def recorded(path) -> list[bytes]:
    """The events of requests and calls, one a line."""
    with open(path, "rb") as lines:
        return [line for line in lines if b'"event":"mcp.' in line]
