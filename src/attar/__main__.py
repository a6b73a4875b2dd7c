"""`python -m attar` is the command line."""

from attar.cli import main

if __name__ == "__main__":
    main()
