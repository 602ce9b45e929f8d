"""Compiled functions: numba's decorator with our settings, and with a type that mypy can read."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit
from numba.core.caching import FunctionCache, InTreeCacheLocator
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

    def ensure_cache_path(self) -> None:
        """Have the folder, which may be one that can only be read: an image is made with it.

        Raises:
            OSError: it is not there and cannot be made.
        """
        try:
            cast("Any", super()).ensure_cache_path()
        except OSError:
            if not Path(self.get_cache_path()).is_dir():
                raise


class _Kept(FunctionCache):
    def save_overload(self, *compiled: object) -> None:
        """Keep what was compiled, where there is a disk to keep it on.

        An image that was made on another kind of processor is compiled for this one at its start.
        """
        with suppress(OSError):
            cast("Any", super()).save_overload(*compiled)


def are_kept() -> bool:
    """Return whether functions of just these sources were compiled before."""
    folder = Path(__file__).parent / "__pycache__" / f"compiled-{_stamp()}"
    return any(folder.glob("*.nbi"))


@cache
def _stamp() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


cast("Any", config).CACHE_LOCATOR_CLASSES = f"{__name__}.{WholeEngine.__name__}"
F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile at the first call, keep the result on disk, run without the interpreter's lock."""
    made = njit(nogil=True, **_SETTINGS)(function)
    with suppress(RuntimeError):  # there is no folder, and none can be made
        made._cache = cast("Any", _Kept)(function)  # noqa: SLF001 - what njit(cache=True) sets as well
    return cast("F", made)


def inlined(function: F) -> F:
    """Make a function a part of the compiled functions that call it."""
    return cast("F", njit(forceinline=True, **_SETTINGS)(function))


def generated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let compiled functions call what the decorated function generates the code of.

    Its first argument is numba's context of types; the others are those of the call.
    """
    return cast("Callable[..., Any]", intrinsic(function))
