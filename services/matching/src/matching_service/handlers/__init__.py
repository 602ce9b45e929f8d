"""What matching does about each event it hears."""

from collections.abc import Sequence

from matching_service.handlers import pool, registry, responses, survivors
from oncomentor_contracts import topics
from oncomentor_contracts.block import KeyChanged, KeyDeleted, SurvivorChanged, SurvivorDeleted
from oncomentor_contracts.institution import InstitutionChanged, InstitutionDeleted
from oncomentor_contracts.matching import ResponseGiven
from oncomentor_contracts.profile import ProfileChanged, ProfileDeleted
from oncomentor_contracts.programme import ProgrammeChanged, ProgrammeDeleted
from oncomentor_contracts.scheduling import AvailabilityChanged, AvailabilityDeleted
from servicekit.subscription import Bulk, Subscription


def subscriptions() -> Sequence[Subscription]:
    """Return everything that matching hears."""
    return (
        Subscription(
            topics.PROFILE_INSTITUTION,
            {
                InstitutionChanged: registry.keep_institution,
                InstitutionDeleted: registry.forget_institution,
            },
        ),
        Subscription(
            topics.PROFILE_PROGRAMME,
            {
                ProgrammeChanged: registry.keep_programme,
                ProgrammeDeleted: registry.forget_programme,
            },
        ),
        Subscription(
            topics.PROFILE_PROFILE,
            {ProfileChanged: Bulk(pool.keep_people), ProfileDeleted: pool.forget_person},
        ),
        Subscription(
            topics.PROFILE_SURVIVOR,
            {
                SurvivorChanged: survivors.keep_block,
                SurvivorDeleted: survivors.forget_block,
            },
        ),
        Subscription(
            topics.PROFILE_KEY,
            {KeyChanged: survivors.keep_key, KeyDeleted: survivors.forget_key},
        ),
        Subscription(
            topics.SCHEDULING_AVAILABILITY,
            {
                AvailabilityChanged: Bulk(pool.keep_availabilities),
                AvailabilityDeleted: pool.forget_availability,
            },
        ),
        Subscription(
            topics.INGRESS_RESPONSE,
            {ResponseGiven: responses.take_response},
            on_duplicate=responses.repeat_receipt,
            on_refused=responses.refuse_unreadable,
        ),
    )
