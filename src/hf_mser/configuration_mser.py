"""What an MSER model is made of, and every choice that the papers leave open, as fields with a default."""

import sys
from collections.abc import Callable
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig, SubConfigSpec
from transformers.models.auto import AutoConfig

from .emotions import EMOTIONS
from .errors import MSERError
from .prompting import candidate_ids, prompt_ids, reserve_audio_token

SCORE_NORMALIZATIONS = ("sum", "mean", "prior")


# Called once, when the first configuration is made. The package registers its models with the Auto classes
# here: nobody needs a model before its config, and importing the models costs seconds.
ON_FIRST_CONFIG: list[Callable[[], None]] = []


class MSERConfigError(MSERError, ValueError):
    """A configuration asks for something that cannot be built."""


class SpeechLengthError(MSERError, ValueError):
    """More audio in one piece than the encoder reads at once."""


@strict
class EmotionQFormerConfig(PreTrainedConfig):
    r"""
    The Emotion Q-Former: BLIP-2's querying transformer, plus the sizes of what leaves it.

    Args:
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, ... (*optional*):
            As in [`Blip2QFormerConfig`]; the defaults are BERT-base's.
        num_query_tokens (`int`, *optional*, defaults to 32):
            How many learned queries read the speech.
        embedding_size (`int`, *optional*, defaults to 256):
            Width of the emotion embedding on which the contrastive loss acts.
        num_statistics_tokens (`int`, *optional*, defaults to 4):
            How many tokens made from the mean and the deviation of the frames stand behind the queries;
            0 is the paper's form.
        statistics_rank (`int`, *optional*, defaults to 128):
            How many numbers the statistics of all layers are first brought down to.
        num_voices (`int`, *optional*, defaults to 1):
            2 keeps what is ordinary for low and for high voices apart, which adaptation makes use of.
        num_readings (`int`, *optional*, defaults to 0):
            How many labels are also read linearly from the statistics, for adaptation (see `hf_mser.label_clouds`).
        num_speaker_traits (`int`, *optional*, defaults to 0):
            How many numbers that tell speakers apart are read linearly from the statistics (see `hf_mser.speakers`).
        num_speakers (`int`, *optional*, defaults to 0):
            How many speakers adaptation has met.
        num_own_readings (`int`, *optional*, defaults to 0):
            How many labels a reader reads that adaptation learned from the domain's own clips (`hf_mser.own_reader`).
        num_speech_layers (`int`, *optional*):
            How many encoder layers the mixture reads; filled in by [`MSERConfig`].

    Example:

    ```python
    >>> from hf_mser import EmotionQFormerConfig

    >>> EmotionQFormerConfig(hidden_size=64, num_attention_heads=2).num_query_tokens
    32

    ```"""

    model_type = "mser_qformer"
    base_config_key = "qformer_config"

    # What Blip2QFormerModel reads. The names are its own; deriving from its config would import the model family.
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    initializer_range: float | int = 0.02
    layer_norm_eps: float = 1e-12
    cross_attention_frequency: int = 2  # [ours], as in BLIP-2
    encoder_hidden_size: int = 512  # filled in by MSERConfig
    use_qformer_text_input: bool = False

    # The paper speaks of a "query embedding size of 256" [paper] and leaves open what it counts: both
    # readings are fields here [ours].
    num_query_tokens: int = 32
    embedding_size: int = 256
    num_statistics_tokens: int = 4  # [ours]
    statistics_rank: int = 128  # [ours]
    statistics_dropout: float | int = 0.3  # [ours]
    num_voices: int = 1  # [ours]
    num_readings: int = 0  # [ours]
    num_speaker_traits: int = 0  # [ours]
    num_speakers: int = 0  # [ours]
    num_own_readings: int = 0  # [ours]
    num_speech_layers: int = 1

    @property
    def num_speech_tokens(self) -> int:
        """How many positions the LLM gives to a clip."""
        return self.num_statistics_tokens + self.num_query_tokens


@strict
class SpeechEmotionConfig(PreTrainedConfig):
    """What every speech emotion model here has: labels, a speech encoder, the layers that are read, and its origin.

    The fields are described where they are used, in [`MSERConfig`] and [`MSERClassificationConfig`].
    """

    id2label: dict[int, str] | dict[str, str] | None = None
    speech_config: Any = None  # given as a dict or a config, always a config in the end
    qformer_config: Any = None
    speech_layers: str | list[int] = "mix"  # [ours]; the papers read the last layer
    temperature: float | int = 1.0  # [ours]
    window_seconds: float | int = 30.0  # [ours]
    freeze_speech: bool = True  # [paper]
    backbones: dict[str, Any] | None = None
    connector_only: bool = False
    packed: bool = False
    initializer_range: float | int = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        while ON_FIRST_CONFIG:
            ON_FIRST_CONFIG.pop()()
        words: dict[Any, str] = self.id2label or dict(enumerate(EMOTIONS))
        self.id2label = {int(index): word for index, word in words.items()}
        self.label2id = {word: index for index, word in self.id2label.items()}
        super().__post_init__(**kwargs)
        if self.qformer_config is not None:
            self.qformer_config.encoder_hidden_size = self.speech_config.hidden_size
            self.qformer_config.num_speech_layers = len(self.speech_layer_indices)
        self._validate()

    def _validate(self) -> None:
        _ = self.speech_layer_indices  # refuses layers that are not there
        if not 0 < self.window_seconds <= 30:
            raise MSERConfigError(f"window_seconds={self.window_seconds} must be greater than 0 and at most 30.")
        if not self.temperature > 0:
            raise MSERConfigError(f"temperature={self.temperature} must be greater than 0.")

    @property
    def num_encoder_layers(self) -> int:
        """Layers that the speech encoder has."""
        return getattr(self.speech_config, "encoder_layers", self.speech_config.num_hidden_layers)

    @property
    def speech_layer_indices(self) -> tuple[int, ...]:
        """The hidden states that the connector reads: 0 enters the first layer, n leaves the n-th."""
        if self.speech_layers == "mix":
            return tuple(range(self.num_encoder_layers + 1))
        if self.speech_layers == "last":
            return (self.num_encoder_layers,)
        layers = tuple(self.speech_layers) if isinstance(self.speech_layers, (list, tuple)) else ()
        if not layers or any(not 0 <= layer <= self.num_encoder_layers for layer in layers):
            raise MSERConfigError(
                f"speech_layers={self.speech_layers!r} is not 'mix', 'last' or a list of numbers "
                f"from 0 to {self.num_encoder_layers}."
            )
        return layers

    @property
    def frozen_layer_indices(self) -> tuple[int, ...]:
        """The hidden states that do not change in training."""
        return self.speech_layer_indices

    @property
    def labels(self) -> list[str]:
        """The model's emotion words in the order of its scores."""
        return [word for _, word in sorted((self.id2label or {}).items())]

    # `custom_pipelines` in config.json is how `pipeline(..., trust_remote_code=True)` finds the task where
    # this package is not installed. Where it is, the task is registered already, and showing the entry would
    # make `pipeline` ask for trust in code that nobody is going to download: it is hidden then.
    @property
    def custom_pipelines(self) -> dict[str, Any]:
        """Tasks that only the checkpoint's own code offers."""
        pipelines = sys.modules.get("transformers.pipelines")
        known = pipelines.PIPELINE_REGISTRY.supported_tasks if pipelines else {}
        return {task: entry for task, entry in self.__dict__.get("_pipelines", {}).items() if task not in known}

    @custom_pipelines.setter
    def custom_pipelines(self, tasks: dict[str, Any]) -> None:
        self.__dict__["_pipelines"] = dict(tasks)

    def to_dict(self) -> dict[str, Any]:
        """As any config's, with all pipelines that the checkpoint carries, hidden ones too."""
        output = super().to_dict()
        pipelines = output.pop("_pipelines", None)
        if pipelines:
            output["custom_pipelines"] = pipelines
        return output


@strict
class MSERConfig(SpeechEmotionConfig):
    r"""
    Configuration of [`MSERForEmotionGeneration`]: a speech encoder, an Emotion Q-Former and a causal LLM.

    Args:
        speech_config (`PreTrainedConfig` or `dict`, *optional*):
            The Whisper model whose encoder listens.
        qformer_config (`EmotionQFormerConfig` or `dict`, *optional*):
            The connector.
        text_config (`PreTrainedConfig` or `dict`, *optional*):
            The causal language model that answers; any `AutoModelForCausalLM`.
        speech_layers (`str` or `list[int]`, *optional*, defaults to `"mix"`):
            What the connector reads: `"mix"` (a learned mixture of all encoder layers), `"last"` (the
            paper's form) or a list of layers to mix (0 is the input of the first layer, n the output of layer n).
        pad_to_30s (`bool`, *optional*, defaults to `False`):
            Whether the encoder runs over 30 s of padding, as Whisper was trained, or over the audio alone.
        prompt (`str`, *optional*):
            The instruction. `{audio}` is where the speech goes, `{labels}` becomes the list of candidates.
        prompt_ids (`list[int]`, *optional*):
            The tokenised prompt, one `audio_token_id` per query; what is stored is what was trained.
        candidate_ids (`list[list[int]]`, *optional*):
            The tokenised answer of each label, in the order of `id2label`.
        audio_token_id (`int`, *optional*, defaults to 0):
            The placeholder that speech tokens replace; it may lie outside the LLM's vocabulary.
        score_normalization (`str`, *optional*, defaults to `"sum"`):
            How a candidate's log-likelihood is compared with another's: `"sum"` as it is, `"mean"` per
            token, `"prior"` minus its log-likelihood without any speech.
        temperature (`float`, *optional*, defaults to 1.0):
            Divides the scores before they become probabilities (calibration).
        window_seconds (`float`, *optional*, defaults to 30.0):
            The longest stretch that the pipeline reads in one piece; longer audio is cut into windows.
        freeze_speech (`bool`, *optional*, defaults to `True`):
            Whether the encoder is frozen, as in the paper.
        label_bias (`list[float]`, *optional*):
            What is added to each label's score: adaptation makes labels more likely that it heard too rarely.
        label_weights (`list[list[float]]`, *optional*):
            What the linear readings are multiplied by before they are added, too; adaptation moves it.
        label_clouds (`dict`, *optional*):
            Where the readings of each label's clips lie in the training recordings (see `hf_mser.label_clouds`).
        freeze_text (`bool`, *optional*, defaults to `True`):
            Whether the LLM is frozen, as in the paper.
        backbones (`dict`, *optional*):
            `{"speech": {"id", "revision", "sha256"}, "text": {...}}`: where the frozen parts came from.
        connector_only (`bool`, *optional*, defaults to `False`):
            Whether this checkpoint's file holds the connector alone.
        packed (`bool`, *optional*, defaults to `False`):
            Whether this checkpoint's file holds matrices as 8-bit integers.

    Example:

    ```python
    >>> from hf_mser import MSERConfig

    >>> config = MSERConfig()
    >>> config.id2label[1], config.speech_layers
    ('happy', 'mix')

    ```"""

    model_type = "mser"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "speech_config": SubConfigSpec(config_class=AutoConfig, model_type="whisper"),
        "qformer_config": EmotionQFormerConfig,
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama"),
    }

    text_config: Any = None
    pad_to_30s: bool = False  # [ours]

    # The paper does not print its prompt; it says one word from a closed list [ours].
    prompt: str = (
        "{audio}\nWhich emotion does the speaker express? Answer with one word from this list: {labels}.\nAnswer:"
    )
    prompt_ids: list[int] | None = None
    candidate_ids: list[list[int]] | None = None
    audio_token_id: int = 0
    score_normalization: str = "sum"  # [ours]
    label_bias: list[float] | None = None  # [ours]
    label_weights: list[list[float]] | None = None  # [ours]
    label_clouds: dict[str, Any] | None = None  # [ours]
    freeze_text: bool = True  # [paper]

    def _validate(self) -> None:
        super()._validate()
        if self.score_normalization not in SCORE_NORMALIZATIONS:
            raise MSERConfigError(
                f"score_normalization={self.score_normalization!r} is unknown; use one of {SCORE_NORMALIZATIONS}."
            )
        if self.prompt.count("{audio}") != 1:
            raise MSERConfigError(f"The prompt must hold {{audio}} exactly once, but is {self.prompt!r}.")
        voices = self.qformer_config.num_voices
        if voices not in (1, 2):
            raise MSERConfigError(f"num_voices={voices} must be 1 or 2.")
        if voices == 2 and not self.qformer_config.num_statistics_tokens:
            raise MSERConfigError("num_voices=2 needs num_statistics_tokens: statistics tell voices apart.")
        if self.label_bias is not None and len(self.label_bias) != len(self.labels):
            raise MSERConfigError(
                f"label_bias has {len(self.label_bias)} entries for {len(self.labels)} labels in id2label."
            )
        if self.qformer_config.num_readings and not self.qformer_config.num_statistics_tokens:
            raise MSERConfigError("num_readings needs num_statistics_tokens: statistics are what is read.")
        if self.qformer_config.num_speaker_traits and not self.qformer_config.num_readings:
            raise MSERConfigError(
                "num_speaker_traits needs num_readings: these are what differs from speaker to speaker."
            )
        if self.qformer_config.num_speakers and not self.qformer_config.num_speaker_traits:
            raise MSERConfigError("num_speakers needs num_speaker_traits: they tell who speaks.")
        if self.label_weights is not None:
            read = self.qformer_config.num_readings + self.qformer_config.num_own_readings
            if len(self.label_weights) != len(self.labels) or any(len(row) != read for row in self.label_weights):
                raise MSERConfigError(
                    f"label_weights must hold a row for each of {len(self.labels)} labels, as long as num_readings and "
                    f"num_own_readings together ({read})."
                )
        if self.candidate_ids is not None and len(self.candidate_ids) != len(self.labels):
            raise MSERConfigError(
                f"candidate_ids has {len(self.candidate_ids)} entries for {len(self.labels)} labels in id2label."
            )

    def label_places(self, candidates: list[list[int]]) -> list[int] | None:
        """Which labels these answers (token ids) are; None if one of them is another word."""
        places = {tuple(ids): place for place, ids in enumerate(self.candidate_ids or [])}
        found = [places.get(tuple(ids)) for ids in candidates]
        return None if None in found else [place for place in found if place is not None]

    def set_words(self, tokenizer: Any) -> None:
        """Tokenise the prompt and the labels with the LLM's tokenizer, and keep the ids."""
        self.audio_token_id = reserve_audio_token(tokenizer)
        count = self.qformer_config.num_speech_tokens
        self.prompt_ids = prompt_ids(tokenizer, self.prompt, self.labels, self.audio_token_id, count)
        self.candidate_ids = candidate_ids(tokenizer, self.prompt, self.labels)
