"""Small image files that cost a decoder gigabytes or minutes if it believes what they say."""

import io
import resource
import struct
import time
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.decoder import decode_image

WHITE = np.full((64, 64, 3), 255, np.uint8)


def encoded(suffix: str, image: np.ndarray = WHITE) -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


def saved(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or Image.new("RGB", (64, 64), "white")).save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content) if length is None else length) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, *chunks: bytes, rows: bytes = b"", depth: int = 8, colour: int = 2) -> bytes:
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return start + b"".join(chunks) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def pngs() -> Iterator[tuple[str, bytes]]:
    squeeze = zlib.compressobj(1)
    rows = b"".join(squeeze.compress(bytes(20_000 // 8 + 1)) for _ in range(20_000)) + squeeze.flush()
    yield "png: 400 megapixels of a bit", png(20_000, 20_000, rows=rows, depth=1, colour=0)
    rows = zlib.compress(bytes(8 * 25))
    for kind in (b"tEXt", b"IDAT", b"eXIf", b"PLTE"):
        yield f"png: a {kind!r} of 2 GB", png(8, 8, chunk(kind, b"abcd", 0x7FFFFFF0), rows=rows)
    bomb = zlib.compress(bytes(100_000_000), 1)
    yield "png: a text of 100 MB", png(8, 8, *[chunk(b"zTXt", b"a\0\0" + bomb)] * 3, rows=rows)
    yield "png: a text of 100 MB in UTF-8", png(8, 8, chunk(b"iTXt", b"a\0\1\0\0\0" + bomb), rows=rows)
    yield "png: a profile of 100 MB", png(8, 8, chunk(b"iCCP", b"a\0\0" + bomb), rows=rows)
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 30_000, 30_000, 0, 0, 1, 1, 0, 0))
    frames = chunk(b"acTL", struct.pack(">II", 0x7FFFFFFF, 0)) + frame
    yield "png: two thousand million frames", png(8, 8, frames, rows=rows)


def jpegs() -> Iterator[tuple[str, bytes]]:
    plain = encoded(".jpg")
    size = plain.index(b"\xff\xc0") + 5
    yield "jpeg: 4 gigapixels", plain[:size] + b"\xff\xdc\xff\xdc" + plain[size + 4 :]
    wide = saved("JPEG", Image.new("RGB", (2000, 2000)), progressive=True, quality=50)
    scan = wide.rindex(b"\xff\xda")
    yield "jpeg: 4000 scans", wide[:scan] + wide[scan:-2] * 4000 + b"\xff\xd9"
    note = b"\xff\xe1\xff\xffExif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(0xFFFF - 18)
    yield "jpeg: 20 notes of 64 kB", plain[:2] + note * 20 + plain[2:]
    yield "jpeg: two sizes", plain[: size - 5] + plain[size - 5 : size + 14] * 2 + plain[size + 14 :]


def tiff(tags: dict[int, tuple[int, int, int]], next_page: int = 0, data: bytes = bytes(64)) -> bytes:
    """A TIFF by type, count and value of its tags, with data from byte 8 on."""
    entries = b"".join(struct.pack("<HHII", tag, *values) for tag, values in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return head + struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_page)


GREY = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8)} | {
    277: (3, 1, 1),
    278: (4, 1, 8),
    279: (4, 1, 64),
}


def tiffs() -> Iterator[tuple[str, bytes]]:
    yield "tiff: 4 gigapixels", tiff(GREY | {256: (4, 1, 65535), 257: (4, 1, 65535)})
    yield "tiff: a strip of 2^31 rows", tiff(GREY | {278: (4, 1, 2**31 - 1)})
    yield "tiff: 2^30 strips", tiff(GREY | {257: (4, 1, 2**30), 278: (4, 1, 1), 256: (4, 1, 1)})
    yield "tiff: a list of 2^31 strips", tiff(GREY | {273: (4, 2**31 - 1, 8), 279: (4, 2**31 - 1, 8)})
    tiles = {322: (4, 1, 65536), 323: (4, 1, 16384), 324: (4, 1, 8), 325: (4, 1, 64)}
    yield "tiff: a tile of a gigapixel", tiff({tag: GREY[tag] for tag in (256, 257, 258, 259, 262, 277)} | tiles)
    yield "tiff: 65535 channels", tiff(GREY | {277: (3, 1, 65535)})
    yield "tiff: floating point", tiff(GREY | {258: (3, 1, 64), 339: (3, 1, 3), 279: (4, 1, 512)}, data=bytes(512))
    yield "tiff: a page that follows itself", tiff(GREY, next_page=72)
    page = tiff(GREY)
    yield "tiff: strips that lie nowhere", page[:-4].replace(struct.pack("<II", 1, 64), struct.pack("<II", 1, 2**31))
    pages = [Image.new("1", (1000, 1000))] * 100
    yield "tiff: 100 pages", saved("TIFF", pages[0], save_all=True, append_images=pages, compression="group4")


def jpeg2000s() -> Iterator[tuple[str, bytes]]:
    plain = encoded(".jp2")
    place = plain.index(b"\xff\x4f\xff\x51") + 8

    def changed(offset: int, layout: str, *values: int) -> bytes:
        data = bytearray(plain)
        struct.pack_into(layout, data, offset, *values)
        return bytes(data)

    coding = plain.index(b"\xff\x52") + 4
    yield "jpeg 2000: 4 gigapixels", changed(place, ">II", 65535, 65535)
    yield "jpeg 2000: 4096 tiles", changed(place + 16, ">II", 1, 1)
    yield "jpeg 2000: 65535 layers", changed(coding + 2, ">H", 65535)
    yield "jpeg 2000: 32 levels", changed(coding + 5, "B", 32)
    yield "jpeg 2000: blocks of 16 pixels", changed(coding + 6, "BB", 0, 0)
    yield "jpeg 2000: 16384 channels", changed(place + 32, ">H", 16384)
    yield "jpeg 2000: a part of 4 GB", changed(plain.index(b"\xff\x90") + 6, ">I", 2**32 - 1)
    start = plain.index(b"\xff\x90")
    part = struct.unpack_from(">I", plain, start + 6)[0]
    yield "jpeg 2000: a part that goes on where it ends", plain[: start + part] + b"\xff\x93" + bytes(8)
    yield "jpeg 2000: a box of 4 GB", changed(plain.index(b"jp2c") - 4, ">I", 2**32 - 1)


def others() -> Iterator[tuple[str, bytes]]:
    gif = saved("GIF")
    yield "gif: a screen of 4 gigapixels", gif[:6] + b"\xff\xff\xff\xff" + gif[10:]
    frames = [Image.new("P", (200, 200), shade % 256) for shade in range(100)]
    yield "gif: 100 frames", saved("GIF", frames[0], save_all=True, append_images=frames[1:])
    webp = bytearray(saved("WEBP"))
    webp[26:30] = b"\xff\x3f\xff\x3f"
    yield "webp: 268 megapixels", bytes(webp)
    webp = bytearray(saved("WEBP", lossless=True))
    webp[21:25] = b"\xff\xff\xff\x0f"
    yield "webp: 268 megapixels without loss", bytes(webp)
    yield "webp: a chunk of 4 GB", b"RIFF\x20\0\0\0WEBPVP8L\xf0\xff\xff\xff" + bytes(24)
    bmp = encoded(".bmp", WHITE)
    for width, height in ((2**31 - 1, 1), (60_000, -60_000), (-8, 8), (64, -(2**31))):
        yield f"bmp: {width} x {height}", bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]
    runs = struct.pack("<iiHHIIiiII", 60_000, 60_000, 1, 8, 1, 0, 0, 0, 256, 0)
    head = b"BM" + struct.pack("<IHHII", 2000, 0, 0, 1078, 40)
    yield "bmp: 3.6 gigapixels of runs", head + runs[:36] + bytes(1024) + b"\xff\1" * 99
    for kind in range(1, 7):
        largest = b"" if kind in (1, 4) else b"255\n"
        yield f"pnm: P{kind}", b"P%d\n999999999 999999999\n" % kind + largest + b"1 1 1"
    yield "pnm: a header without an end", b"P6\n" + b"#" * 100_000
    yield "sun raster", struct.pack(">8I", 0x59A66A95, 65535, 65535, 24, 0, 2, 0, 0)
    yield "hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 65535 +X 65535\n"
    yield "openexr", b"v/1\1\2\0\0\0" + bytes(99)


def avifs() -> Iterator[tuple[str, bytes]]:
    plain = saved("AVIF")
    size = plain.index(b"ispe") + 8
    yield "avif: a gigapixel", plain[:size] + struct.pack(">II", 32768, 32768) + plain[size + 8 :]
    sizes = struct.pack(">II", 2200, 2200), struct.pack(">II", 64, 64)
    large = saved("AVIF", Image.new("RGB", (2200, 2200)), speed=10)
    yield "avif: frames larger than their item", large.replace(*sizes)
    yield "avif: items without end", plain.replace(b"iinf\0\0\0\0\0\1", b"iinf\0\0\0\0\xff\xff")
    length = plain.index(b"meta") - 4
    yield "avif: a box of 4 GB", plain[:length] + b"\xff" * 4 + plain[length + 4 :]


def all_hostile() -> Iterator[tuple[str, bytes]]:
    for kind in (pngs, jpegs, tiffs, jpeg2000s, others):
        yield from kind()
    if "AVIF" in cv2.getBuildInformation():
        yield from avifs()


def _peak() -> int:
    """Return the most memory in kilobytes that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cost_of_hostile_files() -> None:
    """Decode every hostile file, and print what it cost."""
    files = list(all_hostile())
    decode_image(encoded(".png"), "x")
    for name, data in files:
        before, begun = _peak(), time.process_time()
        try:
            said = str(decode_image(data, "the file").shape)
        except UserError as error:
            said = str(error)
        print(f"{name}\t{_peak() - before}\t{time.process_time() - begun}\t{said}")  # noqa: T201


if __name__ == "__main__":
    cost_of_hostile_files()
