"""`python -m habeas`: the command line."""

from habeas.cli.main import main

if __name__ == "__main__":
    main()
