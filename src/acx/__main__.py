"""`python -m acx`: the same as `acx`."""

from acx.cli.app import main

if __name__ == "__main__":
    main()
