"""Runs Python that a message of PEFT Studio names, in a folder.

    python snippet.py FOLDER CODE
"""

import os
import sys


def main(folder: str, code: str) -> None:
    before = os.getcwd()
    os.chdir(folder)
    try:
        exec(code, {})
    finally:
        os.chdir(before)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
