"""`python -m inpaint.predict`."""

from inpaint.predict import main

if __name__ == "__main__":
    main()
