//! Who stands completed, so that marking them changes nothing.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{fire, mark, outcomes, rows_of, set_up, told};
use crate::support::builders::{activity, content, mailbox, statement};
use crate::support::{TestServer, apply, both_databases};
use crate::v1::activities::{advance_clock, member_values, post_batch};

const DAY: i64 = 86_400;

#[apply(both_databases)]
async fn who_stands_completed_is_left_as_they_are(server: &TestServer) {
    let admin = set_up(server).await;
    let past =
        |action: &str| activity("bo", action).set("happened_at", "2026-01-10T09:00:00Z").set("content", "c");
    let cases = [
        ("nothing happened", None, "created"),
        ("it was only started", Some(past("started")), "created"),
        ("it was failed", Some(past("failed")), "created"),
        (
            "a completion without success is a failure",
            Some(past("completed").set("result.success", false)),
            "created",
        ),
        (
            "a failure that says it is complete",
            Some(past("failed").set("result.completion", true)),
            "created",
        ),
        ("it was completed", Some(past("completed")), "already_completed"),
        ("it was attended", Some(past("attended")), "already_completed"),
        (
            "another verb completed it",
            Some(past("answered").set("result.completion", true)),
            "already_completed",
        ),
        (
            "it is completed later than the day given",
            Some(past("completed").set("happened_at", "2026-03-01T09:00:00Z")),
            "already_completed",
        ),
        ("it holds", Some(past("completed").set("expired_at", "2026-04-01T00:00:00Z")), "already_completed"),
        (
            "it holds to this very moment",
            Some(past("completed").set("expired_at", "2026-03-18T10:17:23Z")),
            "already_completed",
        ),
        (
            "it has expired before the day given",
            Some(past("completed").set("expired_at", "2026-02-01T00:00:00Z")),
            "created",
        ),
        (
            "it expired on the moment given",
            Some(past("completed").set("expired_at", "2026-02-14T09:00:00Z")),
            "created",
        ),
        (
            "it held a moment longer",
            Some(past("completed").set("expired_at", "2026-02-14T09:00:00.001Z")),
            "already_completed",
        ),
        (
            "it held on the day given and has expired since",
            Some(past("completed").set("expired_at", "2026-03-01T00:00:00Z")),
            "already_completed",
        ),
        (
            "it happened after the day given and has expired since",
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
        let body = fire(&["bo", "gil"]).set("content", id.clone()).set("happened_at", "2026-02-14T09:00:00Z");
        let dry = mark(&admin, &body.clone().set("dry_run", true)).await;
        assert_eq!(dry, told(&[("bo", expected), ("gil", "created")]), "{case}");
        assert_eq!(mark(&admin, &body).await, dry, "{case}");
        let twice = told(&[("bo", "already_completed"), ("gil", "already_completed")]);
        assert_eq!(mark(&admin, &body).await, twice, "{case}, twice");
    }
}

#[apply(both_databases)]
async fn who_has_expired_is_marked_again(server: &TestServer) {
    let admin = set_up(server).await;
    let yearly = content("yearly", "event").set("expires_after", "P1Y");
    admin.put("/v1/contents/yearly", &yearly).await.expect(201);
    let long_ago = fire(&["bo"]).set("content", "yearly").set("happened_at", "2023-02-14T09:00:00Z");
    // What is marked has expired already; the same again is the same all the same.
    assert_eq!(mark(&admin, &long_ago).await, told(&[("bo", "created")]));
    assert_eq!(mark(&admin, &long_ago).await, told(&[("bo", "already_completed")]));
    let now = fire(&["bo"]).set("content", "yearly");
    assert_eq!(mark(&admin, &now).await, told(&[("bo", "created")]));
    assert_eq!(mark(&admin, &now).await, told(&[("bo", "already_completed")]));
    advance_clock(server, 366 * DAY);
    assert_eq!(mark(&admin, &now).await, told(&[("bo", "created")]));
    let rows = rows_of(server, "bo").await;
    assert_eq!(member_values(&rows, "expired"), [json!(true), json!(true), json!(false)]);
}

#[apply(both_databases)]
async fn a_user_is_all_that_identifies_them(server: &TestServer) {
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
    let body = fire(&["bo", "cy"]).set("content", "ladders");
    assert_eq!(mark(&admin, &body).await, told(&[("bo", "already_completed"), ("cy", "created")]));
}

#[apply(both_databases)]
async fn a_record_is_of_whom_it_marks_though_their_account_was_moved(server: &TestServer) {
    let admin = set_up(server).await;
    let account =
        |name: &str| json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": name}});
    for person in ["bo", "gil"] {
        let moved = json!({"identifiers": [account(person)]});
        admin.post("/v1/users/eve/identifiers", &moved).await.expect(200);
    }
    // Bo is still known by an address; of gil nothing is left that a record could name.
    let expected = told(&[("bo", "created"), ("gil", "not_found")]);
    assert_eq!(mark(&admin, &fire(&["bo", "gil"])).await, expected);
    assert_eq!(mark(&admin, &fire(&["bo"])).await, told(&[("bo", "already_completed")]));
    assert_eq!(member_values(&rows_of(server, "bo").await, "completed"), [json!(true)]);
    assert_eq!(rows_of(server, "eve").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn ten_at_once_mark_each_person_once(server: &TestServer) {
    let admin = set_up(server).await;
    let everybody = ["ada", "bo", "gil", "cy", "eve"];
    // The same request, and requests for different days: whichever is first is the one that counts.
    for (content, days) in [("fire", [1; 10]), ("water", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])] {
        admin
            .put(&format!("/v1/contents/{content}"), &crate::support::builders::content(content, "event"))
            .await
            .expect_one_of(&[200, 201]);
        let requests = days.map(|day| {
            let body = fire(&everybody)
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
        for person in everybody {
            assert_eq!(created.iter().filter(|created| *created == person).count(), 1, "{person} {content}");
            let rows = rows_of(server, person).await;
            assert_eq!(
                rows.iter().filter(|row| row["content"]["id"] == content).count(),
                1,
                "{person} {content}"
            );
        }
    }
    let notes = admin.list("/v1/users/bo/notes", "notes").await;
    assert_eq!(notes.len(), 2, "one for each completion");
}
