"""What exposures say instead of a user: the same for the same user, and nothing to those who do not have the key.

The key is made once and kept in the home, as the readout has to find the events of the same users.
"""

import secrets
from contextlib import suppress

import polars as pl
import polars_hash as plh

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.private_files import make_private, private_folder
from seqplat_resources.records.log import RecordConflict, RecordLog

_PREFIX = "exposures/key"
_KEY_BYTES = 32
# Of a digest in hexadecimal: 128 bits, of which no two of all people will have the same.
_CHARS = 32


class KeyDamaged(Final):
    """The key of the home is not what was written."""


def key_of(home: Home) -> str:
    """The key of a home, made where there is none yet; of two who make one, both have that of the first.

    Raises:
        KeyDamaged: it is not one that was made here.
    """
    log = RecordLog(home.objects, _PREFIX)
    if not log.numbers():
        with suppress(RecordConflict):
            if home.is_local:
                private_folder(home.uri(_PREFIX))
            record = log.append(secrets.token_hex(_KEY_BYTES).encode(), after=0)
            if home.is_local:
                make_private(home.uri(log.path(record.number)))
    key = log.read(1).data.decode(errors="replace")
    if len(key) != 2 * _KEY_BYTES:
        raise KeyDamaged(
            f"{home.uri(log.path(1))} holds no key of exposures; put back what it was, or delete it: exposures written "
            "before are then nobody's"
        )
    return key


def pseudonym(user: str, key: str) -> pl.Expr:
    """Of the column ``user``: the first half of the HMAC-SHA-256 of its text, in hexadecimal. Null stays null."""
    hashed: pl.Expr = plh.col(user).cast(pl.String).chash.hmac_sha256(key=key)  # type: ignore[attr-defined]
    return hashed.str.slice(0, _CHARS)


def storable(user: object) -> str:
    """A text as it is; one with half a character, which no event of the lake has, as another that none has either."""
    text = str(user)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text
