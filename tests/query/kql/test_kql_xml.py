"""parse_xml()."""

from __future__ import annotations

from kql_answers import check, rows


def test_elements() -> None:
    check(
        {
            "parse_xml('<a/>')": {"a": None},
            "parse_xml('<a>1</a>')": {"a": "1"},
            "parse_xml('<a>\\n <b>1</b>\\n <b c=\\'2\\'>3</b></a>')": {
                "a": {"b": ["1", {"@c": "2", "#text": "3"}]}
            },
            "parse_xml('<?xml version=\"1.0\"?><r><!-- <x> --><y/></r>')": {
                "?xml": {"@version": "1.0"},
                "r": {"y": None},
            },
            "parse_xml('<a><![CDATA[x<y]]></a>')": {"a": {"#cdata-section": "x<y"}},
        }
    )


def test_entities_and_quotes() -> None:
    check(
        {
            "parse_xml('<a b=\"x&amp;y\">&lt;&#65;&#x1F600;&quot;</a>')": {
                "a": {"@b": "x&y", "#text": '<A😀"'}
            },
            "parse_xml('<a b=\"1>2\"/>')": {"a": {"@b": "1>2"}},
            "parse_xml('<a>\"\\\\</a>')": {"a": '"\\'},
        }
    )


def test_what_is_no_document() -> None:
    for text in ("", "text", "<a>", "<a></b>", "<a/><b/>", "<a/>x", "a<b", "<a><b></a></b>"):
        check({f"parse_xml('{text}')": None})


def test_events_of_windows() -> None:
    found = rows(
        """datatable(s: string)['<EventData xmlns="x:w"><Data Name="User">S-1-5</Data><Data Name="No"/>"""
        """</EventData>'] | mv-expand d = parse_xml(s).EventData.Data"""
        """ | project tostring(d['@Name']), tostring(d['#text'])"""
    )
    assert found == [["User", "S-1-5"], ["No", ""]]
