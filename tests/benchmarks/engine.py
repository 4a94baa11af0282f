"""What processes bring: ``python -m tests.benchmarks.engine`` fits small networks one by one, then side by side."""

import time

import joblib
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from sslbook.parallel import Run, run_all

WIDTH, STEPS, BUDGETS = 16, 60, (47, 100, 200, 400)


def block(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
    )  # fmt: skip


class ResNet(nn.Module):
    """Three residual stages and a linear head, for one-channel pictures."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, WIDTH, 2 * WIDTH, 4 * WIDTH)
        sizes = list(zip(widths, widths[1:], (1, 2, 2), strict=False))
        self.blocks = nn.ModuleList(block(*size) for size in sizes)
        self.shortcuts = nn.ModuleList(nn.Conv2d(a, b, 1, stride, bias=False) for a, b, stride in sizes)
        self.head = nn.Linear(widths[-1], 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage, shortcut in zip(self.blocks, self.shortcuts, strict=True):
            x = F.relu(stage(x) + shortcut(x))
        return self.head(x.mean((2, 3)))


def fit(pictures: np.ndarray, labels: np.ndarray, budget: int) -> float:
    model = ResNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    x = torch.from_numpy(pictures[:budget]).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(labels[:budget])
    for _ in range(STEPS):
        batch = torch.randint(budget, (64,))
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def seconds(runs: list[Run], processes: int) -> tuple[float, float, list]:
    """Seconds by the clock, CPU-seconds of the runs, and their values."""
    with joblib.parallel_config(n_jobs=processes):
        start = time.perf_counter()
        outcomes = run_all(runs, f"{processes} processes")
    clock = time.perf_counter() - start
    return clock, sum(outcome.cost.seconds for outcome in outcomes), [outcome.value for outcome in outcomes]


def main() -> None:
    rng = np.random.default_rng(0)
    pictures, labels = rng.integers(0, 256, (4000, 28, 28, 1), dtype=np.uint8), rng.integers(0, 2, 4000)
    runs = [
        Run(("fit", budget, i), lambda budget=budget: fit(pictures, labels, budget), "fit", budget)
        for i in range(3)
        for budget in BUDGETS
    ]
    seconds(runs[:2], 1)
    seconds(runs[:4], 2)  # the processes have loaded what they need
    alone, alone_cpu, first = seconds(runs, 1)
    beside, beside_cpu, second = seconds(runs, 2)
    print(f"{len(runs)} fits: {alone:.1f} s in one process, {beside:.1f} s in two: {alone / beside:.2f} times as fast")
    print(
        f"CPU-seconds of the fits: {alone_cpu:.1f} and {beside_cpu:.1f} (alike: the processes do not hinder each other)"
    )
    print(f"the same losses to the last bit: {first == second}")
    for processes in (1, 2):
        empty, *_ = seconds([Run(("empty", i), lambda: None) for i in range(300)], processes)
        print(f"an empty run in {processes} process(es): {1000 * empty / 300:.1f} ms")


if __name__ == "__main__":
    main()
