"""Pretraining: one loop for every objective, on Lightning Fabric (device, precision, processes, checkpoints)."""

import logging
import math
import os
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from tqdm.auto import tqdm

from sslbook.augment import to_tensor
from sslbook.diagnose import embedding_std, rankme
from sslbook.encoders import encode

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision of every run


@dataclass
class History:
    """What happened during pretraining.

    Attributes
    ----------
    epochs : one dict per epoch: epoch, loss, embedding_std (0 = collapse), rankme, seconds.
    reference : values of the loss to read the curve against (chance, floor, collapse).
    images_per_epoch : cases seen in an epoch; the two views of a case count once.
    """

    reference: dict[str, float]
    images_per_epoch: int
    epochs: list[dict[str, float]] = field(default_factory=list)

    @property
    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.epochs).set_index("epoch")

    @property
    def seconds(self) -> float:
        return float(sum(row["seconds"] for row in self.epochs))

    @property
    def images_per_second(self) -> float:
        """Median over epochs, so that one disturbed epoch does not count."""
        return self.images_per_epoch / float(np.median([row["seconds"] for row in self.epochs]))

    @property
    def collapsed(self) -> bool:
        """True when the features of the last epoch all but coincide or use only one direction."""
        return self.epochs[-1]["embedding_std"] < 0.01 or self.epochs[-1]["rankme"] < 1.5


def default_precision(pictures: bool = True) -> str:
    """bfloat16 where the hardware computes in it, else float32 (bfloat16 that is emulated is slower).

    Rows of a table and histories take float32: their matrices are small, and a recurrent network is slower in bfloat16.
    """
    if not pictures:
        return "32-true"
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "16-mixed"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16-mixed" if supported() else "32-true"


def pretrain(
    objective: nn.Module,
    cases: np.ndarray,
    epochs: int = 40,
    batch_size: int = 256,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-4,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    on_epoch: Callable[[History], None] | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    precision: str | None = None,
) -> History:
    """Train an objective on unlabelled cases; its encoder is changed in place.

    AdamW with a one-cycle learning rate. Everything random follows from ``seed`` and the epoch's number, so a run that
    is interrupted and called again with the same ``checkpoint`` gives the result of an uninterrupted one.

    Parameters
    ----------
    objective : module of ``sslbook.pretext``; ``objective.encoder`` is what you keep.
    cases : what the encoder reads: pictures, uint8 (n, height, width, channels); rows of a table, float32 (n, columns);
        histories of events, int16 (n, length, fields).
    learning_rate : peak of the cycle.
    checkpoint : file that is written after every epoch and resumed from when it exists.
    on_epoch : called with the history after every epoch, for a live curve.
    accelerator, devices, strategy, precision : as in ``lightning_fabric.Fabric``; precision None takes
        ``default_precision()``. With several devices, run it from a script: each process takes its share of every
        batch, and embeddings are gathered before the loss, so that the number of negatives does not depend on it.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If there are fewer than two cases, the loss is not finite, or the checkpoint is damaged or belongs to other
        settings.
    """
    if len(cases) < 2:
        raise ValueError(f"pretraining needs at least 2 cases, there are {len(cases)}; give it more.")
    batch_size = min(batch_size, len(cases))
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        precision=precision or default_precision(cases.dtype == np.uint8),
    )
    fabric.launch()
    batch_size -= batch_size % fabric.world_size  # processes can only gather shares of one size
    steps = len(cases) // batch_size
    history = History(objective.reference_values(batch_size), images_per_epoch=steps * batch_size)
    optimizer = torch.optim.AdamW(objective.parameters(), learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * steps)
    settings = {
        **describe(objective), "cases": (len(cases), zlib.crc32(np.ascontiguousarray(cases))), "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "weight_decay": weight_decay, "seed": seed,
    }  # fmt: skip
    if checkpoint is not None and Path(checkpoint).exists():
        load_checkpoint(Path(checkpoint), objective, optimizer, schedule, history, settings)
    model, optimizer = fabric.setup(objective, optimizer)
    pool = to_tensor(cases, fabric.device)
    most = min(512, max(64, 2**22 // cases[0].size))  # of large pictures fewer: the monitor must stay cheap
    probe = cases[:: max(1, len(cases) // most)][:most]
    bar = tqdm(total=epochs, initial=len(history.epochs), desc=settings["objective"], unit="epoch",
               disable=not fabric.is_global_zero)  # fmt: skip
    for epoch in range(len(history.epochs), epochs):
        start = time.perf_counter()
        loss = train_epoch(fabric, model, objective, optimizer, schedule, pool, batch_size, seed, epoch)
        seconds = time.perf_counter() - start
        features = encode(objective.encoder, probe)
        history.epochs.append(
            {"epoch": epoch + 1, "loss": loss, "embedding_std": embedding_std(features),
             "rankme": rankme(features), "seconds": seconds}
        )  # fmt: skip
        if checkpoint is not None and fabric.is_global_zero:
            save_checkpoint(Path(checkpoint), objective, optimizer, schedule, history, settings)
        bar.update()
        bar.set_postfix(loss=f"{loss:.3f}")
        if on_epoch is not None and fabric.is_global_zero:
            on_epoch(history)
    bar.close()
    objective.eval()
    return history


def train_epoch(
    fabric: Fabric,
    model: nn.Module,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    pool: Tensor,
    batch_size: int,
    seed: int,
    epoch: int,
) -> float:
    """One pass over the cases (the last incomplete batch is left out); returns the mean loss."""
    shuffle = torch.Generator().manual_seed(seed * 100_003 + epoch)
    order = torch.randperm(len(pool), generator=shuffle)
    if hasattr(objective, "arrange"):
        order = objective.arrange(order, pool, batch_size)
    order = order.to(pool.device)
    views = torch.Generator(pool.device).manual_seed((seed * 100_003 + epoch) * 1_009 + fabric.global_rank)
    objective.train()
    total, steps = 0.0, len(pool) // batch_size
    for step in range(steps):
        batch = order[step * batch_size : (step + 1) * batch_size]
        share = batch[fabric.global_rank :: fabric.world_size]
        # Fabric's wrapper guards backward with a flag that threads would share: only several processes go through it.
        with fabric.autocast():
            outputs = (model if fabric.world_size > 1 else objective)(pool[share], views)
        if fabric.world_size > 1:
            outputs = tuple(fabric.all_gather(out, sync_grads=True).flatten(0, 1) for out in outputs)
        loss = objective.loss(*outputs)
        if not math.isfinite(loss.item()):
            raise ValueError(f"the loss is {loss.item()} in epoch {epoch + 1}: lower the learning rate.")
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        schedule.step()
        total += loss.item()
    return total / steps


def describe(objective: nn.Module) -> dict[str, str | int]:
    """What tells one objective from another: its kind, settings (the augmentation, ...), encoder and parts, if any."""
    own = {name: str(value) for name, value in vars(objective).items() if name[0] != "_" and name != "training"}
    own |= {name: zlib.crc32(value.cpu().numpy()) for name, value in objective.named_buffers(recurse=False)}
    if hasattr(objective, "parts"):
        own["parts"] = str([describe(part) for part in objective.parts])
    return {"objective": type(objective).__name__, "encoder": str(objective.encoder), **own}


def save_checkpoint(path: Path, objective, optimizer, schedule, history: History, settings: dict) -> None:
    """Write the state of a run; a kill in the middle leaves the previous checkpoint intact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {
        "objective": objective.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
        "epochs": history.epochs, "settings": settings,
    }  # fmt: skip
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path, objective, optimizer, schedule, history: History, settings: dict) -> None:
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
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    history.epochs.extend(state["epochs"])


def side_by_side(function: Callable, items: Iterable) -> list:
    """Map over independent items, one single-threaded worker per core; one after the other on a graphics card.

    Small networks cannot keep two cores busy with one batch; two of them can.
    """
    threads = torch.get_num_threads()
    workers = 1 if torch.cuda.is_available() else threads
    try:
        with (
            threadpool_limits(1, "blas"),
            ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,)) as pool,
        ):
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)
