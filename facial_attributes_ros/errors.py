"""The exception for mistakes of the user."""


class UserError(Exception):
    """A mistake that the user can correct, or something missing that the user can provide.

    The message is one sentence: what is wrong and what to do. The command line prints it without a traceback and ends
    with exit code 2; the node logs it and continues or refuses the transition.
    """
