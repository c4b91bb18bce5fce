"""The journey with the client of `openapi-generator` for Python. Models of pydantic parse each answer."""

import datetime
import os
import sys
import urllib.parse
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "generated"))

from rollbook_pydantic import (
    Action,
    ActivitiesApi,
    ApiClient,
    CatalogueApi,
    Configuration,
    ContentInput,
    ContentType,
    DayOfWeek,
    DirectoryApi,
    ExportsApi,
    Frequency,
    NewActivity,
    NewActivityContent,
    NewActivityResult,
    NewActivityResultScore,
    NewActivityResultTotalTime,
    NewActivityUser,
    NewReport,
    NewReportKey,
    NewScheduleBody,
    Problem,
    ReportFilter,
    ReportsApi,
    Role,
    Statement,
    StatementPage,
    UserInput,
    UserPatch,
    XapiApi,
)
from rollbook_pydantic.exceptions import BadRequestException

url, token = os.environ["ROLLBOOK_CLIENT_URL"], os.environ["ROLLBOOK_CLIENT_TOKEN"]
client = ApiClient(Configuration(host=url, access_token=token))
activities, reports, xapi = ActivitiesApi(client), ReportsApi(client), XapiApi(client)


def moment(day, hour=10):
    return datetime.datetime(2026, 3, day, hour, tzinfo=datetime.timezone.utc)


def new_activity(action, content, happened_at, **members):
    return NewActivity(
        user=NewActivityUser("pydantic"),
        action=action,
        content=NewActivityContent(content),
        happened_at=happened_at,
        **members,
    )


def cursor_of(address):
    return urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["cursor"][0]


# A user with a custom field, and a content.
user = UserInput(
    first_name="Bo", last_name="Ek", email="bo@pydantic.example", role=Role.ADMIN, custom={"Cohort": "pydantic"}
)
directory = DirectoryApi(client)
assert directory.put_user("pydantic", user).custom == {"Cohort": "pydantic"}
content = ContentInput(iri="https://pydantic.example/quiz", title="Fire Safety", type=ContentType.QUIZ)
assert CatalogueApi(client).put_content("pydantic-quiz", content).id == "pydantic-quiz"

# One activity, and a batch.
result = NewActivityResult(
    score=NewActivityResultScore(92.0), success=True, total_time=NewActivityResultTotalTime("PT5M")
)
completed = new_activity(Action.COMPLETED, "pydantic-quiz", moment(1, 9), result=result)
created = activities.create_activity(completed).actual_instance
assert created.action.key == "completed" and created.result.score.percent == 92, created
batch = [new_activity(Action.VIEWED, "pydantic-quiz", moment(day)) for day in (1, 2, 3, 4)]
assert len(activities.create_activities(batch).ids) == 4

# The log in pages, with filters.
rows, cursor = [], None
while True:
    page = activities.list_activities(
        user=["pydantic"], action=[Action.VIEWED, Action.COMPLETED], var_from="2026-03-01", limit=2, cursor=cursor
    )
    rows += page.activities
    if page.next is None:
        break
    cursor = cursor_of(page.next)
assert len(rows) == 5, rows
assert [row.result.score.percent for row in rows if row.action.key == "completed"] == [92]

# A custom field. This generator writes a deep object as JSON, so the client sends a query of our own.
for cohort, expected in (("pydantic", 5), ("other", 0)):
    query = urllib.parse.urlencode({"custom[Cohort]": cohort})
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    answer = client.call_api("GET", f"{url}/v1/activities?{query}", header_params=headers)
    answer.read()
    page = client.response_deserialize(answer, {"200": "ActivityList"}).data
    assert len(page.activities) == expected, page

# The custom field is removed.
patched = directory.patch_user("pydantic", UserPatch(custom={"Cohort": None}))
assert patched.custom == {} and patched.email == "bo@pydantic.example", patched

# A report, a key and a schedule.
report_filter = ReportFilter(user=["pydantic"], action=[Action.COMPLETED])
report = reports.create_report(NewReport(name="Of pydantic", filter=report_filter))
assert (report.filter.user, report.filter.action) == (["pydantic"], [Action.COMPLETED]), report
assert reports.create_report_key(report.id, NewReportKey(name="BI")).secret
schedule = reports.create_schedule(
    report.id,
    NewScheduleBody(
        frequency=Frequency.WEEKLY, at="08:00", weekday=DayOfWeek.MONDAY, recipients=["bo@pydantic.example"]
    ),
)
assert schedule.frequency == Frequency.WEEKLY

# A CSV goes to a file as it comes.
answer = ExportsApi(client).export_activities_csv_without_preload_content(user=["pydantic"])
assert answer.status == 200
with open("client.csv", "wb") as file:
    for part in answer.stream(65536):
        file.write(part)
with open("client.csv", encoding="utf-8") as file:
    assert len(file.read().strip().splitlines()) == 6

# Statements.
identifiers = [uuid.uuid4(), uuid.uuid4()]
for identifier in identifiers:
    statement = Statement.from_dict(
        {
            "actor": {"mbox": "mailto:bo@pydantic.example"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}},
            "object": {"id": "https://pydantic.example/quiz"},
        }
    )
    xapi.store_statement(identifier, "1.0.3", statement)
found = xapi.read_statements("1.0.3", statement_id=identifiers[0]).actual_instance
assert isinstance(found, Statement) and found.id == identifiers[0], found
page = xapi.read_statements("1.0.3", limit=2).actual_instance
assert isinstance(page, StatementPage), page
assert [statement.id for statement in page.statements] == identifiers[::-1], page

# A problem document.
try:
    activities.create_activity(new_activity(Action.COMPLETED, "none", moment(1)))
    raise AssertionError("the activity is not refused")
except BadRequestException as refused:
    problem = Problem.from_json(refused.body)
    assert (problem.status, problem.code, problem.pointer) == (400, "invalid-body", "/content"), problem

print("pydantic: passed")
