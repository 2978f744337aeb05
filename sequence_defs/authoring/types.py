"""Which column type somebody meant who wrote another language's word for it.

>>> meant("str"), meant("datetime64[us]"), meant("list[int]"), meant("vector")
('string', 'timestamp', 'list[int64]', 'vector[float32,64]')
"""

import re
from difflib import get_close_matches

from sequence_defs.schema import parse_dtype
from sequence_defs.schema.dtypes import SCALARS, VECTOR_ITEMS

_WORDS = {
    "string": "str text varchar char utf8 object uuid json nvarchar character category enum",
    "int64": "int integer bigint long i64 number epoch uint32 int128 intc",
    "int32": "int4 i32 uint16 mediumint",
    "int16": "short smallint int2 i16 uint8",
    "int8": "byte tinyint i8",
    "float64": "float double real8 f64 decimal numeric money float8",
    "float32": "real single f32 float4 float16 half",
    "bool": "boolean bit logical",
    "timestamp": "datetime datetime64 timestamptz time timestamp_ntz timestamp_ltz instant timestamp_us timestamp_ms",
    "date": "date32 day",
    "binary": "bytes blob bytea varbinary bytearray",
}
_MEANT = {word: dtype for dtype, words in _WORDS.items() for word in words.split()}
_LIST = re.compile(
    r"^(?:list|array|tuple|sequence|set|repeated)\s*[\[(<]\s*(?P<item>.*?)\s*(?:,\s*(?:\.\.\.|\d+)\s*)?[\])>]$"
)
_VECTOR = re.compile(r"^(?:vector|embedding|fixed_size_list|tensor)\s*(?:[\[(<](?P<inside>.*)[\])>])?$")


def meant(text: str) -> str | None:
    """The type of ours that is nearest to ``text``; None if nothing is near."""
    word = text.strip().lower()
    if vector := _VECTOR.match(word):
        return _vector(vector["inside"] or "")
    if found := _LIST.match(word):
        item = meant(found["item"])
        return f"list[{item}]" if item and parse_dtype(item).kind == "scalar" else None
    if word in ("list", "array", "set", "tuple"):
        return "list[string]"
    word = re.split(r"[\[(<]", word)[0].strip()
    if word in SCALARS or word in _MEANT:
        return word if word in SCALARS else _MEANT[word]
    near = get_close_matches(word, [*SCALARS, *_MEANT], n=1)
    return _MEANT.get(near[0], near[0]) if near else None


def _vector(inside: str) -> str:
    number, word = re.search(r"\b[1-9]\d{0,4}\b(?!\])", inside), re.search(r"[a-z]\w*", inside)
    item = word[0] if word and word[0] in VECTOR_ITEMS else "float32"
    return f"vector[{item},{number[0] if number else 64}]"
