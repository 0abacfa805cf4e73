"""Stands in for `python -m training explain`: the same arguments, an answer without a model."""

import argparse
import json
import sys


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("reply")
    parser.add_argument("--db", required=True)
    parser.add_argument("--versions", required=True)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.reply:
        print("This answer does not exist.", file=sys.stderr)
        return 1
    found = {"reply": given.reply, "version": "v7", "score": 1.25, "scored_by": "v7", "drift": 3.5, "tokens": 40}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
