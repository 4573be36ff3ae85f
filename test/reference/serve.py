"""Runs the scripts beside it one after the other, so that torch and PEFT are imported once.

    python serve.py

Standard input has a job a line, `["logits.py", [ARGUMENT, …]]`; a line of standard output answers each: `null`, or the
error as a JSON string.
"""

import importlib
import json
import sys
import traceback


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # what a script prints is no answer
    for line in sys.stdin:
        script, arguments = json.loads(line)
        try:
            importlib.import_module(script.removesuffix('.py')).main(*arguments)
            error = None
        except BaseException:  # a script may end with SystemExit
            error = traceback.format_exc()
        print(json.dumps(error), file=answers, flush=True)


if __name__ == '__main__':
    main()
