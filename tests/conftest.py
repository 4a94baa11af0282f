"""Settings of all tests, files as readers bring them, and a host that misbehaves on request."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances
from PIL import Image
from threadpoolctl import threadpool_limits

from sslbook import data, widgets
from sslbook.data.pictures import digest_of_arrays, write_npz
from sslbook.worlds import imaging as imaging_world


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks of tests are so small that a second thread only waits, on a busy machine for long."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@contextmanager
def refuses(*fragments: str, error: type[Exception] = data.DataError) -> Iterator[None]:
    """Expect one sentence of exactly this type of error that holds all fragments."""
    with pytest.raises(error) as raised:
        yield
    message = str(raised.value)
    assert type(raised.value) is error
    assert "\n" not in message
    assert message.endswith(".")
    for fragment in fragments:
        assert fragment in message


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (40, 32), mode: str = "L") -> Path:
    """Write one image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def closed_port() -> str:
    """Return an address of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/file"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with eight images each, of mixed sizes, in a folder whose name has a blank."""
    root = tmp_path / "my xrays"
    for i in range(16):
        label = ("healthy", "sick")[i % 2]
        picture(root / label / f"film {i} (a).png", seed=i, size=(30 + 3 * i, 60 - 2 * i))
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("SSLBOOK_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("SSLBOOK_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def payload(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The official bytes of a small data set."""
    path = tmp_path_factory.mktemp("official") / "tiny.npz"
    imaging_world.simulate_pneumoniamnist(n_train=24).to_npz(path)
    return path.read_bytes()


@pytest.fixture
def host(payload: bytes) -> Iterator[str]:
    """A server on this machine: /good, /cut (breaks off), /short, /wrong (same length), /busy, /silent."""
    stop = threading.Event()
    bodies = {"/short": payload[:1000], "/wrong": payload[:-1] + bytes([payload[-1] ^ 1])}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/silent"):
                stop.wait(5)
            body = bodies.get(self.path, payload)
            self.send_response(503 if self.path == "/busy" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # the asker hangs up as soon as it has its answer
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    stop.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def tiny(cache: Path, payload: bytes, monkeypatch: pytest.MonkeyPatch):
    """Put a data set called "tiny" in the catalog: tiny(url, ...) gives its file in the empty cache."""

    def put(*urls: str) -> Path:
        file = data.DataFile("tiny.npz", urls, len(payload), hashlib.sha256(payload).hexdigest())
        entry = replace(data.catalog()["pneumoniamnist"], name="tiny", files=(file,))
        monkeypatch.setitem(data.catalog(), "tiny", entry)
        return cache / "raw" / "tiny.npz"

    return put


@pytest.fixture
def expects(cache, tmp_path, monkeypatch):
    """Let the catalog expect other arrays of a prepared file: expects(name, arrays) gives a function of its addresses.

    That one returns the place of the file in the empty cache.
    """

    def of(name: str, arrays: dict) -> Callable[..., Path]:
        write_npz(tmp_path / "expected.npz", arrays)

        def put(*urls: str) -> Path:
            entry = data.catalog()[name]
            file = replace(entry.files[0], urls=urls, sha256=digest_of_arrays(tmp_path / "expected.npz"))
            monkeypatch.setitem(data.catalog(), name, replace(entry, files=(file,)))
            return cache / "prepared" / file.name

        return put

    return of


class Shown:
    """What a page shows of widgets: controls by label, outputs below them, and a bundle for pages without a kernel."""

    def __init__(self):
        self.bundles = []

    def display(self, bundle: dict, raw: bool) -> None:
        self.bundles.append(bundle)

    @property
    def box(self) -> ipywidgets.VBox:
        (bundle,) = self.bundles
        return _instances[bundle["application/vnd.jupyter.widget-view+json"]["model_id"]]

    @property
    def controls(self) -> dict[str, ipywidgets.Widget]:
        return {control.description: control for control in self.box.children[:-1]}

    @property
    def outputs(self) -> dict[str, str]:
        return {kind: content for output in self.box.children[-1].outputs for kind, content in output["data"].items()}


@pytest.fixture
def shown(monkeypatch) -> Shown:
    page = Shown()
    monkeypatch.setattr(widgets, "display", page.display)
    return page
