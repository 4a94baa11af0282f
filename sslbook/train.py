"""Pretraining: one loop for every objective, on Lightning Fabric (device, precision, processes, checkpoints)."""

import logging
import math
import os
import time
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm.auto import tqdm

from sslbook.augment.tensors import Cases, Tensors, count, network_input, reads, take
from sslbook.diagnose import embedding_std, rankme
from sslbook.encoders import encode
from sslbook.parallel import run_all
from sslbook.runs import Run, Store

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision of every run


@dataclass
class History:
    """What happened during pretraining.

    Attributes
    ----------
    epochs : one dict per epoch: epoch, loss, embedding_std (0 = collapse), rankme, seconds, cpu_seconds.
    reference : values of the loss to read the curve against (chance, floor, collapse).
    cases_per_epoch : cases seen in an epoch; the two views of a case count once.
    """

    reference: dict[str, float]
    cases_per_epoch: int
    epochs: list[dict[str, float]] = field(default_factory=list)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per epoch."""
        return pd.DataFrame(self.epochs).set_index("epoch")

    @property
    def seconds(self) -> float:
        """Seconds on the clock, of all epochs."""
        return float(sum(row["seconds"] for row in self.epochs))

    @property
    def cpu_seconds(self) -> float:
        """Seconds of computing, of all epochs: of two busy cores, twice those on the clock."""
        return float(sum(row["cpu_seconds"] for row in self.epochs))

    @property
    def cases_per_second(self) -> float:
        """Median over epochs, so that one disturbed epoch does not count."""
        return self.cases_per_epoch / float(np.median([row["seconds"] for row in self.epochs]))

    @property
    def collapsed(self) -> bool:
        """True when the features of the last epoch all but coincide or use only one direction."""
        return self.epochs[-1]["embedding_std"] < 0.01 or self.epochs[-1]["rankme"] < 1.5


def default_precision(kind: str | Mapping[str, str] = "pictures") -> str:
    """bfloat16 for pictures and items where the hardware computes in it, else float32 (emulated, it is slower).

    Rows of a table and events take float32: their matrices are small, and a recurrent network is slower in bfloat16.
    Cases with a picture among their streams count as pictures.

    Parameters
    ----------
    kind : what is read, see ``sslbook.augment.reads``.
    """
    if not {"pictures", "items"} & set([kind] if isinstance(kind, str) else kind.values()):
        return "32-true"
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "16-mixed"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16-mixed" if supported() else "32-true"


class OneCycle:
    """AdamW with a one-cycle learning rate (Smith and Topin 2018), for so many steps.

    Parameters
    ----------
    parts : a module, or parameter groups as optimisers take them, each with an ``lr`` of its own if wanted.
    learning_rate : peak of the cycle.
    """

    def __init__(self, parts: nn.Module | list[dict], steps: int, learning_rate: float, weight_decay: float):
        parameters = parts.parameters() if isinstance(parts, nn.Module) else parts
        self.optimizer = torch.optim.AdamW(parameters, learning_rate, weight_decay=weight_decay, fused=True)
        peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, peaks, total_steps=steps)

    def step(self, loss: Tensor, backward: Callable[[Tensor], None] = Tensor.backward) -> None:
        """Go one step down the loss."""
        self.optimizer.zero_grad()
        backward(loss)
        self.optimizer.step()
        self.schedule.step()


def batches_of(n: int, steps: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of so many batches; every case is seen once before one is seen again."""
    passes = range(math.ceil(steps * batch_size / n))
    order = torch.cat([torch.randperm(n, generator=generator, device=generator.device) for _ in passes])
    return iter(order[: steps * batch_size].view(steps, batch_size))


def pretrain(
    objective: nn.Module, cases: Cases, epochs: int = 40, batch_size: int = 256, learning_rate: float = 3e-3,
    weight_decay: float = 1e-4, seed: int = 0, checkpoint: str | Path | None = None, accelerator: str = "auto",
    devices: int = 1, strategy: str = "auto", precision: str | None = None, progress: bool = True,
) -> History:  # fmt: skip
    """Train an objective on unlabelled cases; its encoder is changed in place.

    AdamW with a one-cycle learning rate. Everything random follows from ``seed`` and the epoch's number, so a run that
    is interrupted and called again with the same ``checkpoint`` gives the result of an uninterrupted one.

    Parameters
    ----------
    objective : module of ``sslbook.pretext``; ``objective.encoder`` is what you keep.
    cases : what the encoder reads: pictures, uint8 (n, height, width, channels); rows of a table, float32 (n, columns);
        histories of events, int16 (n, length, fields); or a dict of arrays, one for each stream.
    learning_rate : peak of the cycle.
    checkpoint : file that is written after every epoch and resumed from when it exists.
    accelerator, devices, strategy, precision : as in ``lightning_fabric.Fabric``; precision None takes
        ``default_precision()``. With several devices, run it from a script: each process takes its share of every
        batch, and embeddings are gathered before the loss, so that the number of negatives does not depend on it.
    progress : show a bar.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If there are fewer than two cases, the loss is not finite, or the checkpoint is damaged or belongs to other
        settings.
    """
    n = count(cases)
    if n < 2:
        raise ValueError(f"pretraining needs at least 2 cases, there are {n}; give it more.")
    batch_size = min(batch_size, n)
    fabric = Fabric(
        accelerator=accelerator, devices=devices, strategy=strategy,
        precision=precision or default_precision(reads(objective)),
    )  # fmt: skip
    fabric.launch()
    batch_size -= batch_size % fabric.world_size  # processes can only gather shares of one size
    steps = n // batch_size
    history = History(objective.reference_values(batch_size), cases_per_epoch=steps * batch_size)
    descent = OneCycle(objective, epochs * steps, learning_rate, weight_decay)
    settings = {
        **describe(objective), "cases": (n, _checksum(cases)), "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "weight_decay": weight_decay, "seed": seed,
    }  # fmt: skip
    if checkpoint is not None and Path(checkpoint).exists():
        load_checkpoint(Path(checkpoint), objective, descent, history, settings)
    model, descent.optimizer = fabric.setup(objective, descent.optimizer)
    pool, probe = network_input(objective, cases, fabric.device), _monitored(cases)
    bar = tqdm(total=epochs, initial=len(history.epochs), desc=settings["objective"], unit="epoch",
               disable=not (progress and fabric.is_global_zero))  # fmt: skip
    for epoch in range(len(history.epochs), epochs):
        start, computed = time.perf_counter(), time.process_time()
        loss = train_epoch(fabric, model, objective, descent, pool, batch_size, seed, epoch)
        row = {"epoch": epoch + 1, "loss": loss, "seconds": time.perf_counter() - start,
               "cpu_seconds": time.process_time() - computed}  # fmt: skip
        features = encode(objective.encoder, probe)
        history.epochs.append(row | {"embedding_std": embedding_std(features), "rankme": rankme(features)})
        if checkpoint is not None and fabric.is_global_zero:
            save_checkpoint(Path(checkpoint), objective, descent, history, settings)
        bar.update()
        bar.set_postfix(loss=f"{loss:.3f}")
    bar.close()
    objective.eval()
    return history


def _checksum(cases: Cases) -> int:
    parts = cases.values() if isinstance(cases, Mapping) else [cases]
    return sum(zlib.crc32(np.ascontiguousarray(part)) for part in parts)


def _monitored(cases: Cases) -> Cases:
    """The cases that the collapse monitor looks at: of large pictures fewer, as it must stay cheap."""
    first = take(cases, slice(1))
    size = sum(x.size for x in (first.values() if isinstance(first, Mapping) else [first]))
    most = min(512, max(64, 2**22 // size))
    return take(cases, slice(None, most * max(1, count(cases) // most), max(1, count(cases) // most)))


def pretrain_all(
    plan: Mapping[Hashable, partial[History]], store: Store | str | Path | None = None
) -> dict[Hashable, tuple[nn.Module, History]]:
    """Pretrain several objectives side by side, one process per core; a second call with the same plan trains on.

    Parameters
    ----------
    plan : by a name of your choice, ``partial(pretrain, objective, cases, seed=..., ...)``.
    store : folder that keeps finished pretrainings, see ``sslbook.parallel.Store``.

    Returns
    -------
    By name, the objective of the plan with its trained weights, and the History.
    """
    runs = [
        Run(("pretraining", *(name if isinstance(name, tuple) else (name,))), partial(_trained, call), group=str(name))
        for name, call in plan.items()
    ]
    trained = {}
    for (name, call), outcome in zip(plan.items(), run_all(runs, "pretraining", store), strict=True):
        state, history = outcome.value
        call.args[0].load_state_dict(state)
        trained[name] = call.args[0].eval(), history
    return trained


def _trained(call: partial[History]) -> tuple[dict[str, Tensor], History]:
    history = call(progress=False)
    return dict(call.args[0].state_dict()), history


def train_epoch(
    fabric: Fabric, model: nn.Module, objective: nn.Module, descent: OneCycle, pool: Tensors, batch_size: int,
    seed: int, epoch: int,
) -> float:  # fmt: skip
    """One pass over the cases (the last incomplete batch is left out); returns the mean loss."""
    shuffle = torch.Generator().manual_seed(seed * 100_003 + epoch)
    order = torch.randperm(count(pool), generator=shuffle)
    if hasattr(objective, "arrange"):
        order = objective.arrange(order, pool, batch_size)
    order = order.to(fabric.device)
    views = torch.Generator(fabric.device).manual_seed((seed * 100_003 + epoch) * 1_009 + fabric.global_rank)
    objective.train()
    total, steps = 0.0, count(pool) // batch_size
    for step in range(steps):
        batch = order[step * batch_size : (step + 1) * batch_size]
        share = batch[fabric.global_rank :: fabric.world_size]
        with fabric.autocast():
            outputs = model(take(pool, share), views)
        if fabric.world_size > 1:
            outputs = tuple(fabric.all_gather(out, sync_grads=True).flatten(0, 1) for out in outputs)
        loss = objective.loss(*outputs)
        if not math.isfinite(loss.item()):
            raise ValueError(f"the loss is {loss.item()} in epoch {epoch + 1}: lower the learning rate.")
        descent.step(loss, fabric.backward)
        total += loss.item()
    return total / steps


def describe(objective: nn.Module) -> dict[str, str | int]:
    """What tells one objective from another: its kind, settings (the augmentation, ...) and encoder."""
    own = {name: str(value) for name, value in vars(objective).items() if name[0] != "_" and name != "training"}
    own |= {name: zlib.crc32(value.cpu().numpy()) for name, value in objective.named_buffers(recurse=False)}
    return {"objective": type(objective).__name__, "encoder": str(objective.encoder), **own}


def save_checkpoint(path: Path, objective: nn.Module, descent: OneCycle, history: History, settings: dict) -> None:
    """Write the state of a run; a kill in the middle leaves the previous checkpoint intact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {
        "objective": objective.state_dict(), "optimizer": descent.optimizer.state_dict(),
        "schedule": descent.schedule.state_dict(), "epochs": history.epochs, "settings": settings,
    }  # fmt: skip
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path, objective: nn.Module, descent: OneCycle, history: History, settings: dict) -> None:
    """Restore what ``save_checkpoint`` wrote; raise ValueError if it is damaged or from other settings."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        written = state["settings"]
    except Exception as error:  # a damaged file raises whatever its bytes happen to spell
        raise ValueError(f"the checkpoint {path} cannot be read; delete it to start anew.") from error
    if written != settings:
        changed = [name for name in settings | written if written.get(name) != settings.get(name)]
        raise ValueError(
            f"the checkpoint {path} was written with another {', '.join(changed)}; delete it or give another file."
        )
    objective.load_state_dict(state["objective"])
    descent.optimizer.load_state_dict(state["optimizer"])
    descent.schedule.load_state_dict(state["schedule"])
    history.epochs.extend(state["epochs"])
