"""The one kind of error that a user is meant to read."""


class UserError(Exception):
    """Bad input, said in one line: what is wrong, the value or file, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """
