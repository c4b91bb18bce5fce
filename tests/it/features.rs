//! Tests `docs/features.md`: every request of its tables is sent in order to the organisation that the page
//! describes.
//!
//! An available request must succeed, find something, and have the members in its last column. A planned
//! one must be 404. Every operation of `/v1` is on the page, except those in [`NOT_ON_THE_PAGE`].

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{Body, activity, content, group, team, user};
use crate::support::http::{Answer, Caller};
use crate::support::outbox::{Outbox, quick, sender};
use crate::support::{TestServer, apply, both_databases};
use crate::v1::courses::import;

const PAGE: &str = include_str!("../../docs/features.md");

/// Operations that are not on the page: other pages describe how the directory and the catalogue are
/// written, and credentials.
const NOT_ON_THE_PAGE: &[(&str, &str)] = &[
    ("put", "/v1/users/{id}"),
    ("post", "/v1/users/batch"),
    ("get", "/v1/users/{id}"),
    ("post", "/v1/users/{id}/identifiers"),
    ("get", "/v1/teams"),
    ("post", "/v1/teams/batch"),
    ("get", "/v1/teams/{id}"),
    ("put", "/v1/teams/{id}"),
    ("patch", "/v1/teams/{id}"),
    ("get", "/v1/groups"),
    ("post", "/v1/groups/batch"),
    ("get", "/v1/groups/{id}"),
    ("put", "/v1/groups/{id}"),
    ("patch", "/v1/groups/{id}"),
    ("post", "/v1/contents/batch"),
    ("get", "/v1/contents/{id}"),
    ("put", "/v1/contents/{id}"),
    ("get", "/v1/credentials"),
    ("post", "/v1/credentials"),
    ("get", "/v1/credentials/{id}"),
    ("delete", "/v1/credentials/{id}"),
    ("get", "/v1/organisation"),
    // It has no rows.
    ("get", "/v1/imports/template.csv"),
];

// --- The page --------------------------------------------------------------------------------------------

/// A row of a table.
#[derive(Debug, PartialEq)]
struct Feature<'p> {
    line: usize,
    title: &'p str,
    is_planned: bool,
    method: &'p str,
    path: &'p str,
    body: Option<&'p str>,
    caller: &'p str,
    /// The status, or any 2xx if `None`.
    status: Option<u16>,
    /// The members in the last column.
    members: Vec<&'p str>,
}

/// All rows of all tables. Panics if a row is invalid.
fn parse_features(page: &str) -> Vec<Feature<'_>> {
    let mut features = Vec::new();
    let mut rows_of_table = None;
    for (number, line) in page.lines().enumerate() {
        let line_number = number + 1;
        if !line.starts_with('|') {
            assert_ne!(rows_of_table, Some(0), "the table before line {line_number} has no rows");
            rows_of_table = None;
            continue;
        }
        if line.starts_with("| what |") || line.starts_with("| --- |") {
            rows_of_table.get_or_insert(0);
            continue;
        }
        let parsed = parse_feature(line_number, line);
        features.push(parsed.unwrap_or_else(|fault| panic!("line {line_number}: {fault}: {line}")));
        rows_of_table = rows_of_table.map(|rows| rows + 1);
    }
    assert_ne!(rows_of_table, Some(0), "the last table has no rows");
    features
}

fn parse_feature(line: usize, text: &str) -> Result<Feature<'_>, String> {
    let inner = text.strip_prefix('|').and_then(|text| text.trim_end().strip_suffix('|'));
    let cells: Vec<&str> = inner.ok_or("no row")?.split('|').map(str::trim).collect();
    let [title, request, members] = cells[..] else {
        return Err(format!("{} cells, not three", cells.len()));
    };
    let (is_planned, request) = match request.strip_prefix("to come: ") {
        Some(rest) => (true, rest),
        None => (false, request),
    };
    let (code, mut rest) = code_span(request).ok_or("no request in the second cell")?;
    let (method, path) = code.split_once(' ').ok_or("no method and path")?;
    if !path.starts_with('/') {
        return Err(format!("`{path}` is no path"));
    }
    let body = code_span(rest).filter(|(body, _)| body.starts_with(['{', '[', '<']));
    if let Some((_, after)) = body {
        rest = after;
    }
    let mut caller = "admin";
    if let Some(named) = rest.strip_prefix("as *") {
        (caller, rest) = named.split_once('*').ok_or("a caller without an end")?;
        rest = rest.trim_start();
    }
    let mut status = is_planned.then_some(404);
    if let Some(excerpt) = rest.strip_prefix("→ ") {
        status = Some(excerpt.parse().map_err(|_| format!("`{excerpt}` is no status"))?);
        rest = "";
    }
    if !rest.is_empty() {
        return Err(format!("what is `{rest}`?"));
    }
    Ok(Feature {
        line,
        title,
        is_planned,
        method,
        path,
        body: body.map(|(body, _)| body),
        caller,
        status,
        members: leading_code_spans(members),
    })
}

/// The code span at the beginning of the text, and the rest.
fn code_span(text: &str) -> Option<(&str, &str)> {
    let (code, rest) = text.strip_prefix('`')?.split_once('`')?;
    Some((code, rest.trim_start()))
}

/// The code spans at the beginning, separated by commas. Code spans after other words do not count.
fn leading_code_spans(mut text: &str) -> Vec<&str> {
    let mut spans = Vec::new();
    while let Some((code, rest)) = code_span(text) {
        spans.push(code);
        match rest.strip_prefix(", ") {
            Some(more) => text = more,
            None => break,
        }
    }
    spans
}

// --- The organisation -------------------------------------------------------------------------------

/// The values of the page's placeholders, and its callers.
pub struct Fixture {
    pub activity: String,
    pub mistake: String,
    pub note: String,
    pub report: String,
    pub key: String,
    pub schedule: String,
    pub callers: HashMap<&'static str, Caller>,
}

impl Fixture {
    /// The caller with this name on the page.
    pub fn caller(&self, name: &str) -> &Caller {
        self.callers.get(name).unwrap_or_else(|| panic!("the page has no caller *{name}*"))
    }
}

/// Creates the organisation of the page.
pub async fn create_fixture(server: &TestServer) -> Fixture {
    let mut callers = HashMap::new();
    for (name, role, id) in [
        ("owner", "owner", "olu"),
        ("admin", "admin", "root"),
        ("hr", "hr", "hal"),
        ("reporter", "reporter", "rae"),
        ("designer", "learning_designer", "des"),
        ("learner", "learner", "bo"),
    ] {
        callers.insert(name, server.person(role, id));
    }
    let with_permission = |role: &str, id: &str, permission: &str| {
        server.person_of("acme", json!({"sub": id, "role": role, "permissions": [permission]}))
    };
    callers.insert("curator", with_permission("curator", "cas", "reporting"));
    callers.insert("manager", with_permission("manager", "ada", "mark_complete"));
    let scopes = ["activities/read", "activities/write", "statements/write"];
    callers.insert("integration", server.credential("acme", &scopes).await);
    let admin = callers["admin"].clone();
    create_people(&admin).await;
    create_contents(&admin).await;

    let integration = &callers["integration"];
    integration.post("/v1/activities/batch", &activities()).await.expect(201);
    let passed = json!({
        "actor": {"mbox": "mailto:ada@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/passed"},
        "object": {"id": "https://rollbook.invalid/acme/contents/fire-safety"},
        "result": {"score": {"scaled": 0.95}, "duration": "PT8M"},
        "timestamp": "2026-02-01T09:00:00Z"
    });
    integration.post("/xapi/statements", &passed).await.expect(200);
    let with_answers = activity("bo", "completed")
        .set("content", "fire-safety")
        .set("happened_at", "2024-05-10T09:00:00Z")
        .set("result", json!({"score": 91, "total_time": "PT5M"}))
        .set(
            "responses",
            json!([{"question": "1", "prompt": "Which door?", "response": "The red one", "correct": true}]),
        );
    let id_of = |answer: Answer| answer.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let activity_id = id_of(integration.post("/v1/activities", &with_answers).await);
    let by_hand = |user: &str, content: &str| activity(user, "viewed").set("content", content);
    id_of(admin.post("/v1/activities", &by_hand("cy", "podcast")).await);
    let mistake = id_of(admin.post("/v1/activities", &by_hand("bo", "podcast")).await);
    let text = json!({"text": "Moves to nights in April", "happened_at": "2026-03-10T08:00:00Z"});
    let note = id_of(callers["hr"].post("/v1/users/bo/notes", &text).await);
    let filter = json!({"scope": "company", "content": "fire-safety", "tz": "Europe/London"});
    let report = json!({"name": "Fire safety", "visibility": "shared", "filter": filter});
    let report = id_of(admin.post("/v1/reports", &report).await);
    let key = json!({"name": "Power BI"});
    let key = id_of(admin.post(&format!("/v1/reports/{report}/keys"), &key).await);
    let daily = json!({"frequency": "daily", "at": "07:00", "recipients": ["ada"]});
    let schedules = format!("/v1/reports/{report}/schedules");
    let schedule = id_of(callers["manager"].post(&schedules, &daily).await);
    let run = format!("/v1/schedules/{schedule}/run");
    callers["manager"].post(&run, &json!({})).await.expect(202);
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("the run is sent");
    Fixture { activity: activity_id, mistake, note, report, key, schedule, callers }
}

/// What the page has beyond the [`Fixture`]: an exercise, a launch, a course, a subscription and an import.
pub struct PageFixture {
    pub base: Fixture,
    launch: String,
    subscription: String,
    delivery: String,
    import: String,
    unit_launch: String,
}

/// Creates everything of which the page has a request.
pub async fn create_page_fixture(server: &TestServer) -> PageFixture {
    let base = create_fixture(server).await;
    let id_of = |answer: Answer| answer.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let (admin, integration) = (base.callers["admin"].clone(), &base.callers["integration"]);
    integration.post("/v1/activities/batch", &attempts()).await.expect(201);
    let launch = json!({"user": "bo", "content": "fire-safety", "standard": "xapi"});
    let launch = id_of(integration.post("/v1/launches", &launch).await);
    let subscription = json!({"name": "Payroll", "url": "https://payroll.example.org/hook"});
    let subscription = id_of(admin.post("/v1/subscriptions", &subscription).await);
    let tested = admin.post(&format!("/v1/subscriptions/{subscription}/test"), &json!({})).await;
    let delivery = tested.expect(200).json()["id"].as_str().expect("an id").to_owned();
    let structure = PAGE.split("`<courseStructure").nth(1).and_then(|rest| rest.split('`').next());
    let structure = format!("<courseStructure{}", structure.expect("a course structure"));
    let course = import(&admin, &structure).await.expect(201).json();
    let unit = json!({"user": "bo", "content": course["children"][0]["id"], "standard": "cmi5"});
    let unit_launch = id_of(admin.post("/v1/launches", &unit).await);
    let import = import_rows(&admin).await;
    PageFixture { base, launch, subscription, delivery, import, unit_launch }
}

/// Imports a row, and another one that is rejected.
async fn import_rows(admin: &Caller) -> String {
    let text = "user,action,content,happened_at\nbo,read,handbook,2025-11-01T09:00:00Z\nno,read,handbook,2025-11-01T09:00:00Z\n";
    let headers = [("content-type", "text/csv")];
    let sent = admin.send(Method::POST, "/v1/imports", &headers, text.into()).await.expect(202).json();
    let id = sent["id"].as_str().expect("an id").to_owned();
    while admin.get(&format!("/v1/imports/{id}")).await.expect(200).json()["status"] != "done" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    id
}

async fn create_people(admin: &Caller) {
    let teams = [team("sales"), team("sales-north").set("parent", "sales")];
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    admin.put("/v1/groups/first-aiders", &group("first-aiders")).await.expect(201);
    let named = |id: &str, first: &str, last: &str| {
        user(id).set("first_name", first).set("last_name", last).set("email", format!("{id}@example.org"))
    };
    let users = [
        named("ada", "Ada", "Obi").set("role", "manager").set("primary_team", "sales"),
        named("bo", "Bo", "Ek")
            .set("manager", "ada")
            .set("primary_team", "sales")
            .set("groups", json!(["first-aiders"]))
            .set("location", "Leeds")
            .set("custom", json!({"Region": "North"})),
        named("cy", "Cy", "Roe")
            .set("manager", "bo")
            .set("primary_team", "sales-north")
            .set("groups", json!(["first-aiders"])),
        named("dee", "Dee", "Lund").set("primary_team", "sales").set("active", false),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
}

async fn create_contents(admin: &Caller) {
    let titled = |id: &str, kind: &str, title: &str| content(id, kind).set("title", title);
    let item = |id: &str, kind: &str, title: &str| titled(id, "item", title).set("content_type", kind);
    let contents = [
        titled("fire-safety", "quiz", "Fire Safety")
            .set("tags", json!(["safety"]))
            .set("url", "https://content.example.org/fire-safety/")
            .set("cpd_labels", json!(["Health"]))
            .set("pass_mark", 80)
            .set("time_limit", "PT20M")
            .set("expires_after", "P1Y")
            .set("certificate", json!({"name": "Fire warden", "expires_after": "P2Y"})),
        item("intro-video", "video", "Welcome"),
        item("handbook", "document", "Handbook"),
        item("podcast", "audio", "Shift talk"),
        item("forklift-sim", "scorm", "Forklift Simulator"),
        titled("forklift-plan", "learning_plan", "Forklift Training"),
        titled("first-aid-day", "event", "First Aid Day"),
        titled("essay", "exercise", "Essay"),
        item("old-course", "course", "Old Course")
            .set("source", "Library One")
            .set("archived_at", "2026-02-01T00:00:00Z"),
    ];
    admin.post("/v1/contents/batch", &contents).await.expect(200);
}

/// The activities of the page that need one line each.
/// An attempt at the exercise.
fn attempts() -> [Body; 2] {
    let about =
        |action: &str, at: &str| activity("cy", action).set("content", "essay").set("happened_at", at);
    [
        about("submitted", "2026-03-04T09:00:00Z")
            .set("result", json!({"response": "Fire drills save lives."})),
        about("graded", "2026-03-06T09:00:00Z")
            .set("recorded_by", "ada")
            .set("comment", "Too short")
            .set("result", json!({"score": 40, "success": false})),
    ]
}

fn activities() -> Vec<Body> {
    let activity_at = |user: &str, action: &str, content: &str, at: &str| {
        let body = activity(user, action).set("happened_at", at);
        if content.is_empty() { body } else { body.set("content", content) }
    };
    let with_comment = |body: Body, comment: &str| body.set("recorded_by", "ada").set("comment", comment);
    vec![
        activity_at("bo", "started", "fire-safety", "2024-05-01T09:00:00Z"),
        activity_at("bo", "received_certificate_for", "fire-safety", "2024-05-10T09:05:00Z")
            .set("certificate", json!({"name": "Fire warden", "expires_at": "2026-05-10T09:00:00Z"})),
        activity_at("bo", "logged_in", "", "2026-01-10T08:00:00Z"),
        activity_at("bo", "logged_in", "", "2026-02-10T08:00:00Z"),
        activity_at("bo", "logged_out", "", "2026-02-10T09:00:00Z"),
        activity_at("bo", "logged_in", "", "2026-03-16T08:00:00Z"),
        with_comment(
            activity_at("bo", "assigned", "forklift-plan", "2026-01-12T09:00:00Z"),
            "Drives from March",
        ),
        with_comment(
            activity_at("bo", "unassigned", "forklift-plan", "2026-02-20T09:00:00Z"),
            "Doesn't drive after all",
        ),
        activity_at("bo", "completed", "old-course", "2026-01-15T09:00:00Z"),
        activity_at("bo", "enrolled_for", "first-aid-day", "2026-01-20T09:00:00Z"),
        activity_at("bo", "completed", "intro-video", "2026-02-15T09:00:00Z"),
        activity_at("bo", "completed", "forklift-sim", "2026-03-02T09:00:00Z")
            .set("result", json!({"total_time": "PT40M"})),
        activity_at("bo", "completed", "fire-safety", "2026-03-05T09:00:00Z")
            .set("result", json!({"score": 45, "total_time": "PT25M"}))
            .set(
                "responses",
                json!([
                    {"question": "1", "prompt": "What is a hazard?", "response": "A wet floor", "correct": true, "seconds": 12},
                    {"question": "2", "prompt": "Where is the exit?", "response": "Upstairs", "correct": false}
                ]),
            ),
        activity_at("bo", "viewed", "handbook", "2026-03-17T12:00:00Z"),
        activity_at("ada", "logged_in", "", "2026-02-01T08:00:00Z"),
        activity_at("ada", "viewed", "handbook", "2026-03-01T09:00:00Z"),
        activity_at("ada", "read", "handbook", "2026-03-01T10:00:00Z"),
        activity_at("cy", "started", "fire-safety", "2026-03-01T09:00:00Z").set(
            "responses",
            json!([{"question": "1", "prompt": "What is a hazard?", "response": "A fire drill", "correct": false}]),
        ),
        activity_at("cy", "completed", "podcast", "2026-03-03T09:00:00Z"),
        activity_at("cy", "enrolled_for", "first-aid-day", "2026-01-21T09:00:00Z"),
        activity_at("cy", "viewed", "forklift-sim", "2026-03-17T09:00:00Z").set("device_type", "phone"),
        activity_at("dee", "completed", "fire-safety", "2025-12-01T09:00:00Z")
            .set("result", json!({"score": 100})),
        activity_at("dee", "viewed", "handbook", "2025-12-02T09:00:00Z"),
    ]
}

// --- Requests and checks --------------------------------------------------------------------------------

async fn send_request(fixture: &PageFixture, feature: &Feature<'_>) -> Answer {
    let path = feature
        .path
        .replace("{activity}", &fixture.base.activity)
        .replace("{mistake}", &fixture.base.mistake)
        .replace("{note}", &fixture.base.note)
        .replace("{report}", &fixture.base.report)
        .replace("{key}", &fixture.base.key)
        .replace("{schedule}", &fixture.base.schedule)
        .replace("{launch}", &fixture.launch)
        .replace("{subscription}", &fixture.subscription)
        .replace("{delivery}", &fixture.delivery)
        .replace("{import}", &fixture.import)
        .replace("{unit_launch}", &fixture.unit_launch);
    let caller = fixture.base.caller(feature.caller);
    let method: Method = feature.method.parse().expect("a method");
    let json = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    match feature.body {
        None => caller.send(method, &path, &[], Vec::new()).await,
        Some(body) => {
            let content_type = if body.starts_with('<') { "application/xml" } else { json };
            let headers = [("content-type", content_type)];
            caller.send(method, &path, &headers, body.as_bytes().to_vec()).await
        }
    }
}

/// Describes what is wrong with an answer.
fn find_fault(feature: &Feature<'_>, answer: &Answer) -> Option<String> {
    let has_expected_status = match feature.status {
        Some(status) => answer.status == status,
        None => (200..300).contains(&answer.status),
    };
    if !has_expected_status {
        return Some(format!("the status is {}", answer.status));
    }
    if feature.is_planned {
        return None;
    }
    let is_csv = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/csv"));
    if is_csv {
        let (headings, rows) = answer.csv();
        if rows.is_empty() {
            return Some("the list is empty".to_owned());
        }
        let missing = feature.members.iter().find(|name| !headings.iter().any(|heading| heading == **name));
        return missing.map(|name| format!("the column `{name}` is missing"));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        let empty = answer.body.is_empty() && answer.status != 204;
        return (empty || !feature.members.is_empty()).then(|| "the body is not JSON".to_owned());
    };
    // A single object may contain empty lists, but a list must not be empty.
    let is_list = body.get("id").is_none();
    let mut members = body.as_object().into_iter().flat_map(|members| members.values());
    if is_list && members.any(|member| member.as_array().is_some_and(Vec::is_empty)) {
        return Some("the list is empty".to_owned());
    }
    let missing = feature.members.iter().find(|name| !contains_value(&body, name));
    missing.map(|name| format!("the member `{name}` is missing"))
}

/// Returns true if a path of members exists anywhere in the value, or the value contains the text.
fn contains_value(value: &Value, name: &str) -> bool {
    let path: String = name.split('.').map(|member| format!("/{member}")).collect();
    let exists = match value.pointer(&path) {
        None | Some(Value::Null) => false,
        Some(Value::Array(elements)) => !elements.is_empty(),
        Some(_) => true,
    };
    exists
        || match value {
            Value::String(text) => text == name,
            Value::Array(elements) => elements.iter().any(|element| contains_value(element, name)),
            Value::Object(members) => members.values().any(|member| contains_value(member, name)),
            _ => false,
        }
}

#[apply(both_databases)]
async fn every_request_of_the_page_has_the_documented_answer(server: &TestServer) {
    let fixture = create_page_fixture(server).await;
    let features = parse_features(PAGE);
    let mut faults = Vec::new();
    for feature in &features {
        let answer = send_request(&fixture, feature).await;
        if let Some(fault) = find_fault(feature, &answer) {
            let excerpt: String = String::from_utf8_lossy(&answer.body).chars().take(600).collect();
            faults.push(format!(
                "line {}: {} ({} {}) {fault}\n{excerpt}\n",
                feature.line, feature.title, feature.method, feature.path
            ));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), features.len(), faults.join("\n"));
}

#[apply(both_databases)]
async fn page_contains_every_operation(server: &TestServer) {
    let document = server.anonymous().get("/openapi.json").await.expect(200).json();
    let features = parse_features(PAGE);
    let paths = document["paths"].as_object().expect("paths");
    // A fixed path does not match a template with a parameter in its place.
    let fixed = |path: &str| paths.contains_key(path);
    let matches_path = |template: &str, path_of_feature: &str| {
        let path_of_feature = path_of_feature.split('?').next().unwrap_or_default();
        let (template_parts, parts): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path_of_feature.split('/').collect());
        let same_segments =
            template_parts.iter().zip(&parts).all(|(one, other)| one == other || one.starts_with('{'));
        path_of_feature == template
            || (!fixed(path_of_feature) && same_segments && template_parts.len() == parts.len())
    };
    let mut left_out = Vec::new();
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/v1")) {
        for method in item.as_object().expect("operations").keys().filter(|key| *key != "parameters") {
            let is_on_the_page = features.iter().any(|feature| {
                !feature.is_planned
                    && feature.method.eq_ignore_ascii_case(method)
                    && matches_path(path, feature.path)
            });
            let is_excluded = NOT_ON_THE_PAGE.contains(&(method.as_str(), path.as_str()));
            if is_on_the_page == is_excluded {
                left_out
                    .push(format!("{method} {path}: on the page: {is_on_the_page}, excluded: {is_excluded}"));
            }
        }
    }
    assert_eq!(left_out, Vec::<String>::new());
}

#[test]
fn row_of_the_page_is_parsed_completely() {
    let row = "| What | to come: `POST /v1/x?a=1` `{\"a\": 1}` as *manager* → 403 | `a.b`, `C d`, and `e` |";
    let expected = Feature {
        line: 7,
        title: "What",
        is_planned: true,
        method: "POST",
        path: "/v1/x?a=1",
        body: Some("{\"a\": 1}"),
        caller: "manager",
        status: Some(403),
        members: vec!["a.b", "C d"],
    };
    assert_eq!(parse_feature(7, row), Ok(expected));
    for bad in [
        "| What | as you like | |",
        "| What | `GET` | |",
        "| What | `GET v1` | |",
        "| What | `GET /v1` and more | |",
        "| What | `GET /v1` → soon | |",
        "| What | `GET /v1` |",
    ] {
        assert!(parse_feature(1, bad).is_err(), "{bad}");
    }
    let page = "| what | request | look at |\n| --- | --- | --- |\n\nWords";
    assert!(std::panic::catch_unwind(|| parse_features(page)).is_err(), "a table without rows");
}

#[test]
fn documented_member_must_exist() {
    let body = json!({"rows": [{"a": null, "b": []}, {"a": {"c": 1}, "d": "done"}]});
    for exists in ["rows", "a.c", "rows", "done", "d"] {
        assert!(contains_value(&body, exists), "{exists}");
    }
    for missing in ["b", "a.d", "c.a", "nothing"] {
        assert!(!contains_value(&body, missing), "{missing}");
    }
}
