"""The process: `python -m matching_service`."""

from matching_service import app
from matching_service.settings import Settings
from servicekit.service import main

if __name__ == "__main__":
    main(Settings, app.build)
