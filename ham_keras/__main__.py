"""`python -m ham_keras COMMAND ...`: the console script where it is not on the PATH."""

from ham_keras.commands import console

if __name__ == "__main__":
    console()
