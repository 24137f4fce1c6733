"""A cookie jar that does what browsers do where it matters here: host, path, Secure, SameSite, Max-Age and the name prefixes."""

import time
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit


@dataclass
class Cookie:
    name: str
    value: str
    host: str
    path: str = "/"
    secure: bool = False
    http_only: bool = False
    same_site: str = "lax"
    expires: float | None = None


class Jar:
    def __init__(self, cookies=()):
        self.cookies = [Cookie(**each) for each in cookies]

    def dump(self):
        return [asdict(each) for each in self.cookies]

    def take(self, url: str, headers: list[str]) -> None:
        """Keeps what the `Set-Cookie` headers of an answer from `url` set. Raises where a browser would drop the cookie."""
        parts = urlsplit(url)
        for header in headers:
            first, *attributes = [part.strip() for part in header.split(";")]
            name, _, value = first.partition("=")
            cookie = Cookie(name, value, parts.hostname, parts.path.rsplit("/", 1)[0] or "/")
            for attribute in attributes:
                key, _, given = attribute.partition("=")
                match key.lower():
                    case "path" if given.startswith("/"):
                        cookie.path = given
                    case "secure":
                        cookie.secure = True
                    case "httponly":
                        cookie.http_only = True
                    case "samesite":
                        cookie.same_site = given.lower()
                    case "max-age":
                        cookie.expires = time.time() + int(given)
                    case "expires" if cookie.expires is None:
                        from email.utils import parsedate_to_datetime

                        cookie.expires = parsedate_to_datetime(given).timestamp()
                    case "domain":
                        raise ValueError(f"a cookie with Domain, which this browser does not take: {header}")
            if name.startswith("__Host-") and not (cookie.secure and cookie.path == "/" and parts.scheme == "https"):
                raise ValueError(f"browsers drop this cookie from {url}: {header}")
            if cookie.secure and parts.scheme != "https":
                raise ValueError(f"browsers do not keep a Secure cookie from {url}: {header}")
            key = (cookie.name, cookie.host, cookie.path)
            self.cookies = [each for each in self.cookies if (each.name, each.host, each.path) != key]
            if cookie.expires is None or cookie.expires > time.time():
                self.cookies.append(cookie)

    def header(self, url: str, *, method: str, cross_site: bool) -> str:
        parts = urlsplit(url)
        path = parts.path or "/"
        sent = []
        for cookie in self.cookies:
            if cookie.host != parts.hostname or (cookie.secure and parts.scheme != "https"):
                continue
            if cookie.expires is not None and cookie.expires <= time.time():
                continue
            if not (path == cookie.path or path.startswith(cookie.path.rstrip("/") + "/")):
                continue
            if cross_site and (cookie.same_site == "strict" or (cookie.same_site == "lax" and method != "GET")):
                continue
            sent.append(f"{cookie.name}={cookie.value}")
        return "; ".join(sent)
