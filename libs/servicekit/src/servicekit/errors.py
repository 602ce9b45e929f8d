"""What went wrong, named by what the kernel does about it."""


class TransientError(Exception):
    """Worth trying again: a lost connection, a serialization failure, a service that is away."""


class UnprocessableError(Exception):
    """This record can never be applied; it is quarantined at once, with the text as the reason."""


class EndedError(Exception):
    """A part of the running service ended by itself; the service stops, to be started again."""


class StartupError(Exception):
    """The service cannot run as it is configured; the text is one sentence that names the fix."""
