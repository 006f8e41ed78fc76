"""An objective that compares clips and learns something itself, as a user may register one."""

import torch
from torch import nn

from hf_mser.objectives import Objective


class LearnedScale(Objective):
    """Squared distance between the scaled similarities of clips and whether their emotions agree; the scale learns."""

    over_pairs = True
    reads = ("speech_embeds",)

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, outputs, batch):
        similarity = self.scale * torch.tanh(outputs.speech_embeds @ outputs.speech_embeds.T)
        agree = (batch["emotion_id"][:, None] == batch["emotion_id"][None, :]).to(similarity)
        loss = (similarity - agree).square().mean()
        return loss, {"loss/scaled": loss.detach()}
