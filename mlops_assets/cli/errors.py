"""Errors that a user can mend: shown as a sentence, without a traceback."""


class UserError(Exception):
    """What is wrong, where, and what to do."""
