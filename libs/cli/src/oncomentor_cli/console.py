"""Data goes to standard output, everything said about it to standard error."""

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import typer

from oncomentor_cli.exits import Exit

P = ParamSpec("P")
T = TypeVar("T")

_DEBUG = "ONCOMENTOR_DEBUG"
_QUIET_SECONDS = 5.0
_TTY_SECONDS = 0.1


def note(text: str) -> None:
    """Say something to the person at the keyboard."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def emit(value: Mapping[str, Any]) -> None:
    """Write one JSON object, on one line, as data."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def show(text: str = "") -> None:
    """Write a line of data."""
    sys.stdout.write(f"{text}\n")


class Counter:
    """One line on a terminal that is written over; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._shown_at = time.monotonic()
        self._is_tty = sys.stderr.isatty()
        self._is_open = False
        self._shown = ""

    def show(self, text: str) -> None:
        """Show where things stand; the same once."""
        now = time.monotonic()
        interval_seconds = _TTY_SECONDS if self._is_tty else _QUIET_SECONDS
        if now - self._shown_at < interval_seconds or text == self._shown:
            return
        self._shown_at, self._shown = now, text
        if not self._is_tty:
            note(text)
            return
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
        self._is_open = True

    def clear(self) -> None:
        """Leave nothing of it on the terminal."""
        if self._is_open:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_open = False


def command(run: Callable[P, T]) -> Callable[P, T]:
    """Turn every failure of a command into one sentence and its exit code."""

    @wraps(run)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = run(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read us has seen enough; Python must not complain at the end about it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(Exit.OK) from None
        except (KeyboardInterrupt, typer.Abort):
            note("interrupted")
            raise typer.Exit(Exit.INTERRUPTED) from None
        except typer.Exit:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost frame: told, and its exit code given
            raise typer.Exit(_tell(error)) from None
        return result

    return guarded


def _tell(error: Exception) -> Exit:
    if isinstance(error, typer.BadParameter):
        raise error
    from oncomentor_cli.failure import code_of  # noqa: PLC0415 - imports the client; only now it is needed

    code = code_of(error)
    if code is not None:
        note(f"oncomentor: {error}")
        return code
    if os.environ.get(_DEBUG):
        traceback.print_exception(error)
    note(
        f"oncomentor: this is our fault: {type(error).__name__}: {error}; run it again with "
        f"{_DEBUG}=1 and report what it prints"
    )
    return Exit.BUG


def quiet_libraries() -> None:
    """Keep the Kafka client's own complaints off the terminal: ours say what to do."""
    for name in ("aiokafka", "asyncio", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
