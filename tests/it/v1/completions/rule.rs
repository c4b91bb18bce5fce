//! Tests of the rule that decides whether a user has already completed a content.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{activities_of, expected_outcomes, mark, mark_request, outcomes, set_up};
use crate::support::builders::{activity, content, mailbox, statement};
use crate::support::{TestServer, apply, both_databases};
use crate::v1::activities::{advance_clock, member_values, post_batch};

const DAY: i64 = 86_400;

#[apply(both_databases)]
async fn completed_content_is_not_marked_again(server: &TestServer) {
    let admin = set_up(server).await;
    let past =
        |action: &str| activity("bo", action).set("happened_at", "2026-01-10T09:00:00Z").set("content", "c");
    let cases = [
        ("no record", None, "created"),
        ("only started", Some(past("started")), "created"),
        ("failed", Some(past("failed")), "created"),
        (
            "a completion without success is a failure",
            Some(past("completed").set("result.success", false)),
            "created",
        ),
        (
            "a failure with the completion flag",
            Some(past("failed").set("result.completion", true)),
            "created",
        ),
        ("completed", Some(past("completed")), "already_completed"),
        ("attended", Some(past("attended")), "already_completed"),
        (
            "another verb with the completion flag",
            Some(past("answered").set("result.completion", true)),
            "already_completed",
        ),
        (
            "completed after the given time",
            Some(past("completed").set("happened_at", "2026-03-01T09:00:00Z")),
            "already_completed",
        ),
        (
            "completed and not expired",
            Some(past("completed").set("expired_at", "2026-04-01T00:00:00Z")),
            "already_completed",
        ),
        (
            "expires exactly now",
            Some(past("completed").set("expired_at", "2026-03-18T10:17:23Z")),
            "already_completed",
        ),
        (
            "expired before the given time",
            Some(past("completed").set("expired_at", "2026-02-01T00:00:00Z")),
            "created",
        ),
        (
            "expired exactly at the given time",
            Some(past("completed").set("expired_at", "2026-02-14T09:00:00Z")),
            "created",
        ),
        (
            "expired one millisecond after the given time",
            Some(past("completed").set("expired_at", "2026-02-14T09:00:00.001Z")),
            "already_completed",
        ),
        (
            "not expired at the given time, but expired now",
            Some(past("completed").set("expired_at", "2026-03-01T00:00:00Z")),
            "already_completed",
        ),
        (
            "completed after the given time and expired now",
            Some(
                past("completed")
                    .set("happened_at", "2026-02-20T00:00:00Z")
                    .set("expired_at", "2026-03-01T00:00:00Z"),
            ),
            "created",
        ),
    ];
    for (number, (case, before, expected)) in cases.into_iter().enumerate() {
        let id = format!("c{number}");
        admin.put(&format!("/v1/contents/{id}"), &content(&id, "event")).await.expect(201);
        if let Some(before) = before {
            post_batch(&admin, &[before.set("content", id.clone())]).await;
        }
        let body = mark_request(&["bo", "gil"])
            .set("content", id.clone())
            .set("happened_at", "2026-02-14T09:00:00Z");
        let planned = mark(&admin, &body.clone().set("dry_run", true)).await;
        assert_eq!(planned, expected_outcomes(&[("bo", expected), ("gil", "created")]), "{case}");
        assert_eq!(mark(&admin, &body).await, planned, "{case}");
        let twice = expected_outcomes(&[("bo", "already_completed"), ("gil", "already_completed")]);
        assert_eq!(mark(&admin, &body).await, twice, "{case}, second request");
    }
}

#[apply(both_databases)]
async fn expired_completion_is_marked_again(server: &TestServer) {
    let admin = set_up(server).await;
    let yearly = content("yearly", "event").set("expires_after", "P1Y");
    admin.put("/v1/contents/yearly", &yearly).await.expect(201);
    let past_mark = mark_request(&["bo"]).set("content", "yearly").set("happened_at", "2023-02-14T09:00:00Z");
    // The mark has already expired, but an equal mark is not repeated.
    assert_eq!(mark(&admin, &past_mark).await, expected_outcomes(&[("bo", "created")]));
    assert_eq!(mark(&admin, &past_mark).await, expected_outcomes(&[("bo", "already_completed")]));
    let now = mark_request(&["bo"]).set("content", "yearly");
    assert_eq!(mark(&admin, &now).await, expected_outcomes(&[("bo", "created")]));
    assert_eq!(mark(&admin, &now).await, expected_outcomes(&[("bo", "already_completed")]));
    advance_clock(server, 366 * DAY);
    assert_eq!(mark(&admin, &now).await, expected_outcomes(&[("bo", "created")]));
    let rows = activities_of(server, "bo").await;
    assert_eq!(member_values(&rows, "expired"), [json!(true), json!(true), json!(false)]);
}

#[apply(both_databases)]
async fn completion_counts_under_every_identifier(server: &TestServer) {
    let admin = set_up(server).await;
    let completed = "http://adlnet.gov/expapi/verbs/completed";
    admin
        .put(
            "/v1/contents/ladders",
            &content("ladders", "item").set("iri", "https://content.example/ladders"),
        )
        .await
        .expect(201);
    let sent = statement(mailbox("bo@example.org"), completed, "https://content.example/ladders");
    server.credential("acme", &["all"]).await.post("/xapi/statements", &sent).await.expect(200);
    let body = mark_request(&["bo", "cy"]).set("content", "ladders");
    assert_eq!(
        mark(&admin, &body).await,
        expected_outcomes(&[("bo", "already_completed"), ("cy", "created")])
    );
}

#[apply(both_databases)]
async fn mark_belongs_to_its_user_after_the_account_moved(server: &TestServer) {
    let admin = set_up(server).await;
    let account =
        |name: &str| json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": name}});
    for person in ["bo", "gil"] {
        let moved = json!({"identifiers": [account(person)]});
        admin.post("/v1/users/eve/identifiers", &moved).await.expect(200);
    }
    // `bo` still has an address. `gil` has no identifier left for a record.
    let expected = expected_outcomes(&[("bo", "created"), ("gil", "not_found")]);
    assert_eq!(mark(&admin, &mark_request(&["bo", "gil"])).await, expected);
    assert_eq!(mark(&admin, &mark_request(&["bo"])).await, expected_outcomes(&[("bo", "already_completed")]));
    assert_eq!(member_values(&activities_of(server, "bo").await, "completed"), [json!(true)]);
    assert_eq!(activities_of(server, "eve").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn concurrent_requests_mark_each_user_once(server: &TestServer) {
    let admin = set_up(server).await;
    let people = ["ada", "bo", "gil", "cy", "eve"];
    // Ten equal requests, and ten requests for different days: only the first creates a record.
    admin.put("/v1/contents/water", &content("water", "event")).await.expect(201);
    admin.put("/v1/contents/fire", &content("fire", "event")).await.expect(200);
    for (content, days) in [("fire", [1; 10]), ("water", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])] {
        let requests = days.map(|day| {
            let body = mark_request(&people)
                .set("content", content)
                .set("note", "Together")
                .set("happened_at", format!("2026-03-{day:02}T09:00:00Z"));
            let caller = admin.clone();
            async move { caller.post("/v1/completions", &body).await.expect(200).json() }
        });
        let created: Vec<String> = join_all(requests)
            .await
            .iter()
            .flat_map(outcomes)
            .filter(|(_, outcome)| outcome == "created")
            .map(|(user, _)| user)
            .collect();
        for person in people {
            assert_eq!(created.iter().filter(|created| *created == person).count(), 1, "{person} {content}");
            let rows = activities_of(server, person).await;
            assert_eq!(
                rows.iter().filter(|row| row["content"]["id"] == content).count(),
                1,
                "{person} {content}"
            );
        }
    }
    let notes = admin.list("/v1/users/bo/notes", "notes").await;
    assert_eq!(notes.len(), 2, "one note for each completion");
}
