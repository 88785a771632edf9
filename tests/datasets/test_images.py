import io
import struct
import zlib

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


def _png16(values, transparent=None):
    """Return a PNG of 16 bits a channel, which Pillow does not write: uint16 [H, W] or [H, W, 2 to 4]."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    channels = values.shape[2] if values.ndim == 3 else 1
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    extra = chunk(b"tRNS", struct.pack(">H", transparent)) if transparent is not None else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) +
            chunk(b"IEND", b""))


def _in_each_format(pixels):
    """Return {format: file} of one picture with few colours; opaque alpha in some."""
    image = Image.fromarray(pixels)
    few = image if pixels.ndim == 2 else image.convert("P", palette=Image.ADAPTIVE, colors=256)
    with_alpha = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    files = {kind: _bytes(image, kind) for kind in ("PNG", "BMP", "TIFF", "PPM")}
    files.update(gif=_bytes(few, "GIF"), palette=_bytes(few, "PNG"), webp=_bytes(image, "WEBP", lossless=True),
                 lzw=_bytes(image, "TIFF", compression="tiff_lzw"), alpha=_bytes(Image.fromarray(with_alpha), "PNG"),
                 png16=_png16(pixels.astype(np.uint16) * 257), alpha16=_png16(with_alpha.astype(np.uint16) * 257))
    if pixels.ndim == 2:
        files["tiff16"] = _bytes(Image.fromarray(pixels.astype(np.uint16) * 257), "TIFF")
    return files


@pytest.mark.parametrize("grey", [False, True])
def test_a_picture_kept_without_loss_is_the_same_in_every_format(grey, tmp_path):
    pixels = _rgb() // 51 * 51
    pixels = pixels[:, :, 0] if grey else pixels
    expected = np.dstack([pixels] * 3) if grey else pixels
    for kind, content in _in_each_format(pixels).items():
        decoded = images.decode(content)
        assert decoded.dtype == np.uint8 and (decoded == expected).all(), kind
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(str(path))
    assert (images.decode(str(path)) == expected).all()


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
    colours = images.decode(_png16(np.dstack([values] * 3)))
    assert (colours == (values // 256)[:, :, None]).all()


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


def test_transparency_is_the_same_in_every_format():
    alpha = np.arange(24, dtype=np.uint8).reshape(4, 6, 1) * 11
    pixels = np.dstack([_rgb(), alpha])
    image = Image.fromarray(pixels)
    weight = alpha / 255.0
    expected = images.decode(_bytes(image, "PNG"))
    assert np.abs(expected - (weight * pixels[:, :, :3] + (1 - weight) * 255)).max() <= 1
    for content in [_bytes(image, "TIFF"), _bytes(image, "WEBP", lossless=True),
                    _png16(pixels.astype(np.uint16) * 257)]:
        assert (images.decode(content) == expected).all()
    assert images.decode(_png16(np.array([[0, 1799, 514]], np.uint16), 1799))[0, :, 0].tolist() == [0, 255, 2]


def test_palette_images_with_and_without_a_transparent_colour():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255] + [0] * 750)
    assert images.decode(_bytes(palette, "PNG")).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert images.decode(_bytes(palette, "PNG", transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("kind, options", [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_of_an_animation_the_first_frame_is_taken(kind, options):
    frames = [Image.new("RGB", (5, 4), color) for color in ["red", "lime"]]
    data = _bytes(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (images.decode(data) == np.array([255, 0, 0])).all()


@pytest.mark.parametrize("orientation, upright", [
    (1, lambda x: x), (2, lambda x: x[:, ::-1]), (3, lambda x: x[::-1, ::-1]), (4, lambda x: x[::-1]),
    (5, lambda x: x.transpose(1, 0, 2)), (6, lambda x: np.rot90(x, -1)),
    (7, lambda x: x[::-1, ::-1].transpose(1, 0, 2)), (8, np.rot90)])
def test_exif_orientation_is_applied(orientation, upright):
    pixels = _rgb()
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind, options in [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]:
        decoded = images.decode(_bytes(Image.fromarray(pixels), kind, exif=exif, **options))
        assert (decoded == upright(pixels)).all(), kind


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_image():
    data = _bytes(Image.new("RGB", (8, 8), (200, 30, 90)), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff")
    assert images.decode(data).shape == (8, 8, 3)


def _photo(width, height):
    """A picture of smooth shapes, as a JPEG decodes well."""
    return Image.fromarray(_rgb(6, 8)).resize((width, height), Image.BICUBIC)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_resizing_while_decoding_is_resizing_afterwards(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _bytes(_photo(60, 40), kind, exif=exif)
    found = images.decode(data, size_of=lambda height, width: (height // 3, width // 2))
    height, width = (40, 60) if orientation == 1 else (60, 40)
    assert found.shape == (height // 3, width // 2, 3)
    assert (found == images.resize(images.decode(data), height // 3, width // 2)).all()
    tall = images.decode(data, size_of=lambda height, width: (2 * height, width))
    assert tall.shape == (2 * height, width, 3)


# 640 x 480 for 100 x 75: 6.4 times; for 100 x 100, 4.8 times.
@pytest.mark.parametrize("size, draft, expected", [
    ((75, 100), 0.0, (480, 640)), ((75, 100), 1.0, (120, 160)), ((75, 100), 2.0, (240, 320)),
    ((75, 100), 3.3, (480, 640)), ((100, 100), 2.0, (240, 320)), ((100, 100), 2.5, (480, 640)),
    ((600, 800), 1.0, (480, 640))])
@pytest.mark.parametrize("orientation", [1, 8])
def test_a_draft_is_at_least_so_many_times_the_size_that_is_needed(monkeypatch, size, draft, expected, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _bytes(_photo(640, 480), "JPEG", exif=exif, quality=95)
    size, expected = (size, expected) if orientation == 1 else (size[::-1], expected[::-1])
    asked, seen, resized = [], [], images._resized

    def size_of(*full):
        asked.append(full)
        return size

    def watched(image, *wanted):
        seen.append(image.size[::-1])
        return resized(image, *wanted)
    monkeypatch.setattr(images, "_resized", watched)
    found = images.decode(data, size_of=size_of, draft=draft)
    assert seen == [expected] and set(asked) == {(480, 640) if orientation == 1 else (640, 480)}
    exact = images.decode(data, size_of=size_of)
    assert found.shape == exact.shape and np.abs(found.astype(int) - exact).mean() < 1
    assert (found == exact).all() == (expected in [(480, 640), (640, 480)])


def test_a_truncated_jpeg_is_unreadable_and_named():
    data = _bytes(Image.fromarray(_rgb(64, 64)), "JPEG", quality=95)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(UnreadableImage, match="cannot read image cut.jpg: .*truncated"):
        images.decode(data[:len(data) // 2], "cut.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_file_without_its_end_is_unreadable_in_every_format(kind, share):
    data = _bytes(Image.fromarray(_rgb(64, 64)).convert("P" if kind == "GIF" else "RGB"), kind)
    with pytest.raises(UnreadableImage, match="cannot read image cut: "):
        images.decode(data[:int(share * len(data))], "cut")


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
