from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncomentor_client.errors import JournalError, JournalLockedError
from oncomentor_client.journal import Intent, Journal, Step, Verdict
from oncomentor_client.journal_file import JournalFile

KEY = b"k" * 32
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def opened(path: Path) -> Journal:
    return Journal(path, "harbor-demo", KEY)


def say(journal: Journal, content: str, key: str = "p") -> tuple[Step, Intent]:
    step, intent = journal.plan(key, content, NOW)
    if step is Step.SEND:
        journal.intend([intent])
    return step, intent


def test_what_was_accepted_is_not_sent_again_by_the_next_run(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        _, intent = say(journal, "A")
        journal.settle([(intent.event_id, Verdict.ACCEPTED)])

    with opened(tmp_path / "j") as journal:
        step, _ = say(journal, "A")

    assert step is Step.NOTHING


def test_what_was_not_answered_is_sent_again_as_the_same_event(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        _, before = say(journal, "A")

    with opened(tmp_path / "j") as journal:
        step, again = say(journal, "A")

    assert step is Step.RESEND
    assert (again.event_id, again.sequence) == (before.event_id, before.sequence)


def test_going_back_to_an_earlier_content_is_a_new_event(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        _, first = say(journal, "A")
        journal.settle([(first.event_id, Verdict.ACCEPTED)])
        _, second = say(journal, "B")
        journal.settle([(second.event_id, Verdict.ACCEPTED)])

        step, third = say(journal, "A")

    assert step is Step.SEND
    assert len({first.event_id, second.event_id, third.event_id}) == 3
    assert first.sequence < second.sequence < third.sequence


def test_going_back_before_the_change_was_answered_is_a_new_event_too(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        _, first = say(journal, "A")
        journal.settle([(first.event_id, Verdict.ACCEPTED)])
        _, second = say(journal, "B")

        step, third = say(journal, "A")

    assert step is Step.SEND
    assert third.sequence > second.sequence


def test_after_a_rejection_the_last_accepted_content_counts(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        _, first = say(journal, "A")
        _, second = say(journal, "B")
        journal.settle([(first.event_id, Verdict.ACCEPTED), (second.event_id, Verdict.REJECTED)])

        assert say(journal, "A")[0] is Step.NOTHING
        step, third = say(journal, "B")

    assert step is Step.SEND
    assert third.event_id != second.event_id
    assert third.sequence > second.sequence


def test_a_late_answer_to_what_was_overtaken_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        _, first = say(journal, "A")
        _, second = say(journal, "B")
        journal.settle([(second.event_id, Verdict.ACCEPTED)])
        journal.settle([(first.event_id, Verdict.ACCEPTED)])

        assert say(journal, "B")[0] is Step.NOTHING
        assert say(journal, "A")[0] is Step.SEND


def test_answers_to_other_publishers_are_passed_over(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        size = (tmp_path / "j").stat().st_size
        journal.settle([(UUID(int=1), Verdict.ACCEPTED)])

        assert (tmp_path / "j").stat().st_size == size


def test_the_oldest_unanswered_event_says_from_when_receipts_matter(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        assert journal.oldest_open_at() is None
        say(journal, "A", key="p")
        _, later = journal.plan("q", "A", NOW + timedelta(hours=1))
        journal.intend([later])

        assert journal.oldest_open_at() == NOW


def test_a_lost_journal_starts_above_what_it_had_said(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        _, before = journal.plan("p", "A", NOW)
    (tmp_path / "j").unlink()

    with opened(tmp_path / "j") as journal:
        _, after = journal.plan("p", "A", NOW + timedelta(seconds=1))

    assert after.sequence > before.sequence


@pytest.mark.parametrize("lost_bytes", [1, 5, 40])
def test_a_torn_last_line_is_cut_off_and_the_rest_stands(tmp_path: Path, lost_bytes: int) -> None:
    path = tmp_path / "j"
    with opened(path) as journal:
        _, first = say(journal, "A", key="p")
        whole = path.stat().st_size
        say(journal, "A", key="q")
    path.write_bytes(path.read_bytes()[:-lost_bytes])

    with opened(path) as journal:
        assert path.stat().st_size == whole
        assert say(journal, "A", key="p") == (Step.RESEND, first)
        assert say(journal, "A", key="q")[0] is Step.SEND
    with opened(path) as journal:
        assert say(journal, "A", key="q")[0] is Step.RESEND


def test_a_page_of_zeros_after_a_power_cut_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with opened(path) as journal:
        say(journal, "A")
    path.write_bytes(path.read_bytes() + b"\0" * 4096)

    with opened(path) as journal:
        assert say(journal, "A")[0] is Step.RESEND


def test_damage_in_the_middle_is_never_repaired_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with opened(path) as journal:
        for key in "abc":
            say(journal, "A", key=key)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"b", b"x"), *lines[3:]]))

    with pytest.raises(JournalError, match="line 3 of the journal"):
        opened(path)


def test_two_publishers_never_share_a_journal(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "j"),
        pytest.raises(JournalLockedError, match="wait until it has finished"),
    ):
        opened(tmp_path / "j")
    opened(tmp_path / "j").close()


def test_a_journal_of_another_center_or_key_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "j").close()

    with pytest.raises(JournalError, match="belongs to harbor-demo"):
        Journal(tmp_path / "j", "ridge-demo", KEY)
    with pytest.raises(JournalError, match="another center key"):
        Journal(tmp_path / "j", "harbor-demo", b"x" * 32)
    opened(tmp_path / "j").close()


def test_the_file_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    opened(tmp_path / "deep" / "j").close()

    assert (tmp_path / "deep" / "j").stat().st_mode & 0o777 == 0o600


def test_a_disk_that_refuses_stops_the_batch(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        _, intent = journal.plan("p", "A", NOW)
        journal._file.close()

        with pytest.raises(JournalError, match="nothing of this batch was sent"):
            journal.intend([intent])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.sampled_from(["accepted", "rejected", "none"])),
        max_size=12,
    ),
    st.data(),
)
def test_a_reopened_journal_decides_as_the_one_that_stayed_open(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, str]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    with opened(path) as journal:
        sent = []
        for content, answer in history:
            _, intent = say(journal, content)
            sent.append(intent)
            if answer != "none":
                journal.settle([(intent.event_id, Verdict(answer))])
        content = data.draw(st.sampled_from("ABC"))
        stayed = journal.plan("p", content, NOW)
    with opened(path) as journal:
        reopened = journal.plan("p", content, NOW)

    assert reopened[0] is stayed[0]
    assert reopened[1].sequence == stayed[1].sequence
    assert len({(one.event_id, one.sequence) for one in sent}) == len(
        {one.sequence for one in sent}
    ), "one sequence never belongs to two events"


def test_lines_carry_no_personal_data(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / "j")
    file.append([{"k": "digest", "c": "digest", "id": "x", "n": 1}], synced=True)

    assert [set(line) for line in file.read()] == [{"k", "c", "id", "n"}]
    file.close()
