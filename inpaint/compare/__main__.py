"""`python -m inpaint.compare`."""

from inpaint.compare import main

if __name__ == "__main__":
    main()
