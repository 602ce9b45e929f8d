"""W3C trace context, so that everything one event leads to is one connected trace."""

import random
import re

# Source: W3C Trace Context, section 3.2; later versions may append fields, ff is none.
_TRACEPARENT = re.compile(
    r"(?:00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"|(?!ff|00)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?)"
)


def child(traceparent: str | None) -> str:
    """Return a traceparent with a new span id: of the same trace, or of a new one for None.

    One that can't be read counts as None.
    """
    found = _TRACEPARENT.fullmatch(traceparent or "")
    trace_id = (found[1] or found[2]) if found else _number(128)
    return f"00-{trace_id}-{_number(64)}-01"


def _number(bits: int) -> str:
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"
