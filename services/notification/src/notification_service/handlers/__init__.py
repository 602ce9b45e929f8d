"""What the service hears: projections, updates to the centers, and work for the jobs."""

from notification_service.domain.match import MatchState
from notification_service.handlers import deliveries, matches, registry, sessions
from oncomentor_contracts import topics
from oncomentor_contracts.block import ContactChanged, ContactDeleted, KeyChanged, KeyDeleted
from oncomentor_contracts.institution import InstitutionChanged, InstitutionDeleted
from oncomentor_contracts.matching import (
    MatchAccepted,
    MatchActivated,
    MatchCleared,
    MatchDeclined,
    MatchExpired,
    MatchNotAvailable,
    MatchOffered,
    MatchProposed,
    MatchSuperseded,
    MatchWithdrawn,
)
from oncomentor_contracts.notification import DeliveryFailed, DeliveryIntended, DeliverySent
from oncomentor_contracts.profile import ProfileChanged, ProfileDeleted
from oncomentor_contracts.programme import ProgrammeChanged, ProgrammeDeleted
from oncomentor_contracts.scheduling import LinkIssued, SessionBooked, SessionUnbookable
from servicekit.subscription import Bulk, Subscription


def subscriptions() -> tuple[Subscription, ...]:
    """Return every topic heard, with the function that applies each fact.

    The last one is the sending half: a center that keeps its people's names at home hears its
    delivery intents there instead, and everything above stays as it is.
    """
    return (
        Subscription(
            topics.PROFILE_INSTITUTION,
            {
                InstitutionChanged: registry.store_institution,
                InstitutionDeleted: registry.forget_institution,
            },
        ),
        Subscription(
            topics.PROFILE_PROGRAMME,
            {
                ProgrammeChanged: registry.store_programme,
                ProgrammeDeleted: registry.forget_programme,
            },
        ),
        Subscription(
            topics.PROFILE_PROFILE,
            {
                ProfileChanged: Bulk(registry.store_people),
                ProfileDeleted: registry.forget_person,
            },
        ),
        Subscription(
            topics.PROFILE_CONTACT,
            {
                ContactChanged: Bulk(registry.store_contacts),
                ContactDeleted: registry.forget_contact,
            },
        ),
        Subscription(
            topics.PROFILE_KEY,
            {KeyChanged: Bulk(registry.store_keys), KeyDeleted: registry.forget_key},
        ),
        Subscription(
            topics.MATCHING_MATCH,
            {
                MatchProposed: matches.tell_of_proposal,
                MatchCleared: matches.tell_of_clearance,
                MatchOffered: matches.tell_of_offer,
                MatchAccepted: matches.tell_of_yes,
                MatchActivated: matches.tell_of_match,
                MatchDeclined: matches.tell_of_end(MatchState.DECLINED),
                MatchExpired: matches.tell_of_end(MatchState.EXPIRED),
                MatchNotAvailable: matches.tell_of_end(MatchState.NOT_AVAILABLE),
                MatchSuperseded: matches.tell_of_end(MatchState.SUPERSEDED),
                MatchWithdrawn: matches.tell_of_end(MatchState.WITHDRAWN),
            },
        ),
        Subscription(
            topics.SCHEDULING_SESSION,
            {
                SessionBooked: sessions.store_booking,
                SessionUnbookable: sessions.store_unbookable,
            },
        ),
        Subscription(topics.SCHEDULING_LINK, {LinkIssued: sessions.store_link}),
        Subscription(
            topics.NOTIFICATION_DELIVERY,
            {
                DeliveryIntended: deliveries.queue_mail,
                DeliverySent: deliveries.note_sent,
                DeliveryFailed: deliveries.note_failed,
            },
        ),
    )
