"""What processes tell one another: rows of all in one tensor, with the gradient of all of them; averaged gradients.

`torch.distributed.all_gather` cuts the graph, and putting one's own slice back keeps one process' share of the
gradient alone. The function below is exact: what every process' loss says about a row is summed where the
row came from. Together with the averaging of gradients over processes, a loss over the gathered rows then
has the gradient of the same loss over one large batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.rows = len(rows)
        gathered = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        own = dist.get_rank() * context.rows
        return gradient[own : own + context.rows]


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of every process, in the order of their ranks; every process must give equally many.

    With one process it gives the rows back as they are.

    Example:
        >>> gather_rows(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    return _AllGather.apply(rows)


def average_gradients(module: nn.Module, processes: int) -> None:
    """Make the gradients of a module that no engine looks after their mean over the processes.

    With one process they stay as they are.

    Example:
        >>> average_gradients(torch.nn.Linear(2, 2), processes=1)
    """
    if processes == 1:
        return
    for weight in module.parameters():
        if weight.grad is not None:
            dist.all_reduce(weight.grad)
            weight.grad /= processes
