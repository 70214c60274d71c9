"""Whatever batches a journal has, in whatever order and steps: each record once, as it came first."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.lake.lake import LakeSettings
from gapless.lake.limits import StepLimits
from gapless.model.tables import QUARANTINE

from .lake_harness import NOW_US, World, batch, check_lake, read, record, stream_of

TABLE = "App_CL"


@dataclass(frozen=True)
class Sent:
    """A batch, and what happens behind it in the journal."""

    tenant: str
    epoch: str
    first: int
    good: list[bool]
    broken: bool
    step: bool
    reopen: bool

    def lines(self, number: int) -> list[bytes]:
        return [record(number) if good else b"\xff%d" % number for good in self.good]


batches = st.builds(
    Sent,
    tenant=st.sampled_from(["contoso", "fabrikam"]),
    epoch=st.sampled_from(["a" * 32, "b" * 32]),
    first=st.integers(0, 12),
    good=st.lists(st.sampled_from([True, True, True, False]), min_size=1, max_size=6),
    broken=st.sampled_from([False, False, False, False, True]),
    step=st.booleans(),
    reopen=st.sampled_from([False, False, True]),
)
limits = st.builds(
    StepLimits,
    group_bytes_max=st.sampled_from([1, 300, 1 << 20]),
    chunk_bytes_max=st.sampled_from([1, 200, 1 << 20]),
    chunk_records_max=st.sampled_from([1, 4, 1000]),
    quarantine_runs_max=st.sampled_from([1000]),
)


@settings(max_examples=10, deadline=None)
@given(st.lists(batches, min_size=1, max_size=8), limits)
def test_each_record_once_as_it_came_first(sent: list[Sent], step_limits: StepLimits) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        lake = world.open(LakeSettings(step=step_limits))
        expected: dict[tuple[str, str, int], str] = {}
        for number, each in enumerate(sent):
            stream = stream_of(each.tenant, TABLE)
            lines = each.lines(number)
            body = b"broken" if each.broken else None
            world.append(batch(lines, first=each.first, stream=stream, epoch=each.epoch, body=body))
            for at, good in enumerate(each.good):
                what = "whole" if each.broken else f"{'good' if good else 'bad'} {number}"
                expected.setdefault((stream.id, each.epoch, each.first + at), what)
            if each.reopen:
                lake.close()
                lake = world.open(LakeSettings(step=step_limits))
                lake.sweep(NOW_US)
            if each.step:
                lake.step(NOW_US)
        while lake.step(NOW_US).entries:
            pass
        check_lake(world, lake.catalog, ["contoso", "fabrikam"])
        found: dict[tuple[str, str, int], str] = {}
        for tenant in ("contoso", "fabrikam"):
            for row in read(lake.catalog, tenant, TABLE):
                number = int(msgspec.json.decode(row["Data"])["Id"][1:])
                found[row["_Stream"], row["_Epoch"], row["_Seq"]] = f"good {number}"
            for row in read(lake.catalog, tenant, QUARANTINE.name):
                next_ = msgspec.json.decode(row["_Extra"])["next"] if row["_Extra"] else row["_Seq"] + 1
                what = "whole" if row["_Extra"] else f"bad {number_of(row['RawData'])}"
                found |= {(row["_Stream"], row["_Epoch"], seq): what for seq in range(row["_Seq"], next_)}
        lake.close()
    assert found == expected


def number_of(raw: str) -> int:
    return int(base64.b64decode(raw)[1:])
