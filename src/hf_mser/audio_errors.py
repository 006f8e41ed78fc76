"""Everything that can be wrong with sound, each with a name of its own.

Every message has the same three parts: which source, what is wrong with it, and how to mend it.
"""

from .errors import MSERError


class AudioError(MSERError, ValueError):
    """A sound that cannot be used; the message names the source, the cause and the cure.

    Example:
        >>> import numpy as np
        >>> from hf_mser.audio import AudioError, load_audio
        >>> try:
        ...     load_audio(np.zeros(16_000))
        ... except AudioError as error:
        ...     print(type(error).__name__)
        SamplingRateError
    """

    def __init__(self, source: str, cause: str, cure: str) -> None:
        super().__init__(f"{source}: {cause}. {cure}.")
        self.source, self.cause, self.cure = source, cause, cure

    def __reduce__(self) -> tuple[type["AudioError"], tuple[str, str, str]]:
        return type(self), (self.source, self.cause, self.cure)  # worker processes send errors home pickled


class UnsupportedSourceError(AudioError, TypeError):
    """The object is none of the kinds that hold sound."""


class MissingAudioError(AudioError, FileNotFoundError):
    """There is no such file."""


class UnreadableAudioError(AudioError, OSError):
    """The source is there and cannot be read: a directory, a device, no permission, a broken file object."""


class AudioDownloadError(AudioError, OSError):
    """A URL could not be fetched."""


class ForbiddenAddressError(AudioDownloadError, PermissionError):
    """A URL leads to an address that is not public."""


class AudioTooLargeError(AudioDownloadError):
    """A URL delivers more bytes than allowed."""


class UndecodableAudioError(AudioError):
    """No decoder understands the bytes."""


class TruncatedAudioError(AudioError):
    """The header announces more sound than there is."""


class EmptyAudioError(AudioError):
    """There are no samples at all."""


class TooShortAudioError(AudioError):
    """There is less sound than one analysis frame."""


class NonFiniteAudioError(AudioError):
    """Samples are NaN or infinite."""


class SampleRangeError(AudioError):
    """The samples' type or size has no agreed full scale."""


class SampleShapeError(AudioError):
    """The array's shape does not tell channels from samples."""


class SamplingRateError(AudioError):
    """The sampling rate is missing, contradictory or impossible."""


class WindowError(AudioError):
    """The window or the hop is impossible."""


class SilenceWarning(UserWarning):
    """The sound is digital silence: the answer says nothing about a speaker."""
