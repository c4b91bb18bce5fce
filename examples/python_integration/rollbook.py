"""A small client of Rollbook's API, on Python's standard library alone."""

import base64
import json
import time
import urllib.error
import urllib.request


class Refused(Exception):
    """The server refused a request: its problem document (RFC 9457)."""

    def __init__(self, status, problem):
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem

    def faults(self):
        """The faults of the request: pairs of a JSON pointer and a reason."""
        entries = self.problem.get("errors") or [self.problem]
        return [(entry.get("pointer") or "", entry.get("detail") or "") for entry in entries]


class Rollbook:
    """A connection to one server with one credential (`key:secret`)."""

    def __init__(self, url, credential, attempts=5):
        self.url = url.rstrip("/")
        self.authorization = "Basic " + base64.b64encode(credential.encode()).decode()
        self.attempts = attempts

    def request(self, method, path, body=None):
        """Sends a request. Waits and repeats it while the server is busy or cannot be reached."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": self.authorization, "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        for attempt in range(1, self.attempts + 1):
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if (error.code != 429 and error.code < 500) or attempt == self.attempts:
                    raise Refused(error.code, problem_of(error)) from None
            except urllib.error.URLError:
                if attempt == self.attempts:
                    raise
            time.sleep(min(2**attempt, 30))

    def record(self, activities):
        """Records activities in the short form, all or none, and returns their ids."""
        return self.request("POST", "/v1/activities/batch", activities)["ids"]


def problem_of(error):
    try:
        problem = json.load(error)
    except ValueError:
        problem = {}
    return problem if isinstance(problem, dict) else {}
