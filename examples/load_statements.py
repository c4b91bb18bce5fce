#!/usr/bin/env python3
"""Sends files of xAPI statements to an LRS: one statement a line (.jsonl), gzipped or not (.jsonl.gz).

    ROLLBOOK_CLIENT_CREDENTIAL=key:secret examples/load_statements.py statements.jsonl.gz more.jsonl
    examples/load_statements.py --url http://127.0.0.1:8080 --credential key:secret statements.jsonl

Statements are sent in batches to POST /xapi/statements, exactly as in the file. A batch is stored completely or not
at all. When a batch is refused, the statements that the answer points at are sent alone, and the rest is sent again.
A statement that is refused alone is printed with its file, line, the place in the statement and the reason:

    moodle.jsonl:41: refused at /result/score/raw: must not be above max

A statement without an id gets one, made from the file's name, the line and the text. Loading the same file again
changes nothing, and neither does a batch that is repeated because its answer was lost.

Exit code: 0 if all were taken, 1 if some were refused, 2 if loading could not continue.

Needs Python 3.9 and nothing else.
"""

import argparse
import base64
import gzip
import http.client
import json
import os
import sys
import time
import urllib.parse
import uuid

NAMESPACE = uuid.UUID("3b0f6a1e-6f0c-5a53-9d5e-1a1f2c7d4e90")
ATTEMPTS = 5


class Stop(Exception):
    """Loading cannot continue: the server cannot be reached, or refuses the credential."""


class Server:
    """One connection to POST /xapi/statements, opened again after a failure."""

    def __init__(self, url, headers):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Stop(f"{url} is not an http:// or https:// address")
        secure = parts.scheme == "https"
        self.connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self.address = (parts.hostname, parts.port)
        self.path = parts.path.rstrip("/") + "/xapi/statements"
        self.headers = {"Content-Type": "application/json", "X-Experience-API-Version": "1.0.3", **headers}
        self.connection = None

    def post(self, body):
        """Sends a body and returns the status and the text of the answer. Waits and repeats while the server is busy."""
        for attempt in range(ATTEMPTS):
            wait = 2**attempt
            try:
                if self.connection is None:
                    self.connection = self.connect(*self.address, timeout=120)
                self.connection.request("POST", self.path, body, self.headers)
                answer = self.connection.getresponse()
                text = answer.read().decode("utf-8", "replace")
                if answer.status in (401, 403):
                    raise Stop(f"the server answers {answer.status}: {text.strip()}")
                if answer.status != 429 and answer.status < 500:
                    return answer.status, text
                problem = f"the server answers {answer.status}: {text.strip()}"
                retry_after = answer.headers.get("Retry-After", "")
                wait = int(retry_after) if retry_after.isdigit() else wait
            except (OSError, http.client.HTTPException) as error:
                problem = f"no answer from {self.address[0]}: {error}"
                self.connection = None
            if attempt + 1 < ATTEMPTS:
                time.sleep(min(wait, 30))
        raise Stop(problem)


class Statement:
    """A line of a file, ready to be sent."""

    def __init__(self, file, line, text):
        self.place = f"{file}:{line}"
        self.text = text
        try:
            parsed = json.loads(text)
        except ValueError:
            return  # the server reports the fault
        if isinstance(parsed, dict) and "id" not in parsed:
            new = uuid.uuid5(NAMESPACE, f"{os.path.basename(file)}:{line}:{text}")
            rest = text.lstrip()[1:].lstrip()
            self.text = f'{{"id":"{new}"' + ("" if rest.startswith("}") else ",") + rest


def statements(files):
    """Yields the statements of the files."""
    for file in files:
        opened = gzip.open if file.endswith(".gz") else open
        with opened(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield Statement(file, number, line.strip())


def batches(of, size):
    batch = []
    for statement in of:
        batch.append(statement)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def faults(answer):
    """The faults of a refusal: pairs of a JSON pointer and a reason."""
    try:
        problem = json.loads(answer)
    except ValueError:
        return [("", answer.strip())]
    if not isinstance(problem, dict):
        return [("", answer.strip())]
    entries = [problem, *(problem.get("errors") or [])]
    found = [(entry["pointer"], entry.get("detail", "")) for entry in entries if entry.get("pointer") is not None]
    return found or [("", problem.get("detail") or problem.get("title") or answer.strip())]


class Loader:
    def __init__(self, server):
        self.server = server
        self.taken = 0
        self.refused = 0

    def load(self, batch):
        """Sends a batch, and removes refused statements until the rest is taken."""
        status, answer = self.server.post("[" + ",".join(s.text for s in batch) + "]")
        if status == 200:
            self.taken += len(batch)
            return
        if len(batch) == 1:
            self.refuse(batch[0], answer)
            return
        named = {int(first) for pointer, _ in faults(answer) if (first := pointer.lstrip("/").split("/")[0]).isdigit()}
        named = {place for place in named if place < len(batch)}
        # An answer without places (a body too large, a line that is no JSON): each statement is sent alone.
        for place, statement in enumerate(batch):
            if place in named or not named:
                self.load([statement])
        rest = [statement for place, statement in enumerate(batch) if place not in named]
        if named and rest:
            self.load(rest)

    def refuse(self, statement, answer):
        self.refused += 1
        # A statement alone is sent in an array too, so its pointers begin with 0.
        pointer, reason = faults(answer)[-1]
        inside = pointer[2:] if pointer == "/0" or pointer.startswith("/0/") else pointer
        print(f"{statement.place}: refused at {inside or '/'}: {reason}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Sends files of xAPI statements to an LRS.")
    parser.add_argument("files", nargs="+", help="statements, one a line: .jsonl or .jsonl.gz")
    parser.add_argument("--url", default=os.environ.get("ROLLBOOK_CLIENT_URL", "http://127.0.0.1:8080"))
    parser.add_argument(
        "--credential",
        default=os.environ.get("ROLLBOOK_CLIENT_CREDENTIAL"),
        help="key:secret of a credential with the scopes statements/write and define (or ROLLBOOK_CLIENT_CREDENTIAL)",
    )
    parser.add_argument("--token", default=os.environ.get("ROLLBOOK_CLIENT_TOKEN"), help="or a token (or ROLLBOOK_CLIENT_TOKEN)")
    parser.add_argument("--batch", type=int, default=200, help="statements in one request, 1 to 1000")
    return parser.parse_args()


def main():
    given = arguments()
    if given.credential:
        pair = base64.b64encode(given.credential.encode()).decode()
        headers = {"Authorization": f"Basic {pair}"}
    elif given.token:
        headers = {"Authorization": f"Bearer {given.token}"}
    else:
        print("give --credential key:secret or --token", file=sys.stderr)
        return 2
    started = time.monotonic()
    loader = None
    try:
        loader = Loader(Server(given.url, headers))
        for batch in batches(statements(given.files), max(1, min(given.batch, 1000))):
            loader.load(batch)
    except (Stop, OSError, UnicodeDecodeError, EOFError) as problem:
        print(f"stopped: {problem}", file=sys.stderr)
        return 2
    finally:
        if loader:
            seconds = time.monotonic() - started
            print(f"{loader.taken} taken, {loader.refused} refused, in {seconds:.1f} s", flush=True)
    return 1 if loader.refused else 0


if __name__ == "__main__":
    sys.exit(main())
