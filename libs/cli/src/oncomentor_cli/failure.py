"""Which failures explain themselves, and the exit code of each."""

from devstack.errors import DevstackError
from oncomentor_cli.exits import Exit
from oncomentor_client.errors import (
    JournalError,
    RefusedError,
    UnreachableError,
    UnusableFileError,
)

_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (UnusableFileError, Exit.USAGE),
    (UnreachableError, Exit.UNREACHABLE),
    (RefusedError, Exit.REFUSED),
    (JournalError, Exit.JOURNAL),
    (DevstackError, Exit.UNREACHABLE),
)


def code_of(error: Exception) -> Exit | None:
    """Return the code of a failure that its message explains; None for a bug."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)
