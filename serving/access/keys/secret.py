"""The text of an API key, ``sp_<id>_<secret>``, and the digest that is all we keep of it.

A digest is a plain SHA-256. Slow, salted hashes (argon2, bcrypt) exist for passwords, which people choose and machines
can guess; a secret of 43 random letters and digits is 256 bits, and whoever could go through them could as well go
through the digests. So a request is checked in a microsecond, and a stolen list of digests opens nothing.
"""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Sequence

SECRET_LENGTH = 43  # of 62 letters and digits: 256 bits
ID_LENGTH = 10

_LETTERS = string.ascii_letters + string.digits
_ID_LETTERS = string.ascii_lowercase + string.digits
_TEXT = re.compile(rf"sp_([a-z0-9]{{{ID_LENGTH}}})_[A-Za-z0-9]{{{SECRET_LENGTH}}}".encode())

# What a presented key is compared with where it has no counterpart: the digest of nothing anybody can present.
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).digest()


def new_id() -> str:
    """A name for a key; no secret, it may be logged."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(ID_LENGTH))


def new_text(key_id: str) -> str:
    """A fresh key of that id, as its holder keeps it."""
    return f"sp_{key_id}_{''.join(secrets.choice(_LETTERS) for _ in range(SECRET_LENGTH))}"


def digest(text: str | bytes) -> bytes:
    """What is stored of a key: SHA-256 of its whole text, so that a secret does not fit another id."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).digest()


def id_of(text: bytes) -> str | None:
    """The id inside a key's text; None where it is not one."""
    found = _TEXT.fullmatch(text)
    return found[1].decode() if found else None


def matching(presented: bytes, digests: Sequence[bytes]) -> int | None:
    """Which of the ``digests`` (two at most) the ``presented`` digest is.

    Always two comparisons of constant time, so that an answer takes equally long for ids that exist and ids that do
    not, before, during and after a rotation.
    """
    first, second = (*digests, _NOBODY, _NOBODY)[:2]
    is_first, is_second = hmac.compare_digest(presented, first), hmac.compare_digest(presented, second)
    return 0 if is_first else 1 if is_second else None
