"""The check and the media type of scripts/schemathesis that schemathesis does not have."""

import json
import re

import schemathesis

# Why a request may be refused that follows the document: no schema can state these rules. Each is a pattern of the
# `detail` of a fault. A rule of one member, such as a length or a closed set, belongs into the document instead.
REASONS = [re.compile(reason) for reason in [
    # What is stored decides.
    r"do(es)? not exist",
    r"you may not name",
    r"this cursor is damaged",
    r"the last change of the organisation is",
    r"is neither an active user",
    # Several members decide together.
    r"cannot be combined",
    r"^the address names ",
    r"changes nothing without",
    r"needs `?\w+`? beside it",
    r"^give at least one id in ",
    r"exactly one identifier",
    # Two members of which one decides what the other may be.
    r"^only (the format `statement`|a monthly or quarterly schedule) has ",
    r"^webhooks are signed",
    r"a subscription is not a person$",
    # A pattern for these characters is written in another way for each generator.
    r"must not contain control or zero-width characters",
    r"contains U\+0000",
    # The text has a language of its own, or is a name of a table elsewhere.
    r"^an Agent ",
    r"^is the IANA name of a time zone",
    r"^write the path of an export",
    r"^write `whsec_` and ",
    r"^write an address with http or https",
    r"^the root must be `courseStructure`",
    r"^the column .* is missing$",
]]

REFUSALS = {400, 413, 414, 415, 422}


@schemathesis.serializer("application/x-ndjson")
def write_ndjson(ctx, value):
    """Writes a list as one JSON value on each line. The document describes one line."""
    rows = value if isinstance(value, list) else [value]
    return {"data": "".join(json.dumps(row) + "\n" for row in rows).encode()}


@schemathesis.check
def valid_request_is_taken(ctx, response, case):
    """Fails for a request that follows the document and is refused for a reason that a schema can state."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in REFUSALS:
        return
    problem = response.json()
    faults = [fault["detail"] for fault in problem.get("errors", [])] or [problem["detail"]]
    unexpected = [fault for fault in faults if not any(reason.search(fault) for reason in REASONS)]
    if unexpected:
        raise AssertionError(f"A valid request is refused: {'; '.join(unexpected)}")
