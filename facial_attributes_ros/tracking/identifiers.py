"""Ids of tracks: a letter and seven random characters, never repeated in a session."""

import secrets

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_BITS_PER_CHARACTER = 5
_CHARACTERS = 7
_COUNT = 1 << (_BITS_PER_CHARACTER * _CHARACTERS)


class Identifiers:
    """Makes ids.

    A counter times an odd factor, modulo 2^35, repeats only after 2^35 ids. So no list of used ids is needed, which
    would grow for as long as the robot runs.
    """

    def __init__(self) -> None:
        """Choose a random factor and a random first number."""
        self._factor = 2 * secrets.randbelow(_COUNT // 2) + 1
        self._number = secrets.randbelow(_COUNT)

    def new(self) -> str:
        """Return an id that this object has not given before."""
        self._number = (self._number + 1) % _COUNT
        scrambled = self._number * self._factor % _COUNT
        digits = (scrambled >> (_BITS_PER_CHARACTER * place) & 31 for place in range(_CHARACTERS))
        return "f" + "".join(_ALPHABET[digit] for digit in digits)
