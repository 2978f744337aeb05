"""What Polars' native code raises besides ordinary errors, in one place for everybody who runs an expression.

A panic inside it derives from ``BaseException``, so ``except Exception`` lets it pass. An expression that is nested too
deep ends the process when its native stack is full: ``compiler.sql`` refuses such texts before they are parsed.
"""

import polars as pl

# Of running an expression over rows: any value may make it fail in any of these ways.
NATIVE_ERRORS: tuple[type[BaseException], ...] = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    RecursionError,
)


def first_line(error: BaseException) -> str:
    """What an error says, without the plan that Polars prints below it."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
