"""A run, what it returned, and the store that keeps finished runs, so that none is done twice."""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import importlib.util
import json
import math
import os
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

INSTALLED = {"site-packages", "dist-packages"}  # folders of installed packages


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


class NotProvable(TypeError):
    """A value of which nobody can tell later whether it is still the same."""


def is_plain(value: torch.Tensor) -> bool:
    on_cpu = value.device.type == "cpu" and value.layout is torch.strided and not value.is_quantized
    return on_cpu and value.is_contiguous() and not value.is_conj() and not value.is_neg()


def tensor_bytes(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().resolve_conj().contiguous().reshape(-1).view(torch.uint8).numpy()


def tensor_of(array: np.ndarray, dtype: torch.dtype, shape: Sequence[int], stride: Sequence[int]) -> torch.Tensor:
    """The tensor with the strides it had: a convolution rounds by them, even by that of a side of length one."""
    return torch.from_numpy(array).view(dtype).as_strided(shape, stride)


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

    def key(self, run: Run, digests: Digests | None = None) -> str:
        """Digest of the package's source, the run's name and all that its call depends on; raises NotProvable."""
        return (digests or Digests()).hex((_own_source(), tuple(map(str, run.name)), run.call))

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
    if kind is torch.Tensor and is_plain(value.detach().contiguous()) and not value.requires_grad:
        arrays.append(tensor_bytes(value))
        layout = {"shape": list(value.shape), "stride": list(value.contiguous().stride())}
        return {"kind": "tensor", "at": len(arrays) - 1, "dtype": str(value.dtype)[6:], **layout}
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
            return tensor_of(arrays[node["at"]], getattr(torch, node["dtype"]), node["shape"], node["stride"])
        case "dataclass" if node["module"].startswith("sslbook."):
            kind = getattr(importlib.import_module(node["module"]), node["name"])
            value = object.__new__(kind)
            for field in fields(kind):
                object.__setattr__(value, field.name, _decode(node["fields"][field.name], arrays))
            return value
    raise ValueError(f"nothing of the kind {node['kind']} is stored")


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


class Digests:
    """Digests of values, each object once; all that is digested is kept alive, so that no id is used twice.

    Functions and classes of sslbook and of installed packages count by name and version; those of a notebook by what
    they do: code, constants, defaults, captured values and the globals they read.

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
            return f"{kind.__name__} {value.dtype} {value.device} {tuple(value.shape)}", tensor_bytes(value), ()
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
