"""`python -m profile_service`: run it; `--migrate` its database; `--check` its settings."""

from profile_service import app
from profile_service.settings import Settings
from servicekit.service import main

if __name__ == "__main__":
    main(Settings, app.build)
