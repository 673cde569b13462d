"""Defines the base class of errors that reach a user as words instead of a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user gave us cannot be used, or something outside the program went wrong.

    The message is shown as it stands: it says what was expected, what arrived and what to do about it.
    """
