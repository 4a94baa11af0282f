"""Independent runs side by side: one process per core or a cluster, the largest first."""

import functools
import hashlib
import io
import math
import os
import random
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
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

from sslbook.runs import Cost, Digests, NotProvable, Outcome, Run, Store, is_plain, tensor_bytes, tensor_of

LARGE = 100_000  # bytes; larger arrays are mapped into the worker processes, or sent to each machine of a cluster once
# loky replaces a process whose memory has grown, as it should, and no run is lost. It warns in a thread of its own.
warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)


class RunError(RuntimeError):
    """A run failed, or the processes that ran it; the message names the run."""


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
        digests = Digests()
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


class _Pickler(cloudpickle.Pickler):
    """Leaves the memory of tensors where it is, as protocol 5 does for arrays."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.memmap:
            return np.asarray, (value.view(np.ndarray),)
        if type(value) is torch.Tensor and not value.requires_grad and is_plain(value):
            return tensor_of, (tensor_bytes(value), value.dtype, tuple(value.shape), value.stride())
        return super().reducer_override(value)


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
