"""The topics that brokers are given are the topics that the code knows."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from oncomentor_contracts.topics import TOPICS, Topic


@pytest.fixture(scope="module")
def given(root: Path) -> list[dict[str, Any]]:
    topics: list[dict[str, Any]] = tomllib.loads((root / "deploy/kafka/topics.toml").read_text())[
        "topic"
    ]
    return topics


def facts(topic: Topic) -> tuple[str, str, set[str], set[str]]:
    return topic.name, str(topic.kind), set(topic.writers), set(topic.readers)


def test_brokers_are_given_the_topics_that_contracts_name(given: list[dict[str, Any]]) -> None:
    brokers = [
        (topic["name"], topic["kind"], set(topic["write"]), set(topic["read"])) for topic in given
    ]

    assert brokers == [facts(topic) for topic in TOPICS]


def test_a_topic_is_given_once(given: list[dict[str, Any]]) -> None:
    names = [topic["name"] for topic in given]

    assert len(names) == len(set(names))
