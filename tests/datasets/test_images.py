import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from slim_retrieval.datasets import images
from slim_retrieval.datasets.table import UnreadableImage


def _rgb(height=4, width=6, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


def _bytes(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_rgb_png_and_bmp_come_out_unchanged(tmp_path):
    pixels = _rgb()
    for kind in ["PNG", "BMP", "TIFF"]:
        assert (images.decode(_bytes(Image.fromarray(pixels), kind)) == pixels).all()
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(str(path))
    decoded = images.decode(str(path))
    assert decoded.dtype == np.uint8
    assert (decoded == pixels).all()


def test_jpeg_of_one_colour_comes_out_as_that_colour():
    data = _bytes(Image.new("RGB", (16, 8), (200, 30, 90)), "JPEG", quality=95)
    decoded = images.decode(data)
    assert decoded.shape == (8, 16, 3)
    assert np.abs(decoded.astype(int) - [200, 30, 90]).max() <= 3


def test_cmyk_jpeg_and_tiff_become_rgb():
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))  # cyan ink alone: no red is left
    for kind in ["TIFF", "JPEG"]:
        decoded = images.decode(_bytes(ink, kind)).astype(int)
        assert decoded.shape == (8, 8, 3)
        assert np.abs(decoded - [0, 255, 255]).max() <= 3


def test_greyscale_and_bilevel_are_repeated_in_three_channels():
    grey = _rgb()[:, :, 0]
    assert (images.decode(_bytes(Image.fromarray(grey), "PNG")) == grey[:, :, None]).all()
    bits = grey > 127
    decoded = images.decode(_bytes(Image.fromarray((bits * 255).astype(np.uint8)).convert("1"), "PNG"))
    assert (decoded == bits[:, :, None] * 255).all()


def test_sixteen_bit_greyscale_is_scaled_not_clipped():
    values = np.array([[0, 257, 25700], [32768, 65278, 65535]], np.uint16)
    decoded = images.decode(_bytes(Image.fromarray(values), "PNG"))
    expected = np.round(values / 65535 * 255)
    assert (decoded == expected[:, :, None]).all()


def test_float_greyscale_has_no_range_and_is_refused():
    with pytest.raises(UnreadableImage, match="8 or 16 bits"):
        images.decode(_bytes(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"))


def test_transparency_is_laid_on_white():
    alpha = np.array([[0, 255, 128]], np.uint8)
    rgba = np.dstack([np.full((1, 3, 3), [10, 20, 30], np.uint8), alpha])
    decoded = images.decode(_bytes(Image.fromarray(rgba), "PNG"))
    weight = alpha[:, :, None] / 255.0
    expected = weight * np.array([10, 20, 30]) + (1 - weight) * 255
    assert np.abs(decoded - expected).max() <= 1
    assert decoded[0, 0].tolist() == [255, 255, 255]
    grey_alpha = Image.fromarray(np.dstack([np.full((1, 3), 40, np.uint8), alpha]), "LA")
    assert np.abs(images.decode(_bytes(grey_alpha, "PNG")) - (weight * 40 + (1 - weight) * 255)).max() <= 1


def test_palette_images_with_and_without_a_transparent_colour():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255] + [0] * 750)
    assert images.decode(_bytes(palette, "PNG")).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert images.decode(_bytes(palette, "PNG", transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_of_an_animated_gif_the_first_frame_is_taken():
    frames = [Image.new("RGB", (5, 4), color) for color in ["red", "lime"]]
    data = _bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (images.decode(data) == np.array([255, 0, 0])).all()


@pytest.mark.parametrize("orientation, upright", [
    (1, lambda x: x), (2, lambda x: x[:, ::-1]), (3, lambda x: x[::-1, ::-1]), (4, lambda x: x[::-1]),
    (5, lambda x: x.transpose(1, 0, 2)), (6, lambda x: np.rot90(x, -1)),
    (7, lambda x: x[::-1, ::-1].transpose(1, 0, 2)), (8, np.rot90)])
def test_exif_orientation_is_applied(orientation, upright):
    pixels = _rgb()
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = images.decode(_bytes(Image.fromarray(pixels), "PNG", exif=exif.tobytes()))
    assert (decoded == upright(pixels)).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_image():
    data = _bytes(Image.new("RGB", (8, 8), (200, 30, 90)), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff")
    assert images.decode(data).shape == (8, 8, 3)


def test_a_truncated_jpeg_is_unreadable_and_named():
    data = _bytes(Image.fromarray(_rgb(64, 64)), "JPEG", quality=95)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(UnreadableImage, match="cannot read image cut.jpg: .*truncated"):
        images.decode(data[:len(data) // 2], "cut.jpg")


@pytest.mark.parametrize("content, reason", [
    (b"", "the file is empty"), (b"plain text", "not an image that Pillow knows"), (None, "there is no such file")])
def test_what_is_no_image_is_unreadable_and_named(tmp_path, content, reason):
    path = tmp_path / "x.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason) as info:
        images.decode(str(path))
    assert info.value.path == str(path)
    assert "\n" not in str(info.value)


def test_a_folder_in_the_place_of_a_file_is_unreadable(tmp_path):
    with pytest.raises(UnreadableImage, match="directory"):
        images.decode(str(tmp_path))


def test_a_decompression_bomb_is_unreadable(monkeypatch):
    data = _bytes(Image.new("RGB", (5, 5)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    with pytest.raises(UnreadableImage, match="25 pixels"):
        images.decode(data, "bomb.png")


def test_resize_is_the_identity_at_the_same_size_and_averages_when_shrinking():
    pixels = _rgb(8, 8)
    assert images.resize(pixels, 8) is pixels
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    # Without antialiasing, every second column would give 0 or 200, not their mean.
    assert np.abs(images.resize(stripes, 4)[:, 1:-1].astype(int) - 100).max() <= 2
    assert images.resize(_rgb(3, 9), 5).shape == (5, 5, 3)


def test_png_bytes_decode_to_the_same_pixels():
    pixels = _rgb()
    assert (images.decode(images.encode_png(pixels)) == pixels).all()
