"""Image files of every size and pixel format, and those that cannot be read."""

import numpy as np
import pytest
from PIL import Image

from sslbook.data.pictures import digest_of_arrays, full_scale, read_images, read_npz, write_npz
from tests.conftest import files_in, picture, refuses


def read(*paths, size=16, colour=False):
    return read_images(paths, [path.name for path in paths], size, colour)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_and_size_gives_one_shape(tmp_path, mode, colour):
    paths = [picture(tmp_path / f"a {w}.png", size=(w, h), mode=mode) for w, h in ((16, 16), (9, 40), (300, 20))]
    pixels = read(*paths, colour=colour)
    assert pixels.shape == (3, 16, 16, 3 if colour else 1)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 5


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp", "pgm", "gif"])
def test_every_file_format(tmp_path, suffix):
    path = tmp_path / f"flat.{suffix}"
    Image.new("L", (20, 20), 90).save(path)
    assert np.abs(read(path).astype(int) - 90).max() <= 2


def test_same_size_is_read_unchanged(tmp_path):
    path = picture(tmp_path / "a.png", size=(16, 16))
    assert (read(path)[0, :, :, 0] == np.asarray(Image.open(path))).all()


def test_centre_square_is_kept(tmp_path):
    wide = np.zeros((16, 48), dtype=np.uint8)
    wide[:, 16:32] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (read(tmp_path / "wide.png") == 200).all()


def test_exif_rotation_is_applied(tmp_path):
    upright = np.repeat(np.repeat([[250, 0], [0, 0]], 16, axis=0), 16, axis=1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to see it upright"
    Image.fromarray(np.rot90(upright)).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    shown = read(tmp_path / "phone.jpg")[0, :, :, 0]
    assert shown[4, 4] > 230
    assert max(shown[4, 12], shown[12, 4], shown[12, 12]) < 20


@pytest.mark.parametrize(("brightest", "scale"), [(200, 255), (900, 1023), (4095, 4095), (9000, 16383), (65535, 65535)])
def test_sixteen_bits_are_scaled_by_the_depth_in_use(tmp_path, brightest, scale):
    assert full_scale(brightest) == scale
    for name, value in (("bright", brightest), ("dark", brightest // 4)):
        Image.fromarray(np.full((16, 16), value, dtype=np.uint16)).save(tmp_path / f"{name}.png")
    bright, dark = read(tmp_path / "bright.png", tmp_path / "dark.png")
    assert bright.max() == round(brightest / scale * 255)
    assert dark.max() == round(brightest // 4 / scale * 255)  # one factor for all


def test_eight_bits_beside_sixteen_keep_their_values(tmp_path):
    Image.new("L", (16, 16), 100).save(tmp_path / "a.png")
    Image.fromarray(np.full((16, 16), 4095, dtype=np.uint16)).save(tmp_path / "b.png")
    pixels = read(tmp_path / "a.png", tmp_path / "b.png")
    assert (pixels[0] == 100).all()
    assert (pixels[1] == 255).all()


def test_transparent_is_black(tmp_path):
    Image.new("RGBA", (16, 16), (255, 255, 255, 0)).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == 0).all()


def test_colour_is_kept_on_request(tmp_path):
    Image.new("RGB", (16, 16), (200, 10, 30)).save(tmp_path / "red.png")
    assert (read(tmp_path / "red.png", colour=True)[0, 0, 0] == (200, 10, 30)).all()
    assert (read(tmp_path / "red.png")[0, 0, 0] == 69).all()  # .299 R + .587 G + .114 B


def test_corrupt_files_are_all_counted_and_five_named(tmp_path):
    whole = picture(tmp_path / "whole.jpg")
    bad = [tmp_path / f"cut {i}.jpg" for i in range(7)]
    for path in bad:
        path.write_bytes(whole.read_bytes()[:400])
    with refuses("7 of 8", "cut 0.jpg", "truncated", "cut 4.jpg", "and 2 more", "replace or remove"):
        read(whole, *bad)


@pytest.mark.parametrize("content", [b"", b"not an image at all"])
def test_file_that_is_no_image(tmp_path, content):
    (tmp_path / "notes.jpg").write_bytes(content)
    with refuses("notes.jpg (not an image)"):
        read(tmp_path / "notes.jpg")


def test_animation_is_refused(tmp_path):
    frames = [Image.new("L", (16, 16), value) for value in (0, 100, 200)]
    frames[0].save(tmp_path / "beat.gif", save_all=True, append_images=frames[1:])
    with refuses("beat.gif", "3 frames", "save each"):
        read(tmp_path / "beat.gif")


def test_floating_point_is_refused(tmp_path):
    Image.fromarray(np.ones((16, 16), dtype=np.float32)).save(tmp_path / "a.tif")
    with refuses("a.tif", "floating-point", "16 bits"):
        read(tmp_path / "a.tif")


def test_silly_size_is_refused(tmp_path):
    with refuses("size is 0"):
        read(picture(tmp_path / "a.png"), size=0)


def test_arrays_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    arrays = {"signal": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "bc"])}
    write_npz(tmp_path / "x.npz", arrays)
    for name, array in read_npz(tmp_path / "x.npz").items():
        assert (array == arrays[name]).all()
        assert array.dtype == arrays[name].dtype

    def full_disk(stream, **_):
        stream.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_npz(tmp_path / "y.npz", arrays)
    assert files_in(tmp_path) == ["x.npz"]


def test_digest_is_of_the_arrays_not_of_the_bytes(tmp_path):
    arrays = {"signal": np.arange(6).reshape(2, 3), "names": np.array(["a", "bc"])}
    np.savez(tmp_path / "plain.npz", **dict(reversed(arrays.items())))
    write_npz(tmp_path / "packed.npz", arrays | {"names": arrays["names"].astype("<U9")})
    expected = digest_of_arrays(tmp_path / "plain.npz")
    assert digest_of_arrays(tmp_path / "packed.npz") == expected
    renamed = {"sign": arrays["signal"], "names": arrays["names"]}
    for other in (renamed, arrays | {"signal": arrays["signal"] + 1}, arrays | {"names": np.array(["a", "bd"])}):
        write_npz(tmp_path / "other.npz", other)
        assert digest_of_arrays(tmp_path / "other.npz") != expected
    write_npz(tmp_path / "other.npz", arrays | {"signal": arrays["signal"].reshape(3, 2)})
    assert digest_of_arrays(tmp_path / "other.npz") != expected
