//! `rollbook views` and `rollbook migrate --views`: what a BI tool reads in the database, and what it can't.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::support::builders::{activity, content, statement, team, user};
use crate::support::{Database, TestServer, apply, both_databases};

mod plans;
mod rights;

/// The command on the database of the server.
fn rollbook(server: &TestServer, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    command.args(arguments).args(["--database", &server.database().url()]);
    command
}

fn run_command(server: &TestServer, arguments: &[&str]) -> Output {
    let mut command = rollbook(server, arguments);
    tokio::task::block_in_place(|| command.output()).expect("the command can be started")
}

/// Runs the command on the database of the server and returns its output.
fn run(server: &TestServer, arguments: &[&str]) -> String {
    let run = run_command(server, arguments);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(run.stdout).expect("UTF-8")
}

/// Runs the command, which must fail, and returns its message.
fn run_refused(server: &TestServer, arguments: &[&str]) -> String {
    let run = run_command(server, arguments);
    assert!(!run.status.success(), "{arguments:?} succeeded");
    String::from_utf8_lossy(&run.stderr).into_owned()
}

/// The name of a view of the organisation `acme`.
fn view(server: &TestServer, name: &str) -> String {
    match server.database() {
        Database::Sqlite { .. } => format!("bi_{name}"),
        Database::Postgres { .. } => format!("\"rollbook_acme\".{name}"),
    }
}

/// The condition of the organisation `acme`, which is a column on SQLite.
fn of_acme(server: &TestServer) -> &'static str {
    match server.database() {
        Database::Sqlite { .. } => "organisation = 'acme'",
        Database::Postgres { .. } => "1 = 1",
    }
}

/// The first column of a query of texts, in its order.
async fn texts(server: &TestServer, sql: &str) -> Vec<String> {
    let (sql, url) = (AssertSqlSafe(sql.to_owned()), server.database().url());
    match server.database() {
        Database::Sqlite { .. } => {
            let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.expect("the query works");
            rows.iter().map(|row| row.get(0)).collect()
        }
        Database::Postgres { .. } => {
            let mut connection = PgConnection::connect(&url).await.expect("the cluster answers");
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.expect("the query works");
            rows.iter().map(|row| row.get(0)).collect()
        }
    }
}

async fn count(server: &TestServer, name: &str, condition: &str) -> i64 {
    let (view, organisation) = (view(server, name), of_acme(server));
    server
        .database()
        .query_number(&format!("SELECT count(*) FROM {view} WHERE {organisation} AND {condition}"))
        .await
}

/// Fills the organisations `acme` and `other`.
async fn set_up(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/teams/sales", &team("sales").set("name", "Sales")).await.expect(201);
    let ada = user("ada").set("first_name", "Ada").set("last_name", "Obi").set("role", "manager");
    admin.put("/v1/users/ada", &ada).await.expect(201);
    let bo = user("bo")
        .set("first_name", "Bo")
        .set("last_name", "Lund")
        .set("email", "bo@example.org")
        .set("manager", "ada")
        .set("primary_team", "sales")
        .set("custom", json!({"Region": "North"}));
    admin.put("/v1/users/bo", &bo).await.expect(201);
    let fire = content("fire", "quiz").set("title", "Fire Safety").set("tags", json!(["safety", "fire"]));
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    admin.put("/v1/contents/film", &content("film", "item")).await.expect(201);
    let integration = server.credential("acme", &["activities/write"]).await;
    let activities = [
        activity("bo", "failed")
            .set("content", "fire")
            .set("happened_at", "2026-03-01T09:30:00.250Z")
            .set("result", json!({"success": false, "score": 40, "total_time": "PT1H5M"})),
        activity("bo", "completed")
            .set("content", "fire")
            .set("happened_at", "2026-03-02T09:30:00Z")
            .set("result", json!({"success": true, "score": 92.5})),
        activity("ada", "completed")
            .set("content", "fire")
            .set("happened_at", "2019-03-02T10:00:00Z")
            .set("expired_at", "2020-03-10T00:00:00Z"),
        activity("ada", "started").set("content", "film").set("happened_at", "2026-03-03T10:00:00Z"),
        activity("bo", "failed").set("content", "film").set("happened_at", "2026-03-04T10:00:00Z"),
        activity("bo", "logged_in").set("happened_at", "2026-03-05T10:00:00Z"),
    ];
    integration.post("/v1/activities/batch", &activities).await.expect(201);
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/users/secret", &user("secret")).await.expect(201);
    other.post("/v1/activities", &activity("secret", "logged_in")).await.expect(201);
}

#[apply(both_databases)]
async fn views_show_labels_names_times_and_progress(server: &TestServer) {
    set_up(server).await;
    let installed = run(server, &["migrate", "--views"]);
    assert!(installed.contains("Installed the views"), "{installed}");
    // They can be replaced at any time.
    run(server, &["migrate", "--views"]);

    let (time, date) = match server.database() {
        Database::Sqlite { .. } => {
            ("happened_at = '2026-03-01T09:30:00.250Z'", "since = '2020-03-10T00:00:00.000Z'")
        }
        Database::Postgres { .. } => (
            "happened_at = '2026-03-01T09:30:00.250Z'::timestamptz",
            "since = '2020-03-10T00:00:00Z'::timestamptz",
        ),
    };
    for (name, condition, expected) in [
        ("activity_log", "1 = 1", 6),
        (
            "activity_log",
            "action = 'Failed' AND action_key = 'failed' AND result = 'Fail' AND score_percent = 40",
            1,
        ),
        (
            "activity_log",
            "person = 'Bo Lund' AND user_id = 'bo' AND manager = 'Ada Obi' AND primary_team = 'Sales'",
            4,
        ),
        ("activity_log", "title = 'Fire Safety' AND type = 'Quiz' AND total_time_seconds = 3900", 1),
        ("activity_log", time, 1),
        ("activity_log", "completed AND origin = 'api'", 2),
        ("users", "user_id = 'bo' AND manager_id = 'ada' AND primary_team = 'Sales' AND is_active", 1),
        ("users", "role = 'Manager' AND name = 'Ada Obi'", 1),
        ("user_fields", "user_id = 'bo' AND field = 'Region' AND value = 'North'", 1),
        ("contents", "content_id = 'fire' AND tags = 'safety; fire'", 1),
        ("progress", "1 = 1", 4),
        (
            "progress",
            "user_id = 'bo' AND content_id = 'fire' AND state = 'Completed' AND score_percent = 92.5",
            1,
        ),
        ("progress", "user_id = 'ada' AND content_id = 'fire' AND state = 'Expired'", 1),
        ("progress", date, 1),
        ("progress", "user_id = 'ada' AND content_id = 'film' AND state = 'In progress'", 1),
        ("progress", "user_id = 'bo' AND content_id = 'film' AND state_key = 'failed'", 1),
    ] {
        assert_eq!(count(server, name, condition).await, expected, "{name}: {condition}");
    }
    // The log of the API has the same number of rows.
    let admin = server.person("admin", "root");
    assert_eq!(admin.list("/v1/activities", "activities").await.len(), 6);
}

#[apply(both_databases)]
async fn printed_views_are_those_that_are_installed(server: &TestServer) {
    set_up(server).await;
    let printed = run(server, &["views"]);
    assert!(printed.contains("CREATE"), "{printed}");
    for _ in 0..2 {
        for statement in printed.split(";\n").filter(|statement| !statement.is_empty()) {
            server.database().execute(statement).await;
        }
    }
    assert_eq!(count(server, "activity_log", "1 = 1").await, 6);
    // `migrate --views` takes over what was printed.
    run(server, &["migrate", "--views"]);
    assert_eq!(run(server, &["views"]), printed);
    if let Database::Postgres { .. } = server.database() {
        let only_acme = run(server, &["views", "--org", "acme"]);
        assert!(only_acme.contains("rollbook_acme") && !only_acme.contains("rollbook_other"), "{only_acme}");
    }
}

/// The states of people with contents, as `user content state score`.
async fn progress_of_views(server: &TestServer) -> BTreeSet<String> {
    let (view, organisation) = (view(server, "progress"), of_acme(server));
    let score = match server.database() {
        Database::Sqlite { .. } => "coalesce(CAST(CAST(score_percent * 100 AS INTEGER) AS TEXT), '')",
        Database::Postgres { .. } => "coalesce((score_percent * 100)::int::text, '')",
    };
    let select = format!(
        "SELECT coalesce(user_id, person) || ' ' || content_id || ' ' || state_key || ' ' || {score} \
         FROM {view} WHERE {organisation}"
    );
    texts(server, &select).await.into_iter().collect()
}

/// The same by the API, for people that have an activity of the content.
async fn progress_of_api(server: &TestServer, contents: &[&str]) -> BTreeSet<String> {
    let admin = server.person("admin", "root");
    let mut states = BTreeSet::new();
    for content in contents {
        for person in admin.list(&format!("/v1/contents/{content}/progress"), "progress").await {
            let score =
                person["score"].as_f64().map_or(String::new(), |score| format!("{:.0}", score * 100.0));
            let user = person["user"]["id"].as_str().or(person["user"]["name"].as_str()).expect("a name");
            let state = person["state"].as_str().expect("a state");
            states.insert(format!("{user} {content} {state} {score}"));
        }
    }
    states
}

#[apply(both_databases)]
async fn progress_of_the_view_is_that_of_the_api(server: &TestServer) {
    let admin = server.person("admin", "root");
    let contents = ["one", "two", "three"];
    for id in contents {
        admin.put(&format!("/v1/contents/{id}"), &content(id, "quiz")).await.expect(201);
    }
    for number in 0..12 {
        admin.put(&format!("/v1/users/u{number}"), &user(&format!("u{number}"))).await.expect(201);
    }
    let integration = server.credential("acme", &["activities/write"]).await;
    let mut activities = Vec::new();
    for number in 0..240_usize {
        let (person, content) = (number % 12, contents[number / 12 % 3]);
        let kind = (number * 7 + number / 12 * 5 + person) % 6;
        let action = ["completed", "completed", "failed", "started", "enrolled_for", "viewed"][kind];
        // Persons 0 to 3 never complete, 4 and 5 never fail either.
        let action = match (person, action) {
            (0..=5, "completed") => "started",
            (4..=5, "failed") => "assigned",
            (_, action) => action,
        };
        let one = activity(&format!("u{person}"), action)
            .set("content", content)
            .set("happened_at", format!("2019-05-{:02}T{:02}:00:00Z", 1 + number * 11 % 28, number % 24));
        let one = if number % 4 > 0 { one.set("result", json!({"score": number % 90})) } else { one };
        let expires = if number % 7 == 0 { "2099-01-01T00:00:00Z" } else { "2020-01-01T00:00:00Z" };
        let renews = action == "completed" && person != 7;
        activities.push(if renews { one.set("expired_at", expires) } else { one });
    }
    let guest = json!({"mbox": "mailto:guest@example.org"});
    let iri = "https://rollbook.invalid/acme/contents/one";
    let viewed = statement(guest, "http://id.tincanapi.com/verb/viewed", iri);
    admin.post("/xapi/statements", &viewed).await.expect(200);
    integration.post("/v1/activities/batch", &activities).await.expect(201);
    run(server, &["migrate", "--views"]);

    let of_view = progress_of_views(server).await;
    assert_eq!(of_view, progress_of_api(server, &contents).await);
    for state in
        [" in_progress ", " failed ", " completed ", " expired ", "guest@example.org one in_progress "]
    {
        assert!(of_view.iter().any(|row| row.contains(state)), "no row with{state}: {of_view:?}");
    }
}

/// The ids of the log, by the API and by a view.
async fn compare_with_log(server: &TestServer, parameters: &str, name: &str) {
    let admin = server.person("admin", "root");
    let rows = admin.list(&format!("/v1/activities?{parameters}"), "activities").await;
    let of_log: BTreeSet<String> =
        rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect();
    let (view, organisation) = (view(server, name), of_acme(server));
    let select = format!("SELECT CAST(activity_id AS VARCHAR(36)) FROM {view} WHERE {organisation}");
    let of_view: BTreeSet<String> = texts(server, &select).await.into_iter().collect();
    assert_eq!(of_view, of_log, "{name}");
}

#[apply(both_databases)]
async fn views_hide_what_the_log_hides(server: &TestServer) {
    set_up(server).await;
    run(server, &["migrate", "--views"]);
    let admin = server.person("admin", "root");
    let rows = admin.list("/v1/activities", "activities").await;
    let voided = rows
        .iter()
        .find(|row| row["user"]["id"] == "bo" && row["content"]["id"] == "film")
        .expect("the failure");
    admin.delete(&format!("/v1/activities/{}", voided["id"].as_str().expect("an id"))).await.expect(204);
    compare_with_log(server, "", "activity_log").await;
    assert_eq!(count(server, "progress", "content_id = 'film' AND user_id = 'bo'").await, 0);

    // What is removed from the directory is gone from the views, which have no copies.
    let erased = json!({"email": null, "last_name": null, "custom": {"Region": null}});
    admin.patch("/v1/users/bo", &erased).await.expect(200);
    assert_eq!(count(server, "users", "email IS NOT NULL OR last_name = 'Lund'").await, 0);
    assert_eq!(count(server, "activity_log", "email IS NOT NULL OR person LIKE '%Lund%'").await, 0);
    assert_eq!(count(server, "user_fields", "1 = 1").await, 0);

    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    compare_with_log(server, "", "activity_log").await;
    compare_with_log(server, "include_deactivated=true", "activity_log_with_deactivated").await;
    assert_eq!(count(server, "activity_log", "user_id = 'bo'").await, 0);
    assert_eq!(
        count(server, "activity_log_with_deactivated", "user_id = 'bo' AND NOT user_is_active").await,
        3
    );
    assert_eq!(count(server, "progress", "user_id = 'bo'").await, 0);
    assert_eq!(count(server, "users", "user_id = 'bo' AND NOT is_active").await, 1);
}

#[apply(both_databases)]
async fn options_that_do_not_fit_are_refused_with_the_reason(server: &TestServer) {
    set_up(server).await;
    let unknown = match server.database() {
        Database::Sqlite { .. } => "SQLite has neither schemas nor roles",
        Database::Postgres { .. } => "the organisation `nobody` does not exist",
    };
    for command in [&["views"][..], &["migrate", "--views"]] {
        let message = run_refused(server, &[command, &["--org", "nobody"]].concat());
        assert!(message.contains(unknown), "{message}");
        let message = run_refused(server, &[command, &["--role", "bi"]].concat());
        assert!(message.contains("--org"), "{message}");
    }
    let message = run_refused(server, &["migrate", "--org", "acme"]);
    assert!(message.contains("--views"), "{message}");
}

/// A view reads what a server records after its installation, and installing it again disturbs no reader.
#[apply(both_databases)]
async fn views_are_installed_while_the_server_records(server: &TestServer) {
    set_up(server).await;
    let integration = server.credential("acme", &["activities/write"]).await;
    let mut recorded = 6;
    for _ in 0..3 {
        let mut install = rollbook(server, &["migrate", "--views"]);
        let mut install = install.stdout(Stdio::null()).spawn().expect("the command can be started");
        for _ in 0..5 {
            let started = activity("bo", "started").set("content", "fire");
            integration.post("/v1/activities", &started).await.expect(201);
        }
        let status = tokio::task::block_in_place(|| install.wait()).expect("the command ends");
        assert!(status.success());
        recorded += 5;
        assert_eq!(count(server, "activity_log", "1 = 1").await, recorded);
    }
    // The schema is still the one that servers and commands expect.
    assert!(run(server, &["migrate"]).contains("up to date"));
    let log: Value =
        server.person("admin", "root").get("/v1/activities?count=exact").await.expect(200).json();
    assert_eq!(log["total"], recorded);
}
