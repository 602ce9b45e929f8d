from pathlib import Path

import pytest

from devstack import maven

SETTINGS = """\
<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0">
  <mirrors>
    <mirror><id>m</id><mirrorOf>{of}</mirrorOf><url>https://mirror.example/maven</url></mirror>
  </mirrors>
</settings>
"""


@pytest.mark.parametrize("of", ["central", "*", "external:*", "other, central"])
def test_a_mirror_of_the_central_repository_takes_its_place(tmp_path: Path, of: str) -> None:
    settings = tmp_path / "settings.xml"
    settings.write_text(SETTINGS.format(of=of))

    assert maven.repositories(settings)[0] == "https://mirror.example/maven"


@pytest.mark.parametrize("of", ["other", "*,!central"])
def test_a_mirror_of_something_else_does_not(tmp_path: Path, of: str) -> None:
    settings = tmp_path / "settings.xml"
    settings.write_text(SETTINGS.format(of=of))

    assert maven.repositories(settings) == maven.repositories(tmp_path / "none.xml")
