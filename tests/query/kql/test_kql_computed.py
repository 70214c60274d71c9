"""Functions that Python computes: of probability, of dynamic values, of text."""

from __future__ import annotations

import base64
import gzip
import math
import zlib

import pytest
from kql_answers import check, rows, value, values

from gapless.model.errors import Refused


def test_the_beta_distribution() -> None:
    check(
        {
            "beta_cdf(0.9, 10.0, 20.0)": 0.999999999999959,
            "beta_cdf(0.5, 3.0, 3.0)": 0.5,
            "beta_cdf(1.5, 10.0, 20.0)": "NaN",
            "beta_cdf(0.1, -1.0, 20.0)": "NaN",
            "beta_cdf(real(null), 1.0, 1.0)": None,
            "beta_pdf(0.5, 2.0, 2.0)": 1.5,
            "beta_pdf(0.0, 2.0, 2.0)": 0.0,
            "beta_inv(0.5, 3.0, 3.0)": 0.5,
            "beta_inv(beta_cdf(0.3, 2.0, 5.0), 2.0, 5.0)": 0.3,
            "erf(0.5)": math.erf(0.5),
            "erfc(2)": math.erfc(2),
            # Student's t with two degrees of freedom has a closed form.
            "welch_test(0.0, 1.0, 2.0, 1.0, 1.0, 2.0)": 1 - 1 / math.sqrt(3),
        }
    )


def test_bags() -> None:
    check(
        {
            "bag_set_key(dynamic({'a': 1, 'b': 2.0}), 'c', 'x')": {"a": 1, "b": 2.0, "c": "x"},
            "bag_set_key(dynamic({'a': 1}), 'a', dynamic([1]))": {"a": [1]},
            "bag_set_key(dynamic({'a': 1}), '$.b.c', 3)": {"a": 1, "b": {"c": 3}},
            "bag_set_key(dynamic({'b': {'c': 1, 'd': 2}}), '$.b.c', long(null))": {"b": {"c": None, "d": 2}},
            "bag_set_key(dynamic([1]), 'a', 1)": None,
            "bag_zip(dynamic(['a', 8, 'b']), dynamic([1, '2', 2.5]))": {"a": 1, "b": 2.5},
            "bag_zip(dynamic(['a', 'b']), dynamic([1]))": {"a": 1, "b": None},
            "bag_zip(dynamic(['a']), dynamic(1))": {"a": None},
            "bag_zip(dynamic('a'), dynamic([1]))": None,
        }
    )
    with pytest.raises(Refused, match=r"with the path \$\.a\[0\] is not supported"):
        value("bag_set_key(dynamic({}), '$.a[0]', 1)")


def test_buildschema() -> None:
    table = "datatable(g: long, d: dynamic)[1, dynamic({'a': 1}), "
    table += "1, dynamic({'a': 'x', 'b': [true, 2.5]}), 2, dynamic(5)]"
    asked = "| where g < 3 | summarize buildschema(d) by g | sort by g asc"
    assert rows(f"{table} {asked}") == [
        [1, {"a": ["long", "string"], "b": {"`indexer`": ["bool", "double"]}}],
        [2, "long"],
    ]
    assert rows(f"{table} | where g > 5 | summarize s = buildschema(d)") == [[[]]]


def test_replace_strings() -> None:
    text = "'This is it'"
    check(
        {
            f"replace_strings({text}, dynamic(['This', 'is']), dynamic(['This', 'was']))": "This was it",
            f"replace_strings({text}, dynamic(['is', 'This']), dynamic(['was', 'This']))": "Thwas was it",
            f"replace_strings({text}, dynamic(['This', 'is']), dynamic([12345, 'was']))": "This was it",
            "replace_strings('a cat', dynamic(['cat', 'a']), dynamic(['a', 'cat']))": "cat a",
            "replace_strings('a.c', dynamic(['.']), dynamic(['']))": "ac",
            "replace_strings('abc', dynamic(null), dynamic(['']))": "abc",
        }
    )


def test_command_lines() -> None:
    check(
        {
            "parse_command_line('echo \"hello world!\" print', 'Windows')": ["echo", "hello world!", "print"],
            """parse_command_line(@'a\\\\b "c d" \\"e', 'windows')""": ["a\\\\b", "c d", '"e'],
            """parse_command_line(@'"a\\\\" b', 'windows')""": ["a\\", "b"],
            "parse_command_line('', 'windows')": [],
        }
    )
    for text in (" a", 'a\\\\"b'):
        with pytest.raises(Refused, match="of a name after spaces"):
            value(f"parse_command_line('{text}', 'windows')")


def test_punycode_and_compression() -> None:
    packed = base64.b64encode(zlib.compress("Grüße".encode())).decode()
    zipped = base64.b64encode(gzip.compress(b"plain")).decode()
    check(
        {
            "punycode_from_string('académie-française')": "acadmie-franaise-npb1a",
            "punycode_to_string('acadmie-franaise-npb1a')": "académie-française",
            "punycode_domain_from_string('www.bücher.de')": "www.xn--bcher-kva.de",
            "punycode_domain_to_string('www.xn--bcher-kva.de')": "www.bücher.de",
            f"zlib_decompress_from_base64_string('{packed}')": "Grüße",
            f"gzip_decompress_from_base64_string('{zipped}')": "plain",
            f"gzip_decompress_from_base64_string('{packed}')": "",
            "zlib_decompress_from_base64_string('x0x0x0')": "",
        }
    )


def test_a_decompressed_text_is_bounded() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(17 << 20))).decode()
    with pytest.raises(Refused, match="16 MiB at most"):
        values(f"zlib_decompress_from_base64_string('{bomb}')")
