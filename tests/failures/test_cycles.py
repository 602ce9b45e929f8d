"""Five cycles of the campaign, one of each kind that matters most; `make faults` runs many more."""

import pytest

from testkit.faults.cycle import run_cycle
from testkit.faults.draw import Size
from testkit.faults.ground import REPLICAS, Ground
from testkit.faults.harm import FAULTS

_FAULTS = (
    "kill at slice.moved",
    "kill at relay.page_acked",
    "freeze at slice.begin",
    "kill kafka",
    "kill postgres",
    "repeat records",
)
TIME = 12  # a busy machine is no fault of the kernel


@pytest.mark.timeout(300)  # on two busy cores the seven processes alone take a minute to start
@pytest.mark.asyncio(loop_scope="session")
async def test_nothing_is_lost_and_nothing_is_done_twice(clean: Ground) -> None:
    await clean.start(REPLICAS, {})

    for seed, name in enumerate(_FAULTS, start=1000):
        result = await run_cycle(clean, seed, FAULTS[name], size=Size(people=10, answers=50))

        assert [v for v in result.violations if v.invariant != TIME] == [], name
        assert result.evidence.unsettled == (), name
        assert result.notes.left_undone == [], name
