"""Videos: a frame every so many seconds, and one sentence for every file that is none."""

import builtins
from pathlib import Path

import numpy as np
import pytest

from sslbook.data.pictures import VOID
from sslbook.domains.driving.data import Scenes
from tests.conftest import picture, refuses

SMALL = {"size": (24, 32)}


def video(path: Path, seconds: float = 5.0, rate: int = 10, sound: bool = False) -> Path:
    """Write frames that grow brighter by 4 each."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 1
        for i in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * i, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


@pytest.fixture
def drive(tmp_path):
    return video(tmp_path / "drive 1.mp4")


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_one_frame_a_second(tmp_path, ending):
    scenes = Scenes.from_video(video(tmp_path / f"v.{ending}"), **SMALL)
    assert [len(split) for split in scenes.splits.values()] == [5, 0, 0]
    assert scenes.train.time.tolist() == [0, 1, 2, 3, 4]
    assert scenes.shape == (24, 32)
    assert scenes.train.frames.mean(axis=(1, 2, 3)) == pytest.approx([0, 40, 80, 120, 160], abs=3)
    assert (scenes.train.masks == VOID).all()
    assert set(scenes.train.drives) == {"v"}
    assert scenes.train.names[1] == "v_00001000"
    assert scenes.train.neighbours().tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]


@pytest.mark.parametrize(("every", "times"), [(2.0, [0, 2, 4]), (0.25, [0, 0.3, 0.5, 0.8, 1, 1.3]), (0.1, None)])
def test_other_rates(drive, every, times):
    found = Scenes.from_video(drive, every, **SMALL).train.time
    assert found[:6].tolist() == pytest.approx(times or [0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert len(found) == int(5 / every + 0.999)


def test_card(drive):
    scenes = Scenes.from_video(drive, size=(20, 32), name="town")
    assert (scenes.name, scenes.source, scenes.data_card.title) == ("town", "real", "Video drive 1.mp4")
    assert "5 of 5 frames, as of 64 x 48 pixels" in scenes.data_card.known_problems[0]
    assert set(scenes.train.drives) == {"town"}


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_truncated(tmp_path, ending):
    path = video(tmp_path / f"v.{ending}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with refuses(str(path), "copy it anew"):
        Scenes.from_video(path, **SMALL)


def test_no_video(tmp_path):
    pytest.importorskip("av")
    for name, content in (("notes.txt", b"sunny, dry\n" * 50), ("empty.mp4", b""), ("noise.mp4", b"\x01\x02" * 500)):
        (tmp_path / name).write_bytes(content)
        with refuses(name):
            Scenes.from_video(tmp_path / name, **SMALL)
    with refuses("p.png", "one frame every 1 seconds"):
        Scenes.from_video(picture(tmp_path / "p.png"), **SMALL)
    with refuses("gone.mp4", "mend its path"):
        Scenes.from_video(tmp_path / "gone.mp4")


def test_sound_only(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "song.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        file.mux(stream.encode(samples))
    with refuses("song.wav", "no video in it"):
        Scenes.from_video(tmp_path / "song.wav")


def test_options(drive):
    with refuses("every is 0", "above 0"):
        Scenes.from_video(drive, 0)
    with refuses("(4, 4)", "at least 8"):
        Scenes.from_video(drive, size=(4, 4))
    with refuses("64 x 48 pixels, less than 160 x 120"):
        Scenes.from_video(drive)
    with refuses("drive 1.mp4", "one frame every 60 seconds", "shorter every"):
        Scenes.from_video(drive, 60, **SMALL)


def test_without_pyav(tmp_path, monkeypatch):
    known = builtins.__import__

    def lacking(name, *rest, **named):
        if name == "av":
            raise ImportError(name)
        return known(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with refuses("PyAV", "pip install av"):
        Scenes.from_video(tmp_path / "v.mp4")
