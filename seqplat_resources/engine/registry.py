"""Executors by name: registered by decorator, found among the bundled ones or by entry point."""

import hashlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar

from seqplat_resources.engine.contract import Executor
from seqplat_resources.errors import Final

GROUP = "seqplat.executors"
BUNDLED = "seqplat_resources.executors"

# Where the ancestors of every class are written; they change with Python, not with an executor.
_LANGUAGE = {"builtins", "abc", "typing"}

E = TypeVar("E", bound=type[Executor])

_REGISTERED: dict[str, type[Executor]] = {}


class ExecutorUnknown(Final):
    """A name nobody registered."""


class ExecutorChanged(Final):
    """The installed code is not the code the release was compiled with."""


class ExecutorBroken(Final):
    """A package whose executors cannot be imported."""


class ExecutorDuplicate(Final):
    """Two executors claim one name."""


def executor(name: str) -> Callable[[E], E]:
    """Register a class as the executor ``name``.

    Raises:
        ExecutorDuplicate: another class has the name; refusing beats silently running the wrong mapping.
    """

    def register(cls: E) -> E:
        taken = _REGISTERED.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ExecutorDuplicate(
                f"executor {name!r} is registered by {taken.__module__}.{taken.__qualname__} and again by "
                f"{cls.__module__}.{cls.__qualname__}; rename one of them"
            )
        _REGISTERED[name] = cls
        digest(cls)  # now, while the file is what was loaded from it
        return cls

    return register


@cache
def executors() -> dict[str, type[Executor]]:
    """All executors there are. Importing the modules fills the table; entry points name modules or classes."""
    bundled = import_module(BUNDLED)
    for module in pkgutil.iter_modules(bundled.__path__, prefix=f"{BUNDLED}."):
        import_module(module.name)
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # importing runs the package's code, which may raise anything
            package = point.dist.name if point.dist else "?"
            raise ExecutorBroken(
                f"entry point {point.name!r} of package {package!r} ({point.value}) cannot be loaded: "
                f"{type(error).__name__}: {error}; mend the package or uninstall it"
            ) from error
    return dict(_REGISTERED)


@cache
def digest(cls: type[Executor]) -> str:
    """Digest of the files that an executor and the classes it inherits from are written in.

    Any edit beside it counts as a change of behaviour, but only once it is loaded: a process that goes on running the
    old code goes on saying so.
    """
    bases = [base for base in cls.__mro__ if base.__module__ not in _LANGUAGE]
    sources = dict.fromkeys(inspect.getsource(inspect.getmodule(base) or base) for base in bases)
    return hashlib.sha256("".join(sources).encode()).hexdigest()[:16]


def digests() -> dict[str, str]:
    """Code digest by executor name, as a release records it."""
    return {name: digest(cls) for name, cls in sorted(executors().items())}


def executor_for(name: str, expected_digest: str) -> Executor:
    """An instance of the executor a release names.

    Raises:
        ExecutorUnknown: it is not installed here.
        ExecutorChanged: its code differs from what the release was compiled with.
    """
    cls = executors().get(name)
    if cls is None:
        raise ExecutorUnknown(
            f"executor {name!r} is not installed; there are {sorted(executors())}. "
            f"Install the package that provides it (entry point group {GROUP!r})"
        )
    if (found := digest(cls)) != expected_digest:
        raise ExecutorChanged(
            f"executor {name!r} has code {found}, the release was compiled with {expected_digest}: "
            "run `seqplat publish` with this code, or install the version the release names"
        )
    return cls()
