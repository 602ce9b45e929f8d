"""Where credentials and journals are, unless an option says otherwise."""

from pathlib import Path

import typer

from devstack import paths
from devstack.errors import DevstackError
from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import UnusableFileError


def home() -> Path:
    """Return the stack's one folder: `ONCOMENTOR_HOME`, or `.oncomentor` in the repository.

    Raises:
        typer.BadParameter: this is no checkout, so a center has to say where its files are.
    """
    try:
        return paths.default_home(paths.find_repository()).absolute()
    except DevstackError as error:
        raise typer.BadParameter(
            "outside the repository say where the credentials are: --credentials FILE"
        ) from error


def load_credentials(holder: str, path: Path | None) -> Credentials:
    """Return a holder's credentials: the given file, or the embedded stack's.

    Raises:
        UnusableFileError: there is no such file, or it belongs to somebody else.
    """
    loaded = Credentials.load(path or home() / "credentials" / f"{holder}.toml")
    if loaded.holder != holder and path is not None and loaded.own_institution_id is not None:
        raise UnusableFileError(
            f"{loaded.path} belongs to {loaded.holder}, not to {holder}: give --as {loaded.holder}"
        )
    return loaded


def journal_folder(credentials: Credentials, chosen: Path | None) -> Path:
    """Return where the center's journal is: the given folder, or one beside its credentials."""
    if chosen is not None:
        return chosen
    return credentials.path.absolute().parent.parent / "journal" / credentials.institution_id
