//! Tests of the rule that decides whether a user has already completed a content.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{activities_of, expected_outcomes, mark, mark_request, outcomes, set_up};
use crate::support::builders::{Body, activity, content, mailbox, statement};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};
use crate::v1::activities::{advance_clock, member_values, post_batch};

const DAY: i64 = 86_400;

/// Marks `bo` and `gil` for a new content with these demands on 14 February 2026, after the given record of `bo`.
/// Returns the outcome for `bo`, which a dry run must announce. A second request must create nothing.
async fn mark_after(admin: &Caller, id: &str, demands: Body, before: Option<Body>) -> String {
    admin.put(&format!("/v1/contents/{id}"), &demands.set("id", id)).await.expect(201);
    if let Some(before) = before {
        post_batch(admin, &[before.set("content", id)]).await;
    }
    let body = mark_request(&["bo", "gil"]).set("content", id).set("happened_at", "2026-02-14T09:00:00Z");
    let planned = mark(admin, &body.clone().set("dry_run", true)).await;
    assert_eq!(mark(admin, &body).await, planned, "{id}");
    assert_eq!(planned[1], ("gil".to_owned(), "created".to_owned()), "{id}");
    let twice = expected_outcomes(&[("bo", "already_completed"), ("gil", "already_completed")]);
    assert_eq!(mark(admin, &body).await, twice, "{id}, second request");
    planned[0].1.clone()
}

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
            "completed at the given time",
            Some(past("completed").set("happened_at", "2026-02-14T09:00:00Z")),
            "already_completed",
        ),
        (
            "completed after the given time: the older completion is added",
            Some(past("completed").set("happened_at", "2026-03-01T09:00:00Z")),
            "created",
        ),
        (
            "a completion that expires, while the new one holds for ever",
            Some(past("completed").set("expired_at", "2036-04-01T00:00:00Z")),
            "created",
        ),
    ];
    for (number, (case, before, expected)) in cases.into_iter().enumerate() {
        let outcome = mark_after(&admin, &format!("c{number}"), content("c", "event"), before).await;
        assert_eq!(outcome, expected, "{case}");
    }
}

#[apply(both_databases)]
async fn completion_is_created_unless_another_holds_as_long(server: &TestServer) {
    let admin = set_up(server).await;
    let past = |until: &str| {
        activity("bo", "completed")
            .set("happened_at", "2026-01-10T09:00:00Z")
            .set("content", "c")
            .set("expired_at", until)
    };
    // The new completion holds until 14 February 2027, 9:00.
    let cases = [
        ("as long", past("2027-02-14T09:00:00Z"), "already_completed"),
        ("longer", past("2030-01-01T00:00:00Z"), "already_completed"),
        ("a millisecond less", past("2027-02-14T08:59:59.999Z"), "created"),
        ("expired at the given time", past("2026-02-14T09:00:00Z"), "created"),
        ("expired since", past("2026-03-01T00:00:00Z"), "created"),
        (
            "holds longer, but happened later",
            past("2030-01-01T00:00:00Z").set("happened_at", "2026-02-15T09:00:00Z"),
            "created",
        ),
    ];
    for (number, (case, before, expected)) in cases.into_iter().enumerate() {
        let yearly = content("c", "event").set("expires_after", "P1Y");
        let outcome = mark_after(&admin, &format!("c{number}"), yearly, Some(before)).await;
        assert_eq!(outcome, expected, "{case}");
    }
    // The certificate of the new completion is valid until 14 February 2028.
    let certified = |until: &str| {
        activity("bo", "completed")
            .set("happened_at", "2026-01-10T09:00:00Z")
            .set("content", "c")
            .set("certificate.name", "Warden")
            .set("certificate.expires_at", until)
    };
    for (number, until, expected) in
        [(10, "2028-02-14T09:00:00Z", "already_completed"), (11, "2028-02-14T08:59:59Z", "created")]
    {
        let biennial =
            content("c", "event").set("certificate", json!({"name": "Warden", "expires_after": "P2Y"}));
        let outcome = mark_after(&admin, &format!("c{number}"), biennial, Some(certified(until))).await;
        assert_eq!(outcome, expected, "{until}");
    }
}

#[apply(both_databases)]
async fn refresher_moves_the_expiry(server: &TestServer) {
    let admin = set_up(server).await;
    let yearly = content("yearly", "event").set("expires_after", "P1Y");
    admin.put("/v1/contents/yearly", &yearly).await.expect(201);
    let mark_bo = async |at: Option<&str>| {
        let body = mark_request(&["bo"]).set("content", "yearly").set_option("happened_at", at);
        mark(&admin, &body).await.remove(0).1
    };
    assert_eq!(mark_bo(None).await, "created");
    // A repeated request without a time is a little later, but means the same completion.
    assert_eq!(mark_bo(None).await, "already_completed");
    advance_clock(server, 3_600);
    assert_eq!(mark_bo(None).await, "already_completed");
    let progress = async || {
        let page = admin.get("/v1/contents/yearly/progress?user=bo").await.expect(200).json();
        page["progress"][0]["expires_at"].clone()
    };
    assert_eq!(progress().await, "2027-03-18T10:17:23.000Z");
    // Fifteen days before the expiry.
    advance_clock(server, 350 * DAY);
    assert_eq!(mark_bo(None).await, "created");
    assert_eq!(progress().await, "2028-03-03T11:17:23.000Z");
    assert_eq!(mark_bo(None).await, "already_completed");
    // Older completions can be added, each once, and do not move the expiry.
    for at in ["2024-02-14T09:00:00Z", "2023-02-14T09:00:00Z"] {
        assert_eq!(mark_bo(Some(at)).await, "created", "{at}");
        assert_eq!(mark_bo(Some(at)).await, "already_completed", "{at}");
    }
    assert_eq!(progress().await, "2028-03-03T11:17:23.000Z");
    assert_eq!(activities_of(server, "bo").await.len(), 4);
    // After the expiry.
    advance_clock(server, 400 * DAY);
    assert_eq!(mark_bo(None).await, "created");
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
        let moved = json!({"identifiers": [account(person)], "from": null});
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
    // Ten equal requests create one record. Of ten requests for different days, each creates one unless an earlier
    // completion is stored.
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
            let outcomes = created.iter().filter(|created| *created == person).count();
            let rows = activities_of(server, person).await;
            let rows: Vec<&Value> = rows.iter().filter(|row| row["content"]["id"] == content).collect();
            assert_eq!(rows.len(), outcomes, "{person} {content}");
            assert_eq!(rows[0]["happened_at"], "2026-03-01T09:00:00.000Z", "{person} {content}");
            assert!(outcomes == 1 || content == "water", "{person}");
        }
    }
    let notes = admin.list("/v1/users/bo/notes", "notes").await;
    assert_eq!(notes.len(), 1 + 10, "one note for each time");
}
