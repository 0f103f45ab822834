"""What a file is that is no data: told by its first bytes alone, whatever it is called, and said with the fix.

A file of these kinds holds no row at all. Read as JSON Lines it would be a few broken rows, which the share of broken
rows that a run allows can hide, so that a whole file is lost.
"""

from __future__ import annotations

import re

SNIFFED = 512  # bytes that are enough to tell: tar has its name at 257
BOM = b"\xef\xbb\xbf"
_SPACE = BOM + b" \t\r\n"
_UNPACK = "; take the data files out of it"
_PARQUET = "; write it as Parquet or JSON Lines"
_COMPRESS = "; unpack it, or compress it with gzip or zstd"

_MAGIC = (
    (rb"version https://git-lfs\.github\.com/spec/",
     "is a Git LFS pointer, not the data; fetch the data with git lfs pull, or with hf download"),
    (rb"# xet version", "is a Xet pointer, not the data; fetch the data with git xet, or with hf download"),
    (rb"(?:\.\./)*\.git/annex/objects/|/annex/objects/",
     "is a git-annex pointer, not the data; fetch the data with git annex get"),
    (rb"PK\x03\x04(?s:.){26,}?(?:\[Content_Types\]\.xml|xl/|_rels/|docProps/)",
     "is an Excel workbook (.xlsx); save the sheet as CSV, UTF-8"),
    (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", f"is a zip archive{_UNPACK}"),
    (rb"(?s:.){257}ustar", f"is a tar archive{_UNPACK}"),
    (rb"7z\xbc\xaf\x27\x1c", f"is a 7z archive{_UNPACK}"),
    (rb"Rar!\x1a\x07", f"is a RAR archive{_UNPACK}"),
    (rb"BZh[1-9]1AY&SY", f"is compressed with bzip2{_COMPRESS}"),
    (rb"\xfd7zXZ\x00", f"is compressed with xz{_COMPRESS}"),
    (rb"\x04\x22\x4d\x18", f"is compressed with LZ4{_COMPRESS}"),
    (rb"\xff\x06\x00\x00sNaPpY", f"is compressed with Snappy{_COMPRESS}"),
    (rb"FEA1\x00", f"is a Feather file of version 1{_PARQUET}"),
    (rb"ORC[^ -~\s]", f"is an ORC file{_PARQUET}"),
    (rb"Obj\x01", f"is an Avro file{_PARQUET}"),
    (rb"SQLite format 3\x00", f"is an SQLite database{_PARQUET}"),
    (rb"\x89HDF\r\n\x1a\n", f"is an HDF5 file{_PARQUET}"),
    (rb"\x93NUMPY", f"is a NumPy file{_PARQUET}"),
    (rb"\x80[\x02-\x05](?:\x95|\}|\]|c)", f"is a Python pickle{_PARQUET}"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel workbook (.xls); save the sheet as CSV, UTF-8"),
    (rb"%PDF-", "is a PDF file, not data; give the data file"),
    (rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8", "is an image, not data; give the data file"),
)  # fmt: skip
_BEGINS = [(re.compile(pattern), said) for pattern, said in _MAGIC]
_MARKUP = re.compile(rb"<[!?/a-zA-Z]")
_HTML = re.compile(rb"(?is)<!doctype html|<html|<head|<body|(?:<!--.*?-->\s*+)++<(?:!doctype|html)")


def foreign(head: bytes) -> str | None:
    """What a file that begins so is, and how to fix it, as the rest of a sentence about it; None where it may be data.

    Args:
        head: its first bytes, SNIFFED of them or all.
    """
    for pattern, said in _BEGINS:
        if pattern.match(head):
            return said
    encoding = _wide(head)
    if encoding:
        return f"is text in {encoding}; save it as UTF-8, such as with iconv -f {encoding} -t UTF-8"
    text = head.lstrip(_SPACE)
    if _HTML.match(text):
        return "is an HTML page, such as a login or an error page, not the data; download the data file again"
    if _MARKUP.match(text):
        return "is XML, such as an error message, not the data; download it again, or write it as JSON Lines"
    return None


def _wide(head: bytes) -> str | None:
    """The encoding of a text whose characters take two or four bytes, with a byte order mark or without."""
    for mark, name in ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"),
                       (b"\xfe\xff", "UTF-16")):  # fmt: skip
        if head.startswith(mark):
            return name
    start = head[:32]
    for width, name in ((4, "UTF-32"), (2, "UTF-16")):
        for order, place in (("LE", 0), ("BE", width - 1)):
            letters = start[place::width][: len(start) // width]
            zeros = bytes(byte for at, byte in enumerate(start[: len(letters) * width]) if at % width != place)
            if len(letters) > 1 and 0 not in letters and not any(zeros):
                return f"{name}{order}"
    return None
