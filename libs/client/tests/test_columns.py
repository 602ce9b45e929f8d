from pathlib import Path

from pydantic import BaseModel

from oncomentor_client.csv_cells import CELLS
from oncomentor_client.people import LocalFacts
from oncomentor_contracts.profile import CodedProfile, ContactBlock, SurvivorBlock


def test_every_field_of_the_contract_has_a_column() -> None:
    sections: dict[str, type[BaseModel]] = {
        "profile": CodedProfile,
        "contact": ContactBlock,
        "survivor": SurvivorBlock,
        "local": LocalFacts,
    }
    fields = {f"{name}.{field}" for name, model in sections.items() for field in model.model_fields}

    assert set(CELLS) == fields | {"local_id"}


def test_the_readme_names_every_column() -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")

    assert [column for column in CELLS if f"`{column}`" not in readme] == []
