"""The portal's JSON API, with the session of a browser that has signed in."""

import json

import httpx2
from browser import Browser
from cookies import Jar

FROM_OUR_PAGE = {"Portcullis-Request": "1", "Sec-Fetch-Site": "same-origin"}


class Portal:
    def __init__(self, public_url: str, browser: Browser, at: str | None = None):
        """`at` is the address of the replica to ask, where that is not the public one."""
        self.public_url, self.browser = public_url, browser
        self.http = httpx2.Client(base_url=at or public_url, timeout=20, trust_env=False)
        self.http.headers["Host"] = public_url.partition("://")[2]

    def ask(self, method: str, path: str, body=None, headers: dict | None = FROM_OUR_PAGE) -> httpx2.Response:
        jar = Jar(json.loads(self.browser.cookies.read_text()))
        cookie = jar.header(self.public_url + path, method=method, cross_site=False)
        return self.http.request(method, path, json=body, headers={"Cookie": cookie, **(headers or {})})

    def change(self, method: str, path: str, body=None) -> dict:
        """A change that succeeds, as a page of the portal's would ask for it."""
        return self.ask(method, path, body).raise_for_status().json()

    def get(self, path: str) -> dict:
        return self.ask("GET", path).raise_for_status().json()
