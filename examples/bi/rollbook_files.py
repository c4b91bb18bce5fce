"""Saves exports of Rollbook to files, for the other programs of this folder.

ROLLBOOK_CLIENT_URL is the address of the server and ROLLBOOK_CLIENT_CREDENTIAL a credential `key:secret` with the scope
`activities/read`.
"""

import base64
import os
import shutil
import urllib.parse
import urllib.request


def save(path, file, **parameters):
    """Saves the answer to `path` with these parameters as a file. An interrupted transfer raises an error."""
    url = os.environ["ROLLBOOK_CLIENT_URL"].rstrip("/") + path
    if parameters:
        url += "?" + urllib.parse.urlencode(parameters, doseq=True)
    pair = base64.b64encode(os.environ["ROLLBOOK_CLIENT_CREDENTIAL"].encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {pair}"})
    with urllib.request.urlopen(request, timeout=600) as answer, open(file, "wb") as target:
        shutil.copyfileobj(answer, target)
    return file
