"""Text of extended XYZ files: decoding, structures, and numbers written by Fortran."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from ase.data import atomic_numbers

GZIP = b"\x1f\x8b"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?"
_NUMBERS = re.compile(rf"\s*{_NUMBER}(?:[\s,]+{_NUMBER})*\s*")
_FORTRAN = re.compile(r"\d\.?[dD][+-]?\d")
# A quoted or bracketed value, white space, or anything else up to one of them.
_TOKEN = re.compile(
    r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\{(?:\\.|[^}\\])*\}|\[(?:\\.|[^\]\\])*\]'
    r"|(?:\\.|[^\s\"'{\[\\])+|\s+|."
)


def read_text(path: Path) -> str:
    """Read a text file, perhaps compressed by gzip or with a byte order mark.

    **Raises:** `ValueError` if it is damaged or not text; `OSError` if it cannot be
    read.
    """
    content = path.read_bytes()
    try:
        if content.startswith(GZIP):
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: the compressed file is damaged ({error})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8 ({error})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_frames(text: str) -> Iterator[tuple[int, str]]:
    """Split a text into structures, with blank lines between them left out.

    **Returns:** the number of the first line of each structure, from 1, and its text.

    **Raises:** `ValueError`, with the line, for anything else than structures, or none.
    """
    lines = text.split("\n")
    start = 0
    found = False
    while start < len(lines):
        if not lines[start].strip():
            start += 1
            continue
        if not re.fullmatch(r"\s*\d+\s*", lines[start], re.ASCII):
            raise ValueError(
                f"line {start + 1}: expected the number of atoms, got "
                f"{lines[start].strip()[:40]!r}"
            )
        end = start + 2 + int(lines[start])
        body = lines[start + 2 : end]
        if end > len(lines) or not all(line.strip() for line in body):
            atoms = next(
                (k for k, row in enumerate(body) if not row.strip()), len(body)
            )
            raise ValueError(
                f"line {start + 1}: expected {int(lines[start])} atoms, got {atoms}"
            )
        while end < len(lines) and lines[end].lstrip().startswith("VEC"):
            end += 1  # cell vectors
        yield start + 1, "\n".join(convert_numbers(lines[start:end])) + "\n"
        found = True
        start = end
    if not found:
        raise ValueError("it has no structure")


def convert_numbers(lines: list[str]) -> list[str]:
    """Rewrite numbers with Fortran exponents, such as 1.5D-03, in one structure."""
    if not any(_FORTRAN.search(line) for line in lines):
        return lines
    head, header, *rows = lines
    is_real = [kind == "R" for kind, _ in _get_columns(header)]
    converted = [
        " ".join(
            _to_exponent(word) if k >= len(is_real) or is_real[k] else word
            for k, word in enumerate(row.split())
        )
        for row in rows
    ]
    return [head, convert_header(header), *converted]


def convert_header(header: str) -> str:
    """Rewrite values with Fortran exponents in a header of an extended XYZ file."""
    return _TOKEN.sub(_convert_token, header) if _FORTRAN.search(header) else header


def find_fault(frame: str) -> tuple[int, str] | None:
    """Find an atom in a structure that cannot be read.

    **Returns:** its line, from 0, and the reason, or `None`.
    """
    _, header, *rows = frame.split("\n")
    columns = _get_columns(header)
    for line, row in enumerate(filter(None, rows), 2):
        words = row.split()
        if len(words) < len(columns):
            return line, f"expected {len(columns)} columns, got {len(words)}"
        for word, (kind, name) in zip(words, columns, strict=False):
            if kind in "RI" and not re.fullmatch(
                rf"{_NUMBER}|[+-]?(nan|inf|infinity)", word, re.IGNORECASE
            ):
                return line, f"{name} {word!r} is no number"
            if name == "species" and word.capitalize() not in atomic_numbers:
                return line, f"{word!r} is no chemical symbol"
    return None


def _get_columns(header: str) -> list[tuple[str, str]]:
    """Type and name of each column of a structure."""
    found = re.search(r"Properties\s*=\s*[\"']?([^\s\"']+)", header)
    fields = (found[1] if found else "species:S:1:pos:R:3").split(":")
    return [
        (kind, name)
        for name, kind, count in zip(
            fields[::3], fields[1::3], fields[2::3], strict=False
        )
        for _ in range(int(count) if count.isdecimal() else 1)
    ]


def _convert_token(match: re.Match[str]) -> str:
    token = match[0]
    if token[0] in "\"'{[":
        name, values, end = token[0], token[1:-1], token[-1]
    else:
        key, equals, values = token.rpartition("=")
        name, end = key + equals, ""
        # ASE reads all identifiers as text.
        if not equals or key.lower() == "uid":
            return token
    if not _NUMBERS.fullmatch(values):
        return token
    return name + "".join(map(_to_exponent, re.split(r"([\s,]+)", values))) + end


def _to_exponent(word: str) -> str:
    if not re.fullmatch(_NUMBER, word):
        return word
    return word.replace("D", "e").replace("d", "e")
