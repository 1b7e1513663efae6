"""`python -m glassbit`."""

from glassbit.cli import run

if __name__ == "__main__":
    run()
