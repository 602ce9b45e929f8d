"""`oncomentor` and `python -m oncomentor_cli`."""

from oncomentor_cli.app import app


def main() -> None:
    """Run the command line; ends the process with a documented exit code."""
    app(prog_name="oncomentor")


if __name__ == "__main__":
    main()
