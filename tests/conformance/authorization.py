"""The suite's `authorization` mode against the gateway as authorization server: each route's own issuer, and the root's."""

import argparse
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import httpx2
import manifests as m
import scenarios
from browser import Browser
from gateway import HOST, Gateway
from peers import IdentityProvider
from processes import Process, free_port
from tally import Tally, folder_of_logs

LONGEST_RUN = 60
NOT_APPLICABLE = {
    "with --client-secret": "the suite then still authenticates with `none`, because the metadata offers it, which a client with a secret may not",
}


class Issuer:
    def __init__(self, name: str, url: str, resource: str | None):
        self.name, self.url, self.resource = name, url, resource


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--revision", action="append", choices=list(scenarios.REVISIONS))
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tally = Tally()
    with folder_of_logs(tally, "authorization") as folder, ExitStack() as stack:
        gateway, browser = served(stack, folder)
        issuers = [Issuer("route", gateway.url("one"), None), Issuer("root", gateway.public_url, gateway.url("two"))]
        for revision in given.revision or scenarios.REVISIONS:
            for issuer in issuers:
                findings = run(issuer, revision, gateway, browser, folder / f"{issuer.name}-{revision}")
                print(f"{revision} issuer of the {issuer.name}: {scenarios.summary(findings)} passed/failed/warnings of {', '.join(findings) or 'nothing'}")
                tally.note(len(findings) == 2, f"{revision} {issuer.name}: two scenarios are known, {len(findings)} were decided")
                for scenario, checks in findings.items():
                    for check in checks:
                        tally.note(check.status == "SUCCESS", f"{revision} {issuer.name} {scenario}: {check}")
    for what, why in NOT_APPLICABLE.items():
        print(f"does not apply: {what}: {why}")
    return tally.report()


def served(stack: ExitStack, folder: Path) -> tuple[Gateway, Browser]:
    """A gateway with two routes, so that the root's issuer has to be told which is meant. No origin is asked for anything."""
    port = free_port(HOST)
    idp = stack.enter_context(IdentityProvider(folder, f"http://{HOST}:{port}"))
    resources = m.Folder(
        folder / "manifests",
        m.gateway(f"http://{HOST}:{port}", m.oidc(idp.base)),
        m.secret("idp", clientSecret=idp.secret),
        m.origin("nobody", f"http://{HOST}:9/mcp"),
        m.virtual("one", "nobody"),
        m.virtual("two", "nobody"),
    )
    gateway = stack.enter_context(Gateway(folder, resources, port))
    return gateway, Browser.create(folder / "browser", "ana")


def run(issuer: Issuer, revision: str, gateway: Gateway, browser: Browser, folder: Path) -> scenarios.Findings:
    port = free_port(HOST)
    registration = {"client_name": "conformance", "redirect_uris": [f"http://{HOST}:{port}/callback"], "token_endpoint_auth_method": "none"}
    client = httpx2.post(f"{issuer.url}/oauth/register", json=registration, trust_env=False).raise_for_status().json()
    argv = ["conformance", "authorization", "--url", issuer.url, "--client-id", client["client_id"], "--port", port, "--spec-version", revision, "-o", folder]
    argv += ["--resource", issuer.resource] if issuer.resource else []
    log = folder / "suite.log"
    with Process(argv, log=log) as suite:
        threading.Thread(target=follow, args=(suite, log, f"{issuer.url}/oauth/authorize?", browser), daemon=True).start()
        suite.popen.wait(LONGEST_RUN)
    return scenarios.read(folder, "authorization-server")


def follow(suite: Process, log: Path, beginning: str, browser: Browser) -> None:
    """Goes, as the person at the suite's screen would, to the address that it prints."""
    while suite.popen.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith(beginning):
                browser.open(line.strip())
                return


sys.exit(main())
