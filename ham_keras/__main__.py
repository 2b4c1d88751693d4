"""`python -m ham_keras COMMAND ...`, for when the console script is not on the PATH."""

from ham_keras.commands import console

if __name__ == "__main__":
    console()
