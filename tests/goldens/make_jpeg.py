"""Writes small JPEG files and what Pillow decodes from them, with which `tests/pictures.rs` compares what `beitle-pictures`
decodes.

usage: python make_jpeg.py              writes ../data/jpeg/<name>.jpg and <name>.png

Pillow encodes what it can. The other files have random coefficients and are encoded here: unusual sampling factors, scans of
one component, no Huffman tables. Files named `refused-<word>.jpg` have no PNG: the decoder's message contains the word.
"""
from pathlib import Path

import numpy as np
from PIL import Image, features

OUT = Path(__file__).parent.parent / "data" / "jpeg"


def photo(w, h):
    """Smooth colours, an edge and noise."""
    y, x = np.mgrid[0:h, 0:w]
    rng = np.random.default_rng(w * h)
    img = np.stack([127 + 110 * np.sin(x / (5 + 3 * c) + y / (9 - 2 * c) + c) for c in range(3)], -1)
    img[h // 3:, w // 2:] = 255 - img[h // 3:, w // 2:] / 3
    return Image.fromarray(np.clip(img + rng.normal(0, 9, img.shape), 0, 255).astype(np.uint8))


def segments(jpeg):
    """Marker and bytes of each segment before the first scan, then the rest."""
    at = 2
    while jpeg[at + 1] != 0xda:
        end = at + 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")
        yield jpeg[at + 1], jpeg[at:end]
        at = end
    yield 0xda, jpeg[at:]


def without(jpeg, marker):
    """The file without the segments of a marker."""
    return jpeg[:2] + b"".join(s for m, s in segments(jpeg) if m != marker)


def standard_codes():
    """Code and length of each symbol in the standard tables, by class and number, from a file that Pillow writes."""
    codes = {}
    for marker, segment in segments(encoded(photo(8, 8))):
        table = segment[4:]
        while marker == 0xc4 and table:
            counts, code, at = table[1:17], 0, 17
            codes[table[0]] = {}
            for length, count in enumerate(counts, 1):
                for symbol in table[at:at + count]:
                    codes[table[0]][symbol] = (code, length)
                    code += 1
                at += count
                code <<= 1
            table = table[at:]
    return codes


def encoded(image, **options):
    from io import BytesIO
    out = BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


class Writer:
    """Entropy-coded data of sequential scans."""

    def __init__(self, codes):
        self.codes, self.bits = codes, ""

    def number(self, value):
        size = int(abs(value)).bit_length()
        self.bits += format(value if value > 0 else value + (1 << size) - 1, f"0{size}b") if size else ""

    def symbol(self, table, symbol):
        self.bits += format(self.codes[table][symbol][0], f"0{self.codes[table][symbol][1]}b")

    def block(self, block, previous, chroma):
        """Coefficients in zigzag order."""
        difference = int(block[0]) - previous
        self.symbol(chroma, int(abs(difference)).bit_length())
        self.number(difference)
        zeros = 0
        last = max(np.flatnonzero(block), default=0)
        for value in map(int, block[1:last + 1]):
            if value == 0:
                zeros += 1
                continue
            while zeros > 15:
                self.symbol(0x10 | chroma, 0xf0)
                zeros -= 16
            self.symbol(0x10 | chroma, zeros << 4 | abs(value).bit_length())
            self.number(value)
            zeros = 0
        if last < 63:
            self.symbol(0x10 | chroma, 0)

    def take(self):
        """The bytes so far, padded with ones and stuffed."""
        bits, self.bits = self.bits + "1" * (-len(self.bits) % 8), ""
        data = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        return data.replace(b"\xff", b"\xff\0")


def random_file(w, h, factors, scans, restart=0):
    """A sequential file of random coefficients without Huffman tables; `factors` (h, v) and `scans` are of components."""
    rng = np.random.default_rng(len(factors) * w + h)
    h_max, v_max = (max(f[i] for f in factors) for i in (0, 1))
    mcus = -(-w // (8 * h_max)), -(-h // (8 * v_max))
    blocks = []
    for fh, fv in factors:
        b = rng.normal(0, 1, (mcus[1] * fv, mcus[0] * fh, 64)) * 30 / (1 + np.arange(64)) ** 1.2
        b[..., 0] = rng.normal(0, 40, b.shape[:2])
        blocks.append(np.round(b).astype(int))
    frame = bytes([8, h >> 8, h & 255, w >> 8, w & 255, len(factors)])
    frame += b"".join(bytes([i + 1, fh << 4 | fv, 0]) for i, (fh, fv) in enumerate(factors))
    segment = lambda marker, data: bytes([0xff, marker]) + (len(data) + 2).to_bytes(2, "big") + data
    out = b"\xff\xd8" + segment(0xdb, bytes([0]) + bytes(range(6, 70))) + segment(0xc0, frame)
    out += segment(0xdd, restart.to_bytes(2, "big")) if restart else b""
    for scan in scans:
        tables = b"".join(bytes([c + 1, 0x11 if c else 0]) for c in scan)
        out += segment(0xda, bytes([len(scan)]) + tables + bytes([0, 63, 0]))
        out += scan_data(blocks, factors, scan, mcus, (w, h), (h_max, v_max), restart)
    return out + b"\xff\xd9"


def scan_data(blocks, factors, scan, mcus, size, maximum, restart):
    writer, previous, data = Writer(standard_codes()), [0] * 4, b""
    columns, rows = mcus
    if len(scan) == 1:
        # Only the blocks that hold samples of the picture.
        columns, rows = (-(-size[i] * factors[scan[0]][i] // (8 * maximum[i])) for i in (0, 1))
    for mcu in range(rows * columns):
        if restart and mcu and mcu % restart == 0:
            data += writer.take() + bytes([0xff, 0xd0 + (mcu // restart - 1) % 8])
            previous = [0] * 4
        for c in scan:
            fh, fv = factors[c] if len(scan) > 1 else (1, 1)
            for y in range(fv):
                for x in range(fh):
                    block = blocks[c][mcu // columns * fv + y, mcu % columns * fh + x]
                    writer.block(block, previous[c], int(c > 0))
                    previous[c] = int(block[0])
    return data + writer.take()


def files():
    odd, even = photo(37, 29), photo(48, 32)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        yield f"sequential-{name}", encoded(odd, subsampling=subsampling, quality=80)
        yield f"progressive-{name}", encoded(odd, subsampling=subsampling, quality=90, progressive=True)
    yield "narrow-420", encoded(photo(3, 21), quality=90)
    yield "restart", encoded(even, restart_marker_blocks=2)
    yield "restart-progressive", encoded(even, restart_marker_rows=1, progressive=True)
    yield "optimised", encoded(even, quality=100, optimize=True)
    yield "grey", encoded(odd.convert("L"))
    yield "grey-progressive", encoded(odd.convert("L"), progressive=True)
    yield "rgb", encoded(odd, keep_rgb=True)
    yield "cmyk", encoded(odd.convert("CMYK"))
    yield "no-tables", without(encoded(odd), 0xc4)
    yield "440", random_file(21, 37, [(1, 2), (1, 1), (1, 1)], [(0, 1, 2)])
    yield "411", random_file(45, 19, [(4, 1), (1, 1), (1, 1)], [(0, 1, 2)])
    yield "410", random_file(45, 35, [(4, 2), (1, 1), (1, 1)], [(0, 1, 2)])
    yield "chroma-differs", random_file(35, 35, [(2, 2), (2, 1), (1, 2)], [(0, 1, 2)])
    yield "three-scans", random_file(37, 29, [(2, 2), (1, 1), (1, 1)], [(0,), (1,), (2,)])
    yield "two-scans", random_file(37, 29, [(2, 1), (1, 1), (1, 1)], [(0,), (1, 2)], restart=3)
    # Adobe's segment says that the first three of four components are YCbCr.
    ycck = random_file(19, 17, [(2, 2), (1, 1), (1, 1), (2, 2)], [(0, 1, 2, 3)])
    yield "ycck", ycck[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\2" + ycck[2:]
    # The identifiers are those of YCbCr, but Adobe's segment says RGB.
    rgb = random_file(26, 23, [(1, 1)] * 3, [(0, 1, 2)])
    yield "adobe-rgb", rgb[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0" + rgb[2:]
    plain = encoded(odd)
    frame = plain.index(b"\xff\xc0")
    yield "refused-arithmetic", plain[:frame + 1] + b"\xc9" + plain[frame + 2:]
    yield "refused-lossless", plain[:frame + 1] + b"\xc3" + plain[frame + 2:]
    yield "refused-12", plain[:frame + 1] + b"\xc1" + plain[frame + 2:frame + 4] + b"\x0c" + plain[frame + 5:]
    yield "refused-end-of-image", plain[:-2]
    progressive = encoded(odd, progressive=True)
    yield "refused-missing", progressive[:progressive.rindex(b"\xff\xda")] + b"\xff\xd9"
    yield "refused-factors", random_file(35, 19, [(4, 1), (2, 1), (1, 1)], [(0,), (1,), (2,)])


def main():
    print(f"libjpeg-turbo {features.version('libjpeg_turbo')}")
    OUT.mkdir(parents=True, exist_ok=True)
    for name, jpeg in files():
        path = OUT / f"{name}.jpg"
        path.write_bytes(jpeg)
        if not name.startswith("refused-"):
            Image.open(path).convert("RGB").save(path.with_suffix(".png"), optimize=True)


main()
