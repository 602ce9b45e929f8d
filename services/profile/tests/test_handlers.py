import re
from uuid import uuid4

import pytest
from services.profile.tests.conftest import (
    Center,
    Hub,
    a_contact,
    a_survivor,
    consent,
    kinds,
    one,
    rules,
    was_applied,
)

from oncomentor_contracts.block import (
    ContactChanged,
    EncryptedBlock,
    KeyChanged,
    SurvivorBlock,
    SurvivorChanged,
)
from oncomentor_contracts.institution import InstitutionChanged
from oncomentor_contracts.profile import ProfileChanged
from oncomentor_contracts.programme import ProgrammeChanged
from oncomentor_contracts.receipt import Outcome, ReceiptAccepted, ReceiptRejected
from profile_service.handlers.receipts import repeat_receipt, report_refusal
from profile_service.handlers.vault import Vault
from profile_service.store import people, receipts, registry
from servicekit import security
from servicekit.errors import TransientError
from servicekit.security import UnsealableError
from servicekit.subscription import Refusal
from servicekit.tx import Tx

STATES = ["KeyChanged", "ContactChanged", "ProfileChanged", "ReceiptAccepted"]


@pytest.fixture
async def network(tx: Tx, hub: Hub, north: Center, south: Center) -> Tx:
    """Both centers are registered, and `grants` is open to both."""
    await hub.register(tx, north, south)
    await hub.define(tx, north.programme("grants"))
    return tx


async def test_a_new_person_is_said_on_every_topic_with_a_key_to_read_them(
    network: Tx, hub: Hub, north: Center
) -> None:
    event = north.submits("ada", survivor=a_survivor())

    said = await hub.hear(event, network)

    assert kinds(said) == [
        "KeyChanged",
        "ContactChanged",
        "SurvivorChanged",
        "ProfileChanged",
        "ReceiptAccepted",
    ]
    profile = one(said, ProfileChanged)
    assert (profile.version, profile.profile) == (1, event.profile)
    assert hub.contact_said(said) == a_contact("ada")


async def test_matching_reads_the_survivor_block_and_not_the_contact(
    network: Tx, hub: Hub, north: Center
) -> None:
    said = await hub.hear(north.submits(survivor=a_survivor()), network)

    key = hub.block_key("matching", one(said, KeyChanged))
    ada = north.person_id("ada")
    opened = security.decrypt_block(key, "survivor", ada, one(said, SurvivorChanged).block)
    assert SurvivorBlock.model_validate_json(opened) == a_survivor()
    with pytest.raises(UnsealableError):
        security.decrypt_block(key, "contact", ada, one(said, ContactChanged).block)


async def test_the_receipt_names_the_event_and_its_subject(
    network: Tx, hub: Hub, north: Center
) -> None:
    event = north.submits()

    said = await hub.hear(event, network)

    receipt = one(said, ReceiptAccepted)
    assert (receipt.receipt_for, receipt.about) == (str(event.envelope.id), event.subject)
    assert (receipt.outcome, receipt.at) == (Outcome.APPLIED, network.now)


async def test_the_same_content_under_a_new_id_is_applied_and_says_nothing_else(
    network: Tx, hub: Hub, north: Center
) -> None:
    await hub.hear(north.submits(survivor=a_survivor()), network)

    said = await hub.hear(north.submits(survivor=a_survivor()), network)

    assert kinds(said) == ["ReceiptAccepted"]
    assert one(said, ReceiptAccepted).outcome is Outcome.APPLIED


async def test_there_and_back_again_says_each_state(network: Tx, hub: Hub, north: Center) -> None:
    await hub.hear(north.submits(), network)

    there = await hub.hear(north.submits(contact=a_contact(phone="+351 555 0199")), network)
    back = await hub.hear(north.submits(), network)

    assert kinds(there) == kinds(back) == ["ContactChanged", "ProfileChanged", "ReceiptAccepted"]
    assert (one(there, ProfileChanged).version, one(back, ProfileChanged).version) == (2, 3)
    assert kinds(await hub.hear(north.submits(), network)) == ["ReceiptAccepted"]


async def test_a_changed_profile_leaves_the_contact_and_the_key_alone(
    network: Tx, hub: Hub, north: Center
) -> None:
    await hub.hear(north.submits(), network)

    said = await hub.hear(north.submits(profession="oncology_nurse"), network)

    assert kinds(said) == ["ProfileChanged", "ReceiptAccepted"]
    assert one(said, ProfileChanged).profile.profession == "oncology_nurse"


async def test_a_survivor_block_that_is_left_out_is_deleted(
    network: Tx, hub: Hub, north: Center
) -> None:
    await hub.hear(north.submits(survivor=a_survivor()), network)

    said = await hub.hear(north.submits(), network)

    assert kinds(said) == ["SurvivorDeleted", "ProfileChanged", "ReceiptAccepted"]
    held = await people.get_held(network, north.person_id("ada"))
    assert held is not None
    assert held.content.survivor is None


async def test_a_survivor_block_without_consent_is_refused(
    network: Tx, hub: Hub, north: Center
) -> None:
    event = north.submits(survivor=a_survivor(), consents=[consent("matching")])

    said = await hub.hear(event, network)

    assert rules(said) == [("sealed_survivor", "consent_missing")]


async def test_a_stale_version_is_refused_and_a_later_one_taken(
    network: Tx, hub: Hub, north: Center
) -> None:
    await hub.hear(north.submits(sequence=5), network)

    stale = await hub.hear(north.submits(profession="oncology_nurse", sequence=4), network)
    later = await hub.hear(north.submits(profession="oncology_nurse", sequence=6), network)

    assert rules(stale) == [("sequence", "stale_version")]
    assert one(later, ProfileChanged).version == 2


async def test_equal_content_moves_the_sequence_on(network: Tx, hub: Hub, north: Center) -> None:
    await hub.hear(north.submits(sequence=5), network)
    await hub.hear(north.submits(sequence=9), network)

    said = await hub.hear(north.submits(profession="oncology_nurse", sequence=7), network)

    assert rules(said) == [("sequence", "stale_version")]


async def test_another_centers_person_is_refused_without_saying_whose(
    network: Tx, hub: Hub, north: Center, south: Center
) -> None:
    await hub.hear(north.submits("ada"), network)
    forged = south.submits().model_copy(update={"person_id": north.person_id("ada")})

    said = await hub.hear(south.sends(forged), network)

    assert rules(said) == [("person_id", "foreign_person")]
    assert "north" not in str(said)
    person = await people.get_person(network, north.person_id("ada"))
    assert person is not None
    assert (person.institution_id, person.version) == ("north-center", 1)


async def test_a_refused_submission_does_not_claim_the_person_id(
    network: Tx, hub: Hub, north: Center, south: Center
) -> None:
    forged = south.submits(profession="wizard").model_copy(
        update={"person_id": north.person_id("ada")}
    )
    await hub.hear(south.sends(forged), network)

    said = await hub.hear(north.submits("ada"), network)

    assert was_applied(said)


async def test_a_block_sealed_to_another_key_is_refused(
    network: Tx, hub: Hub, north: Center
) -> None:
    other = Center(north.institution_id, security.generate_key(), north.key)

    said = await hub.hear(other.submits(survivor=a_survivor()), network)

    assert rules(said) == [("sealed_contact", "unsealable"), ("sealed_survivor", "unsealable")]
    assert "/v1/keys/intake" in one(said, ReceiptRejected).problems[0].fix


async def test_a_contact_that_breaks_its_schema_is_refused_without_repeating_it(
    network: Tx, hub: Hub, north: Center
) -> None:
    contact = a_contact().model_copy(update={"email": "ada at home", "phone": "\x00"})

    said = await hub.hear(north.submits(contact=contact), network)

    assert {field for field, _ in rules(said)} == {"sealed_contact.email", "sealed_contact.phone"}
    assert "ada at home" not in str(said)


async def test_an_unknown_code_is_refused_with_the_nearest_ones(
    network: Tx, hub: Hub, north: Center
) -> None:
    said = await hub.hear(north.submits(profession="oncology_nurs"), network)

    assert rules(said) == [("profile.profession", "unknown_code")]
    assert "oncology_nurse" in one(said, ReceiptRejected).problems[0].suggestions


async def test_an_unknown_code_in_a_sealed_block_is_named_by_its_place_alone(
    network: Tx, hub: Hub, north: Center
) -> None:
    survivor = a_survivor(cancer_type="BRCAA", treatments=["chemotherapi"])

    said = await hub.hear(north.submits(survivor=survivor), network)

    assert rules(said) == [
        ("sealed_survivor.cancer_type", "unknown_code"),
        ("sealed_survivor.treatments[0]", "unknown_code"),
    ]
    assert "BRCA" not in str(said)
    assert "chemo" not in str(said)


async def test_a_role_in_a_programme_that_cannot_be_joined_is_refused_with_those_that_can(
    network: Tx, hub: Hub, north: Center, south: Center
) -> None:
    await hub.define(
        network,
        south.programme("grants-south", participants=["south-center"]),
        north.programme("grants-old", active=False),
    )
    roles = [{"programme_id": p} for p in ("grants-south", "grants-old")]

    said = await hub.hear(
        north.submits(mentor_roles=roles, mentee_roles=[{"programme_id": "grant"}]), network
    )

    assert rules(said) == [
        ("profile.mentor_roles[0].programme_id", "programme_not_open"),
        ("profile.mentor_roles[1].programme_id", "inactive_programme"),
        ("profile.mentee_roles[0].programme_id", "unknown_programme"),
    ]
    suggested = [problem.suggestions for problem in one(said, ReceiptRejected).problems]
    assert suggested == [("grants",)] * 3


async def test_a_role_in_an_open_programme_is_taken(
    network: Tx, hub: Hub, north: Center, south: Center
) -> None:
    said = await hub.hear(south.submits(mentor_roles=[{"programme_id": "grants"}]), network)

    assert was_applied(said)


async def test_a_center_outside_the_registry_submits_no_one(
    tx: Tx, hub: Hub, north: Center
) -> None:
    said = await hub.hear(north.submits(), tx)

    assert rules(said) == [("institution_id", "unknown_institution")]


async def test_a_withdrawal_says_tombstones_and_leaves_nothing_to_decrypt(
    network: Tx, hub: Hub, north: Center
) -> None:
    before = await hub.hear(north.submits(survivor=a_survivor()), network)

    said = await hub.hear(north.withdraws(), network)

    assert kinds(said) == [
        "KeyDeleted",
        "ContactDeleted",
        "SurvivorDeleted",
        "ProfileDeleted",
        "ReceiptAccepted",
    ]
    for table in ("people", "person_keys", "contacts", "survivor_blocks"):
        assert await network.conn.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608
    block = one(before, ContactChanged).block
    assert await _opens_with_any_stored_key(network, hub.vault, north, block) is False


async def test_the_blocks_of_before_do_not_open_with_the_key_of_one_who_came_back(
    network: Tx, hub: Hub, north: Center
) -> None:
    before = await hub.hear(north.submits(), network)
    await hub.hear(north.withdraws(), network)

    said = await hub.hear(north.submits(), network)

    assert kinds(said) == STATES
    assert one(said, ProfileChanged).version == 2
    assert one(said, KeyChanged).key_id != one(before, KeyChanged).key_id
    block = one(before, ContactChanged).block
    assert await _opens_with_any_stored_key(network, hub.vault, north, block) is False


async def test_a_late_submission_does_not_bring_a_withdrawn_person_back(
    network: Tx, hub: Hub, north: Center
) -> None:
    await hub.hear(north.submits(sequence=5), network)
    await hub.hear(north.withdraws(sequence=6), network)

    said = await hub.hear(north.submits(sequence=5), network)

    assert rules(said) == [("sequence", "stale_version")]


async def test_a_late_withdrawal_is_refused(network: Tx, hub: Hub, north: Center) -> None:
    await hub.hear(north.submits(sequence=5), network)

    said = await hub.hear(north.withdraws(sequence=4), network)

    assert rules(said) == [("sequence", "stale_version")]


async def test_withdrawing_who_is_not_there_is_refused_alike_for_everyone_not_there(
    network: Tx, hub: Hub, north: Center, south: Center
) -> None:
    await hub.hear(north.submits("ada"), network)
    await hub.hear(north.submits("ben"), network)
    await hub.hear(north.withdraws("ben"), network)
    foreign = south.withdraws().model_copy(update={"person_id": north.person_id("ada")})

    answers = [
        await hub.hear(event, network)
        for event in (north.withdraws("ben"), north.withdraws("cy"), south.sends(foreign))
    ]

    assert [rules(said) for said in answers] == [[("person_id", "unknown_person")]] * 3
    assert await people.get_held(network, north.person_id("ada")) is not None


async def test_a_lost_kek_makes_events_wait_and_quarantines_none(
    network: Tx, hub: Hub, north: Center
) -> None:
    await hub.hear(north.submits(), network)
    hub.kek = security.new_dek()

    with pytest.raises(TransientError, match="KEK"):
        await hub.hear(north.submits(profession="oncology_nurse"), network)


async def test_a_registered_center_changes_its_own_entry(
    network: Tx, hub: Hub, north: Center
) -> None:
    said = await hub.hear(north.describes_itself(name="North"), network)
    again = await hub.hear(north.describes_itself(name="North"), network)

    assert kinds(said) == ["InstitutionChanged", "ReceiptAccepted"]
    assert one(said, InstitutionChanged).name == "North"
    assert kinds(again) == ["ReceiptAccepted"]


async def test_a_center_does_not_register_itself(tx: Tx, hub: Hub, north: Center) -> None:
    said = await hub.hear(north.describes_itself(), tx)

    assert rules(said) == [("institution_id", "unknown_institution")]
    assert await registry.list_institutions(tx) == []


async def test_a_suspended_center_does_not_resume_itself(tx: Tx, hub: Hub, north: Center) -> None:
    await registry.upsert_institution(tx, north.itself(state="suspended"), None)

    said = await hub.hear(north.describes_itself(), tx)

    assert rules(said) == [("state", "operator_only")]


async def test_an_older_entry_does_not_replace_a_later_one(
    network: Tx, hub: Hub, north: Center
) -> None:
    await hub.hear(north.describes_itself(name="New", sequence=2), network)

    said = await hub.hear(north.describes_itself(name="Old", sequence=1), network)

    assert rules(said) == [("sequence", "stale_version")]


async def test_a_center_defines_a_programme_of_its_own(
    network: Tx, hub: Hub, north: Center
) -> None:
    programme = north.programme("survivors", participants=["north-center", "south-center"])

    said = await hub.hear(north.defines(programme), network)
    again = await hub.hear(north.defines(programme), network)

    assert kinds(said) == ["ProgrammeChanged", "ReceiptAccepted"]
    assert one(said, ProgrammeChanged).owner == "north-center"
    assert kinds(again) == ["ReceiptAccepted"]


async def test_a_center_changes_no_one_elses_programme(
    network: Tx, hub: Hub, north: Center, south: Center
) -> None:
    theirs = await hub.hear(south.defines(north.programme("grants", name="Ours now")), network)
    taken = await hub.hear(south.defines(south.programme("grants")), network)
    common = await hub.hear(south.defines(south.programme("all", owner="consortium")), network)

    assert rules(theirs) == [("owner", "not_owner")]
    assert rules(taken) == [("programme_id", "foreign_programme")]
    assert rules(common) == [("owner", "not_owner")]


async def test_a_programme_names_members_alone(network: Tx, hub: Hub, north: Center) -> None:
    programme = north.programme("new", participants=["north-center", "west-center"])

    said = await hub.hear(north.defines(programme), network)

    assert rules(said) == [("participants[1]", "unknown_institution")]


async def test_a_repeated_event_is_told_that_it_was_applied(
    network: Tx, hub: Hub, north: Center
) -> None:
    event = north.submits()
    await hub.hear(event, network)

    said = await repeat_receipt(event, network)

    assert one(said, ReceiptAccepted).outcome is Outcome.DUPLICATE


async def test_a_repeated_event_is_told_its_rejection_again(
    network: Tx, hub: Hub, north: Center
) -> None:
    event = north.submits(profession="wizard")
    first = await hub.hear(event, network)

    said = await repeat_receipt(event, network)

    assert said == first


async def test_a_copy_that_comes_with_the_first_waits_for_its_answer(
    network: Tx, north: Center
) -> None:
    said = await repeat_receipt(north.submits(), network)

    assert said == []


@pytest.mark.parametrize(
    "reason_class",
    ["foreign_source", "too_large", "bad_envelope", "bad_key", "unknown_type", "bad_data",
     "unprocessable", "handler_failed", "something_new"],
)  # fmt: skip
async def test_an_unreadable_record_is_answered_with_a_fix(tx: Tx, reason_class: str) -> None:
    said = await report_refusal(_refusal(reason_class=reason_class), tx)

    (problem,) = one(said, ReceiptRejected).problems
    assert (problem.field, problem.rule) == ("source", reason_class)
    assert problem.fix


async def test_a_record_without_id_is_answered_for_its_place(tx: Tx) -> None:
    said = await report_refusal(_refusal(event_id=None), tx)

    assert one(said, ReceiptRejected).receipt_for == "ingress.north-center.profile/1/42"


async def test_a_hostile_record_still_gets_an_answer_of_bounded_size(tx: Tx) -> None:
    refusal = _refusal(
        event_id="x" * 9_000,
        subject="\x00",
        problems=tuple(("f\x00" * 500, "") for _ in range(900)),
    )

    said = await report_refusal(refusal, tx)

    data = one(said, ReceiptRejected).data()
    assert data is not None
    assert len(data) < 50_000


async def test_what_was_applied_stays_applied_when_its_id_comes_again_unreadable(
    network: Tx, hub: Hub, north: Center
) -> None:
    event = north.submits()
    await hub.hear(event, network)

    await report_refusal(_refusal(event_id=str(event.envelope.id)), network)

    kept = await receipts.get_receipt(network, "north-center", str(event.envelope.id))
    assert kept is not None
    assert kept.outcome == "applied"


async def test_a_mended_event_replaces_its_refusal(network: Tx, hub: Hub, north: Center) -> None:
    event = north.submits()
    await report_refusal(_refusal(event_id=str(event.envelope.id)), network)

    await hub.hear(event, network)

    kept = await receipts.get_receipt(network, "north-center", str(event.envelope.id))
    assert kept is not None
    assert (kept.outcome, kept.problems) == ("applied", ())


async def test_the_plaintext_is_in_no_column_of_any_table(
    network: Tx, hub: Hub, north: Center
) -> None:
    survivor = a_survivor()
    broken = a_contact("ben").model_copy(update={"locale": "xx-nowhere", "email": "ben"})
    for event in (
        north.submits(survivor=survivor),
        north.submits(survivor=survivor, contact=a_contact(phone="+351 555 0111")),
        north.submits("ben", contact=broken, survivor=a_survivor(cancer_type="IDCC")),
        north.submits("cy"),
        north.withdraws("cy"),
    ):
        await network.say(await hub.hear(event, network))

    stored = await _everything_stored(network)

    assert "north-center" in stored  # the search finds what is there
    for secret in ("lovelace", "555 01", "learn to say no", "3.25", "IDC", "chemother", "nowhere"):
        # At the start of a word: three letters stand somewhere in the middle of any ciphertext.
        assert not re.search(rf"(?<![\w-]){re.escape(secret.lower())}", stored), secret
        assert secret.encode().hex() not in stored, secret


def _refusal(
    *,
    reason_class: str = "foreign_source",
    event_id: str | None = str(uuid4()),
    subject: str | None = "someone",
    problems: tuple[tuple[str, str], ...] = (("source", "must be /institutions/north-center"),),
) -> Refusal:
    return Refusal(
        topic="ingress.north-center.profile",
        partition=1,
        offset=42,
        institution_id="north-center",
        event_id=event_id,
        event_type="person.submitted.v1",
        subject=subject,
        reason_class=reason_class,
        problems=problems,
    )


async def _opens_with_any_stored_key(
    tx: Tx, vault: Vault, center: Center, block: EncryptedBlock
) -> bool:
    person_id = center.person_id("ada")
    for row in await tx.conn.fetch("SELECT key_id, wrapped FROM person_keys"):
        key = vault.unwrap(person_id, row["key_id"], row["wrapped"])
        try:
            subkey = security.purpose_key(key.dek, "contact")
            security.decrypt_block(subkey, "contact", person_id, block)
        except UnsealableError:
            continue
        return True
    return False


async def _everything_stored(tx: Tx) -> str:
    tables = await tx.conn.fetch(
        """
        SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
         WHERE table_schema IN ('public', 'kit') AND table_type = 'BASE TABLE'
        """
    )
    rows: list[str] = []
    for table in tables:
        found = await tx.conn.fetch(f"SELECT t::text AS line FROM {table['name']} t")  # noqa: S608
        rows += [row["line"] for row in found]
    return "\n".join(rows).lower()
