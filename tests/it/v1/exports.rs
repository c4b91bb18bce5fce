//! Tests of `/v1/activities/export.csv`, `export.ndjson` and `export.parquet`: every column, every parameter,
//! reach, and errors in the middle of a file.

mod columns;
mod directory;
#[cfg(feature = "parquet")]
mod parquet;
mod spreadsheet;

use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::builders::{activity, content, group, mailbox, statement, team, user};
use crate::support::http::{Answer, Caller};
use crate::support::server::{ORG, sign};
use crate::support::{Database, TestServer, apply, both_databases};

const CSV: &str = "/v1/activities/export.csv";
const NDJSON: &str = "/v1/activities/export.ndjson";

const STANDARD: [&str; 22] = [
    "First name",
    "Last name",
    "Email address",
    "Role",
    "Job title",
    "Language",
    "Location",
    "Join date",
    "Manager name",
    "Primary team",
    "Secondary teams",
    "Status (at time of export)",
    "Deactivated",
    "Action",
    "Title",
    "Type",
    "Content Type",
    "Unique ID",
    "Happened at",
    "Completed",
    "Expired at",
    "Tags",
];

const ELEARNING: [&str; 5] = [
    "E-learning / Quiz result",
    "E-learning / Quiz score",
    "E-learning / Quiz total time",
    "Total time in seconds",
    "Certificate expires at",
];

const FULL: [&str; 17] = [
    "Activity ID",
    "User ID",
    "Verb",
    "Device type",
    "Origin",
    "Recorded by",
    "Source",
    "CPD labels",
    "Certificate name",
    "Registration",
    "Identifier",
    "Manager ID",
    "Team IDs",
    "Archived",
    "Score",
    "Time limit exceeded",
    "Stored at",
];

/// Creates an organisation in which every column of the exports has a value: managers, a deactivated user,
/// an actor without user, results, certificates, logins, and another verb. Returns an admin.
async fn set_up_with_every_column(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let teams = [
        team("sales").set("name", "Sales"),
        team("north").set("name", "North, upper"),
        team("aid").set("name", "First aid"),
    ];
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    admin.put("/v1/groups/g", &group("g")).await.expect(201);
    let users = [
        user("ada").set("first_name", "Ada").set("last_name", "Obi").set("role", "manager"),
        user("bo")
            .set("first_name", "Bo \"B\"")
            .set("last_name", "Lee")
            .set("email", "bo@example.org")
            .set("role", "learning_designer")
            .set("job_title", "=HYPERLINK(\"http://evil.example\")")
            .set("language", "en")
            .set("location", "Łódź")
            .set("joined_on", "2021-04-01")
            .set("manager", "ada")
            .set("primary_team", "sales")
            .set("teams", json!(["north", "aid"]))
            .set("custom", json!({"Cost centre": "4711", "=Grade": "+7"})),
        user("cy")
            .set("first_name", "Cy")
            .set("last_name", "Old")
            .set("deactivated_at", "2026-01-31T09:30:00Z"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    let fire = content("fire", "quiz")
        .set("title", "Fire, \"Safety\"")
        .set("tags", json!(["safety", "fire"]))
        .set("cpd_labels", json!(["Health"]))
        .set("source", "Library");
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    let film = content("film", "item").set("title", "The Film").set("content_type", "video");
    admin.put("/v1/contents/film", &film).await.expect(201);

    let integration = server.credential(ORG, &["all", "activities/write"]).await;
    let id = |number: u32| format!("0190a000-0000-7000-8000-{number:012}");
    let at = |day: u32| format!("2026-03-{day:02}T09:30:00.250Z");
    let activity_of = |number: u32, user: &str, action: &str| {
        activity(user, action).set("id", id(number)).set("happened_at", at(number))
    };
    let activities = [
        activity_of(1, "bo", "logged_in").set("device_type", "mobile"),
        activity_of(2, "bo", "completed")
            .set("content", "fire")
            .set("result", json!({"success": true, "score": 92.5, "total_time": "PT1H5M"}))
            .set("certificate", json!({"name": "Warden", "expires_at": "2027-03-02T00:00:00Z"}))
            .set("expired_at", "2026-03-10T00:00:00Z")
            .set("recorded_by", "ada")
            .set("registration", id(99)),
        activity_of(3, "ada", "failed")
            .set("content", "fire")
            .set("result", json!({"success": false, "score": {"scaled": -0.05}}))
            .set("source", "=Import"),
        activity_of(4, "cy", "completed").set("content", "film"),
    ];
    integration.post("/v1/activities/batch", &activities).await.expect(201);
    let other_verb = statement(
        mailbox("visitor@example.com"),
        "https://verbs.example/didThings",
        "https://content.example/a",
    )
    .set("id", id(5))
    .set("timestamp", at(5))
    .set("actor.name", "A. Visitor")
    .set("verb.display", json!({"en": "did things to"}));
    integration.post("/xapi/statements", &other_verb).await.expect(200);
    admin
}

#[apply(both_databases)]
async fn every_column_set_has_headings_without_rows(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (query, expected) in [
        ("?columns=standard", STANDARD.to_vec()),
        ("", [&STANDARD[..], &ELEARNING].concat()),
        ("?columns=elearning", [&STANDARD[..], &ELEARNING].concat()),
        ("?columns=full", [&STANDARD[..], &ELEARNING, &FULL].concat()),
    ] {
        let answer = admin.get(&format!("{CSV}{query}")).await.expect(200);
        assert_eq!(answer.text(), format!("{}\r\n", expected.join(",")), "{query}");
    }
    let answer = admin.get(NDJSON).await.expect(200);
    assert_eq!((answer.text(), answer.header("content-type")), ("", Some("application/x-ndjson")));

    // Custom fields come last, sorted by name.
    admin.put("/v1/users/bo", &user("bo").set("custom", json!({"b": "1", "=a": "2"}))).await.expect(201);
    admin.put("/v1/users/cy", &user("cy").set("custom", json!({"C": "3"}))).await.expect(201);
    for set in ["standard", "elearning", "full"] {
        let (headings, _) = admin.get(&format!("{CSV}?columns={set}")).await.expect(200).csv();
        assert_eq!(headings[headings.len() - 3..], ["'=a", "C", "b"], "{set}");
    }
}

#[apply(both_databases)]
async fn full_csv_contains_every_column(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let path = format!("{CSV}?columns=full&include_deactivated=true&sort=happened_at");
    let full = admin.get(&path).await.expect(200);
    insta::assert_snapshot!("full", full.csv_as_lines());

    // A smaller set of columns is a prefix of the full one.
    let (_, full) = full.csv();
    for (set, width) in [("standard", 22), ("elearning", 27)] {
        let (_, rows) = admin.get(&path.replace("full", set)).await.expect(200).csv();
        for (row, full) in rows.iter().zip(&full) {
            assert_eq!(row[..width], full[..width]);
            assert_eq!(
                row[width..],
                full[STANDARD.len() + ELEARNING.len() + FULL.len()..],
                "the custom fields"
            );
        }
    }
}

#[apply(both_databases)]
async fn ndjson_contains_the_rows_of_the_log(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    for query in ["", "?sort=happened_at", "?user=bo", "?action=failed,completed&include_deactivated=true"] {
        let rows = admin.list(&format!("/v1/activities{query}"), "activities").await;
        assert!(!rows.is_empty(), "{query}");
        assert_eq!(admin.get(&format!("{NDJSON}{query}")).await.expect(200).ndjson(), rows, "{query}");
    }
}

#[apply(both_databases)]
async fn formula_is_escaped_unless_raw_is_requested(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let bo = async |query: &str| {
        let (headings, rows) =
            admin.get(&format!("{CSV}?user=bo&action=completed{query}")).await.expect(200).csv();
        let index_of = |heading: &str| headings.iter().position(|other| other == heading);
        let job = rows[0][index_of("Job title").expect("a column")].clone();
        (job, headings.last().cloned().expect("a column"), rows[0][headings.len() - 2].clone())
    };
    let formula = "=HYPERLINK(\"http://evil.example\")";
    let plain = (format!("'{formula}"), "Cost centre".to_owned(), "'+7".to_owned());
    assert_eq!(bo("").await, plain);
    assert_eq!(bo("&raw=false").await, plain);
    assert_eq!(bo("&raw=true").await, (formula.to_owned(), "Cost centre".to_owned(), "+7".to_owned()));
}

#[apply(both_databases)]
async fn byte_order_mark_is_added_on_request(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let without = admin.get(CSV).await.expect(200);
    assert!(without.text().starts_with("First name,"));
    assert_eq!(without.text().matches("\r\n").count(), without.text().matches('\n').count());
    let with = admin.get(&format!("{CSV}?bom=true")).await.expect(200);
    assert_eq!(with.text(), format!("\u{feff}{}", without.text()));
    assert_eq!(admin.get(&format!("{CSV}?bom=false")).await.expect(200).body, without.body);
}

/// The file's date is in the time zone in which its dates and periods are.
#[apply(both_databases)]
async fn file_name_contains_the_day_in_the_time_zone_of_the_request(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let report = admin.post("/v1/reports", &json!({"name": "R"})).await.expect(201);
    let report = report.header("location").expect("Location").to_owned();
    let progress = "/v1/contents/days/progress.csv";
    admin.put("/v1/contents/days", &content("days", "quiz")).await.expect(201);
    // It is 2026-03-18T10:17:23Z. In Kiritimati it is 14 hours later, in Pago Pago 11 hours earlier.
    for (zone, date) in
        [("UTC", "2026-03-18"), ("Pacific/Kiritimati", "2026-03-19"), ("Pacific/Pago_Pago", "2026-03-17")]
    {
        admin.patch("/v1/organisation", &json!({"time_zone": zone})).await.expect(200);
        let (report_csv, report_ndjson) = (format!("{report}/export.csv"), format!("{report}/export.ndjson"));
        for (path, name) in [
            (CSV, format!("activities-{date}.csv")),
            (NDJSON, format!("activities-{date}.ndjson")),
            (report_csv.as_str(), format!("r-{date}.csv")),
            (report_ndjson.as_str(), format!("r-{date}.ndjson")),
            (progress, format!("progress-{date}.csv")),
        ] {
            let answer = admin.get(path).await.expect(200);
            let name = format!("attachment; filename=\"{name}\"");
            assert_eq!(answer.header("content-disposition"), Some(name.as_str()), "{zone}");
            if path != progress {
                let answer = admin.get(&format!("{path}?tz=Pacific%2FKiritimati")).await.expect(200);
                let name = name.replace(date, "2026-03-19");
                assert_eq!(answer.header("content-disposition"), Some(name.as_str()), "{zone}");
            }
        }
    }
}

#[apply(both_databases)]
async fn file_name_contains_the_day_and_gzip_is_negotiated(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    for (path, kind, name) in [
        (
            CSV,
            "text/csv; charset=utf-8; header=present",
            "attachment; filename=\"activities-2026-03-18.csv\"",
        ),
        (NDJSON, "application/x-ndjson", "attachment; filename=\"activities-2026-03-18.ndjson\""),
    ] {
        let plain = admin.get(path).await.expect(200);
        assert_eq!(plain.header("content-type"), Some(kind));
        assert_eq!(plain.header("content-disposition"), Some(name));
        assert_eq!(plain.header("content-encoding"), None);

        let head = admin.send(reqwest::Method::HEAD, path, &[], Vec::new()).await.expect(200);
        assert_eq!(
            (head.header("content-type"), head.header("content-disposition")),
            (Some(kind), Some(name))
        );
        assert!(head.body.is_empty());

        let accepts_gzip = [("accept-encoding", "gzip")];
        let gzipped = admin.send(reqwest::Method::GET, path, &accepts_gzip, Vec::new()).await.expect(200);
        assert_eq!(gzipped.header("content-encoding"), Some("gzip"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(gzipped.body.as_slice())
            .read_to_string(&mut text)
            .expect("complete gzip data");
        assert_eq!(text, plain.text());
    }
}

#[apply(both_databases)]
async fn exports_contain_only_rows_within_reach(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/users/bo", &user("bo")).await.expect(201);
    other.post("/v1/activities", &activity("bo", "logged_in")).await.expect(201);

    let all_ids = admin.get(&format!("{CSV}?columns=full")).await.expect(200).csv_column("Activity ID");
    assert_eq!(all_ids.len(), 4, "all activities except those of the deactivated user");
    let id = |number: u32| format!("0190a000-0000-7000-8000-{number:012}");
    let ada = server.person("manager", "ada");
    let no_reports = json!({"sub": "ada", "role": "manager", "reports": {"direct": [], "indirect": []}});
    let reporting = json!({"sub": "cara", "role": "curator", "permissions": ["reporting"]});
    let cases = [
        (server.person("owner", "x"), all_ids.clone()),
        (server.credential(ORG, &["activities/read"]).await, all_ids.clone()),
        (ada.clone(), vec![id(3), id(2), id(1)]),
        (server.person_of(ORG, no_reports), vec![id(3)]),
        (server.person("learner", "bo"), vec![id(2), id(1)]),
        (server.person("curator", "cara"), vec![]),
        (server.person_of(ORG, reporting), all_ids.clone()),
        (server.person("learner", "nobody"), vec![]),
    ];
    for (caller, expected) in cases {
        assert_eq!(
            caller.get(&format!("{CSV}?columns=full")).await.expect(200).csv_column("Activity ID"),
            expected
        );
        let rows = caller.get(NDJSON).await.expect(200).ndjson();
        let rows: Vec<&str> = rows.iter().map(|row| row["id"].as_str().expect("an id")).collect();
        assert_eq!(rows, expected);
    }
    assert_eq!(other.get(NDJSON).await.expect(200).ndjson().len(), 1);
    for path in [CSV, NDJSON] {
        assert_eq!(
            count_rows(&ada.get(&format!("{path}?user=cy&include_deactivated=true")).await.expect(200)),
            0
        );
        ada.get(&format!("{path}?scope=company")).await.expect(403);
        server.credential(ORG, &["activities/write"]).await.get(path).await.expect(403);
        server.anonymous().get(path).await.expect(401);
    }
}

#[apply(both_databases)]
async fn unknown_and_invalid_parameters_are_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (path, parameter) in [
        (format!("{CSV}?limit=10"), "limit"),
        (format!("{CSV}?cursor=x"), "cursor"),
        (format!("{CSV}?count=exact"), "count"),
        (format!("{CSV}?colums=full"), "colums"),
        (format!("{CSV}?columns=all"), "columns"),
        (format!("{CSV}?columns=full&columns=full"), "columns"),
        (format!("{CSV}?bom=yes"), "bom"),
        (format!("{CSV}?raw=1"), "raw"),
        (format!("{CSV}?period=sometimes"), "period"),
        (format!("{NDJSON}?limit=10"), "limit"),
        (format!("{NDJSON}?columns=full"), "columns"),
        (format!("{NDJSON}?bom=true"), "bom"),
    ] {
        let problem = admin.get(&path).await.expect(400).json();
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}");
    }
    let both = admin.get(&format!("{CSV}?bom=yes&columns=all")).await.expect(400).json();
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(2));
    admin.post(CSV, &json!({})).await.expect(405);
}

#[apply(both_databases)]
async fn error_in_the_middle_breaks_the_connection(server: &TestServer) {
    if server.database().is_distributed() {
        println!("skipped: no view can replace a distributed table");
        return;
    }
    let admin = set_up_with_every_column(server).await;
    copy_activity(server, 20_000).await;
    let rows = admin.get(CSV).await.expect(200).csv().1.len();
    assert!(rows > 20_000);
    // The verb of the last row of the file cannot be looked up.
    let (digest, failure) = match server.database() {
        Database::Sqlite { .. } => ("x'00'", "json('{')"),
        Database::Postgres { .. } => ("'\\x00'::bytea", "CAST(1 / (key - key) AS TEXT)"),
    };
    let text = format!(
        "ALTER TABLE verbs RENAME TO stored_verbs; \
         INSERT INTO stored_verbs (org, key, digest, iri) \
         SELECT org, 999999, {digest}, 'urn:x' FROM stored_verbs LIMIT 1; \
         CREATE VIEW verbs AS SELECT org, key, digest, iri, \
         CASE WHEN key = 999999 THEN {failure} ELSE display END AS display FROM stored_verbs"
    );
    server.database().execute(&text).await;
    let unknown = "UPDATE activities SET verb = 999999 WHERE seq = (SELECT min(seq) FROM activities)";
    assert_eq!(server.database().execute(unknown).await, 1);
    for path in [CSV, NDJSON] {
        for encoding in ["identity", "gzip"] {
            let answer = start_request(server, &format!("{path}?sort=-happened_at"), encoding).await;
            assert_eq!(answer.status(), 200);
            assert!(answer.bytes().await.is_err(), "{path} in {encoding} must not look complete");
        }
        // If it is the first row, the answer is an error.
        let problem = admin.get(&format!("{path}?sort=happened_at")).await.expect(500).json();
        assert_eq!(problem["code"], "internal");
    }
}

#[cfg(target_os = "linux")]
/// The file has half a gigabyte. The server buffers only a small part.
#[apply(both_databases)]
async fn memory_does_not_grow_with_50_000_rows(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let custom: serde_json::Map<String, Value> =
        (0..5).map(|number| (format!("field {number}"), json!("x".repeat(2_000)))).collect();
    admin.patch("/v1/users/bo", &json!({"custom": custom})).await.expect(200);
    copy_activity(server, 50_000).await;

    let before = resident_bytes();
    let (mut bytes, mut lines, mut maximum) = (0, 0, before);
    let mut answer = start_request(server, &format!("{CSV}?columns=full&user=bo"), "identity").await;
    while let Some(part) = answer.chunk().await.expect("a complete answer") {
        bytes += part.len();
        lines += part.iter().filter(|byte| **byte == b'\n').count();
        maximum = maximum.max(resident_bytes());
    }
    assert!(lines > 50_000, "{lines} lines");
    assert!(bytes > 500_000_000, "{bytes} bytes");
    // Other tests use memory of the same process at the same time.
    assert!(maximum - before < 200_000_000, "{before} bytes grew to {maximum}");
}

/// The resident memory of this process in bytes.
#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has this file");
    let pages: usize = text.split(' ').nth(1).and_then(|number| number.parse().ok()).expect("a number");
    pages * 4096
}

/// The number of rows of an answer in either format.
fn count_rows(answer: &Answer) -> usize {
    match answer.header("content-type") {
        Some("application/x-ndjson") => answer.ndjson().len(),
        _ => answer.csv().1.len(),
    }
}

/// Sends a request as an admin and returns when the answer begins.
async fn start_request(server: &TestServer, path: &str, encoding: &str) -> reqwest::Response {
    let expires = server.clock.now().micros() / 1_000_000 + 3_600;
    let token = sign(&json!({"sub": "root", "org": ORG, "role": "admin", "exp": expires}));
    let request = reqwest::Client::new().get(format!("{}{path}", server.base));
    let request = request.bearer_auth(token).header("accept-encoding", encoding);
    request.send().await.expect("an answer begins")
}

/// Copies an activity of the user `bo` this many times with SQL. The copies have no records.
async fn copy_activity(server: &TestServer, rows: u32) {
    let numbers = server.database().series(rows);
    let columns = "id, stored_at, person, verb, content, action, origin, completed, success, completion, certified, \
        scaled, raw, min, max, percent, seconds, time_limit, expired_at, certificate_expires_at, registration, import, \
        certificate_name, response, device_type, recorded_by, comment, source";
    let copied =
        columns.split(", ").map(|column| format!("a.{}", column.trim())).collect::<Vec<_>>().join(", ");
    let copy = format!(
        "INSERT INTO activities (org, seq, happened_at, {columns}) \
         SELECT a.org, a.seq + 1000 * k.n, a.happened_at + 1000000 * k.n, {copied} \
         FROM activities a CROSS JOIN ({numbers}) k WHERE a.certificate_name = 'Warden'"
    );
    assert!(server.database().execute(&copy).await > 0);
}
