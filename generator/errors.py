"""Errors the user can fix. The CLI shows the message, never a traceback."""


class UserError(Exception):
    """A problem with the user's input; the text says what is wrong, where, and what to do."""
