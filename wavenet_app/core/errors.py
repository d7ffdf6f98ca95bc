"""The error for users."""

_LONGEST = 2_000  # characters; paths may have a thousand
_END = 500  # characters at the end, where a message says what to do


class UserError(Exception):
    """Bad input, in one line: what is wrong, the value or file, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """

    def __str__(self) -> str:
        """The message in one line of bounded length, even where a name in it has line breaks or no end."""
        text = " ".join(super().__str__().splitlines())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - _END]} ... {text[-_END:]}"
