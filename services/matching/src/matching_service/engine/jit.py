"""Compiled functions: numba's decorator with our settings, and with a type that mypy can read."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit
from numba.extending import intrinsic

# Without numba's runtime arrays are not counted when they are passed on, which would cost more than
# what the functions do; so compiled functions may write into arrays but make none.
_SETTINGS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
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
