from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def migrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No tables but the kernel's own, and one that the handlers of these tests write."""
    folder = tmp_path_factory.mktemp("migrations")
    (folder / "0001_heard.sql").write_text(
        """
        CREATE TABLE public.heard (
            nth bigint GENERATED ALWAYS AS IDENTITY,
            topic text NOT NULL,
            subject text NOT NULL,
            word text NOT NULL
        );
        GRANT SELECT, INSERT ON public.heard TO oncomentor_worker;
        """
    )
    return folder
