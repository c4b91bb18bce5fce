"""The journey with `openapi-python-client`."""

import datetime
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "generated"))

import httpx
from rollbook_client import AuthenticatedClient, models
from rollbook_client.api.activities import create_activities, create_activity, list_activities
from rollbook_client.api.catalogue import put_content
from rollbook_client.api.directory import patch_user, put_user
from rollbook_client.api.exports import export_activities_csv
from rollbook_client.api.reports import create_report, create_report_key, create_schedule
from rollbook_client.api.xapi import read_statements, store_statement

client = AuthenticatedClient(
    base_url=os.environ["ROLLBOOK_CLIENT_URL"], token=os.environ["ROLLBOOK_CLIENT_TOKEN"]
)


def data_of(answer):
    """Returns the parsed body of a successful answer. A problem document becomes an error."""
    if isinstance(answer.parsed, models.Problem):
        raise RuntimeError(f"{answer.status_code} {answer.parsed.code}: {answer.parsed.detail}")
    assert answer.parsed is not None, f"{answer.status_code}: {answer.content[:500]!r}"
    return answer.parsed


def moment(day, hour=10):
    return datetime.datetime(2026, 3, day, hour, tzinfo=datetime.timezone.utc)


# A user with a custom field, and a content.
user = models.UserInput.from_dict(
    {"first_name": "Bo", "last_name": "Ek", "email": "bo@py.example", "role": "admin", "custom": {"Cohort": "py"}}
)
assert data_of(put_user.sync_detailed("py", client=client, body=user)).custom["Cohort"] == "py"
content = models.ContentInput.from_dict({"iri": "https://py.example/quiz", "title": "Fire Safety", "type": "quiz"})
data_of(put_content.sync_detailed("py-quiz", client=client, body=content))

# One activity, and a batch.
activity = models.NewActivity(
    user="py",
    action=models.Action.COMPLETED,
    content="py-quiz",
    happened_at=moment(1, 9),
    result=models.NewActivityResult.from_dict({"score": 92, "success": True, "total_time": "PT5M"}),
)
created = data_of(create_activity.sync_detailed(client=client, body=activity))
assert isinstance(created, models.ActivityInFull) and created.action.key == "completed", created
batch = [
    models.NewActivity(user="py", action=models.Action.VIEWED, content="py-quiz", happened_at=moment(day))
    for day in (1, 2, 3, 4)
]
assert len(data_of(create_activities.sync_detailed(client=client, body=batch)).ids) == 4

# The log in pages, with filters and a custom field.
rows, cursor = [], None
while True:
    # This generator sends the members of a deep object under their own names.
    custom = models.CustomFields.from_dict({"custom[Cohort]": "py"})
    arguments = {"action": [models.Action.VIEWED, models.Action.COMPLETED], "from_": "2026-03-01", "limit": 2}
    if cursor:
        arguments["cursor"] = cursor
    page = data_of(list_activities.sync_detailed(client=client, custom=custom, **arguments))
    rows += page.activities
    if not page.next_:
        break
    cursor = httpx.URL(page.next_).params["cursor"]
assert len(rows) == 5, rows
assert [row.result.score.percent for row in rows if row.action.key == "completed"] == [92]

# The custom field is removed.
patch = models.UserPatch.from_dict({"custom": {"Cohort": None}})
patched = data_of(patch_user.sync_detailed("py", client=client, body=patch))
assert patched.to_dict()["custom"] == {} and patched.email == "bo@py.example", patched

# A report, a key and a schedule.
new_report = models.NewReport.from_dict({"name": "Of py", "filter": {"user": ["py"], "action": ["completed"]}})
report = data_of(create_report.sync_detailed(client=client, body=new_report))
assert report.filter_.to_dict() == {"user": ["py"], "action": ["completed"]}, report
key = data_of(create_report_key.sync_detailed(report.id, client=client, body=models.NewReportKey(name="BI")))
assert key.secret
new_schedule = models.NewScheduleBody.from_dict(
    {"frequency": "weekly", "at": "08:00", "weekday": "monday", "recipients": ["bo@py.example"]}
)
schedule = data_of(create_schedule.sync_detailed(report.id, client=client, body=new_schedule))
assert schedule.frequency == "weekly"

# A CSV goes to a file as it comes. The generated function describes the request; httpx streams the answer.
request = export_activities_csv._get_kwargs(user=["py"])
with client.get_httpx_client().stream(**request) as answer, open("client.csv", "wb") as file:
    answer.raise_for_status()
    for part in answer.iter_bytes():
        file.write(part)
with open("client.csv", encoding="utf-8") as file:
    assert len(file.read().strip().splitlines()) == 6

# Statements.
identifier = uuid.uuid4()
statement = {
    "id": str(identifier),
    "actor": {"mbox": "mailto:bo@py.example"},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}},
    "object": {"id": "https://py.example/quiz"},
}
stored = store_statement.sync_detailed(
    client=client,
    body=models.Statement.from_dict(statement),
    statement_id=identifier,
    x_experience_api_version="1.0.3",
)
assert stored.status_code == 204, stored.content
found = data_of(
    read_statements.sync_detailed(client=client, statement_id=identifier, x_experience_api_version="1.0.3")
)
assert isinstance(found, models.Statement) and found.id == identifier, found
page = data_of(read_statements.sync_detailed(client=client, limit=1, x_experience_api_version="1.0.3"))
assert isinstance(page, models.StatementPage) and page.statements[0].id == identifier, page

# A problem document.
activity = models.NewActivity(user="py", action=models.Action.COMPLETED, content="none")
refused = create_activity.sync_detailed(client=client, body=activity)
assert refused.status_code == 400
assert isinstance(refused.parsed, models.Problem), refused.parsed
assert (refused.parsed.code, refused.parsed.pointer) == ("invalid-body", "/content"), refused.parsed

print("python-client: passed")
