"""The error for users."""


class UserError(Exception):
    """Bad input, in one line: what is wrong, the value or file, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """
