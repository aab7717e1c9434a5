"""`python -m bnverify`: the same as the console script."""

from bnverify.cli.main import main

if __name__ == "__main__":
    main()
