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
    r"^name an active user of the directory",
    r"^this makes a cycle: ",
    # The caller, or a setting of the operator, decides.
    r"^only credentials may send this",
    r"^use `https`: the operator",
    # Two parameters or members exclude each other, or one of two is needed.
    r"^replaces `from` and `to`; send either",
    r"^unknown parameter; known are .*\b(stateId|profileId)$",  # with an id, `since` has no meaning
    r"^excludes `\w+`; send one of them",
    r"are for one document: send `",
    r"^a PUT of a profile needs `If-None-Match: \*` for a new document, or If-Match",
    # Several members or parameters decide together.
    r"cannot be combined",
    r"^the address names ",
    r"changes nothing without",
    r"needs `?\w+`? beside it",
    r"^give at least one id in ",
    r"^is missing: give an `action`, or the IRI of a `verb`",
    r"^is needed for `",
    r"^an active user has no time of deactivation",
    r"^must be before `(stored_)?to`; no time is in between",
    r"^a content needs this: a text of 1 to 1000 characters",  # unless its id is an IRI
    r"^an id has at most 255 characters",  # unless it is the IRI of a content
    r"exactly one identifier",
    # Two members of which one decides what the other may be.
    r"^only (the format `statement`|a (weekly|monthly or quarterly) schedule) has ",
    r"^webhooks are signed",
    r"a subscription is not a person$",
    # A pattern for these characters is written in another way for each generator.
    r"must not (begin or end with white space|contain control (characters|or zero-width characters))",
    r"contains U\+0000",
    r"^this is not an IRI: Invalid IRI (character|code point)",
    # The text has a language or a format of its own, or is a name of a table elsewhere.
    r"^an Agent ",
    r"^(is|write) the IANA name of a time zone",
    r"^write the path of an export",
    r"^write an e-mail address, for example",  # or nothing: the format `email` does not permit the empty text
    r"^write `whsec_` and ",
    r"^write an address (such as|with http or https)",
    r"^the root must be `courseStructure`",
    r"^the body is not a ZIP file",
    r"^the headings: ",
    r" is not a format of dates; known are ",
    r"^the body has no element of the data model",
    r"^the column .* is missing$",
    # The units of a duration decide together whether it is zero.
    r"must be longer than zero$",
    # schemathesis writes multipart/form-data for every body of several parts.
    r"or as multipart/mixed with attachments$",
]]

# Parameters that are JSON as text. OpenAPI can only name this format; generators send any text.
JSON_PARAMETERS = {"agent"}

REFUSALS = {400, 413, 414, 415, 422}


@schemathesis.serializer("application/x-ndjson")
def write_ndjson(ctx, value):
    """Writes a list as one JSON value on each line. The document describes one line."""
    rows = value if isinstance(value, list) else [value]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@schemathesis.check
def valid_request_is_taken(ctx, response, case):
    """Fails for a request that follows the document and is refused for a reason that a schema can state."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in REFUSALS:
        return
    problem = response.json()
    unexpected = [
        fault["detail"]
        for fault in problem.get("errors") or [problem]
        if fault.get("parameter") not in JSON_PARAMETERS
        and not any(reason.search(fault["detail"]) for reason in REASONS)
    ]
    if unexpected:
        raise AssertionError(f"A valid request is refused: {'; '.join(unexpected)}")
