"""How the student's weights learn: matrices by Muon, all else by AdamW, in float32 behind a working copy in bfloat16.

Muon makes every direction of a matrix' step equally long. The student answers spectra and states whose dimensions
go together closely; there it comes as close in a few hundred steps as AdamW alone does in a thousand.
"""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from .recipe import EncoderRecipe, TinyRecipeError

Module = TypeVar("Module", bound=nn.Module)
LARGEST_GRADIENT = 1.0
VECTOR_RATE = 0.5  # of the learning rate: biases and norms


class Learner(Generic[Module]):
    """The weights that learn (`master`), the copy that works with them (`working`), and the optimizers.

    Args:
        module: what learns; parameters that need no gradient stay as they are.
        recipe: the learning rate and the weight decay.

    Example:
        >>> learner = Learner(nn.Linear(4, 4), EncoderRecipe(learning_rate=0.1))
        >>> module = learner.ready()
        >>> module(torch.ones(1, 4).bfloat16()).sum().backward()
        >>> learner.learn(0.1)
    """

    def __init__(self, module: Module, recipe: EncoderRecipe) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise TinyRecipeError(
                f"The distillation needs torch 2.9 or later (torch.optim.Muon), not {torch.__version__}."
            )
        self.master = module
        self.working = copy.deepcopy(module).bfloat16()
        pairs = zip(module.parameters(), self.working.parameters(), strict=True)
        self._pairs = [(learns, works) for learns, works in pairs if learns.requires_grad]
        # A convolution is a matrix too: from all that it sees at once to what it says. The view shares its memory.
        self._matrices = {learns: nn.Parameter(learns.data.flatten(1)) for learns, _ in self._pairs if learns.ndim > 1}
        vectors = [learns for learns, _ in self._pairs if learns not in self._matrices]
        self._optimizers: dict[str, tuple[torch.optim.Optimizer, float]] = {
            "matrices": (
                torch.optim.Muon(
                    list(self._matrices.values()), weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
                ),
                1.0,
            ),
            "vectors": (torch.optim.AdamW(vectors, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)), VECTOR_RATE),
        }

    def ready(self) -> Module:
        """The working copy, with the weights as they are now and no gradients."""
        with torch.no_grad():
            for learns, works in self._pairs:
                works.copy_(learns)
        self.working.zero_grad()
        return self.working

    def learn(self, rate: float) -> None:
        """One step at this learning rate, from the gradients of the working copy."""
        for learns, works in self._pairs:
            learns.grad = None if works.grad is None else works.grad.float()
        nn.utils.clip_grad_norm_([learns for learns, _ in self._pairs if learns.grad is not None], LARGEST_GRADIENT)
        for learns, matrix in self._matrices.items():
            matrix.grad = None if learns.grad is None else learns.grad.flatten(1)
        for optimizer, share in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate * share
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        states = {name: optimizer.state_dict() for name, (optimizer, _) in self._optimizers.items()}
        return {"master": self.master.state_dict(), **states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.master.load_state_dict(state["master"])
        for name, (optimizer, _) in self._optimizers.items():
            optimizer.load_state_dict(state[name])
