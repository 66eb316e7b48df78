"""`python -m cryodata` is the command line."""

from cryodata.cli import main

if __name__ == "__main__":
    main()
