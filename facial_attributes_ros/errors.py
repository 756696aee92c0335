"""The one exception that users see."""


class UserError(Exception):
    """A mistake or a missing thing that the user can mend.

    The message is one sentence that says what is wrong and what to do. The command line prints it without a
    traceback and ends with exit code 2; the node logs it and lives on or refuses the transition.
    """
