"""A hook of mkdocs: links of pages to what is in the repository and not among the pages lead there on the site, too."""

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\]\((?P<path>\.\./[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Such a link becomes its file's name as code: the site may lie anywhere, the repository is not beside it.

    Raises:
        FileNotFoundError: the file is not there.
    """
    folder = (_ROOT / "docs" / page.file.src_uri).parent

    def outside(found: re.Match[str]) -> str:
        file = (folder / found["path"]).resolve()
        if not file.exists():
            raise FileNotFoundError(f"{page.file.src_uri} links to {found['path']}, which is not there")
        if file.is_relative_to(_ROOT / "docs"):
            return found[0]
        return f"] (`{file.relative_to(_ROOT)}`)"

    return _LINK.sub(outside, markdown)
