"""A browser without a screen: follows redirects with a cookie jar, fills the forms it meets, and says yes (or no) as its user would.

A user is a profile file, so that several clients of one person share one browser:
    {"login": "ana", "email": "ana@example.com", "connect": true, "decide": "approve"}
Cookies lie beside it in `<profile>.cookies`, what was seen in `<profile>.history` (one JSON line a page).
"""

import fcntl
import json
import re
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2
from cookies import Jar
from page import Page

MOST_STEPS = 40
CONNECT = re.compile(r"^(re)?connect\b", re.IGNORECASE)


@dataclass
class Visit:
    """Where a journey ended: the last answer, or the address that nobody answers."""

    url: str
    status: int | None
    page: Page
    headers: object = None


class Stuck(Exception):
    """The browser does not know how to go on, or refused what a real one would refuse."""


class Browser:
    def __init__(self, profile: Path):
        self.profile = Path(profile)
        self.user = json.loads(self.profile.read_text())
        self.cookies = self.profile.with_suffix(".cookies")
        self.history = self.profile.with_suffix(".history")

    @classmethod
    def create(cls, folder: Path, login: str, **wishes):
        profile = Path(folder) / f"{login}.json"
        profile.parent.mkdir(parents=True, exist_ok=True)
        profile.write_text(json.dumps({"login": login, "email": f"{login}@example.com", "connect": True, "decide": "approve", **wishes}))
        return cls(profile)

    def wish(self, **wishes) -> None:
        self.user |= wishes
        self.profile.write_text(json.dumps(self.user))

    def forget(self) -> None:
        """Clears the cookies."""
        self.cookies.unlink(missing_ok=True)

    def seen(self) -> list[dict]:
        return [json.loads(line) for line in self.history.read_text().splitlines()] if self.history.exists() else []

    def _trusted(self):
        """Where the profile says `trust`, a file of certificates, servers that these vouch for."""
        return ssl.create_default_context(cafile=self.user["trust"]) if "trust" in self.user else True

    @contextmanager
    def _jar(self):
        with self.profile.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            jar = Jar(json.loads(self.cookies.read_text()) if self.cookies.exists() else ())
            try:
                yield jar
            finally:
                self.cookies.write_text(json.dumps(jar.dump()))

    def open(self, url: str) -> Visit:
        """Goes where `url` leads, through every page that asks for something, to the page or address where nothing is left to do."""
        with self._jar() as jar, httpx2.Client(timeout=30, trust_env=False, verify=self._trusted()) as http:
            visit = self._go(http, jar, "GET", url, initiator=None)
            done: set[tuple] = set()
            for _ in range(MOST_STEPS):
                step = self._next(visit, done)
                if step is None:
                    return visit
                method, target, form = step
                visit = self._go(http, jar, method, target, initiator=visit, form=form)
            raise Stuck(f"still at it after {MOST_STEPS} pages; the last was {visit.url}: {visit.page.text[:400]}")

    def _go(self, http, jar, method, url, *, initiator: Visit | None, form=None) -> Visit:
        policy = initiator.headers.get("content-security-policy", "") if initiator and form is not None else ""
        for _ in range(20):
            if form is not None or policy:
                allow_form(policy, initiator.url, url)
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https"):
                return self._note(Visit(url, None, Page("")))
            cross_site = bool(initiator) and urlsplit(initiator.url).hostname != parts.hostname
            headers = {"User-Agent": "Mozilla/5.0 (a test)", "Accept": "text/html,*/*;q=0.8"}
            headers["Sec-Fetch-Site"] = "none" if not initiator else "cross-site" if cross_site else "same-origin"
            headers["Sec-Fetch-Mode"] = "navigate"
            if cookie := jar.header(url, method=method, cross_site=cross_site):
                headers["Cookie"] = cookie
            if method == "POST":
                start = urlsplit(initiator.url)
                headers["Origin"] = f"{start.scheme}://{start.netloc}"
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            try:
                answer = http.request(method, url, headers=headers, content=urlencode(form) if method == "POST" else None)
            except httpx2.ConnectError:
                return self._note(Visit(url, None, Page("")))
            jar.take(url, answer.headers.get_list("set-cookie"))
            if answer.status_code in (301, 302, 303, 307, 308) and "location" in answer.headers:
                if answer.status_code in (302, 303) or (answer.status_code == 301 and method == "POST"):
                    method, form = "GET", None if form is None else form
                url = urljoin(url, answer.headers["location"])
                continue
            html = answer.text if "html" in answer.headers.get("content-type", "") else ""
            visit = Visit(url, answer.status_code, Page(html), answer.headers)
            if not html:
                visit.page.words.append(answer.text[:2000])
            return self._note(visit)
        raise Stuck(f"more than 20 redirects, the last to {url}")

    def _note(self, visit: Visit) -> Visit:
        with self.history.open("a") as history:
            history.write(json.dumps({"url": visit.url, "status": visit.status, "title": visit.page.title, "text": visit.page.text}) + "\n")
        return visit

    def _next(self, visit: Visit, done: set):
        """The step that the user takes on this page: method, address, form; None where there is nothing left to do."""
        page = visit.page
        if visit.status is None or visit.status >= 400:
            return None
        if self.user["connect"]:
            for link in page.links:
                if CONNECT.match(link.text) and link.href not in done:
                    done.add(link.href)
                    return "GET", urljoin(visit.url, link.href), None
        for form in sorted(page.forms, key=lambda form: not (self.user["connect"] and is_connect(form))):
            if is_connect(form) and (not self.user["connect"] or (form.action, tuple(form.fields)) in done):
                continue
            if is_connect(form):
                done.add((form.action, tuple(form.fields)))
            if step := self._submit(visit, form):
                return step
        if page.refresh:
            return "GET", urljoin(visit.url, page.refresh), None
        return None

    def _submit(self, visit: Visit, form):
        button = self._choose(form)
        if button is None and form.buttons:
            return None
        values = [(name, self._fill(name, kind, value)) for name, kind, value in form.fields]
        if button and button.name:
            values.append((button.name, button.value))
        target = urljoin(visit.url, form.action) if form.action else visit.url
        if form.method == "get":
            return "GET", target.partition("?")[0] + "?" + urlencode(values), None
        return "POST", target, values

    def _fill(self, name: str, kind: str, value: str) -> str:
        if value or kind == "hidden":
            return value
        match name.lower():
            case "email":
                return self.user["email"]
            case "login" | "user" | "username":
                return self.user["login"]
            case "password":
                return "any password does"
        raise Stuck(f"a form asks for {name!r} and this user has no answer")

    def _choose(self, form):
        for button in form.buttons:
            if button.name == "decision" and button.value == self.user["decide"]:
                return button
        for button in form.buttons:
            if button.name == "user" and self.user["email"] in (button.value, "anybody"):
                return button
        rest = [each for each in form.buttons if each.name not in ("decision", "user")]
        leave = re.compile(r"sign out|log out|disconnect|cancel|deny", re.IGNORECASE)
        return next((each for each in rest if not leave.search(each.text)), None)


def is_connect(form) -> bool:
    return any(CONNECT.match(button.text) for button in form.buttons)


def allow_form(policy: str, page: str, target: str) -> None:
    """What Chromium checks on each hop of a form's submission: the page's `form-action`, redirects included."""
    directive = next((part.split() for part in policy.split(";") if part.strip().startswith("form-action")), None)
    if directive is None:
        return
    here, there = urlsplit(page), urlsplit(target)
    for source in directive[1:]:
        if source == "'self'" and (here.scheme, here.netloc) == (there.scheme, there.netloc):
            return
        if source == "*" and there.scheme in ("http", "https"):
            return
        if source.endswith(":") and source[:-1] == there.scheme:
            return
        scheme, _, host = source.rpartition("://")
        if (not scheme or scheme == there.scheme) and (host == there.netloc or (host.endswith(":*") and host[:-2] == there.hostname)):
            return
    raise Stuck(f"the page {page} has `{' '.join(directive)}`: browsers block its form from going to {target}")
