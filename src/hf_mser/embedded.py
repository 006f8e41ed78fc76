"""The checkpoint that ships with the package."""

from typing import TYPE_CHECKING

from .registration import EMBEDDED_CHECKPOINT

if TYPE_CHECKING:
    from .modeling_mser import MSERForEmotionGeneration
    from .processing_mser import MSERProcessor


def load_embedded() -> "tuple[MSERForEmotionGeneration, MSERProcessor]":
    """mser-tiny, model and processor, from the package itself: no network, no download.

    Example:
        >>> model, processor = load_embedded()
        >>> model.config.labels[1]
        'happy'
    """
    from .modeling_mser import MSERForEmotionGeneration
    from .processing_mser import MSERProcessor

    model = MSERForEmotionGeneration.from_pretrained(EMBEDDED_CHECKPOINT)
    return model.eval(), MSERProcessor.from_pretrained(EMBEDDED_CHECKPOINT)
