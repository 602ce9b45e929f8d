"""What the client says when it can't go on; every message is one sentence that names the fix."""


class ClientError(Exception):
    """The client can't go on; the message says what to do and holds no secret."""


class UnusableFileError(ClientError):
    """A file can't be read as what it should be: mend the file, then run again."""


class UnreachableError(ClientError):
    """The broker or a service doesn't answer; the same call may succeed later."""


class RefusedError(ClientError):
    """The network knows us and says no: credentials, rights or a key are wrong."""


class JournalError(ClientError):
    """The journal of what was published can't be used; nothing was sent."""


class JournalLockedError(JournalError):
    """Another publisher holds this journal: wait for it to finish, then run again."""
