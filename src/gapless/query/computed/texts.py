"""Functions of text that SQL cannot say: replacements at once, command lines, Punycode, compression."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

#: How long a decompressed text may be.
_TEXT_BYTES_MAX = 16 << 20


def _replace_strings(text: str | None, lookups: str | None, rewrites: str | None) -> str | None:
    """Each lookup in turn takes what no earlier one has taken; one without a rewrite leaves it as it is."""
    if text is None:
        return None
    # What is free to be replaced, and between that what is not.
    parts = [text]
    for lookup, rewrite in zip(_items(lookups), _items(rewrites), strict=False):
        if not lookup:
            continue
        split: list[str] = []
        for place, part in enumerate(parts):
            if place % 2:
                split.append(part)
                continue
            first, *rest = part.split(lookup)
            split.append(first)
            for each in rest:
                split += [lookup if rewrite is None else rewrite, each]
        parts = split
    return "".join(parts)


#: A quote after a backslash in the first argument.
_QUOTE_IN_NAME = re.compile(r'[^ \t"]*\\"')


def _items(text: str | None) -> list[str | None]:
    """The items of an array, None for each that is no text; no items of what is no array."""
    try:
        value = msgspec.json.decode(text or "null")
    except msgspec.DecodeError:
        return []
    return [each if isinstance(each, str) else None for each in value] if isinstance(value, list) else []


def _command_line(text: str | None) -> str | None:
    """The arguments of a command line, by the rules of Windows' CommandLineToArgvW."""
    if text is None:
        return None
    if text.startswith((" ", "\t")) or _QUOTE_IN_NAME.match(text):
        # By those rules the name of the program is read in another way.
        raise ValueError(
            "parse_command_line() of a name after spaces, or with quotes in it, is not supported"
        )
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        argument, at = _argument(text, at)
        found.append(argument)
    return msgspec.json.encode(found).decode()


def _argument(text: str, at: int) -> tuple[str, int]:
    """The argument that begins at a place, and where it ends."""
    parts: list[str] = []
    quoted = False
    while at < len(text) and (quoted or text[at] not in " \t"):
        backslashes = len(text) - at - len(text[at:].lstrip("\\"))
        at += backslashes
        if at < len(text) and text[at] == '"':
            # Two of them stand for one before a quote; one that is left makes the quote a character.
            parts.append("\\" * (backslashes // 2))
            if backslashes % 2:
                parts.append('"')
            elif quoted and text[at + 1 : at + 2] == '"':
                parts.append('"')
                at += 1
            else:
                quoted = not quoted
            at += 1
        elif backslashes:
            parts.append("\\" * backslashes)
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts), at


def _by_label(change: Callable[[str], str]) -> Callable[[str | None], str | None]:
    """A change of each label of a domain's name."""

    def changed(text: str | None) -> str | None:
        return None if text is None else _or_empty(lambda: ".".join(map(change, text.split("."))))

    return changed


def _or_empty(compute: Callable[[], str]) -> str:
    try:
        return compute()
    except (UnicodeError, binascii.Error, ValueError, EOFError, zlib.error, OSError):
        return ""


def _label_encoded(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def _label_decoded(label: str) -> str:
    return label[4:].encode().decode("punycode") if label.startswith("xn--") else label


def _encoded(text: str | None) -> str | None:
    return None if text is None else _or_empty(lambda: text.encode("punycode").decode())


def _decoded(text: str | None) -> str | None:
    return None if text is None else _or_empty(lambda: text.encode("ascii").decode("punycode"))


def _decompressed(window_bits: int) -> Callable[[str | None], str | None]:
    """The text that was compressed and then written in base64; empty text for what is none."""

    def decompress(data: bytes) -> str:
        stream = zlib.decompressobj(window_bits)
        text = stream.decompress(data, _TEXT_BYTES_MAX)
        if not stream.eof and stream.unconsumed_tail:
            raise MemoryError
        if not stream.eof:
            raise EOFError
        return text.decode()

    def decompressed(text: str | None) -> str | None:
        if text is None:
            return None
        try:
            return _or_empty(lambda: decompress(base64.b64decode(text, validate=True)))
        except MemoryError:
            raise ValueError(f"a decompressed text may have {_TEXT_BYTES_MAX >> 20} MiB at most") from None

    return decompressed


FUNCTIONS: dict[str, Any] = {
    "replace_strings(text, text, text) text": _replace_strings,
    "parse_command_line(text) text": _command_line,
    "punycode_from_string(text) text": _encoded,
    "punycode_to_string(text) text": _decoded,
    "punycode_domain_from_string(text) text": _by_label(_label_encoded),
    "punycode_domain_to_string(text) text": _by_label(_label_decoded),
    "zlib_decompress_from_base64_string(text) text": _decompressed(zlib.MAX_WBITS),
    "gzip_decompress_from_base64_string(text) text": _decompressed(zlib.MAX_WBITS | 16),
}
