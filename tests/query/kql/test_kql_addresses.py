"""Functions of addresses."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st
from kql_answers import check, rows, value

_ADDRESSES = st.integers(0, (1 << 128) - 1).map(lambda number: str(ipaddress.IPv6Address(number)))


def test_ipv4_as_text() -> None:
    check(
        {
            "format_ipv4('192.168.1.255', 24)": "192.168.1.0",
            "format_ipv4(3232236031, 24)": "192.168.1.0",
            "format_ipv4('192.168.1.255/16', 24)": "192.168.0.0",
            "format_ipv4_mask('192.168.1.255/16', 24)": "192.168.0.0/16",
            "format_ipv4(-1)": "",
            "format_ipv4('192.168.1')": "",
            "parse_ipv4_mask('127.0.0.1', 24)": 2130706432,
            "ipv4_netmask_suffix('192.168.1.1/24')": 24,
            "ipv4_netmask_suffix('192.168.1.1')": 32,
            "ipv4_netmask_suffix('192.168.1.1/33')": None,
        }
    )


def test_prefixes_of_rows() -> None:
    found = rows(
        "datatable(a: string, b: string, prefix: long)['192.168.1.1/24', '192.168.1.255', 31, 'x', 'y', 40]"
        " | project ipv4_compare(a, b, prefix), ipv4_is_match(a, b, prefix)"
    )
    assert found == [[0, True], [None, None]]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_ranges_as_networks(one: int, other: int) -> None:
    first, last = map(ipaddress.IPv4Address, sorted((one, other)))
    wanted = [str(network) for network in ipaddress.summarize_address_range(first, last)]
    assert value(f"ipv4_range_to_cidr_list('{first}', '{last}')") == wanted


def test_a_range_that_ends_before_it_begins() -> None:
    assert value("ipv4_range_to_cidr_list('1.1.1.2', '1.1.1.1')") is None


@settings(max_examples=10, deadline=None)
@given(st.lists(_ADDRESSES, min_size=2, max_size=2), st.integers(0, 128))
def test_ipv6(addresses: list[str], bits: int) -> None:
    a, b = addresses
    network = ipaddress.IPv6Network(f"{a}/{bits}", strict=False)
    one, other = (int(ipaddress.IPv6Address(each)) for each in addresses)
    order = (one > other) - (one < other)
    check(
        {
            f"parse_ipv6('{a}')": ipaddress.IPv6Address(a).exploded,
            f"parse_ipv6('{a}/{bits}')": network.network_address.exploded,
            f"ipv6_is_in_range('{b}', '{a}/{bits}')": ipaddress.IPv6Address(b) in network,
            f"ipv6_compare('{a}', '{b}')": order,
            f"ipv6_is_match('{a}', '{a}')": True,
        }
    )


def test_ipv6_of_ipv4() -> None:
    check(
        {
            "parse_ipv6('127.0.0.1')": "0000:0000:0000:0000:0000:ffff:7f00:0001",
            "parse_ipv6('::ffff:192.168.1.1')": "0000:0000:0000:0000:0000:ffff:c0a8:0101",
            "parse_ipv6_mask('192.168.255.255/24', 124)": "0000:0000:0000:0000:0000:ffff:c0a8:ff00",
            "ipv6_is_match('192.168.1.1/24', '::ffff:c0a8:01ff')": True,
            "ipv6_compare('192.168.1.1', '192.168.1.0')": 1,
        }
    )


def test_what_is_no_ipv6_address() -> None:
    wrong = (
        "x",
        "12345::",
        "1::2::3",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "::/129",
        "1.2.3.4.5",
        "",
    )
    check({f"parse_ipv6('{address}')": "" for address in wrong})
    check({f"ipv6_is_in_any_range('{address}', '::1')": None for address in wrong})


def test_prefixes_in_texts() -> None:
    text = "'05:04:54 127.0.0.1 GET'"
    check(
        {
            f"has_ipv4_prefix({text}, '127.0.')": True,
            f"has_ipv4_prefix({text}, '127.0')": False,
            f"has_ipv4_prefix({text}, '127.0.0.1')": True,
            f"has_ipv4_prefix({text}, '127.0.0.1.')": False,
            f"has_ipv4_prefix({text}, '27.')": False,
            "has_ipv4_prefix('05:04:54127.0.0.1 GET', '127.0.')": False,
            "has_ipv4_prefix('127.0.0.300', '127.0.')": False,
            f"has_any_ipv4_prefix({text}, '10.', '127.')": True,
            f"has_any_ipv4_prefix({text}, dynamic(['10.', 'x']))": False,
        }
    )
