"""The one exception that reaches a user as words instead of a traceback."""


class UserError(ValueError):
    """Something the user gave us cannot be used.

    The message is shown as it stands, in the page and in the terminal (exit status 2): it says what was
    expected, what arrived and what to do about it.
    """


class OtherRun(UserError):
    """A run folder is refused because what it holds was begun otherwise, and can still be gone on with."""
