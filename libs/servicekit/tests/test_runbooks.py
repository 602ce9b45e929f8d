"""Every statement that a runbook tells an operator to run does run, on the kernel's own schema."""

import re
from pathlib import Path

import asyncpg
import pytest

from testkit.postgres import Templates

FOLDER = Path(__file__).parents[3] / "docs" / "runbooks"
STATEMENTS = [
    (path.stem, statement)
    for path in sorted(FOLDER.glob("*.md"))
    for statement in re.findall(r'psql "\$DB" -c "([^"]+)"', path.read_text())
]


@pytest.mark.parametrize(("runbook", "statement"), STATEMENTS)
async def test_a_statement_of_a_runbook_runs(
    templates: Templates, database_name: str, runbook: str, statement: str
) -> None:
    conn = await asyncpg.connect(templates.dsn(database_name, "postgres"))
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


def test_there_are_statements_to_run() -> None:
    assert len(STATEMENTS) > 10
