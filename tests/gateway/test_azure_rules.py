"""Rules as Azure writes them."""

from __future__ import annotations

import json

import pytest

from gapless.gateway.uploads.azure_rules import streams_of
from gapless.model.errors import Refused
from gapless.model.rule import RuleStream
from gapless.model.tables import Column

PROPERTIES = {
    "streamDeclarations": {
        "Custom-App": {
            "columns": [
                {"name": "Time", "type": "datetime"},
                {"name": "Level", "type": "string"},
                {"name": "Ok", "type": "boolean"},
            ]
        }
    },
    "dataSources": {"logFiles": []},
    "destinations": {"logAnalytics": [{"name": "there"}]},
    "dataFlows": [
        {
            "streams": ["Custom-App"],
            "destinations": ["there"],
            "transformKql": "source | where Level != 'debug'",
            "outputStream": "Custom-App_CL",
        },
        {"streams": ["Microsoft-Syslog"], "destinations": ["there"]},
    ],
}


@pytest.mark.parametrize("document", [PROPERTIES, {"location": "westeurope", "properties": PROPERTIES}])
def test_its_flows_are_streams(document: object) -> None:
    assert streams_of(json.dumps(document).encode()) == (
        RuleStream(
            name="Custom-App",
            table="App_CL",
            columns=(Column("Time", "datetime"), Column("Level", "string"), Column("Ok", "bool")),
            transform="source | where Level != 'debug'",
        ),
        RuleStream(name="Microsoft-Syslog", table="Syslog"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"dataFlows": [{"streams": "Custom-App"}]}',
        '{"dataFlows": [{"streams": ["Custom-A"]}], "streamDeclarations": {"Custom-A": {"columns": '
        '[{"name": "a", "type": "blob"}]}}}',
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        streams_of(text.encode())
