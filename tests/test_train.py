"""The pretraining loop: what it sees, repeats exactly, resumes after a kill, and refuses."""

import os
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sslbook import train
from sslbook.augment.views import Augment
from sslbook.encoders.features import encode
from sslbook.encoders.residual import ResNet
from sslbook.parallel import RunError
from sslbook.pretext.rotation import RotationPrediction
from sslbook.pretext.simclr import SimCLR
from sslbook.pretext.vicreg import VICReg
from sslbook.train import History, default_precision, pretrain, pretrain_all
from sslbook.worlds import imaging as imaging_world
from tests.conftest import refuses
from tests.test_parallel import on

VIEWS = Augment(area=(0.4, 1.0), flip=0.5, brightness=0.2, contrast=0.4)
CPU = {"accelerator": "cpu", "precision": "32-true"}


def stored_pictures(n: int = 64, size: int = 14) -> np.ndarray:
    """Pictures that differ in kind: stripes of some direction and width, so that there is something to learn."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    angle, width, phase = rng.uniform(0, 3, (n, 1, 1)), rng.uniform(0.5, 2, (n, 1, 1)), rng.uniform(0, 6, (n, 1, 1))
    stripes = np.sin((np.cos(angle) * x + np.sin(angle) * y) * width + phase)
    return ((stripes * 0.4 + 0.5) * 255).astype(np.uint8)[..., None]


def new_objective(kind: type = SimCLR, augment: Augment = VIEWS, width: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return kind(ResNet(width=width), augment)


def run(objective: nn.Module, images: np.ndarray | None = None, **settings) -> History:
    settings = {"epochs": 4, "batch_size": 16, **CPU, **settings}
    return pretrain(objective, stored_pictures() if images is None else images, **settings)


def assert_same_weights(a: nn.Module, b: nn.Module) -> None:
    assert a.state_dict().keys() == b.state_dict().keys()
    different = [name for name, value in a.state_dict().items() if not torch.equal(value, b.state_dict()[name])]
    assert not different


class PictureEncoder(nn.Sequential):
    reads = "pictures"


class Recorder(nn.Module):
    """An objective that writes down which pictures it is shown; the grey value of a picture is its number."""

    def __init__(self, losses: tuple[float, ...] = (1.0,)):
        super().__init__()
        self.encoder = PictureEncoder(nn.Flatten(), nn.Linear(16, 3))
        self.losses, self.batches, self.draws = losses, [], []

    def forward(self, images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor]:
        self.batches.append((images.mean(dim=(1, 2, 3)) * 255).round().int().tolist())
        self.draws.append(torch.rand(1, generator=generator).item())
        return (self.encoder(images),)

    def loss(self, z: torch.Tensor) -> torch.Tensor:
        return 0 * z.sum() + self.losses[(len(self.batches) - 1) % len(self.losses)]

    def reference_values(self, batch_size: int) -> dict[str, float]:
        return {"batch": float(batch_size)}


def numbered_pictures(n: int) -> np.ndarray:
    return np.full((n, 4, 4, 1), np.arange(n, dtype=np.uint8)[:, None, None, None])


@pytest.fixture
def trained_epochs(monkeypatch) -> list[int]:
    """Numbers of the epochs, from 0, that this process has trained."""
    epochs, train_epoch = [], train.train_epoch

    def remembering(*arguments):
        epochs.append(arguments[-1])
        return train_epoch(*arguments)

    monkeypatch.setattr(train, "train_epoch", remembering)
    return epochs


# ------------------------------------------------------------------------------------------------ what it sees


def test_an_epoch_shows_every_picture_at_most_once_in_a_new_order():
    recorder = Recorder()
    history = run(recorder, numbered_pictures(10), epochs=3, batch_size=4)
    assert [len(batch) for batch in recorder.batches] == [4] * 6
    epochs = [sum(recorder.batches[i : i + 2], []) for i in (0, 2, 4)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert history.cases_per_epoch == 8


def test_views_are_drawn_anew_in_every_step_and_epoch():
    recorder = Recorder()
    run(recorder, numbered_pictures(10), epochs=3, batch_size=4)
    assert len(set(recorder.draws)) == 6


def test_fewer_pictures_than_a_batch_make_one_smaller_batch():
    recorder = Recorder()
    history = run(recorder, numbered_pictures(5), epochs=2, batch_size=256)
    assert [len(batch) for batch in recorder.batches] == [5, 5]
    assert history.reference == {"batch": 5.0}


class Arranging(Recorder):
    """Shows the even numbers before the odd ones, and writes down what it was asked to arrange."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def arrange(self, order: torch.Tensor, pool: torch.Tensor, batch_size: int) -> torch.Tensor:
        self.asked.append((order.tolist(), len(pool), batch_size))
        return order[torch.argsort(order % 2, stable=True)]


def test_an_objective_may_arrange_the_cases_of_an_epoch():
    arranging, recorder = Arranging(), Recorder()
    for objective in (arranging, recorder):
        run(objective, numbered_pictures(12), epochs=3, batch_size=4)
    assert [asked[1:] for asked in arranging.asked] == [(12, 4)] * 3
    assert len({tuple(order) for order, *_ in arranging.asked}) == 3
    for epoch, (order, *_) in enumerate(arranging.asked):
        shown, usual = (sum(o.batches[3 * epoch : 3 * epoch + 3], []) for o in (arranging, recorder))
        assert order == usual, "it gets the random order that the cases come in otherwise"
        assert shown == [i for i in order if i % 2 == 0] + [i for i in order if i % 2]


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_pictures(n):
    with pytest.raises(ValueError, match=f"at least 2 cases, there are {n}"):
        run(new_objective(), stored_pictures(n))


def test_an_encoder_must_say_that_it_reads_pictures():
    recorder = Recorder()
    recorder.encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    with refuses("cases are bytes", "the network must say reads = 'pictures'", error=ValueError):
        run(recorder, numbered_pictures(8))


def test_the_bar_can_be_left_out(capsys):
    run(new_objective(), epochs=1)
    assert "SimCLR: 100%" in capsys.readouterr().err
    run(new_objective(), epochs=1, progress=False)
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------------------------------------ several streams


class TwoStreams(nn.Module):
    """Reads a picture and a row of numbers of every case."""

    reads = {"picture": "pictures", "row": "numbers"}

    def __init__(self):
        super().__init__()
        self.picture, self.row = nn.Linear(196, 8), nn.Linear(1, 8)

    def forward(self, cases: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.picture(cases["picture"].flatten(1)) + self.row(cases["row"])


class RowFromPicture(nn.Module):
    """The row is hidden, and is guessed from the picture."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.head, self.seen = TwoStreams(), nn.Linear(8, 1), []

    def forward(self, cases: dict[str, torch.Tensor], generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen.append((cases["picture"].mean(dim=(1, 2, 3)), cases["row"][:, 0]))
        return self.head(self.encoder(cases | {"row": torch.zeros_like(cases["row"])})), cases["row"]

    def loss(self, guess: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        return (guess - row).square().mean()

    def reference_values(self, batch_size: int) -> dict[str, float]:
        return {"guessing the mean": float(two_streams()["row"].var())}


def two_streams(n: int = 64) -> dict[str, np.ndarray]:
    """Pictures, and the brightness of each as its row."""
    light = np.random.default_rng(0).uniform(0.1, 1, (n, 1, 1, 1))
    pictures = (stored_pictures(n) * light).astype(np.uint8)
    return {"picture": pictures, "row": (pictures.mean(axis=(1, 2)) / 255).astype(np.float32)}


def test_cases_of_several_streams_stay_together_and_are_learnt_from():
    objective, cases = RowFromPicture(), two_streams()
    history = run(objective, cases, epochs=30, batch_size=16, learning_rate=1e-2)
    assert history.epochs[-1]["loss"] < 0.5 * history.reference["guessing the mean"]
    assert history.cases_per_epoch == 64 and history.epochs[-1]["embedding_std"] > 0
    assert all(torch.allclose(bright, row, atol=1e-6) for bright, row in objective.seen)
    assert encode(objective.encoder, cases).shape == (64, 8)


def test_a_checkpoint_knows_every_stream(tmp_path, trained_epochs):
    path, cases, whole = tmp_path / "run.ckpt", two_streams(), RowFromPicture()
    run(whole, cases, checkpoint=path)
    resumed = RowFromPicture()
    run(resumed, cases, checkpoint=path)
    assert len(trained_epochs) == 4
    assert_same_weights(whole, resumed)
    with pytest.raises(ValueError, match="another cases"):
        run(RowFromPicture(), cases | {"row": cases["row"] + 1}, checkpoint=path)


# -------------------------------------------------------------------------------------------------- history


def test_history_numbers():
    history = run(Recorder(losses=(1.0, 2.0)), numbered_pictures(8), epochs=3, batch_size=4)
    assert history.frame.index.tolist() == [1, 2, 3]
    assert history.frame["loss"].tolist() == [1.5, 1.5, 1.5]
    assert history.seconds == pytest.approx(history.frame["seconds"].sum())
    assert history.cpu_seconds == pytest.approx(history.frame["cpu_seconds"].sum())
    assert (history.frame[["seconds", "cpu_seconds"]] > 0).all(axis=None)
    assert history.cases_per_second == pytest.approx(8 / history.frame["seconds"].median())
    assert {"embedding_std", "rankme"} <= set(history.frame.columns)


def test_one_disturbed_epoch_does_not_change_the_throughput():
    rows = [{"epoch": i + 1, "loss": 1.0, "seconds": s, "cpu_seconds": 2 * s} for i, s in enumerate((2.0, 2.0, 50.0))]
    history = History({}, cases_per_epoch=100, epochs=rows)
    assert history.cases_per_second == 50
    assert (history.seconds, history.cpu_seconds) == (54, 108)


@pytest.mark.parametrize("kind", [SimCLR, VICReg, RotationPrediction])
def test_the_loss_falls_and_the_encoder_is_healthy(kind):
    images = imaging_world.simulate_pneumoniamnist(n_train=128).train.images
    objective = new_objective(kind, Augment(area=(0.8, 1.0), contrast=0.2), width=8)
    before = [p.clone() for p in objective.encoder.parameters()]
    history = run(objective, images, epochs=12, batch_size=32, learning_rate=1e-2)
    assert history.frame["loss"].iloc[-2:].mean() < 0.93 * history.frame["loss"].iloc[0]
    assert not history.collapsed
    assert not objective.training
    assert all(not torch.equal(a, b) for a, b in zip(before, objective.encoder.parameters(), strict=True))


class PullTogether(nn.Module):
    """Agreement without anything that prevents collapse; no batch norm that would keep features apart."""

    def __init__(self):
        super().__init__()
        self.encoder = PictureEncoder(nn.Flatten(), nn.Linear(196, 32), nn.ReLU(), nn.Linear(32, 8))

    def forward(self, images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return self.encoder(VIEWS(images, generator)), self.encoder(VIEWS(images, generator))

    def loss(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b.roll(1, dims=0)).square().mean()

    def reference_values(self, batch_size: int) -> dict[str, float]:
        return {"collapse": 0.0}


def test_a_collapsed_encoder_trips_the_monitor():
    torch.manual_seed(0)
    history = run(PullTogether(), epochs=40, batch_size=32, learning_rate=1e-2)
    assert history.epochs[0]["embedding_std"] > 0.05, "it must start healthy for the collapse to be one"
    assert history.collapsed


@pytest.mark.parametrize(
    ("std", "rank", "collapsed"),
    [(0.1, 20.0, False), (0.001, 20.0, True), (0.1, 1.01, True), (0.0, float("nan"), True)],
)
def test_either_sign_of_collapse_is_enough_and_only_the_last_epoch_counts(std, rank, collapsed):
    rows = [{"embedding_std": 0.0, "rankme": 1.0}, {"embedding_std": std, "rankme": rank}]
    assert History({}, 1, rows).collapsed is collapsed


# ---------------------------------------------------------------------------------------------- exact repeats


def test_everything_random_follows_from_the_seed():
    first, again, other = new_objective(), new_objective(), new_objective()
    histories = []
    for objective, seed, noise in ((first, 5, 1), (again, 5, 2), (other, 6, 1)):
        torch.manual_seed(noise)
        histories.append(run(objective, epochs=2, seed=seed))
    assert_same_weights(first, again)
    assert histories[0].frame["loss"].tolist() == histories[1].frame["loss"].tolist()
    assert histories[0].frame["loss"].tolist() != histories[2].frame["loss"].tolist()


def test_neighbouring_seeds_share_no_epoch():
    seen = []
    for seed in (0, 1):
        recorder = Recorder()
        run(recorder, numbered_pictures(64), epochs=3, batch_size=64, seed=seed)
        seen += [tuple(batch) for batch in recorder.batches] + recorder.draws
    assert len(set(seen)) == 12


def test_bfloat16_stays_close_to_float32():
    single, half = new_objective(), new_objective()
    exact, rounded = run(single, epochs=2), run(half, epochs=2, precision="bf16-mixed")
    assert rounded.epochs[-1]["loss"] == pytest.approx(exact.epochs[-1]["loss"], rel=0.05)
    assert all(p.dtype == torch.float32 for p in half.parameters())


def test_default_precision_runs_here():
    run(new_objective(), epochs=1, precision=None, accelerator="auto")
    assert default_precision() in {"32-true", "bf16-mixed", "16-mixed"}


# ------------------------------------------------------------------------------------------------ side by side


def planned(seeds: Iterable[int] = (1, 2), epochs: int = 3) -> dict:
    settings = {"epochs": epochs, "batch_size": 16, **CPU}
    return {("simclr", seed): partial(pretrain, new_objective(), stored_pictures(), seed=seed, **settings)
            for seed in seeds}  # fmt: skip


@pytest.mark.parametrize("processes", [1, 2])
def test_networks_trained_side_by_side_are_those_trained_one_by_one(processes):
    plan = planned()
    with on(processes):
        trained = pretrain_all(plan)
    assert list(trained) == list(plan)
    for (name, call), (objective, history) in zip(plan.items(), trained.values(), strict=True):
        assert objective is call.args[0] and not objective.training
        alone = new_objective()
        expected = run(alone, seed=name[1], epochs=3)
        assert_same_weights(objective, alone)
        assert history.reference == expected.reference and history.cases_per_epoch == expected.cases_per_epoch
        assert history.frame["loss"].tolist() == expected.frame["loss"].tolist()
        assert history.cpu_seconds > 0
    first, second = (objective for objective, _ in trained.values())
    assert not torch.equal(first.encoder.stem[0].weight, second.encoder.stem[0].weight)


def test_what_was_pretrained_is_taken_from_the_store_and_not_trained_again(tmp_path, trained_epochs):
    with on(1):
        first = pretrain_all(planned(), tmp_path)
        assert trained_epochs == [0, 1, 2] * 2
        again = pretrain_all(planned(), tmp_path)
        assert len(trained_epochs) == 6
        more = pretrain_all(planned(seeds=(1, 2, 3)), tmp_path)
        assert len(trained_epochs) == 9, "one seed is new"
        pretrain_all(planned(seeds=(1,), epochs=4), tmp_path)
        assert len(trained_epochs) == 13, "another length is another training"
    for name, (objective, history) in first.items():
        for other, same in (again[name], more[name]):
            assert_same_weights(objective, other)
            assert same.epochs == history.epochs and not other.training


def test_streams_are_sent_to_processes_and_kept(tmp_path):
    def train_both() -> dict:
        with on(2):
            return pretrain_all({seed: partial(pretrain, RowFromPicture(), two_streams(), 2, 16, seed=seed, **CPU)
                                 for seed in (0, 1)}, tmp_path)  # fmt: skip

    trained, again, alone = train_both(), train_both(), RowFromPicture()
    run(alone, two_streams(), epochs=2, seed=1)
    assert_same_weights(trained[1][0], alone)
    assert_same_weights(again[1][0], alone)
    assert again[1][1].epochs == trained[1][1].epochs


def test_a_pretraining_that_fails_is_named():
    with on(1), pytest.raises(RunError, match="pretraining · simclr · 7 failed: .* at least 2 cases, there are 1"):
        pretrain_all({("simclr", 7): partial(pretrain, new_objective(), stored_pictures(1), **CPU)})


# -------------------------------------------------------------------------------------------------- checkpoints


SCRIPT_HEAD = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import torch
from tests.test_train import *
torch.set_num_threads(1)
"""

KILLED = """
true_loss, steps = SimCLR.loss, 0


def loss(self, a, b):
    global steps
    steps += 1
    if steps == 11:  # the third of four steps of epoch 3
        print("waiting", flush=True)
        sys.stdin.read()
    return true_loss(self, a, b)


SimCLR.loss = loss
run(new_objective(), checkpoint=sys.argv[1])
"""


def script(folder: Path, body: str) -> Path:
    path = folder / "script.py"
    path.write_text(SCRIPT_HEAD + body, encoding="utf-8")
    return path


def test_resume_after_a_kill_equals_the_uninterrupted_run(tmp_path, trained_epochs):
    checkpoint = tmp_path / "folder that is not there yet" / "run.ckpt"
    child = subprocess.Popen(
        [sys.executable, script(tmp_path, KILLED), checkpoint],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    whole = new_objective()
    expected = run(whole)
    assert child.stdout.readline().strip() == "waiting"
    child.kill()  # SIGKILL: no handler, no clean-up
    assert child.wait() != 0
    child.stdin.close(), child.stdout.close()
    checkpoint.with_suffix(".partial").write_bytes(b"half a checkpoint, as a kill during a write would leave it")

    resumed = new_objective(seed=123)  # other initial weights: all of them must come from the checkpoint
    history = run(resumed, checkpoint=checkpoint)
    assert trained_epochs == [0, 1, 2, 3, 2, 3], "epochs 1 and 2 are in the checkpoint, 3 and 4 are not"
    assert_same_weights(resumed, whole)
    timed = ["seconds", "cpu_seconds"]
    assert history.frame.drop(columns=timed).equals(expected.frame.drop(columns=timed))


def test_a_finished_run_is_loaded_and_not_trained_again(tmp_path, trained_epochs):
    first, second = new_objective(), new_objective(seed=1)
    history = run(first, checkpoint=tmp_path / "run.ckpt")
    loaded = run(second, checkpoint=tmp_path / "run.ckpt")
    assert trained_epochs == [0, 1, 2, 3]
    assert_same_weights(first, second)
    assert loaded.epochs == history.epochs
    assert not second.training


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None], ids=["empty", "text", "truncated"])
def test_damaged_checkpoint(tmp_path, content):
    path = tmp_path / "run.ckpt"
    run(new_objective(), epochs=1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-2000] if content is None else content)
    with pytest.raises(ValueError, match=r"run\.ckpt.*delete it"):
        run(new_objective(), epochs=1, checkpoint=path)


def test_a_file_of_weights_only_is_no_checkpoint(tmp_path):
    torch.save(new_objective().state_dict(), tmp_path / "run.ckpt")
    with pytest.raises(ValueError, match=r"run\.ckpt.*delete it"):
        run(new_objective(), checkpoint=tmp_path / "run.ckpt")


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda path: run(new_objective(), epochs=3, checkpoint=path), "epochs"),
        (lambda path: run(new_objective(), seed=9, checkpoint=path), "seed"),
        (lambda path: run(new_objective(), batch_size=8, checkpoint=path), "batch_size"),
        (lambda path: run(new_objective(), stored_pictures(63), checkpoint=path), "cases"),
        (lambda path: run(new_objective(), stored_pictures()[::-1], checkpoint=path), "cases"),
        (lambda path: run(new_objective(VICReg), checkpoint=path), "objective"),
        (lambda path: run(new_objective(augment=Augment(noise=0.1)), checkpoint=path), "augment"),
        (lambda path: run(new_objective(width=8), checkpoint=path), "encoder"),
    ],
    ids=["epochs", "seed", "batch_size", "fewer cases", "other cases", "objective", "augment", "encoder"],
)
def test_checkpoint_of_other_settings(tmp_path, other, named):
    path = tmp_path / "run.ckpt"
    run(new_objective(), epochs=4, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"run\.ckpt.*another.*{named}.*delete it or give another file"):
        other(path)
    assert path.read_bytes() == before


# ------------------------------------------------------------------------------------------------ bad numbers


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, bad):
    recorder = Recorder(losses=(1.0, 1.0, bad, 1.0))
    with pytest.raises(ValueError, match=r"loss is (nan|inf) in epoch 2.*learning rate"):
        run(recorder, numbered_pictures(8), epochs=3, batch_size=4, checkpoint=tmp_path / "run.ckpt")
    kept = torch.load(tmp_path / "run.ckpt", weights_only=True)
    assert len(kept["epochs"]) == 1, "the last good epoch stays on disk"


# ------------------------------------------------------------------------------------------------ two processes


TWO_PROCESSES = """
if __name__ == "__main__":
    results = train_without_batch_norm(devices=2, strategy="ddp")
    uneven = Recorder()
    two = {"devices": 2, "strategy": "ddp"}
    results["uneven"] = run(uneven, numbered_pictures(7), epochs=1, **two).cases_per_epoch
    results["rotation"] = run(new_objective(RotationPrediction), epochs=2, **two).epochs[-1]["loss"]
    results["checkpoint"] = run(new_objective(), checkpoint=sys.argv[2], **two).frame["loss"].tolist()
    if torch.distributed.get_rank() == 0:
        torch.save(results, sys.argv[1])
"""


def train_without_batch_norm(**settings) -> dict:
    """Objectives whose views and statistics do not depend on how a batch is shared out."""
    results = {}
    for kind in (SimCLR, VICReg):
        torch.manual_seed(0)
        encoder = PictureEncoder(nn.Flatten(), nn.Linear(196, 16), nn.ReLU(), nn.Linear(16, 8))
        encoder.out_features = 8
        objective = kind(encoder, Augment())
        objective.projection_head = nn.Linear(8, 6)
        one_step = run(objective, epochs=1, batch_size=64, **settings)
        gradients = {name: p.grad.clone() for name, p in objective.named_parameters()}
        history = run(objective, epochs=3, batch_size=16, **settings)
        results[kind.__name__] = {
            "loss": one_step.frame["loss"].tolist() + history.frame["loss"].tolist(),
            "gradients": gradients,
            "weights": objective.state_dict(),
        }
    return results


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch has no torch.distributed")
def test_two_processes_compute_what_one_computes(tmp_path):
    out, checkpoint = tmp_path / "out.pt", tmp_path / "run.ckpt"
    child = subprocess.Popen(
        [sys.executable, script(tmp_path, TWO_PROCESSES), out, checkpoint],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    one = train_without_batch_norm()
    output = child.communicate(timeout=240)[0]
    assert child.returncode == 0, output
    two = torch.load(out, weights_only=True)
    for kind in one:
        assert two[kind]["loss"][0] == pytest.approx(one[kind]["loss"][0], rel=1e-5)
        largest = max(gradient.abs().max().item() for gradient in one[kind]["gradients"].values())
        for name, gradient in one[kind]["gradients"].items():
            torch.testing.assert_close(two[kind]["gradients"][name], gradient, rtol=1e-3, atol=1e-4 * largest)
        assert two[kind]["loss"] == pytest.approx(one[kind]["loss"], rel=1e-3)
        assert one[kind]["loss"][-1] < one[kind]["loss"][0], "equal because nothing was learnt would show nothing"
    assert two["uneven"] == 6, "both processes must get equally many pictures"
    assert 0 < two["rotation"] < 2
    resumed = run(new_objective(), checkpoint=checkpoint)
    assert resumed.frame["loss"].tolist() == two["checkpoint"], "one process writes the checkpoint, for all of them"
