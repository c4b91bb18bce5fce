//! The metrics of what the server does.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::builders::{activity, content, user};
use crate::support::http::Caller;
use crate::support::{Database, TestServer, apply, both_databases};

/// The samples of the metrics by name and labels.
async fn samples(caller: &Caller) -> BTreeMap<String, f64> {
    let answer = caller.get("/metrics").await.expect(200);
    let lines = answer.text().lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

/// Other tests of the same process count too, so the metrics grow by at least what this test does.
#[apply(both_databases)]
async fn what_the_server_does_is_measured(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post("/v1/users/batch", &[user("root").set("role", "admin"), user("u1")]).await.expect(200);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    let before = samples(&admin).await;

    let batch =
        [activity("u1", "viewed").set("content", "c1"), activity("u1", "completed").set("content", "c1")];
    admin.post("/v1/activities/batch", &batch).await.expect(201);
    admin.get("/v1/activities/export.csv").await.expect(200);
    admin.get("/v1/activities?limit=x").await.expect(400);

    let after = samples(&admin).await;
    let value = |samples: &BTreeMap<String, f64>, name: &str| samples.get(name).copied().unwrap_or(0.0);
    for (name, least) in [
        ("rollbook_records_total{outcome=\"new\"}", 2.0),
        ("rollbook_ingest_batch_records_count", 1.0),
        ("rollbook_ingest_queue_seconds_count", 1.0),
        ("rollbook_ingest_write_seconds_count", 1.0),
        ("rollbook_exports_total{outcome=\"complete\"}", 1.0),
        ("rollbook_export_seconds_count{outcome=\"complete\"}", 1.0),
        ("rollbook_exported_rows_total", 2.0),
        ("rollbook_problems_total{code=\"bad-parameter\"}", 1.0),
    ] {
        let grown = value(&after, name) - value(&before, name);
        assert!(grown >= least, "{name} has grown by {grown}: {after:?}");
    }
    for name in [
        "rollbook_database_connections_max{pool=\"write\"}",
        "rollbook_database_connections_max{pool=\"read\"}",
        "rollbook_http_requests_in_flight",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_cpu_seconds_total",
    ] {
        assert!(value(&after, name) > 0.0, "{name}: {after:?}");
    }
    for name in [
        "rollbook_database_connections{pool=\"read\",state=\"used\"}",
        "rollbook_database_connections{pool=\"read\",state=\"idle\"}",
        "rollbook_backlog{kind=\"deliveries\"}",
        "rollbook_backlog{kind=\"subscriptions\"}",
        "rollbook_backlog{kind=\"imports\"}",
        "rollbook_ingest_waiting_submissions",
    ] {
        assert!(after.contains_key(name), "{name}: {after:?}");
    }
    assert!(!after.keys().any(|name| name.contains("acme")), "no label names an organisation");
    let answer = admin.get("/metrics").await.expect(200);
    for line in answer.text().lines().filter(|line| line.starts_with("# TYPE ")) {
        let is_counter = line.ends_with(" counter");
        assert_eq!(is_counter, line.contains("_total "), "counters have names that end in `_total`: {line}");
    }
}

/// Copies of the only subscription. None has a delivery that is tried again.
const SUBSCRIPTIONS: &str = "\
    INSERT INTO subscriptions (org, key, id, name, url, filter, format, active, place, version, created_by, created_at, \
        updated_at) \
    SELECT s.org, 1000 + n.n, {id}, s.name, s.url, s.filter, s.format, s.active, s.place, s.version, s.created_by, \
        s.created_at, s.updated_at \
    FROM subscriptions s CROSS JOIN ({series}) AS n";

#[apply(both_databases)]
async fn backlog_of_subscriptions_is_counted_by_an_index(server: &TestServer) {
    let admin = server.person("admin", "root");
    let one = json!({"name": "one", "url": "https://receiver.example.org/hooks"});
    admin.post("/v1/subscriptions", &one).await.expect(201);
    let id = server.database().random_id();
    let series = format!("SELECT n FROM ({}) AS numbers", server.database().series(2_000));
    server.database().execute(&SUBSCRIPTIONS.replace("{id}", id).replace("{series}", &series)).await;
    // PostgreSQL has statistics soon after the first rows. SQLite has none unless an operator asks for them.
    if matches!(server.database(), Database::Postgres { .. }) {
        server.database().execute("VACUUM ANALYZE").await;
    }
    let plans = server.store.explain_backlog().await.expect("plans");
    let (_, plan) = plans.iter().find(|(kind, _)| *kind == "subscriptions").expect("a plan");
    assert!(plan.iter().any(|line| line.contains("subscriptions_retry")), "{plan:#?}");
    let counted = samples(&admin).await;
    assert_eq!(counted.get("rollbook_backlog{kind=\"subscriptions\"}"), Some(&0.0));
}
