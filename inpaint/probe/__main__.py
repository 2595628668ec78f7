"""`python -m inpaint.probe`."""

from inpaint.probe import main

if __name__ == "__main__":
    main()
