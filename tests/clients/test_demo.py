"""The first command of the README: `portcullis demo` in an empty folder, and two real clients."""

import re
import time

import measured
import pytest
from browser import Browser
from drivers import Driver
from gateway import BINARY
from processes import Process, free_port, listening, wait_until


@pytest.fixture(scope="module")
def demo(folder):
    """A running demo: what it printed, and the seconds from its start until a client could be answered."""
    here = folder / "empty"
    here.mkdir()
    port = free_port()
    started = time.monotonic()
    with Process([BINARY, "demo", "--listen", f"127.0.0.1:{port}"], log=folder / "demo.log", cwd=here) as process:
        wait_until(lambda: listening("127.0.0.1", port) or process.popen.poll() is not None, what="the demo to listen")
        ready = time.monotonic() - started
        url = wait_until(lambda: re.search(rf"http://127\.0\.0\.1:{port}/mcp/[\w-]+", process.text()), what="the URL to be printed")[0]
        measured.note(f"demo: from start to ready {ready * 1000:.0f} ms")
        yield process, url, ready


def test_it_is_ready_in_a_second_and_prints_what_to_paste(demo):
    process, url, ready = demo
    assert process.popen.poll() is None, process.text()
    assert ready < 1
    said = process.text()
    assert "claude mcp add" in said
    assert url in said


@pytest.mark.parametrize("name", ["typescript-sdk", "typescript-client", "python-mcp", "fastmcp"])
def test_a_client_signs_in_connects_the_demos_account_lists_and_calls(demo, folder, name):
    _, url, _ = demo
    browser = Browser.create(folder / f"browser-{name}", "anybody", email="anybody")
    client = Driver(name, url, browser, folder)
    try:
        client.connect()
        tools = {tool["name"]: tool for tool in client.ask("tools")}
        assert "connect_account" not in tools, "the account is not connected"
        simple = next(tool for tool in tools.values() if not tool["inputSchema"].get("required"))
        assert client.text(simple["name"])
        pages = [page["url"] for page in browser.seen()]
        assert len(pages) >= 3, pages
    finally:
        client.stop()
