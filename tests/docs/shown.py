"""Whether a command printed what a page says, but for what is another at every run."""

import re

# What differs between runs and machines; digits of it say nothing.
_MASKS = [
    (r"sp_[a-z0-9]{10}_\S+|sp_[a-z0-9]{10}_\.\.\.", "KEY"),
    (r"(?:(?<=key )|(?<=rotate )|(?<=revoke )|(?<=show )|(?<=grant ))[a-z0-9]{10}\b", "ID"),
    (r"\b(?=[a-z0-9]*[0-9])(?=[a-z0-9]*[a-z])[a-z0-9]{10}\b", "ID"),
    (r"\b[0-9a-f]{12,64}\b", "ID"),
    (r'"meta":\{.*\}\}', "META"),
    (r'W/"\w+"', "TAG"),
    (r"20(?:2[4-9]|3\d)-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z| UTC)?(?: ago)?", "TIME"),
    (r"\d+(?:\.\d+)? (?:ms|s|min|h)\b(?: ago)?", "TIME"),
    (r"\b\d+ ago\b", "TIME"),
    (r"\w{3}, \d\d \w{3} 20\d\d [\d:]+ GMT", "TIME"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"(?<![\w:/.])/(?:[\w.+-]+/)+", ""),
    (r"\bby +(?:root|\w+)\b", "by WHO"),
    (r"\b\d+(?:\.\d+)? (?:kB|MB|bytes)\b", "SIZE"),
]


def differs(said: str, printed: str) -> str:
    """What a page says and was not printed; nothing if all was, in its order. ``...`` stands for anything."""
    wanted, got = _plain(said), _plain(printed)
    if not wanted:
        return ""
    pattern = ".*?".join(map(re.escape, wanted.split("...")))
    return "" if re.search(pattern, got, re.DOTALL) else f"--- said\n{said}\n--- printed\n{printed}"


def _plain(text: str) -> str:
    """Without what differs, and without any space: pages fold what a terminal does not."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for pattern, mask in _MASKS:
        text = re.sub(pattern, mask, text)
    return re.sub(r"\s+", "", text)
