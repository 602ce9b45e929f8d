"""Compiled functions: numba's decorator with our settings, and with a type that mypy can read."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit
from numba.core.caching import InTreeCacheLocator
from numba.extending import intrinsic

# Without numba's runtime arrays are not counted when they are passed on, which would cost more than
# what the functions do; so compiled functions may write into arrays but make none.
_SETTINGS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}


class WholeEngine(InTreeCacheLocator):
    """Where compiled functions are kept: in a folder for just these sources of the engine.

    Numba looks at the file of a function only, but what is inlined comes from others: a function
    that was compiled with yesterday's score would go on to be used. And it cannot read what was
    kept under a type that has another name today.
    """

    def get_cache_path(self) -> str:
        """Return a folder that differs where any source of the engine does."""
        folder = cast("Any", super()).get_cache_path()
        return str(Path(folder) / f"compiled-{_stamp()}")


@cache
def _stamp() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


cast("Any", config).CACHE_LOCATOR_CLASSES = f"{__name__}.{WholeEngine.__name__}"
F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile at the first call, keep the result on disk, run without the interpreter's lock."""
    try:
        return cast("F", njit(cache=True, nogil=True, **_SETTINGS)(function))
    except RuntimeError:  # no folder may be written to
        return cast("F", njit(nogil=True, **_SETTINGS)(function))


def inlined(function: F) -> F:
    """Make a function a part of the compiled functions that call it."""
    return cast("F", njit(forceinline=True, **_SETTINGS)(function))


def generated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let compiled functions call what the decorated function generates the code of.

    Its first argument is numba's context of types; the others are those of the call.
    """
    return cast("Callable[..., Any]", intrinsic(function))
