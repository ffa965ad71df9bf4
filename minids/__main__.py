"""`python -m minids` is `minids`, for where the command is not on the path."""

from minids.cli import main

if __name__ == "__main__":
    main()
