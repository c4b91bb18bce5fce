//! Tests of `stored_from` and `stored_to`: rows by the time at which they arrived.

use rollbook::base::clock::Timestamp;
use serde_json::json;

use super::{id, in_march, record_numbers, set_up};
use crate::support::TestServer;
use crate::support::builders::activity;
use crate::support::http::Caller;
use crate::support::{apply, both_databases};

/// Sets the clock to a moment of 20 March 2026 and records an activity that happened before.
async fn record_at(server: &TestServer, hour: i64, n: usize, day: u32) -> Caller {
    // 2026-03-20T00:00:00Z.
    server.clock.set(Timestamp::from_micros((1_773_964_800 + hour * 3_600) * 1_000_000));
    let admin = server.person("admin", "root");
    let body = activity("ada", "completed").set("id", id(n)).set("content", "fire");
    admin.post("/v1/activities", &body.set("happened_at", in_march(day, 9))).await.expect(201);
    admin
}

async fn find_numbers(admin: &Caller, parameters: &str) -> Vec<usize> {
    record_numbers(&admin.list(&format!("/v1/activities?limit=2&{parameters}"), "activities").await)
}

/// The number of rows in each way of reading the log with these parameters.
async fn counts_everywhere(admin: &Caller, parameters: &str) -> Vec<usize> {
    let get = async |path: &str| admin.get(&format!("{path}?{parameters}")).await.expect(200);
    let summary = admin.get(&format!("/v1/activities/summary?by=action&{parameters}")).await.expect(200);
    let report = json!({"name": parameters, "filter": filter_of(parameters)});
    let report = admin.post("/v1/reports", &report).await.expect(201).json();
    let rows = format!("/v1/reports/{}/activities", report["id"].as_str().expect("an id"));
    let total = summary.json()["total"]["rows"].as_u64().expect("a number");
    let exact = admin.get(&format!("/v1/activities?count=exact&limit=1&{parameters}")).await.expect(200);
    vec![
        get("/v1/activities/export.csv").await.csv().1.len(),
        get("/v1/activities/export.ndjson").await.ndjson().len(),
        usize::try_from(total).expect("small"),
        usize::try_from(exact.json()["total"].as_u64().expect("a number")).expect("small"),
        admin.list(&rows, "activities").await.len(),
        admin.list(&format!("/v1/users/ada/activities?{parameters}"), "activities").await.len(),
        admin.list(&format!("/v1/users/ada/timeline?{parameters}"), "entries").await.len(),
    ]
}

fn filter_of(parameters: &str) -> serde_json::Value {
    let pairs = parameters.split('&').filter_map(|pair| pair.split_once('='));
    json!(pairs.collect::<std::collections::BTreeMap<_, _>>())
}

#[apply(both_databases)]
async fn stored_window_selects_rows_by_their_arrival(server: &TestServer) {
    set_up(server).await;
    // They happened in another order than they arrived.
    for (hour, n, day) in [(1, 1, 10), (2, 2, 12), (3, 3, 1), (3, 4, 15)] {
        record_at(server, hour, n, day).await;
    }
    let admin = record_at(server, 5, 5, 2).await;
    let at = |hour: u32| format!("2026-03-20T{hour:02}:00:00.000Z");
    for (parameters, expected) in [
        (format!("stored_from={}", at(1)), vec![1, 2, 3, 4, 5]),
        (format!("stored_from={}", at(3)), vec![3, 4, 5]),
        (format!("stored_to={}", at(3)), vec![1, 2]),
        (format!("stored_from={}&stored_to={}", at(2), at(5)), vec![2, 3, 4]),
        (format!("stored_from={}&stored_to=2026-03-21", at(4)), vec![5]),
        ("stored_from=2026-03-21".to_owned(), vec![]),
        ("stored_to=2026-03-20".to_owned(), vec![]),
        ("stored_from=2026-03-20&stored_to=2026-03-21&tz=Asia/Tokyo".to_owned(), vec![1, 2, 3, 4, 5]),
        (format!("stored_from={}&from=2026-03-02&user=ada&completed=true", at(3)), vec![4, 5]),
    ] {
        let mut found = find_numbers(&admin, &parameters).await;
        let oldest = find_numbers(&admin, &format!("{parameters}&sort=happened_at")).await;
        assert_eq!(oldest.len(), found.len(), "{parameters}");
        found.sort_unstable();
        assert_eq!(found, expected, "{parameters}");
        if !parameters.contains("completed") {
            assert_eq!(counts_everywhere(&admin, &parameters).await, [expected.len(); 7], "{parameters}");
        }
    }
    for parameters in [
        format!("stored_from={}&stored_to={}", at(3), at(3)),
        "stored_from=soon".to_owned(),
        "stored_from=2026-03-20T00:00:00".to_owned(),
    ] {
        let refused = admin.get(&format!("/v1/activities?{parameters}")).await.expect(400);
        assert_eq!(refused.error_parameters(), ["stored_from".to_owned()].into(), "{parameters}");
    }
    // Facets and the records of one content take the parameters too.
    let window = format!("stored_from={}", at(3));
    admin.get(&format!("/v1/facets?{window}")).await.expect(200);
    admin.get(&format!("/v1/quizzes/fire/responses?{window}")).await.expect(200);
    admin.get(&format!("/v1/exercises/fire/attempts.csv?{window}")).await.expect(200);
}

/// A refresh from the last arrival on finds each new row, also one that happened long ago.
#[apply(both_databases)]
async fn refresh_by_arrival_loses_nothing(server: &TestServer) {
    set_up(server).await;
    let mut known = std::collections::BTreeSet::new();
    let mut last = "2026-01-01T00:00:00Z".to_owned();
    for (hour, n, day) in [(1, 1, 10), (1, 2, 1), (2, 3, 19), (2, 4, 2), (3, 5, 3)] {
        let admin = record_at(server, hour, n, day).await;
        for row in admin.list(&format!("/v1/activities?limit=1&stored_from={last}"), "activities").await {
            known.insert(row["id"].as_str().expect("an id").to_owned());
            last = last.max(row["stored_at"].as_str().expect("a time").to_owned());
        }
        assert_eq!(known.len(), n);
    }
    // Another organisation has none of them.
    let stranger = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    assert_eq!(stranger.list("/v1/activities?stored_from=2026-01-01", "activities").await.len(), 0);
}
