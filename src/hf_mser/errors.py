"""The root of every error that hf_mser raises on purpose."""


class MSERError(Exception):
    """Something that the user can mend; the message says what is wrong, where, and how to mend it.

    Subclasses also derive from the built-in error that fits (`ValueError`, `OSError` ...), so code
    that knows nothing of hf_mser catches them as usual.

    Example:
        >>> try:
        ...     raise MSERError("clip.wav: no samples. Record the clip again.")
        ... except MSERError as error:
        ...     print(error)
        clip.wav: no samples. Record the clip again.
    """
