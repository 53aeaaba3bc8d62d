"""Errors that are the user's to mend: shown as a message, never as a traceback."""


class UserError(Exception):
    """Something the user gave is wrong; the text says what, where and what to do."""
