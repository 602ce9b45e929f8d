"""What the facts set off: saying availability, booking first sessions, turning months.

Locks are taken in one order: calendars (by person), ledger, sessions, outgoing sequences. A job
that holds calendars sets no timer that another job may be holding, and a job that sets such a
timer holds no calendar: nobody waits in a circle.
"""

from collections.abc import Mapping
from functools import partial

from scheduling_service.domain import work
from scheduling_service.jobs.availability import refresh_people, turn_month
from scheduling_service.jobs.booking import book_first_session, retry_bookings
from servicekit.subscription import Job


def jobs(*, meeting_base_url: str) -> Mapping[str, Job]:
    """Return the job of each kind of work: the index of this package."""
    return {
        work.BOOK_FIRST_SESSION: partial(book_first_session, meeting_base_url=meeting_base_url),
        work.REFRESH_PEOPLE: refresh_people,
        work.RETRY_BOOKINGS: retry_bookings,
        work.TURN_MONTH: turn_month,
    }
