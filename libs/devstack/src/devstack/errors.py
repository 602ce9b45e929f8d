"""What the embedded stack says when it can't go on."""


class DevstackError(Exception):
    """The stack can't go on; the message is one sentence for the person at the keyboard.

    It says what is missing and how to get it, and never holds a secret.
    """
