"""Runs side by side give what they give one after the other; what is finished is kept, and known again."""

import enum
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import psutil
import pytest
import scipy.sparse
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from sslbook import parallel
from sslbook.parallel import Cost, NotProvable, Outcome, Run, RunError, Store, map_all, measure, run_all
from sslbook.runs import Digests

ROOT = Path(__file__).parents[1]


def on(processes):
    return joblib.parallel_config(n_jobs=processes)


def named(call, count, *prefix):
    return [Run((*prefix, i), partial(call, i)) for i in range(count)]


def values(outcomes):
    return [outcome.value for outcome in outcomes]


def global_noise(i):
    return torch.randn(3).tolist(), np.random.rand(), __import__("random").random()  # noqa: NPY002


def program(text, *arguments):
    """A program of its own, as a reader's notebook is one."""
    return [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)]


def script(text, *arguments):
    done = subprocess.run(program(text, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---------------------------------------------------------------------------------------------------- processes


def test_runs_go_to_processes_and_come_back_in_order():
    with on(2):
        found = map_all(lambda i: (i, os.getpid(), time.sleep(0.05)), range(8))
    assert [i for i, *_ in found] == list(range(8))
    pids = {pid for _, pid, _ in found}
    assert len(pids) == 2 and os.getpid() not in pids


def test_the_pool_stays_warm():
    with on(2):
        pids = [{pid for pid, _ in map_all(lambda i: (os.getpid(), time.sleep(0.05)), range(6))} for _ in range(2)]
    assert pids[0] == pids[1]


@pytest.mark.parametrize("processes, count", [(1, 4), (2, 1)])
def test_one_process_or_one_run_stays_here(processes, count):
    with on(processes):
        assert set(map_all(lambda i: os.getpid(), range(count))) == {os.getpid()}


def test_a_graphics_card_is_used_from_this_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert parallel.workers() == 1
    with on(2):
        assert set(map_all(lambda i: os.getpid(), range(3))) == {os.getpid()}


def test_the_number_of_processes_is_that_of_the_cores(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert parallel.workers() == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_has_one_thread(processes):
    def threads(i):
        from threadpoolctl import threadpool_info

        return torch.get_num_threads(), {pool["num_threads"] for pool in threadpool_info()}

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with on(processes):
            assert all(found == (1, {1}) for found in map_all(threads, range(2)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_closures_over_arrays_networks_and_local_functions():
    table, net = np.arange(50_000.0).reshape(500, 100), nn.Linear(100, 300).to(memory_format=torch.preserve_format)
    image = torch.rand(2, 3, 8, 8).to(memory_format=torch.channels_last)
    half, empty, frame = torch.rand(4, 5).bfloat16(), np.empty((0, 3)), pd.DataFrame({"a": ["x", "y"]})

    def local(rows):
        return net(torch.as_tensor(rows, dtype=torch.float32)).detach()

    def work(i):
        said = local(table[i : i + 2])
        return said, image.stride(), half * i, empty, frame, table[:, ::2][i]

    here, there = [], []
    for processes, found in ((1, here), (2, there)):
        with on(processes):
            found.extend(map_all(work, range(3)))
    for a, b in zip(here, there, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[2], b[2]) and a[1] == b[1] == image.stride()
        assert b[3].shape == (0, 3) and a[4].equals(b[4]) and np.array_equal(a[5], b[5])


def test_functions_of_a_script_are_sent():
    text = """
        import joblib, numpy as np
        from dataclasses import dataclass
        from sslbook.parallel import map_all

        @dataclass
        class Found:
            mean: float

        table = np.arange(100_000.0)

        def mean(rows):
            return Found(float(rows.mean()))

        def work(i):
            return mean(table[i:])

        if __name__ == "__main__":
            with joblib.parallel_config(n_jobs=2):
                print(sum(isinstance(found, Found) for found in map_all(work, range(3))))
    """
    assert script(text) == "3"


def test_a_run_sees_nothing_of_what_another_changed():
    large, small, net = np.zeros(100_000), np.zeros(10), nn.Linear(500, 500, bias=False)
    nn.init.zeros_(net.weight)

    def change(i):
        seen = large.sum(), small.sum(), net.weight.sum().item()
        large[:], small[:] = 1, 1
        nn.init.ones_(net.weight)
        return seen

    with on(2):
        assert map_all(change, range(6)) == [(0, 0, 0)] * 6
    assert large.sum() == small.sum() == net.weight.sum().item() == 0


def test_shared_memory_is_packed_once():
    shared = np.zeros(4_000_000)

    def closure(i):
        return lambda: (shared.size, i)

    packer = parallel._Packer()
    runs = [Run(("x", i), closure(i)) for i in range(400)]
    start = time.process_time()
    task = packer.tasks(runs, range(400), None, "")
    assert time.process_time() - start < 3
    arrays = [array for i in range(400) for part in task(i)[2:4] for array in part]
    large = {id(array): array for array in arrays if array.nbytes > parallel.LARGE}
    assert len(large) == 1 and np.shares_memory(next(iter(large.values())), shared)
    assert sum(array.nbytes for array in arrays if id(array) not in large) < 5e6


def test_what_a_partial_shares_is_pickled_once():
    class Counted:
        pickled = 0

        def __getstate__(self):
            Counted.pickled += 1
            return {}

    counted = Counted()
    parallel._Packer().tasks(named(lambda i: (counted, i), 50), range(50), None, "")
    assert Counted.pickled == 1


def test_many_runs_share_large_arrays_in_little_time():
    shared = np.random.default_rng(0).random(4_000_000)
    with on(2):
        map_all(lambda i: i, range(4))  # the pool is warm
        start = time.perf_counter()
        assert map_all(lambda i: float(shared[i]), range(100)) == shared[:100].tolist()
    assert time.perf_counter() - start < 15  # a copy of 32 MB through a pipe for each takes longer


def test_what_cannot_be_sent_is_named():
    lock = threading.Lock()
    with on(2), pytest.raises(RunError, match="study · 0 failed: TypeError.*lock.*cannot be sent"):
        run_all(named(lambda i: lock, 2, "study"), "study")


def test_runs_inside_a_run_stay_in_its_process():
    def outer(i):
        return os.getpid(), set(map_all(lambda j: os.getpid(), range(2)))

    with on(2):
        assert all(inner == {pid} for pid, inner in map_all(outer, range(3)))


# --------------------------------------------------------------------------------------------------------- seeds


def test_random_numbers_go_by_the_name_of_a_run():
    runs = named(global_noise, 6, "study")
    with on(1):
        here = values(run_all(runs, "study"))
    with on(2):
        there = values(run_all(runs, "study"))
        backwards = values(run_all(runs[::-1], "study"))[::-1]
    assert here == there == backwards
    assert len({str(value) for value in here}) == 6


def test_the_callers_generators_are_as_before():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = global_noise(0)[:2]
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    with on(1):
        map_all(global_noise, range(2))
    assert global_noise(0)[:2] == expected


# --------------------------------------------------------------------------------------------------------- order


def test_the_largest_expected_run_goes_first():
    runs = [Run((g, s), lambda: None, g, s) for g, s in [("a", 1), ("a", 4), ("b", 3), ("b", 2), ("c", 1), ("a", 2)]]
    queue, seconds, order = parallel._Queue(runs, range(6)), {"a": 1.0, "b": 10.0, "c": 5.0}, []
    while (position := queue.take()) is not None:
        order.append(runs[position].name)
        queue.learn(position, Cost(runs[position].size * seconds[runs[position].group]))
    assert order == [("a", 4), ("b", 3), ("c", 1), ("b", 2), ("a", 2), ("a", 1)]


def test_of_equal_runs_the_first_goes_first():
    order = []
    with on(1):
        map_all(order.append, range(5))
    assert order == list(range(5))


def test_processes_get_their_runs_late():
    """Once it is known which group costs more, that goes first, though the other looks larger."""

    def work(seconds):
        start, since = time.time(), time.process_time()
        while time.process_time() - since < seconds:
            pass
        return start

    runs = [Run(("dear", i), partial(work, 0.15), "dear") for i in range(5)]
    runs += [Run(("cheap", i), partial(work, 0.02), "cheap", 2) for i in range(12)]
    with on(2):
        starts = values(run_all(runs, "order"))
    assert sum(start < max(starts[:5]) for start in starts[5:]) <= 6


# ------------------------------------------------------------------------------------------------------ progress


def test_one_bar_and_a_line_about_the_store(tmp_path, capsys):
    runs = named(lambda i: i, 4, "study")
    with on(2):
        run_all(runs[:3], "study", tmp_path)
        assert capsys.readouterr().out == ""
        outcomes = run_all(runs, "study", tmp_path)
    out, err = capsys.readouterr()
    assert out == "study: 3 of 4 runs taken from the store\n"
    assert "4/4" in err and "study" in err
    assert [outcome.stored for outcome in outcomes] == [True] * 3 + [False]


# --------------------------------------------------------------------------------------------------------- store

STORED = [
    None, True, 3, 10**30, 0.1, float("nan"), float("-inf"), "ä\n", [1, (2, [None])], {"a": {1: (2,)}}, {(1, "x"): 2.5},
    Cost(1.5, 2.5), (Outcome([1], Cost(1.0, 2.0)),),
]  # fmt: skip


@pytest.mark.parametrize("value", STORED, ids=repr)
def test_values_come_back_from_the_store(tmp_path, value):
    store = Store(tmp_path / "new")
    store.write("k", Outcome(value, Cost(1.0, 2.0)))
    outcome = store.read("k")
    assert repr(outcome.value) == repr(value) and outcome.cost == Cost(1.0, 2.0) and outcome.stored
    assert store.has("k") and len(store) == 1
    store.empty()
    assert len(store) == 0 and store.read("k") is None and not list(store.folder.iterdir())


@pytest.mark.parametrize(
    "array",
    [np.arange(6, dtype=np.int16).reshape(2, 3), np.array(["a", "bc"]), np.array("2020-01-01", "M8[D]"), np.float32(2),
     np.empty((0, 2)), np.asfortranarray(np.eye(3)), np.bool_(True)],
    ids=repr,
)  # fmt: skip
def test_arrays_come_back_from_the_store(tmp_path, array):
    store = Store(tmp_path)
    store.write("k", Outcome(array, Cost()))
    back = store.read("k").value
    assert type(back) is type(array) and back.dtype == array.dtype and back.shape == array.shape
    assert np.array_equal(back, array)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_tensors_come_back_from_the_store(tmp_path, dtype):
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    store = Store(tmp_path)
    for value in (tensor, tensor.T, tensor[0, 0]):
        store.write("k", Outcome(value, Cost()))
        assert torch.equal(store.read("k").value, value) and store.read("k").value.dtype == dtype


@pytest.mark.parametrize(
    "value",
    [np.array([None]), {1, 2}, lambda: 1, pd.DataFrame(), nn.Linear(1, 1)],
    ids=lambda value: type(value).__name__,  # an address would differ between the processes of xdist
)
def test_what_cannot_be_stored_is_returned_all_the_same(tmp_path, capsys, value):
    with on(1):
        found = run_all([Run(("x", i), lambda: value) for i in range(3)], "study", tmp_path)
    assert all(outcome.value is value for outcome in found) and len(Store(tmp_path)) == 0
    assert capsys.readouterr().out.count("cannot be stored") == 1


def test_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLBOOK_RUNS", str(tmp_path))
    assert Store().folder == tmp_path
    monkeypatch.delenv("SSLBOOK_RUNS")
    monkeypatch.setenv("SSLBOOK_DATA", str(tmp_path / "data"))
    assert Store().folder == tmp_path / "data" / "runs"


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:90] + b"xyz" + b[93:]])
def test_a_damaged_file_counts_as_absent_and_is_written_anew(tmp_path, damage):
    runs = named(lambda i: np.arange(i), 2)
    with on(1):
        run_all(runs, "study", tmp_path)
        for path in tmp_path.glob("*.npz"):
            path.write_bytes(damage(path.read_bytes()))
        assert [outcome.stored for outcome in run_all(runs, "study", tmp_path)] == [False, False]
        assert [outcome.stored for outcome in run_all(runs, "study", tmp_path)] == [True, True]


@pytest.mark.parametrize(
    "skeleton",
    ['{"kind": "dataclass", "module": "os", "name": "system", "fields": {}}', '{"kind": "call"}',
     '{"kind": "dataclass", "module": "sslbook.parallel", "name": "Store", "fields": {}}'],
)  # fmt: skip
def test_a_file_of_another_hand_makes_nothing(tmp_path, skeleton):
    text = f'{{"kind": "list", "items": [{skeleton}, 1.0, 1.0]}}'
    np.savez(tmp_path / "k.npz", np.frombuffer(text.encode(), np.uint8))
    assert Store(tmp_path).read("k") is None


def test_a_folder_that_takes_no_file_loses_nothing(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with on(2):
        assert values(run_all(named(lambda i: i, 3), "study", tmp_path / "file" / "runs")) == [0, 1, 2]
    assert capsys.readouterr().out.count("could not be kept") == 1


def test_a_full_disk_loses_nothing(tmp_path, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with on(1):
        assert values(run_all(named(lambda i: i, 3), "study", tmp_path)) == [0, 1, 2]
    assert capsys.readouterr().out.count("No space left") == 1
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_known_again_is_run_again(tmp_path, capsys):
    file = open(__file__)
    try:
        for _ in range(2):
            with on(1):
                outcomes = run_all(named(lambda i: (i, file.closed)[0], 3), "study", tmp_path)
            assert values(outcomes) == [0, 1, 2] and not any(outcome.stored for outcome in outcomes)
    finally:
        file.close()
    assert capsys.readouterr().out.count("are not kept") == 2


def test_a_name_and_a_value_make_the_key(tmp_path):
    store = Store(tmp_path)
    key = store.key(Run(("a", 1), partial(global_noise, 1)))
    assert key == store.key(Run(("a", np.int64(1)), partial(global_noise, 1), "group", 3.0))
    assert key != store.key(Run(("a", 2), partial(global_noise, 1)))
    assert key != store.key(Run(("a", 1), partial(global_noise, 2)))


# --------------------------------------------------------------------------------------------------- fingerprint


def fingerprint(*values) -> str:
    return Digests().hex(values)


def defined(text, name="f", **names):
    """An object defined as in the cell of a notebook."""
    space = {"__name__": "__main__", "np": np, "torch": torch, "nn": nn} | names
    exec(compile(textwrap.dedent(text), f"<cell {len(text)}>", "exec"), space)
    return space[name]


BASE = """
    scale, other = 2, 5

    def helper(x):
        return x * scale

    def f(x, power=2):
        return helper(x) ** power + np.sum(x)
"""


@pytest.mark.parametrize(
    "change",
    [("scale, other = 2", "scale, other = 3"), ("x * scale", "x / scale"), ("power=2", "power=3"), ("** power", "*"),
     ("np.sum", "np.mean"), ("power=2", "power=2.0"), ("power=2", "*, power=2"), ("np.sum(x)", "np.sum((x, 1))")],
    ids=str,
)  # fmt: skip
def test_a_change_of_a_notebook_function_is_seen(change):
    assert fingerprint(defined(BASE.replace(*change))) != fingerprint(defined(BASE))


@pytest.mark.parametrize(
    "text",
    ["\n\n\n" + BASE, BASE.replace("other = 2, 5", "other = 2, 6"), BASE.replace("x * scale", "x * scale  # twice")],
)
def test_what_does_not_matter_is_not_seen(text):
    assert fingerprint(defined(text)) == fingerprint(defined(BASE))


CLASS = """
    class Net(nn.Module):
        size = 3

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(3, self.size)

        @property
        def width(self):
            return 4

        def forward(self, x):
            return self.layer(x)

    f = Net()
"""


@pytest.mark.parametrize(
    "change", [("size = 3", "size = 2"), ("self.layer(x)", "-self.layer(x)"), ("return 4", "return 5"), ("(0)", "(1)")]
)
def test_a_change_of_a_notebook_class_is_seen(change):
    assert fingerprint(defined(CLASS)) == fingerprint(defined("\n" + CLASS))
    assert fingerprint(defined(CLASS)) != fingerprint(defined(CLASS.replace(*change)))


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Settings:
    rate: float
    names: tuple = ()


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def ring(value):
    first, second = {"value": value}, []
    first["next"], first["again"] = second, second
    second.append(first)
    return first


PAIRS = {
    "type": (1, 1.0),
    "bool": (1, True),
    "list": ([1, 2], (1, 2)),
    "nested": ([[1], 2], [[1, 2]]),
    "float": (0.0, -0.0),
    "dict order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "set": ({1, "a", 2}, {1, "b", 2}),
    "array": (np.arange(3), np.arange(1, 4)),
    "dtype": (np.arange(3), np.arange(3.0)),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "objects": (np.array(["a", None], object), np.array(["b", None], object)),
    "scalar": (np.float32(1), np.float64(1)),
    "tensor": (torch.ones(2), torch.zeros(2)),
    "tensor dtype": (torch.ones(2), torch.ones(2).bfloat16()),
    "network": (network(0), network(1)),
    "mode": (network(0), network(0).eval()),
    "generator": (np.random.default_rng(0), np.random.default_rng(1)),
    "torch generator": (torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)),
    "legacy": (np.random.RandomState(0), np.random.RandomState(1)),
    "dataclass": (Settings(0.1), Settings(0.2)),
    "slots": (Slotted(1), Slotted(2)),
    "enum": (Colour.RED, Colour.BLUE),
    "path": (Path("a"), Path("b")),
    "range": (range(3), range(4)),
    "slice": (slice(3), slice(4)),
    "np.dtype": (np.dtype("f4"), np.dtype("f8")),
    "torch.dtype": (torch.float32, torch.float64),
    "frame": (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]})),
    "columns": (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]})),
    "series": (pd.Series(["a", "b"]), pd.Series(["a", "c"])),
    "category": (pd.Series(["a"], dtype="category"), pd.Series(["a"])),
    "index": (pd.Index([1, 2]), pd.Index([1, 3])),
    "sparse": (scipy.sparse.eye(3, format="csr"), 2 * scipy.sparse.eye(3, format="csr")),
    "estimator": (LogisticRegression(C=1.0), LogisticRegression(C=2.0)),
    "partial": (partial(min, 1), partial(min, 2)),
    "method": ("ab".upper, "ac".upper),
    "own method": (Store("a").read, Store("b").read),
    "builtin": (min, max),
    "ufunc": (np.add, np.multiply),
    "package": (torch.relu, torch.sigmoid),
    "class": (nn.Linear, nn.Conv2d),
    "own": (measure, map_all),
    "module": (np, torch),
    "lambda": (lambda x: x + 1, lambda x: x + 2),
    "cell": ((lambda a: lambda: a)(1), (lambda a: lambda: a)(2)),
    "ring": (ring(1), ring(2)),
    "None": (None, "None"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_are_told_apart(name):
    import copy

    first, second = PAIRS[name]
    assert fingerprint(first) != fingerprint(second)
    again = first if name in ("module", "torch generator") else copy.deepcopy(first)
    assert fingerprint(again) == fingerprint(first)


def test_all_values_in_another_process():
    text = "import sys\nfrom tests.test_parallel import PAIRS, fingerprint\nprint(fingerprint(list(PAIRS.values())))"
    assert script(text) == fingerprint(list(PAIRS.values()))


def test_a_notebook_function_in_two_processes():
    text = """
        import torch, numpy as np
        from dataclasses import dataclass, field
        from sslbook import parallel, runs
        runs._own_source = lambda: "as now"  # somebody may edit the package meanwhile
        @dataclass
        class Settings:
            rate: float = 0.1
            names: list = field(default_factory=list)
        table = np.arange(9)
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def work(names={"b", "a", "c"}): return even(3), table, Settings(), torch.nn.functional.relu, {*names}
        print(parallel.Store("x").key(parallel.Run(("a", 1), work)))
    """
    first, second = script(text), script("x = 1\n" + textwrap.dedent(text))
    assert first == second and len(first) == 40


def test_from_where_one_comes_does_not_matter():
    text = "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\npair = even, odd"
    even, odd = defined(text, "pair")
    digests = Digests()
    digests.hex(even)
    assert digests.hex(odd) == Digests().hex(odd)


def test_a_cached_property_does_not_matter():
    class Cached:
        @cached_property
        def total(self):
            return 3

    value = Cached()
    before = fingerprint(value)
    assert value.total == 3 and fingerprint(value) == before


def test_a_module_of_ones_own_counts_by_its_source(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_helpers.py").write_text("def g(): return 1\n")
    by_name, inside = "import my_helpers\ndef f(): return my_helpers.g()", "def f():\n import my_helpers\n return 1"
    before = [fingerprint(defined(text)) for text in (by_name, inside)]
    (tmp_path / "my_helpers.py").write_text("def g(): return 2\n")
    after = [fingerprint(defined(text)) for text in (by_name, inside)]
    assert before[0] != after[0] and before[1] != after[1]


@pytest.mark.parametrize("value", [threading.Lock(), (i for i in range(3)), sys.stdout.buffer], ids=type)
def test_what_cannot_be_digested_is_said(value):
    with pytest.raises(NotProvable, match="cannot be digested"):
        fingerprint([1, value])


def test_many_runs_digest_a_shared_array_once(tmp_path):
    shared = np.zeros(10_000_000)
    digests, store = Digests(), Store(tmp_path)
    start = time.process_time()
    keys = {store.key(run, digests) for run in named(lambda i: shared[i], 400)}
    assert len(keys) == 400 and time.process_time() - start < 5  # once is 0.1 seconds, 400 times a minute


# -------------------------------------------------------------------------------------------------------- errors


class Odd(Exception):
    def __init__(self, a, b):  # cannot be unpickled
        super().__init__(f"{a} and {b}")


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_names_the_run_and_has_its_cause(tmp_path, processes):
    def fail(i):
        if i == 3:
            raise KeyError("nothing there")
        if i > 3:
            time.sleep(1)  # the news of the error is quicker than that on the busiest machine
        return i

    with on(processes), pytest.raises(RunError, match="study · 3 failed: KeyError: 'nothing there'") as caught:
        run_all(named(fail, 20, "study"), "study", tmp_path)
    assert isinstance(caught.value.__cause__, KeyError)
    assert 3 <= len(Store(tmp_path)) <= 5


def test_an_error_that_cannot_be_sent_is_told():
    def fail(i):
        raise Odd(1, 2)

    with on(2), pytest.raises(RunError, match="1 and 2"):
        run_all(named(fail, 3), "study")


def test_after_an_error_no_run_starts_and_those_in_flight_finish(tmp_path):
    def work(i):
        (tmp_path / f"began {i}").write_text("")
        if i == 0:
            time.sleep(0.2)
            raise ValueError("no")
        time.sleep(0.6)
        return i

    with on(2), pytest.raises(RunError, match="failed: ValueError: no"):
        run_all(named(work, 8), "study", tmp_path / "runs")
    assert len(list(tmp_path.glob("began *"))) == 2 and len(Store(tmp_path / "runs")) == 1


def test_a_killed_process_is_reported_and_replaced(tmp_path):
    def work(i):
        time.sleep(0.05)
        if i == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    with on(2):
        with pytest.raises(RunError, match=r"in flight: .*study · 5.* in the store.*memory"):
            run_all(named(work, 10, "study"), "study", tmp_path)
        assert len(Store(tmp_path)) >= 3
        assert map_all(abs, range(4)) == [0, 1, 2, 3]


def test_an_interrupt_keeps_what_is_finished(tmp_path):
    def work(i):
        time.sleep(0.2)
        return i

    timer = threading.Timer(1.5, signal.raise_signal, [signal.SIGINT])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    with on(2):
        map_all(abs, range(4))
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                run_all(named(work, 50, "study"), "study", tmp_path)
        finally:
            signal.signal(signal.SIGINT, before)
        assert 2 <= len(Store(tmp_path)) < 50
        assert map_all(abs, range(4)) == [0, 1, 2, 3]


STUDY = """
    import os, sys, time, joblib, pathlib, uuid
    from functools import partial
    from sslbook import parallel, runs
    from sslbook.parallel import Run, run_all

    runs._own_source = lambda: "as now"  # somebody may edit the package meanwhile
    folder = pathlib.Path(sys.argv[1])

    def work(i):
        time.sleep(0.1)
        (folder / f"ran-{i}-{uuid.uuid4().hex}").write_text("")
        return i

    with joblib.parallel_config(n_jobs=2):
        outcomes = run_all([Run(("study", i), partial(work, i)) for i in range(24)], "study", folder / "runs")
    print(sum(outcome.stored for outcome in outcomes), [outcome.value for outcome in outcomes] == list(range(24)))
"""


def test_a_killed_study_goes_on_where_it_ended(tmp_path):
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    study, store = subprocess.Popen(program(STUDY, tmp_path), cwd=ROOT, **silent), Store(tmp_path / "runs")
    while len(store) < 8 and study.poll() is None:
        time.sleep(0.02)
    orphans = psutil.Process(study.pid).children(recursive=True)
    study.kill()
    study.wait()
    for process in orphans:  # they would wait some minutes for work
        process.kill()
    psutil.wait_procs(orphans)
    finished, ran = len(store), len(list(tmp_path.glob("ran-*")))
    assert 8 <= finished < 24
    assert script(STUDY, tmp_path).splitlines()[-1] == f"{finished} True"
    assert len(list(tmp_path.glob("ran-*"))) - ran == 24 - finished


# --------------------------------------------------------------------------------------------------------- costs


def test_costs_are_those_of_the_process_that_ran_it():
    def work(i):
        if i == 1:
            start = time.process_time()
            while time.process_time() - start < 0.3:
                pass
        else:
            time.sleep(0.3)
        return np.ones(10_000_000 if i == 0 else 1).sum()

    for processes in (1, 2):
        with on(processes):
            costs = [outcome.cost for outcome in run_all(named(work, 2), "study")]
        assert costs[0].seconds < 0.25 < 0.3 <= costs[1].seconds < 0.6
        assert all(50 < cost.peak_mb < 5_000 for cost in costs)


def test_memory_is_that_of_the_moment():
    with measure() as cost:
        held = np.ones(20_000_000)
        time.sleep(0.1)
    before = psutil.Process().memory_info().rss / 2**20
    assert cost.peak_mb <= parallel.peak_memory_mb() + 1 and cost.peak_mb > before - held.nbytes / 2**20


# ------------------------------------------------------------------------------------------------------- cluster


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None
        ) as machines,
        distributed.Client(machines),
    ):  # fmt: skip
        yield machines


def test_a_cluster_finds_the_same_to_the_last_bit(cluster, tmp_path):
    table = np.random.default_rng(0).random((2000, 30)).astype(np.float32)
    net = nn.Sequential(nn.Linear(30, 200), nn.ReLU(), nn.Linear(200, 1))

    def fit(i):
        import copy

        model, x = copy.deepcopy(net), torch.from_numpy(table)
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
        for _ in range(5):
            loss = (model(x[torch.randperm(len(x))[:256]]) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return model(x).detach().numpy(), torch.get_num_threads(), os.getpid()

    found = []
    for place in ({"n_jobs": 1}, {"n_jobs": 2}, {"backend": "dask"}):
        with joblib.parallel_config(**place):
            found.append(map_all(fit, range(6)))
    for here, there, far in zip(*found, strict=True):
        assert np.array_equal(here[0], there[0]) and np.array_equal(here[0], far[0])
        assert here[1] == there[1] == far[1] == 1
    pids = [{run[2] for run in runs} for runs in found]
    assert pids[0] == {os.getpid()} and len(pids[2]) == 2 and not pids[1] & pids[2]


def test_a_cluster_gets_shared_arrays_once(cluster, monkeypatch):
    distributed, sent, submitted = pytest.importorskip("distributed"), [], []
    scatter, submit = distributed.Client.scatter, distributed.Client.submit

    def scattering(self, arrays, **settings):
        sent.extend(array.nbytes for array in arrays)
        assert settings["broadcast"]
        return scatter(self, arrays, **settings)

    def submitting(self, function, *args, **settings):
        submitted.append(
            sum(getattr(a, "nbytes", 0) for part in args for a in (part if isinstance(part, list) else ()))
        )
        return submit(self, function, *args, **settings)

    monkeypatch.setattr(distributed.Client, "scatter", scattering)
    monkeypatch.setattr(distributed.Client, "submit", submitting)
    shared = np.arange(1_000_000.0)

    def change(i):
        seen = shared[i]
        shared[:] = -1
        return seen

    with joblib.parallel_config("dask"):
        assert map_all(change, range(20)) == list(range(20))
    assert sent == [8_000_000] and len(submitted) == 20 and max(submitted) < 10_000


def test_a_cluster_survives_the_loss_of_a_worker(cluster, tmp_path):
    shared = np.arange(500_000.0)

    def work(i):
        time.sleep(0.05)
        if i == 4 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return shared[i]

    with joblib.parallel_config("dask"):
        assert map_all(work, range(12)) == list(range(12))
    assert (tmp_path / "killed").exists()


def test_a_cluster_reports_the_run_that_fails(cluster, tmp_path):
    def fail(i):
        return 1 // (i - 3)

    with joblib.parallel_config("dask"), pytest.raises(RunError, match="study · 3 failed: ZeroDivisionError"):
        run_all(named(fail, 9, "study"), "study", tmp_path)
    assert len(Store(tmp_path)) >= 2


def test_a_cluster_reports_the_run_that_kills_its_workers(cluster):
    def kill(i):
        if i == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with joblib.parallel_config("dask"), pytest.raises(RunError, match="KilledWorker.*study · 1"):
        run_all(named(kill, 3, "study"), "study")
