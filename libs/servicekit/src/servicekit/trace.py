"""W3C trace context, so that everything one event leads to is one connected trace.

Source: W3C Trace Context, section 3.2 (traceparent).
"""

import os
import re

_FORM = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def child(traceparent: str | None) -> str:
    """Return a traceparent with a new span id: of the same trace, or of a new one for None."""
    trace_id = _trace_id(traceparent) or os.urandom(16).hex()
    return f"00-{trace_id}-{os.urandom(8).hex()}-01"


def _trace_id(traceparent: str | None) -> str | None:
    found = _FORM.match(traceparent or "")
    return found.group(1) if found and found.group(1) != "0" * 32 else None
