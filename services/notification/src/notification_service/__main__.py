"""`python -m notification_service`: run; `--migrate` or `--check`: do that and end."""

from notification_service import app
from notification_service.settings import Settings
from servicekit.service import main

if __name__ == "__main__":
    main(Settings, app.build)
