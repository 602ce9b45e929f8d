"""The one place that puts the service together."""

from scheduling_service import api, handlers
from scheduling_service.jobs import jobs
from scheduling_service.settings import Settings
from servicekit.service import Service, packaged


def build(settings: Settings) -> Service:
    """Return the service as these settings describe it."""
    return Service(
        name="scheduling",
        settings=settings,
        subscriptions=handlers.subscriptions(),
        jobs=jobs(meeting_base_url=settings.meeting_base_url),
        routers=(api.router,),
        migrations=packaged("scheduling_service"),
    )
