"""A tokenizer and a small LLaMA that knows one thing: which words mean which emotion.

Its lessons are text alone. Where the speech will stand it reads words of emotions in some proportion, and it
answers with a word for one of them, as often as the proportion says: the emotion's own name most often, each
synonym as often as any other emotion's, so that scores of different words can be compared. Then it is frozen.
"""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ...emotions import EMOTIONS, SYNONYMS
from ...prompting import AUDIO_TOKEN
from .recipe import DecoderRecipe

UNDECIDED = ("unclear", "mixed")
OTHER_WORDS = """
the speaker sounds emotion voice speech which does this with and is a of list word answer one bored tired excited
curious proud ashamed guilty lonely hopeful jealous relieved confused shy serious sarcastic tender loving content
frustrated disappointed nervous tense relaxed contempt sleepy
"""


def new_tokenizer(prompt: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE: emotion words are one token, and every other word in any script can be spelled."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=["<s>", "</s>", "<pad>", AUDIO_TOKEN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=1,
        show_progress=False,
    )
    emotion_words = [word for words in SYNONYMS.values() for word in words] + list(UNDECIDED)
    spoken = prompt.replace("{audio}", "").split()
    # Words follow the prompt, so each is learned with the space before it.
    tokenizer.train_from_iterator(
        [f" {word}" for word in emotion_words] * 50 + [f" {word}" for word in (*OTHER_WORDS.split(), *spoken)] * 20,
        trainer,
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=[AUDIO_TOKEN],
        clean_up_tokenization_spaces=False,
    )


def answers(recipe: DecoderRecipe) -> list[dict[str, float]]:
    """For each emotion the words that name it, and how often the decoder shall say each."""
    shares = []
    for emotion in EMOTIONS:
        name, *synonyms = SYNONYMS[emotion]
        words = {name: recipe.canonical_share, **dict.fromkeys(synonyms, recipe.synonym_share)}
        rest = (1.0 - sum(words.values())) / len(UNDECIDED)
        shares.append({**words, **dict.fromkeys(UNDECIDED, rest)})
    return shares


def first_token_shares(recipe: DecoderRecipe, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """`answers` as a distribution over the first token: (emotions, vocabulary)."""
    shares = torch.zeros(len(EMOTIONS), len(tokenizer))
    for row, words in enumerate(answers(recipe)):
        for word, share in words.items():
            shares[row, _spell(tokenizer, word)[0]] += share
    return shares


def teach_decoder(
    recipe: DecoderRecipe, tokenizer: PreTrainedTokenizerFast, prompt: str, slots: int, seed: int
) -> tuple[LlamaForCausalLM, float]:
    """The decoder after its lessons, and its last loss. `slots` is the number of speech tokens."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    decoder = LlamaForCausalLM(_config(recipe, tokenizer))
    lessons = _Lessons(recipe, tokenizer, prompt, slots)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=recipe.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    losses = []
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            rise = min(1.0, (step + 1) / 100)
            group["lr"] = recipe.learning_rate * rise * (0.01 + 0.5 * (1 + np.cos(np.pi * step / recipe.steps)))
        ids, labels = lessons.batch(random)
        loss = decoder(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return decoder.eval().requires_grad_(False), float(np.mean(losses[-100:]))


def word_log_probs(decoder: LlamaForCausalLM, prefix: Tensor) -> Tensor:
    """Log-probability of every token after embedded prefixes (batch, length, width)."""
    logits = decoder(inputs_embeds=prefix, logits_to_keep=1, use_cache=False).logits[:, 0]
    return F.log_softmax(logits.float(), -1)


def _config(recipe: DecoderRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=2 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=max(1, recipe.heads // 2),
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _spell(tokenizer: PreTrainedTokenizerFast, word: str) -> list[int]:
    return tokenizer.encode(f" {word}", add_special_tokens=False)


class _Lessons:
    """Rows of `[bos, words, prompt, answer, eos]`; the loss is on the answer."""

    def __init__(self, recipe: DecoderRecipe, tokenizer: PreTrainedTokenizerFast, prompt: str, slots: int) -> None:
        self.recipe, self.tokenizer, self.slots = recipe, tokenizer, slots
        self.prompt = tokenizer.encode(prompt.replace("{audio}", ""), add_special_tokens=False)
        shares = answers(recipe)
        self.spelled = {word: _spell(tokenizer, word) for words in shares for word in words}
        self.words = [list(words) for words in shares]
        self.chances = [np.array(list(words.values())) for words in shares]
        self.heard = [[ids[0] for word in SYNONYMS[e] if len(ids := self.spelled[word]) == 1] for e in EMOTIONS]

    def batch(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        start = 1 + self.slots + len(self.prompt)
        longest = start + max(map(len, self.spelled.values())) + 1
        ids = np.full((self.recipe.batch, longest), self.tokenizer.pad_token_id)
        labels = np.full_like(ids, -100)
        for row in range(self.recipe.batch):
            slots, word = self._lesson(random)
            answer = [*self.spelled[word], self.tokenizer.eos_token_id]
            ids[row, :start] = [self.tokenizer.bos_token_id, *slots, *self.prompt]
            ids[row, start : start + len(answer)] = labels[row, start : start + len(answer)] = answer
        return torch.from_numpy(ids), torch.from_numpy(labels)

    def _lesson(self, random: np.random.Generator) -> tuple[list[int], str]:
        count = len(EMOTIONS)
        mixture = (
            random.dirichlet(np.full(count, 0.25)) if random.random() < 0.8 else np.eye(count)[random.integers(count)]
        )
        emotions = random.choice(count, self.slots, p=mixture)
        noisy = random.random() < 0.5
        slots = [
            int(random.integers(4, len(self.tokenizer)))
            if noisy and random.random() < 0.3
            else int(random.choice(self.heard[emotion]))
            for emotion in emotions
        ]
        said = random.choice(emotions)
        return slots, self.words[said][random.choice(len(self.words[said]), p=self.chances[said])]
