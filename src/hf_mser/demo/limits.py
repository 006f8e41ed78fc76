"""How much a visitor may ask of the page, so that one does not keep all others waiting."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Everything that is capped.

    Args:
        megabytes: of a file.
        minutes: of audio.
        words: that a visitor may ask for, besides the model's own.
        letters: of such a word.
        waiting: visitors in the queue; the next one is told to come back.

    Example:
        >>> Limits(minutes=5).seconds
        300
    """

    megabytes: int = 50
    minutes: float = 20
    words: int = 24
    letters: int = 40
    waiting: int = 32

    @property
    def bytes(self) -> int:
        """The size of the largest file."""
        return self.megabytes << 20

    @property
    def seconds(self) -> float:
        """The most audio, in seconds."""
        return 60 * self.minutes
