"""`python -m inpaint.stylise`."""

from inpaint.stylise import main

if __name__ == "__main__":
    main()
