"""The suite's `client` mode with the gateway in the middle: what the suite serves is an origin, and the gateway is the OAuth client that it
examines. For each scenario `through.py` stands in for the person and their MCP client."""

import argparse
import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import manifests as m
import scenarios
from gateway import HOST, Gateway
from peers import IdentityProvider
from processes import Process, free_port
from tally import Tally, folder_of_logs

HERE = Path(__file__).resolve().parent
LONGEST_SCENARIO = 40
AT_ONCE = 3

# What the gateway cannot do or be, and why. Everything else that a revision requires has to be in order.
NOT_APPLICABLE = {
    "elicitation-sep1034-client-defaults": "how a client fills in a form: the gateway passes the question and the answer",
    "sse-retry": "how a client comes back to a stream: the gateway passes ids and `retry`, and the client comes back",
    "sep-2322-client-request-state": "how a client answers `input_required`: the gateway passes both",
    "http-custom-headers": "how a client mirrors arguments in headers: the gateway passes them",
    "http-invalid-tool-headers": "which tools a client leaves out: the gateway passes them, and the client leaves them out",
    "json-schema-ref-no-deref": "how a client reads schemas: the gateway passes them",
    "json-schema-2020-12-preservation": "how a client keeps schemas: the gateway passes them",
    "auth/dpop": "DPoP is not supported",
    "auth/dpop-nonce": "DPoP is not supported",
    "auth/wif-jwt-bearer": "workload identity federation towards origins is not supported",
    "auth/enterprise-managed-authorization": "needs the suite's identity provider to be the gateway's own",
}
# Warnings that are known, and why: a warning is a SHOULD.
KNOWN_WARNINGS = {
    "request-metadata": "trying another version is the client's to do: the gateway passes the answer that tells of them",
    "auth/basic-cimd": "the gateway offers its document at its public URL alone, and this one is on loopback, where nobody could fetch it",
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--revision", action="append", choices=list(scenarios.REVISIONS))
    parser.add_argument("--scenario", help="only this one")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tally = Tally()
    with folder_of_logs(tally, "client") as folder:
        for revision in given.revision or scenarios.REVISIONS:
            with ExitStack() as stack:
                (folder / revision).mkdir()
                serve(stack, folder / revision)
                wanted = [given.scenario] if given.scenario else names(revision)
                judge(revision, run(folder / revision, revision, wanted), wanted, tally)
    for scenario, why in NOT_APPLICABLE.items():
        print(f"does not apply: {scenario}: {why}")
    return tally.report()


def serve(stack: ExitStack, folder: Path) -> None:
    """A gateway for all scenarios of a run: each brings its own origin and route. `world.json` tells `through.py` where it is."""
    port = free_port(HOST)
    idp = stack.enter_context(IdentityProvider(folder, f"http://{HOST}:{port}"))
    resources = m.Folder(folder / "manifests", m.gateway(f"http://{HOST}:{port}", m.oidc(idp.base)), m.secret("idp", clientSecret=idp.secret))
    stack.enter_context(Gateway(folder, resources, port))
    told = {"public_url": f"http://{HOST}:{port}", "manifests": str(resources.path), "browsers": str(folder / "browsers")}
    (folder / "world.json").write_text(json.dumps(told))


def names(revision: str) -> list[str]:
    """The client scenarios that a revision requires, or that the suite reports on, apart from those that do not apply."""
    argv = ["conformance", "list", "--requirements", revision, "--client"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    required, _, reported = listed.partition("never scored")
    found = re.findall(r"^ +- (\S+)", required.partition("Client scenarios")[2], re.MULTILINE)
    found += re.findall(r"^ +- (\S+) \[client\]", reported, re.MULTILINE)
    return [name for name in found if name not in NOT_APPLICABLE]


def run(folder: Path, revision: str, wanted: list[str]) -> scenarios.Findings:
    """Runs them a few at a time: the suite by itself starts all at once, and then measures the machine."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: run_one(folder, revision, name), wanted))
    return scenarios.read(folder / "results", "client")


def run_one(folder: Path, revision: str, name: str) -> None:
    command = f"{sys.executable} {HERE / 'through.py'} {folder / 'world.json'}"
    argv = ["conformance", "client", "--command", command, "--scenario", name, "--spec-version", revision, "--force"]
    argv += ["--timeout", LONGEST_SCENARIO * 1000, "-o", folder / "results"]
    with Process(argv, log=folder / f"{name.replace('/', '-')}.log") as suite:
        try:
            suite.popen.wait(LONGEST_SCENARIO + 20)
        except subprocess.TimeoutExpired:
            print(f"{name}: the suite did not end; what it had found by then counts")


def judge(revision: str, findings: scenarios.Findings, wanted: list[str], tally: Tally) -> None:
    known = {name: checks for name, checks in findings.items() if name not in NOT_APPLICABLE}
    print(f"{revision}: {scenarios.summary(known)} passed/failed/warnings in {len(known)} scenarios")
    for missing in sorted(set(wanted) - set(known)):
        tally.note(False, f"{revision} {missing}: the suite found nothing")
    for scenario, checks in known.items():
        print(f"  {scenario}: {scenarios.summary({scenario: checks})}")
        for check in checks:
            if check.status == "WARNING" and scenario in KNOWN_WARNINGS:
                print(f"    warned: {check.id}: {KNOWN_WARNINGS[scenario]}")
            elif check.status != "SKIPPED":
                tally.note(check.status == "SUCCESS", f"{revision} {scenario}: {check.id} ({check.name}): {check}")


sys.exit(main())
