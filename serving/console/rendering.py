"""Templates to bytes: everything in them is escaped, and what would steer a screen is written as an escape."""

import zlib
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, get_args

import zstandard
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar.enums import ScopeType
from litestar.types import Scope
from markupsafe import Markup

from seqplat_resources.shown_text import lasting, plain
from serving.access.sessions import cookies
from serving.access.sign_in import local
from serving.answers.encoding import Coding
from serving.answers.negotiation import coding_of
from serving.api.paths import CONSOLE, CONSOLE_FILES
from serving.console import words

HTML = "text/html; charset=utf-8"

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
# What pages load, by name, and what it is.
FILES = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
THEME_COOKIE = "seqplat-theme"

# Pages are few, and mostly the same line again: better compressed than answers, in some milliseconds.
_ZSTD_LEVEL, _GZIP_LEVEL = 6, 6
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Look:
    """What all pages of one request have in common: ``who`` is signed in, blank for nobody; ``at`` is the page's own
    address. ``is_file`` is a page that is read without a server; ``operates``: they run the installation.
    """

    theme: Theme = "auto"
    who: str = ""
    at: str = ""
    is_file: bool = False
    operates: bool = False

    @classmethod
    def of(cls, scope: Scope, who: str = "", *, operates: bool = False) -> "Look":
        """That of a request."""
        chosen = cookies(scope).get(THEME_COOKIE)
        theme: Theme = next((theme for theme in THEMES if theme == chosen), "auto")
        return cls(theme, who, at=address(scope), operates=operates)


def address(scope: Scope) -> str:
    """What was asked for, as it stands in the browser's line; the first page where a form was sent."""
    if scope["type"] != ScopeType.HTTP or scope["method"] != "GET":
        return CONSOLE
    query = scope["query_string"].decode("latin-1")
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    return local(f"{path}?{query}" if query else path)


def render(template: str, look: Look, **values: Any) -> bytes:
    """A page, as UTF-8."""
    return _environment().get_template(template).render(look=look, **values).encode()


def style() -> bytes:
    """The style sheet of all pages."""
    return file("console.css")


@cache
def file(name: str) -> bytes:
    """One of the files that pages load.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    if name not in FILES:
        raise FileNotFoundError(name)
    return (_HERE / "static" / name).read_bytes()


def compressed(page: bytes, accept_encoding: str | None) -> tuple[bytes, Coding]:
    """A page as it is sent, and how it is coded."""
    coding = coding_of(accept_encoding)
    if coding == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(page), coding
    if coding == "gzip":
        return zlib.compress(page, _GZIP_LEVEL, wbits=31), coding
    return page, coding


def shown(value: Any) -> Any:
    """What a template writes: markup of ours as it is, texts of others in plain letters."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals |= {
        "base": CONSOLE,
        "letters": words.LETTERS,
        "glyphs": words.GLYPHS,
        "words": words.WORDS,
        "meanings": words.MEANINGS,
        "verdicts": words.VERDICTS,
        "number": words.number,
        "moment": words.moment,
        "cut": words.cut,
        "lasting": lasting,
        "check_url": words.check_url,
        "incident_url": words.incident_url,
        "event_type_url": words.event_type_url,
        "run_url": words.run_url,
        "themes": THEMES,
        "style_url": f"{CONSOLE_FILES}console.css?{blake2b(style(), digest_size=6).hexdigest()}",
        "icon_url": f"{CONSOLE_FILES}icon.svg",
    }
    return found
