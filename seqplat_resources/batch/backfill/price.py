"""What building costs: SEQPLAT_HOUR_PRICE says what an hour of the machine that builds is paid with.

>>> hour_price({"SEQPLAT_HOUR_PRICE": "0.40 EUR"}).of(seconds=5400)
'0.60 EUR'
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from seqplat_resources.errors import Final

SETTING = "SEQPLAT_HOUR_PRICE"
_PRICE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ([^\W\d_]{1,12}|[$€£¥])")


class PriceInvalid(Final):
    """A price of an hour that is no amount with a currency."""


@dataclass(frozen=True)
class HourPrice:
    """An amount of a currency for an hour."""

    amount: float
    currency: str

    def of(self, seconds: float) -> str:
        """What so many seconds cost, rounded up to the hundredth: what is not for free never reads ``0.00``."""
        return f"{math.ceil(self.amount * seconds / 36) / 100:.2f} {self.currency}"


def hour_price(environment: Mapping[str, str]) -> HourPrice | None:
    """As the installation says it; None where it does not.

    Raises:
        PriceInvalid: it says something else.
    """
    said = environment.get(SETTING, "").strip()
    if not said:
        return None
    if (match := _PRICE.fullmatch(said)) is None:
        raise PriceInvalid(f"{SETTING} is {said!r}; write an amount and a currency, as in {SETTING}='0.40 EUR'")
    return HourPrice(float(match[1]), match[2])
