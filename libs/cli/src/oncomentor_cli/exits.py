"""The exit codes, the same for the same failure in every command."""

from enum import IntEnum


class Exit(IntEnum):
    """What a shell script can tell apart."""

    OK = 0
    FAILED = 1  # a check failed, rows are invalid or were rejected
    USAGE = 2  # arguments, or a file that can't be used
    UNREACHABLE = 3  # the network or the stack is not there
    REFUSED = 4  # credentials or rights, or another key than the pinned one
    PENDING = 5  # sent, but receipts are missing; run it again
    JOURNAL = 6  # the journal is in use, damaged or can't be written
    BUG = 70  # our fault
    INTERRUPTED = 130


EPILOG = """\
Exit codes: 0 done; 1 a check failed, or rows are invalid or rejected; 2 usage or unusable file;
3 network or stack not there; 4 refused (credentials, rights, key); 5 receipts missing, run again;
6 journal in use or damaged; 70 our fault; 130 interrupted.
"""
