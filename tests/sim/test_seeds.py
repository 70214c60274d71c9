"""The whole pipeline under drawn faults: a fixed set of seeds, and a few that nobody has run before."""

from __future__ import annotations

import secrets

import pytest

from gapless.testing.simulation import Outcome, Simulation

FIXED = range(1, 46)
FRESH = 5
#: Of default length; each broke a rule once (docs/internals/faults.md).
ONCE_FAILED = (1987, 2219, 2816, 3240, 10611, 21966, 23436, 25337, 25645, 28626, 31736)
#: Short ones: the long ones are ``make sim``'s.
FAULTS_S = 60.0


def run(seed: int) -> Outcome:
    return Simulation(seed, FAULTS_S).run()


@pytest.mark.case("T9", "T61")
@pytest.mark.parametrize("start", FIXED[::9])
def test_no_seed_of_the_fixed_set_breaks_a_rule(start: int) -> None:
    for seed in range(start, start + 9):
        outcome = run(seed)
        assert not outcome.error, f"seed {seed}, {FAULTS_S:.0f} s of faults: {outcome.error}"


def test_no_fresh_seed_breaks_a_rule() -> None:
    first = 10_000 + secrets.randbelow(1 << 40)
    print(f"fresh seeds from {first}")
    for seed in range(first, first + FRESH):
        outcome = run(seed)
        assert not outcome.error, f"seed {seed}, {FAULTS_S:.0f} s of faults: {outcome.error}"


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_no_seed_that_once_failed_breaks_a_rule(seed: int) -> None:
    outcome = Simulation(seed).run()
    assert not outcome.error, f"seed {seed}: {outcome.error}"


def test_a_seed_replays_exactly() -> None:
    one, two = run(7), run(7)
    assert one.trace == two.trace
    assert (one.records, one.receipts, one.stored, one.faults) == (
        two.records,
        two.receipts,
        two.stored,
        two.faults,
    )
    assert run(8).trace != one.trace


def test_a_simulation_does_what_it_says() -> None:
    outcomes = [run(seed) for seed in range(1, 9)]
    assert all(outcome.records and outcome.receipts and outcome.stored for outcome in outcomes)
    assert sum(outcome.stored for outcome in outcomes) > 500
    struck = {kind for outcome in outcomes for kind in outcome.faults}
    assert {"agent killed", "disk refusals", "network partition"} <= struck
    assert len(struck) > 15


class Frozen(Simulation):
    """Nothing goes wrong, but that the gateway stands still for minutes, and then takes all that waited."""

    def strike(self) -> None:
        super().strike()
        gateway = self.platform.gateway
        assert gateway is not None
        gateway.process.freeze()
        self.run_for(400.0)
        gateway.process.thaw()


@pytest.mark.parametrize("seed", [1, 4])
def test_claims_that_a_gateway_held_for_minutes_are_no_rollback_in_any_order(seed: int) -> None:
    outcome = Frozen(seed, 20.0, swarm=False).run()
    assert not outcome.error, outcome.error
