"""Run relman as `python -m relman`."""

from relman.cli.main import main

if __name__ == "__main__":
    main()
