"""Programs that do one thing and end: formatters, initdb, psql."""

import subprocess

from devstack.errors import DevstackError, about_words
from devstack.process import Command

_LIMIT_SECONDS = 120


def run_tool(command: Command, failure: str, *, script: str = "") -> None:
    """Run the program to its end, `script` on its standard input.

    What it prints on standard output is dropped: some tools show there what secrets become.

    Raises:
        DevstackError: it failed or took too long; `failure`, then its first complaint.
    """
    uid, gid = command.user or (None, None)
    try:
        done = subprocess.run(
            command.argv,
            input=script,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(command.environment),
            cwd=command.folder,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DevstackError(
            f"{failure}: not done after {_LIMIT_SECONDS} s, run this again"
        ) from error
    if done.returncode != 0:
        complaints = (line.strip() for line in done.stderr.splitlines())
        raise about_words(failure, next(filter(None, complaints), ""), command.folder)
