"""Independent runs side by side: one process per core or a cluster, the largest first, and none that is done twice."""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import importlib.util
import io
import json
import math
import os
import random
import sys
import tempfile
import threading
import time
import traceback
import types
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import psutil
import torch
from joblib.parallel import LokyBackend, get_active_backend
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

INSTALLED = {"site-packages", "dist-packages"}  # folders of installed packages
LARGE = 100_000  # bytes; larger arrays are mapped into the worker processes, or sent to each machine of a cluster once


@dataclass(frozen=True)
class Run:
    """One independent piece of work.

    Attributes
    ----------
    name : what errors and seeds go by, for example ("label-budget study", "simclr_probe", 47, 0, 2).
    call : a function without arguments; closures and lambdas are fine. What many runs share is sent once if it belongs
        to the ``func`` of a ``functools.partial``, or is an array or a tensor.
    group, size : for the order only: runs of one group cost alike, and more with a larger size.
    """

    name: tuple[str | int, ...]
    call: Callable[[], Any]
    group: str = ""
    size: float = 1.0


@dataclass
class Cost:
    """CPU-seconds of the process that ran it, and the largest memory of that process meanwhile, in MB."""

    seconds: float = math.nan
    peak_mb: float = math.nan


@dataclass
class Outcome:
    """What a run returned and cost; ``stored`` tells that it was taken from the store."""

    value: Any
    cost: Cost
    stored: bool = False


class RunError(RuntimeError):
    """A run failed, or the processes that ran it; the message names the run."""


class NotProvable(TypeError):
    """A value of which nobody can tell later whether it is still the same."""


def workers() -> int:
    """Number of processes: one per core (``LOKY_MAX_CPU_COUNT`` limits it), a single one with a graphics card."""
    return 1 if torch.cuda.is_available() else joblib.cpu_count()


def run_all(runs: Sequence[Run], title: str, store: Store | str | Path | None = None) -> list[Outcome]:
    """Run independent pieces of work, one single-threaded process per core, and return the outcomes in their order.

    A run must return what it has to say; what it changes in the objects it was given stays in its process. The global
    generators of Python, numpy and torch are seeded from its name. With a graphics card, one core or a single run all
    is done in this process, to the same values. Inside ``joblib.parallel_config("dask")`` the cluster does it.

    Parameters
    ----------
    title : of the progress bar, and of messages.
    store : where finished runs are kept and looked up, or its folder; None keeps none.

    Raises
    ------
    RunError
        If a run fails: those in flight are finished and stored before. Or if a process of a run is killed.
    """
    call = _Call(runs, title, Store(store) if isinstance(store, str | Path) else store)
    call.take_stored()
    backend, processes = _place()
    with tqdm(total=len(runs), initial=len(call.outcomes), desc=title, unit="run", disable=_inside.run) as call.bar:
        try:
            if backend is None or len(runs) - len(call.outcomes) == 1:
                call.run_here()
            else:
                call.run_elsewhere(backend, processes)
        finally:
            call.bar.close()
            print(*call.notes.values(), sep="\n", end="\n" if call.notes else "")
    return [call.outcomes[position] for position in range(len(runs))]


def map_all(function: Callable, items: Iterable, title: str = "runs", store: Store | str | Path | None = None) -> list:
    """Values of a function for independent items, as ``run_all`` runs them."""
    runs = [Run((title, i), functools.partial(function, item)) for i, item in enumerate(items)]
    return [outcome.value for outcome in run_all(runs, title, store)]


# ------------------------------------------------------------------------------------------------- side by side


class _Inside(threading.local):
    run = False  # whether this thread is in the middle of a run: what that runs stays in its process


_inside = _Inside()
_one_at_a_time = threading.RLock()  # the global generators belong to the process, and a dask worker may have threads


def _place() -> tuple[Any, int]:
    """The backend of joblib in force, and how many processes it offers; None and 1 stand for this process."""
    backend, n_jobs = get_active_backend()
    if _inside.run or getattr(backend, "supports_sharedmem", False):
        return None, 1
    if hasattr(backend, "client"):
        return backend, math.inf  # a cluster grows, shrinks and loses workers
    on_card = isinstance(backend, LokyBackend) and torch.cuda.is_available()
    processes = 1 if on_card else backend.effective_n_jobs(n_jobs or workers())
    return (backend, processes) if processes > 1 else (None, 1)


class _Queue:
    """The waiting runs; the one that is expected to take longest goes first, those of unknown groups before all."""

    def __init__(self, runs: Sequence[Run], waiting: Iterable[int]) -> None:
        self.runs, self.lock, self.flying = runs, threading.Lock(), set()
        self.waiting, self.seconds, self.sizes = defaultdict(list), defaultdict(float), defaultdict(float)
        for position in sorted(waiting, key=lambda i: (runs[i].size, -i)):
            self.waiting[runs[position].group].append(position)

    def expected(self, group: str) -> tuple[bool, float]:
        """Whether nothing is known of a group; seconds (else the size) of its largest waiting run."""
        size = self.runs[self.waiting[group][-1]].size
        return (False, size * self.seconds[group] / self.sizes[group]) if self.sizes[group] else (True, size)

    def take(self) -> int | None:
        with self.lock:
            groups = [group for group, waiting in self.waiting.items() if waiting]
            if not groups:
                return None
            position = self.waiting[max(groups, key=self.expected)].pop()
            self.flying.add(position)
            return position

    def learn(self, position: int, cost: Cost) -> None:
        with self.lock:
            self.seconds[self.runs[position].group] += cost.seconds
            self.sizes[self.runs[position].group] += self.runs[position].size

    def stop(self) -> None:
        with self.lock:
            self.waiting.clear()

    def __bool__(self) -> bool:
        return any(self.waiting.values())


def _by_joblib(queue: _Queue, task: Callable[[int], tuple], processes: int, **where) -> Iterator:
    """Results as they come; a task is chosen as late as can be.

    Once all processes are busy, joblib asks for as many tasks as there are processes whenever one of them is free. A
    pause after each task gives it one, so that the others are chosen when their time comes, or never after an error.
    """

    class Tasks:
        asked = 0

        def __iter__(self) -> Iterator:
            return self

        def __next__(self) -> tuple:
            self.asked += 1
            pause = self.asked > processes and (self.asked - processes) % 2 == 0
            position = None if pause else queue.take()
            if position is None:
                raise StopIteration
            return joblib.delayed(_in_worker)(*task(position))

    # Always the same settings, or joblib would replace the pool, and a call would wait for new processes.
    settings = {"batch_size": 1, "pre_dispatch": processes, "mmap_mode": "c", "max_nbytes": LARGE}
    while queue:
        with joblib.parallel_config(n_jobs=processes, **where):
            results = joblib.Parallel(return_as="generator_unordered", **settings)(Tasks())
        with closing(results):
            yield from results


def _on_dask(backend: Any, queue: _Queue, task: Callable[[int], tuple]) -> Iterator:
    """Results as they come from a dask cluster; joblib would wait for ever for a run that has killed its workers."""
    from distributed import as_completed

    client, futures = backend.client, as_completed(loop=backend.client.loop)

    def refill() -> None:
        while futures.count() < max(1, sum(client.ncores().values())):
            position = queue.take()
            if position is None:
                return
            futures.add(client.submit(_in_worker, *task(position), pure=False, **backend.submit_kwargs))

    refill()
    for future in futures:
        yield future.result()
        refill()


class _Call:
    """The state of one call of ``run_all``."""

    def __init__(self, runs: Sequence[Run], title: str, store: Store | None) -> None:
        self.runs, self.title, self.store = runs, title, store
        self.outcomes: dict[int, Outcome] = {}
        self.keys: dict[int, str] = {}
        self.notes: dict[str, str] = {}
        self.failed: tuple[int, BaseException] | None = None

    def note(self, kind: str, text: str) -> None:
        self.notes.setdefault(kind, f"{self.title}: {text}")

    def take_stored(self) -> None:
        digests = _Digests()
        for position, run in enumerate(self.runs if self.store is not None else ()):
            try:
                self.keys[position] = self.store.key(run, digests)
            except NotProvable as error:
                self.note("key", f"some runs are not kept in the store, for {error}.")
                continue
            outcome = self.store.read(self.keys[position])
            if outcome is not None:
                self.outcomes[position] = outcome
        if self.outcomes:
            self.note("stored", f"{len(self.outcomes)} of {len(self.runs)} runs taken from the store")
        self.queue = _Queue(self.runs, [i for i in range(len(self.runs)) if i not in self.outcomes])
        for position, outcome in self.outcomes.items():
            self.queue.learn(position, outcome.cost)

    def run_here(self) -> None:
        while (position := self.queue.take()) is not None:
            run = self.runs[position]
            try:
                result = _measured(run.name, run.call)
            except Exception as error:
                raise RunError(_failure(run, error)) from error
            self.finish(position, result)

    def run_elsewhere(self, backend: Any, processes: int) -> None:
        waiting = [i for i in range(len(self.runs)) if i not in self.outcomes]
        with tempfile.TemporaryDirectory(prefix="sslbook-", ignore_cleanup_errors=True) as folder:
            task = _Packer().tasks(self.runs, waiting, getattr(backend, "client", None), os.path.join(folder, "stop"))
            if hasattr(backend, "client"):
                self.collect(_on_dask(backend, self.queue, task))
            elif isinstance(backend, LokyBackend):
                self.collect(_by_joblib(self.queue, task, processes, backend="loky", inner_max_num_threads=1))
            else:
                self.collect(_by_joblib(self.queue, task, processes, backend=backend))
        if self.failed is not None:
            position, error = self.failed
            raise RunError(_failure(self.runs[position], error)) from error

    def collect(self, results: Iterator) -> None:
        try:
            with closing(results):
                for position, result in results:
                    self.finish(position, result)
        except Exception as error:
            said = f"{type(error).__name__}: {error}".partition("\n")[0]
            flying = ", ".join(" · ".join(map(str, self.runs[i].name)) for i in sorted(self.queue.flying))
            kept = "" if self.store is None else " Finished runs are in the store and will not be repeated."
            raise RunError(
                f"{self.title}: a worker process was lost ({said}) while "
                f"these runs were in flight: {flying}.{kept} The usual cause is memory: use fewer processes "
                "(LOKY_MAX_CPU_COUNT) or smaller data."
            ) from error

    def finish(self, position: int, result: tuple[Any, Cost] | Exception | None) -> None:
        self.queue.flying.discard(position)
        if result is None:  # not begun, for another run failed
            return
        if isinstance(result, Exception):
            self.failed = self.failed or (position, result)
            self.queue.stop()
            return
        self.outcomes[position] = outcome = Outcome(*result)
        self.queue.learn(position, outcome.cost)
        self.bar.update()
        if position in self.keys:
            try:
                self.store.write(self.keys[position], outcome)
            except OSError as error:
                self.note("write", f"finished runs could not be kept in {self.store.folder}: {error}.")
            except Exception as error:
                self.note("value", f"some finished runs are not kept in the store, for {error}.")


# --------------------------------------------------------------------------------------------------- one run


@contextmanager
def measure() -> Iterator[Cost]:
    """Measure what the block costs; memory is sampled every 20 milliseconds."""
    cost, process, done = Cost(), psutil.Process(), threading.Event()
    peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    start = time.process_time()
    watcher.start()
    try:
        yield cost
    finally:
        cost.seconds = time.process_time() - start
        done.set()
        watcher.join()
        cost.peak_mb = max(peak, process.memory_info().rss) / 2**20


def peak_memory_mb() -> float:
    """Largest resident memory that this process has had so far, in MB."""
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return info.peak_wset / 2**20
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@contextmanager
def _alone(name: tuple) -> Iterator[None]:
    """One thread, and global generators seeded from the name: a run gives the same wherever it is done, and when."""
    seed = int.from_bytes(hashlib.sha256("\x1f".join(map(str, name)).encode()).digest()[:4], "big")
    cards = range(torch.cuda.device_count())
    with _one_at_a_time, threadpool_limits(1), torch.random.fork_rng(cards):
        before = _inside.run, torch.get_num_threads(), random.getstate(), np.random.get_state()  # noqa: NPY002
        _inside.run = True
        torch.set_num_threads(1)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            _inside.run = before[0]
            torch.set_num_threads(before[1])
            random.setstate(before[2])
            np.random.set_state(before[3])  # noqa: NPY002


def _measured(name: tuple, call: Callable[[], Any]) -> tuple[Any, Cost]:
    with _alone(name), measure() as cost:
        value = call()
    return value, cost


def _in_worker(position: int, name: tuple, function: list[np.ndarray], arguments: list[np.ndarray], stop: str) -> tuple:
    """What a process does for a run: nothing once the file ``stop`` tells of an error in another run.

    An error comes back as a value, for joblib would stop the other processes.
    """
    if os.path.exists(stop):
        return position, None
    try:
        function, (args, keywords) = _unpacked(function), _unpacked(arguments)
        return position, _measured(name, functools.partial(function, *args, **keywords))
    except (Exception, SystemExit) as error:
        with suppress(OSError):  # on another machine, the folder is not there
            Path(stop).touch()
        return position, _portable(error)


def _portable(error: BaseException) -> Exception:
    """The error with its traceback as a note, or where it cannot be sent to another process, what it said."""
    trace = traceback.format_exc()
    try:
        error.add_note(trace)
        sent = cloudpickle.loads(cloudpickle.dumps(error))
        return sent if isinstance(sent, Exception) else RuntimeError(trace)
    except Exception:
        return RuntimeError(trace)


def _failure(run: Run, error: BaseException) -> str:
    return f"{' · '.join(map(str, run.name))} failed: {type(error).__name__}: {error}"


# ------------------------------------------------------------------------------------- sent to other processes


class _Pickler(cloudpickle.Pickler):
    """Leaves the memory of tensors where it is, as protocol 5 does for arrays."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.memmap:
            return np.asarray, (value.view(np.ndarray),)
        if type(value) is torch.Tensor and not value.requires_grad and _is_plain(value):
            return _tensor, (_tensor_bytes(value), value.dtype, tuple(value.shape))
        return super().reducer_override(value)


def _is_plain(value: torch.Tensor) -> bool:
    on_cpu = value.device.type == "cpu" and value.layout is torch.strided and not value.is_quantized
    return on_cpu and value.is_contiguous() and not value.is_conj() and not value.is_neg()


def _tensor_bytes(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().resolve_conj().contiguous().reshape(-1).view(torch.uint8).numpy()


def _tensor(array: np.ndarray, dtype: torch.dtype, shape: Sequence[int]) -> torch.Tensor:
    return torch.from_numpy(array).view(dtype).reshape(shape)


class _Packer:
    """Turns calls into arrays of bytes, each object and each piece of memory once, however many runs share it."""

    def __init__(self) -> None:
        self.packed: dict[int, tuple[Any, list[np.ndarray]]] = {}
        self.memory: dict[tuple[int, int], np.ndarray] = {}

    def pack(self, value: Any) -> list[np.ndarray]:
        if id(value) not in self.packed:
            file, buffers = io.BytesIO(), []
            _Pickler(file, 5, buffer_callback=buffers.append).dump(value)
            arrays = [np.asarray(file.getbuffer()), *(self.shared(np.asarray(b.raw())) for b in buffers)]
            self.packed[id(value)] = value, arrays  # the value too, or its id could become that of another
        return self.packed[id(value)][1]

    def shared(self, array: np.ndarray) -> np.ndarray:
        return self.memory.setdefault((array.ctypes.data, array.nbytes), array)

    def tasks(self, runs: Sequence[Run], positions: Iterable[int], client: Any, stop: str) -> Callable:
        """Maps the position of a run to the arguments of ``_in_worker``; large arrays go to a dask client at once."""
        packed = {}
        for position in positions:
            call = runs[position].call
            split = isinstance(call, functools.partial)
            function, arguments = (call.func, (call.args, call.keywords)) if split else (call, ((), {}))
            try:
                packed[position] = self.pack(function), self.pack(arguments)
            except Exception as error:
                raise RunError(f"{_failure(runs[position], error)} (it cannot be sent to a process).") from error
        if client is not None:
            self.scatter(client)
        return lambda position: (position, runs[position].name, *packed[position], stop)

    def scatter(self, client: Any) -> None:
        """Send large arrays to every machine of a dask cluster, so that none is lost with a machine."""
        lists = [arrays for _, arrays in self.packed.values()]
        large = list({id(a): a for arrays in lists for a in arrays if a.nbytes > LARGE}.values())
        sent = client.scatter(large, broadcast=True, hash=False) if large else []
        futures = dict(zip(map(id, large), sent, strict=True))
        for arrays in lists:
            arrays[:] = [futures.get(id(array), array) for array in arrays]


def _unpacked(arrays: list[np.ndarray]) -> Any:
    """Build the object anew; what a run changes in it, no other run sees: mapped memory is copied on writing."""
    first, *buffers = (array if isinstance(array, np.memmap) else _copied(array) for array in arrays)
    return cloudpickle.loads(first, buffers=buffers)


def _copied(array: np.ndarray) -> np.ndarray:
    copy = torch.empty(len(array), dtype=torch.uint8).numpy()  # aligned, as fast kernels like it
    copy[:] = array
    return copy


# ----------------------------------------------------------------------------------------------------- the store


class Store:
    """A folder of finished runs, one ``.npz`` file each: arrays, and a skeleton in JSON. Nothing is unpickled.

    Parameters
    ----------
    folder : default ``$SSLBOOK_RUNS``, or ``runs`` in the data cache.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        folder = folder or os.environ.get("SSLBOOK_RUNS")
        if not folder:
            from sslbook.data.store import cache_dir

            folder = cache_dir() / "runs"
        self.folder = Path(folder).expanduser()

    def __len__(self) -> int:
        return sum(1 for _ in self.folder.glob("*.npz"))

    def empty(self) -> None:
        """Delete all finished runs."""
        for pattern in ("*.npz", "*.partial"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def key(self, run: Run, digests: _Digests | None = None) -> str:
        """Digest of the package's source, the run's name and all that its call depends on; raises NotProvable."""
        return (digests or _Digests()).hex((_own_source(), tuple(map(str, run.name)), run.call))

    def has(self, key: str) -> bool:
        return (self.folder / f"{key}.npz").exists()

    def read(self, key: str) -> Outcome | None:
        """The outcome of a run; None where there is none, or its file is damaged."""
        try:
            with np.load(self.folder / f"{key}.npz", allow_pickle=False) as file:
                arrays = [file[f"arr_{n}"] for n in range(len(file.files))]
            value, seconds, peak_mb = _decode(json.loads(arrays[0].tobytes()), arrays)
            return Outcome(value, Cost(seconds, peak_mb), stored=True)
        except Exception:  # a damaged file raises whatever its bytes happen to spell
            return None

    def write(self, key: str, outcome: Outcome) -> None:
        """Keep an outcome; raises OSError where the folder takes no file, TypeError for a value it cannot hold."""
        arrays = [np.empty(0)]
        skeleton = _encode([outcome.value, outcome.cost.seconds, outcome.cost.peak_mb], arrays)
        arrays[0] = np.frombuffer(json.dumps(skeleton).encode(), np.uint8)
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{key}-{uuid.uuid4().hex}.partial"
        try:
            with open(partial, "wb") as file:
                np.savez(file, *arrays)
            os.replace(partial, self.folder / f"{key}.npz")
        finally:
            partial.unlink(missing_ok=True)


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """What JSON can hold of a value; its arrays are appended to ``arrays``."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple):
        return {"kind": kind.__name__, "items": [_encode(item, arrays) for item in value]}
    if kind is dict:
        return {"kind": "dict", "items": [_encode(pair, arrays) for pair in value.items()]}
    if kind in (np.ndarray, np.memmap) or isinstance(value, np.generic):
        if value.dtype.hasobject or value.dtype.kind not in "biufcSUmMV":
            raise TypeError(f"an array of {value.dtype} cannot be stored")
        arrays.append(np.asarray(value))
        return {"kind": "scalar" if isinstance(value, np.generic) else "array", "at": len(arrays) - 1}
    if kind is torch.Tensor and _is_plain(value.detach().contiguous()) and not value.requires_grad:
        arrays.append(_tensor_bytes(value))
        return {"kind": "tensor", "at": len(arrays) - 1, "dtype": str(value.dtype)[6:], "shape": list(value.shape)}
    if is_dataclass(kind) and getattr(sys.modules[kind.__module__], kind.__name__, None) is kind:
        if kind.__module__.startswith("sslbook."):
            parts = {field.name: _encode(getattr(value, field.name), arrays) for field in fields(kind)}
            return {"kind": "dataclass", "module": kind.__module__, "name": kind.__name__, "fields": parts}
    raise TypeError(f"a value of type {kind.__name__} cannot be stored")


def _decode(node: Any, arrays: list[np.ndarray]) -> Any:
    if not isinstance(node, dict):
        return node
    match node["kind"]:
        case "list":
            return [_decode(item, arrays) for item in node["items"]]
        case "tuple":
            return tuple(_decode(item, arrays) for item in node["items"])
        case "dict":
            return dict(_decode(pair, arrays) for pair in node["items"])
        case "array":
            return arrays[node["at"]]
        case "scalar":
            return arrays[node["at"]][()]
        case "tensor":
            return _tensor(arrays[node["at"]], getattr(torch, node["dtype"]), node["shape"])
        case "dataclass" if node["module"].startswith("sslbook."):
            kind = getattr(importlib.import_module(node["module"]), node["name"])
            value = object.__new__(kind)
            for field in fields(kind):
                object.__setattr__(value, field.name, _decode(node["fields"][field.name], arrays))
            return value
    raise ValueError(f"nothing of the kind {node['kind']} is stored")


# --------------------------------------------------------------------------------------------- the key of a run


def fingerprint(*values: Any) -> str:
    """Digest of values, the same in every process; it changes with whatever could change what a function returns.

    Functions and classes of sslbook and of installed packages count by name and version. Those of a notebook or a
    script count by what they do: code, constants, defaults, captured values and the globals they read; a comment, a
    line number or another global does not matter.

    Raises
    ------
    NotProvable
        For a value that cannot be digested: an open file, a lock, a generator.
    """
    return _Digests().hex(values)


@functools.cache
def _own_source() -> str:
    return _source(Path(__file__).parent)


def _source(place: Path) -> str:
    """Digest of a module's file, or of all of a package."""
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return _hash(*(part for file in files for part in (file.name.encode(), file.read_bytes()))).hex()


def _hash(*parts: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


@functools.cache
def _version(module: str) -> str | None:
    """Version of the installed package a module belongs to; None for one that is not installed, as a notebook's."""
    root = module.partition(".")[0]
    if root == "__main__":
        return None  # a notebook or a script, though Jupyter and pytest may run it from their own file
    if root == "sslbook" or root in sys.stdlib_module_names:
        return ""  # the source of sslbook is in every key, and byte code changes with Python
    file = getattr(sys.modules.get(root), "__file__", None) or getattr(sys.modules.get(module), "__file__", None)
    installed = INSTALLED & set(Path(file or "").parts)
    return str(getattr(sys.modules[root], "__version__", "")) if installed else None


def _imported(module: str) -> str:
    """Name of an imported module, with the digest of its source if it is one's own."""
    root = module.partition(".")[0]
    if root in ("", "__main__", "sslbook") or root in sys.stdlib_module_names:
        return module
    spec = importlib.util.find_spec(root)
    origin = Path(spec.origin if spec is not None and spec.origin else "")
    if INSTALLED & set(origin.parts) or not origin.is_file():
        return module
    return f"{module} {_source(origin.parent if origin.name == '__init__.py' else origin)}"


def _is_named(value: Any) -> bool:
    """Whether a function of an installed module is what its name says."""
    found = sys.modules.get(value.__module__) if _version(str(value.__module__)) is not None else None
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _loaded(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Names of the globals, and of the modules, that a code object and those in it load."""
    steps = list(dis.get_instructions(code))
    names = {s.argval for s in steps if s.opname.startswith("LOAD_") and ("GLOBAL" in s.opname or "NAME" in s.opname)}
    modules = {s.argval for s in steps if s.opname == "IMPORT_NAME"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _loaded(constant)
            names, modules = names | inner[0], modules | inner[1]
    return names, modules


class _Digests:
    """Digests of values, each object once; all that is digested is kept alive, so that no id is used twice.

    An object that is part of itself counts where it turns up again as the number of levels up. Digests of such a ring
    hold only until its head is done, for from another entrance they would be others.
    """

    def __init__(self) -> None:
        self.done: dict[int, tuple[Any, bytes]] = {}
        self.ring: dict[int, tuple[Any, bytes, float]] = {}
        self.path: dict[int, int] = {}
        self.low = math.inf  # the highest level that the object in hand refers back to

    def hex(self, value: Any) -> str:
        try:
            return self.of(value).hex()
        except NotProvable:
            raise
        except Exception as error:
            raise NotProvable(f"they depend on what cannot be digested ({type(error).__name__}: {error})") from error
        finally:
            self.ring, self.path, self.low = {}, {}, math.inf

    def of(self, value: Any) -> bytes:
        key, kind, depth = id(value), type(value), len(self.path)
        if value is None or kind in (bool, int, float, complex, str, bytes):
            return _hash(kind.__name__.encode(), value if kind is bytes else repr(value).encode())
        if key in self.done:
            return self.done[key][1]
        if key in self.path:
            self.low = min(self.low, self.path[key])
            return _hash(b"ring", str(depth - self.path[key]).encode())
        if key in self.ring:
            self.low = min(self.low, self.ring[key][2])
            return self.ring[key][1]
        self.path[key], outer, self.low = depth, self.low, math.inf
        label, raw, parts = self.apart(value)
        digest = _hash(label.encode(), raw, *map(self.of, parts))
        del self.path[key]
        if self.low < depth:
            self.ring[key] = value, digest, self.low
        else:
            self.ring = {k: entry for k, entry in self.ring.items() if entry[2] < depth}
            if self.low > depth:
                self.done[key] = value, digest
        self.low = min(outer, self.low if self.low < depth else math.inf)
        return digest

    def apart(self, value: Any) -> tuple[str, Any, Iterable]:
        """A label, bytes, and the parts a value is made of."""
        kind = type(value)
        if kind in (list, tuple):
            return kind.__name__, b"", value
        if kind in (dict, types.MappingProxyType):
            return "dict", b"", [part for item in value.items() for part in item]
        if kind in (set, frozenset):
            return kind.__name__, b"".join(sorted(map(self.of, value))), ()
        if kind in (np.ndarray, np.memmap) and not value.dtype.hasobject:
            flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            return f"array {value.shape}", flat, [value.dtype]
        if kind is np.ndarray:
            return f"array {value.shape}", b"", value.ravel().tolist()
        if kind in (torch.Tensor, torch.nn.Parameter):
            return f"{kind.__name__} {value.dtype} {value.device} {tuple(value.shape)}", _tensor_bytes(value), ()
        if kind is torch.Generator:
            return "generator", b"", [value.get_state()]
        if isinstance(value, types.ModuleType):
            return "module", value.__name__.encode(), [_version(value.__name__), _imported(value.__name__)]
        if kind is types.FunctionType:
            return self.of_function(value)
        if kind is types.CodeType:
            flags = (value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags)
            names = (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars)
            return "code", value.co_code, [flags, names, value.co_exceptiontable, value.co_consts]
        if kind is types.CellType:
            return "cell", b"", [value.cell_contents] if value != types.CellType() else []
        if isinstance(value, type):
            return self.of_class(value)
        if kind in (classmethod, staticmethod):
            return kind.__name__, b"", [value.__func__]
        if isinstance(value, property | functools.cached_property):
            return kind.__name__, b"", [getattr(value, n, None) for n in ("fget", "fset", "fdel", "func")]
        if kind.__module__.partition(".")[0] == "pandas" and hasattr(value, "memory_usage"):
            return self.of_pandas(value)
        if kind.__module__.startswith("scipy.sparse") and hasattr(value, "tocoo"):
            return f"{kind.__name__} {value.shape}", b"", [(coo := value.tocoo()).row, coo.col, coo.data]
        return self.of_object(value)

    def of_function(self, value: types.FunctionType) -> tuple[str, bytes, Iterable]:
        home = str(value.__globals__.get("__name__"))
        if _is_named(value):
            return f"{value.__module__}.{value.__qualname__}", b"", [_version(value.__module__)]
        parts = [value.__code__, value.__defaults__, value.__kwdefaults__, value.__closure__]
        if _version(home) is not None:
            return f"inside {home}", b"", [_version(home), *parts]
        names, modules = _loaded(value.__code__)
        read = {name: value.__globals__[name] for name in sorted(names) if name in value.__globals__}
        return "function", b"", [*parts, value.__dict__, read, sorted(map(_imported, modules))]

    def of_class(self, value: type) -> tuple[str, bytes, Iterable]:
        if "<locals>" not in value.__qualname__ and _version(value.__module__) is not None:
            return f"{value.__module__}.{value.__qualname__}", b"", [_version(value.__module__)]
        described = types.FunctionType | classmethod | staticmethod | property
        members = {
            name: member
            for name, member in sorted(vars(value).items())
            if (name[:2] != "__" or isinstance(member, described))
            and not isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType)
            and name != "_abc_impl"
        }
        return "class", value.__name__.encode(), [type(value), value.__bases__, members]

    def of_pandas(self, value: Any) -> tuple[str, bytes, Iterable]:
        import pandas as pd

        kind = [list(value.dtypes), value.columns] if isinstance(value, pd.DataFrame) else [value.dtype, value.name]
        return type(value).__name__, b"", [pd.util.hash_pandas_object(value).to_numpy(), *kind]

    def of_object(self, value: Any) -> tuple[str, bytes, Iterable]:
        """As pickling takes it apart, less what ``cached_property`` has computed meanwhile."""
        kind = type(value)
        reduce = copyreg.dispatch_table.get(kind)
        parts = reduce(value) if reduce else value.__reduce_ex__(4)
        if isinstance(parts, str):
            return f"{getattr(value, '__module__', '')}.{parts}", b"", [getattr(value, "__wrapped__", None)]
        parts = [list(part) if isinstance(part, Iterator) else part for part in parts]
        if len(parts) > 2 and isinstance(parts[2], dict):
            cached = {n for n in parts[2] if isinstance(getattr(kind, str(n), None), functools.cached_property)}
            parts[2] = {name: part for name, part in parts[2].items() if name not in cached} or None
        return "object", b"", [kind, *parts]
