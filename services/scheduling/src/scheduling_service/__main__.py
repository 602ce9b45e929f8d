"""`python -m scheduling_service` runs the service; `--migrate` and `--check` prepare for it."""

from scheduling_service import app
from scheduling_service.settings import Settings
from servicekit.service import main

main(Settings, app.build)
