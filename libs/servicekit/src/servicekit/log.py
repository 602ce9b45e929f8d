"""JSON logs on standard output: one line per slice, request or change of state; ids only."""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

_QUIET = ("aiokafka", "faststream", "uvicorn", "uvicorn.access", "asyncio", "httpx", "httpcore")


def configure(service: str, level: Literal["debug", "info", "warning", "error"]) -> None:
    """Send structlog's and the standard library's records to stdout as JSON, one shape for both.

    Libraries speak from WARNING on: they may print what they were given.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose events carry the module's name."""
    made: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return made
