"""Reading a page: its title, text, forms and links, by the standard library's parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Button:
    text: str = ""
    name: str | None = None
    value: str = ""


@dataclass
class Form:
    action: str
    method: str
    fields: list[tuple[str, str, str]] = field(default_factory=list)  # name, type, value
    buttons: list[Button] = field(default_factory=list)


@dataclass
class Link:
    href: str
    text: str = ""


class Page(HTMLParser):
    def __init__(self, html: str):
        super().__init__()
        self.title = ""
        self.words: list[str] = []
        self.forms: list[Form] = []
        self.links: list[Link] = []
        self.refresh: str | None = None
        self._form: Form | None = None
        self._button: Button | None = None
        self._link: Link | None = None
        self._quiet = None
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        given = {key: value or "" for key, value in attrs}
        match tag:
            case "form":
                self._form = Form(given.get("action", ""), given.get("method", "get").lower())
                self.forms.append(self._form)
            case "input" if self._form:
                kind = given.get("type", "text").lower()
                if kind in ("submit", "image"):
                    self._form.buttons.append(Button(given.get("value", ""), given.get("name"), given.get("value", "")))
                elif given.get("name") and (kind not in ("checkbox", "radio") or "checked" in given):
                    self._form.fields.append((given["name"], kind, given.get("value", "")))
            case "button" if self._form and given.get("type", "submit") == "submit":
                self._button = Button("", given.get("name"), given.get("value", ""))
                self._form.buttons.append(self._button)
            case "a" if given.get("href"):
                self._link = Link(given["href"])
                self.links.append(self._link)
            case "meta" if given.get("http-equiv", "").lower() == "refresh":
                self.refresh = given.get("content", "").partition("=")[2].strip("'\" ") or None
            case "script" | "style" | "title":
                self._quiet = tag

    def handle_endtag(self, tag):
        match tag:
            case "form":
                self._form = None
            case "button":
                self._button = None
            case "a":
                self._link = None
            case _ if tag == self._quiet:
                self._quiet = None

    def handle_data(self, data):
        if self._quiet == "title":
            self.title += data
        if self._quiet:
            return
        self.words.append(data)
        for control in (self._button, self._link):
            if control:
                control.text = f"{control.text}{data}".strip()
