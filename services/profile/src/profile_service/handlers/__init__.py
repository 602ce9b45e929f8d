"""What the profile service does with every event that a center sends."""

from functools import partial

from oncomentor_contracts import topics
from oncomentor_contracts.institution import InstitutionSubmitted
from oncomentor_contracts.profile import PersonSubmitted, PersonWithdrawn
from oncomentor_contracts.programme import ProgrammeSubmitted
from profile_service.handlers.people import admit_person, forget_person
from profile_service.handlers.receipts import repeat_receipt, report_refusal
from profile_service.handlers.registry import record_institution, record_programme
from profile_service.handlers.vault import Vault
from servicekit.subscription import Subscription


def subscriptions(vault: Vault) -> tuple[Subscription, ...]:
    """Return what the service hears and which function applies it."""
    return (
        Subscription(
            topics.INGRESS_PROFILE,
            {
                InstitutionSubmitted: record_institution,
                ProgrammeSubmitted: record_programme,
                PersonSubmitted: partial(admit_person, vault),
                PersonWithdrawn: forget_person,
            },
            on_duplicate=repeat_receipt,
            on_refused=report_refusal,
        ),
    )
