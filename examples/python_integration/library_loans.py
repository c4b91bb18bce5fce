#!/usr/bin/env python3
"""Records an activity in Rollbook for each loan that was returned. See README.md."""

import csv
import os
import pathlib
import sys
import urllib.error
import uuid

from rollbook import Refused, Rollbook

# The id of an activity is made from this and the loan's number: the same loan always has the same id.
LOANS = uuid.uuid5(uuid.NAMESPACE_URL, "https://library.example/loans")
BATCH = 500


def activity(loan):
    """Returns the short form of a loan."""
    return {
        "id": str(uuid.uuid5(LOANS, loan["loan"])),
        "user": {"email": loan["email"]},
        "action": "read",
        "content": {
            "iri": f"urn:isbn:{loan['isbn'].replace('-', '')}",
            "title": loan["title"],
            "type": "item",
            "content_type": "book",
        },
        "happened_at": loan["returned_at"],
        "source": "Town library",
    }


def record(server, loans):
    """Records a batch and returns the number of recorded loans. Refused loans are printed and left out."""
    while loans:
        try:
            return len(server.record([activity(loan) for loan in loans]))
        except Refused as refusal:
            wrong = set()
            for pointer, reason in refusal.faults():
                place = pointer.lstrip("/").split("/")[0]
                if not place.isdigit() or int(place) >= len(loans):
                    raise
                wrong.add(int(place))
                print(f"loan {loans[int(place)]['loan']}: {pointer}: {reason}", file=sys.stderr)
            loans = [loan for place, loan in enumerate(loans) if place not in wrong]
    return 0


def main():
    credential = os.environ.get("ROLLBOOK_CLIENT_CREDENTIAL")
    if not credential:
        sys.exit("set ROLLBOOK_CLIENT_CREDENTIAL to key:secret of a credential with the scope activities/write")
    server = Rollbook(os.environ.get("ROLLBOOK_CLIENT_URL", "http://127.0.0.1:8080"), credential)
    file = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("loans.csv")
    with open(file, newline="", encoding="utf-8") as lines:
        loans = list(csv.DictReader(lines))
    try:
        recorded = sum(record(server, loans[at : at + BATCH]) for at in range(0, len(loans), BATCH))
    except (Refused, urllib.error.URLError) as problem:
        sys.exit(f"stopped: {problem}")
    print(f"{len(loans)} loans: {recorded} recorded, {len(loans) - recorded} refused")
    sys.exit(0 if recorded == len(loans) else 1)


if __name__ == "__main__":
    main()
