//! Tests of `latest=true`: the newest completion of each person and content, in every resource of the log.

use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use super::activities::{advance_clock, id, record_numbers};
use crate::support::builders::{Body, activity, content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

const DAY: i64 = 86_400;
const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
const FIRE: &str = "https://rollbook.invalid/acme/contents/fire";

/// A completion of the quiz `fire`.
fn completion(number: usize, user: &str, at: &str) -> Body {
    activity(user, "completed").set("id", id(number)).set("content", "fire").set("happened_at", at)
}

/// The numbers of the activities that match, the oldest first.
async fn find_numbers(caller: &Caller, parameters: &str) -> Vec<usize> {
    let path = format!("/v1/activities?sort=happened_at&{parameters}");
    record_numbers(&caller.list(&path, "activities").await)
}

async fn post_batch(caller: &Caller, batch: &[Body]) {
    caller.post("/v1/activities/batch", batch).await.expect(201);
}

/// Creates `ada`, her report `bo`, and `cy`, and the quiz `fire`: it is passed with 50 %, expires after a year,
/// and awards a certificate for a year. Returns an admin.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users = [user("ada"), user("bo").set("manager", "ada").set("email", "bo@example.org"), user("cy")];
    admin.post("/v1/users/batch", &users).await.expect(200);
    let fire = content("fire", "quiz")
        .set("pass_mark", 50)
        .set("expires_after", "P1Y")
        .set("certificate", json!({"name": "Warden", "expires_after": "P1Y"}));
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    admin
}

/// Like [`set_up`]. `ada` let her completion expire, `bo` renewed an expired one, and `cy` one that expires soon.
async fn set_up_with_renewals(server: &TestServer) -> Caller {
    let admin = set_up(server).await;
    let records = [
        completion(1, "ada", "2025-02-01T09:00:00Z"),
        completion(2, "bo", "2025-02-02T09:00:00Z"),
        completion(3, "cy", "2025-04-01T09:00:00Z"),
        completion(4, "bo", "2026-02-02T09:00:00Z"),
        completion(5, "cy", "2026-03-01T09:00:00Z"),
        activity("cy", "failed")
            .set("id", id(6))
            .set("content", "fire")
            .set("happened_at", "2026-03-02T09:00:00Z"),
        activity("cy", "logged_in").set("id", id(7)).set("happened_at", "2026-03-03T09:00:00Z"),
    ];
    post_batch(&admin, &records).await;
    admin
}

#[apply(both_databases)]
async fn renewed_completions_are_left_out(server: &TestServer) {
    let admin = set_up_with_renewals(server).await;
    assert_eq!(find_numbers(&admin, "expired=true").await, [1, 2]);
    for (parameters, expected) in [
        ("latest=true", &[1, 4, 5][..]),
        ("latest=false", &[1, 2, 3, 4, 5, 6, 7]),
        ("expired=true&latest=true", &[1]),
        ("expired=false&latest=true", &[4, 5]),
        ("certificate_expires_within=P30D", &[3]),
        ("certificate_expires_within=P30D&latest=true", &[]),
        ("certificate_expires_within=P1Y&latest=true", &[4, 5]),
        ("user=cy&latest=true", &[5]),
        ("content=fire&latest=true", &[1, 4, 5]),
        ("content=fire&latest=true&expired=true", &[1]),
        ("latest=true&completed=false", &[]),
    ] {
        assert_eq!(find_numbers(&admin, parameters).await, expected, "{parameters}");
        let path = format!("/v1/activities?count=exact&limit=1&{parameters}");
        assert_eq!(admin.get(&path).await.expect(200).json()["total"], expected.len(), "{parameters}");
    }
    let pages = admin.list("/v1/activities?latest=true&limit=1", "activities").await;
    assert_eq!(record_numbers(&pages), [5, 4, 1]);
    // The renewal of `bo` expires as well.
    advance_clock(server, 330 * DAY);
    assert_eq!(find_numbers(&admin, "expired=true&latest=true").await, [1, 4]);
    assert_eq!(find_numbers(&admin, "certificate_expires_within=P30D&latest=true").await, [5]);
}

#[apply(both_databases)]
async fn latest_is_decided_before_other_filters(server: &TestServer) {
    let admin = set_up_with_renewals(server).await;
    // The older completion is not the newest one of its window, action or device.
    for parameters in ["to=2026-01-01", "from=2025-02-02&to=2025-05-01", "to=2026-01-01&user=bo&user=cy"] {
        let expected = if parameters == "to=2026-01-01" { vec![1] } else { vec![] };
        let found = find_numbers(&admin, &format!("latest=true&{parameters}")).await;
        assert_eq!(found, expected, "{parameters}");
    }
    let passed = completion(8, "ada", "2026-03-04T09:00:00Z").set("device_type", "phone");
    let attended = activity("ada", "attended")
        .set("id", id(9))
        .set("content", "fire")
        .set("happened_at", "2026-03-05T09:00:00Z");
    post_batch(&admin, &[passed, attended]).await;
    assert_eq!(find_numbers(&admin, "latest=true&action=completed").await, [4, 5]);
    assert_eq!(find_numbers(&admin, "latest=true&device_type=phone").await, Vec::<usize>::new());
    assert_eq!(find_numbers(&admin, "latest=true&user=ada").await, [9]);
    // The content counts and not its title or type.
    admin.put("/v1/contents/water", &content("water", "quiz")).await.expect(201);
    let other = activity("ada", "completed")
        .set("id", id(10))
        .set("content", "water")
        .set("happened_at", "2025-01-01T09:00:00Z");
    post_batch(&admin, &[other]).await;
    assert_eq!(find_numbers(&admin, "latest=true&user=ada").await, [10, 9]);
}

#[apply(both_databases)]
async fn every_resource_of_the_log_shows_the_same_rows(server: &TestServer) {
    let admin = set_up_with_renewals(server).await;
    let filter = "expired=false&latest=true";
    let csv = admin.get(&format!("/v1/activities/export.csv?columns=full&{filter}")).await.expect(200);
    assert_eq!(csv.csv_column("Activity ID"), [id(5), id(4)]);
    let ndjson = admin.get(&format!("/v1/activities/export.ndjson?{filter}")).await.expect(200).ndjson();
    assert_eq!(record_numbers(&ndjson), [5, 4]);
    let summary = admin.get(&format!("/v1/activities/summary?by=user&{filter}")).await.expect(200).json();
    assert_eq!((&summary["total"]["rows"], &summary["total"]["completions"]), (&json!(2), &json!(2)));
    let own = server.person("learner", "bo").list("/v1/me/activities?latest=true", "activities").await;
    assert_eq!(record_numbers(&own), [4]);
    let timeline = admin.list("/v1/users/bo/timeline?latest=true", "entries").await;
    assert_eq!(timeline.len(), 1);
    // A filter bar sends its filters, and facets count without them.
    let facets = admin.get("/v1/facets?latest=true").await.expect(200).json();
    assert_eq!(facets["facets"], admin.get("/v1/facets").await.expect(200).json()["facets"]);

    let report = json!({"name": "To renew", "filter": {"expired": true, "latest": true}});
    let report = admin.post("/v1/reports", &report).await.expect(201).json();
    let path = format!("/v1/reports/{}", report["id"].as_str().expect("an id"));
    let rows = async |path: String| record_numbers(&admin.list(&path, "activities").await);
    assert_eq!(rows(format!("{path}/activities")).await, [1]);
    let all = json!({"name": "All", "filter": {"expired": true}});
    let all = admin.post("/v1/reports", &all).await.expect(201).json();
    let path = format!("/v1/reports/{}", all["id"].as_str().expect("an id"));
    assert_eq!(rows(format!("{path}/activities")).await, [2, 1]);
    assert_eq!(rows(format!("{path}/activities?latest=true")).await, [1]);
    admin.get("/v1/activities?latest=yes").await.expect(400);
}

/// The rows with `latest=true`, which a rebuild must not change.
async fn check_latest(server: &TestServer, admin: &Caller, expected: &[usize], case: &str) {
    assert_eq!(find_numbers(admin, "latest=true&include_deactivated=true").await, expected, "{case}");
    for person in ["ada", "bo", "cy"] {
        let of_person = find_numbers(admin, &format!("latest=true&user={person}")).await;
        assert!(of_person.iter().all(|number| expected.contains(number)), "{case}: {person} {of_person:?}");
    }
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    let rebuilt = find_numbers(admin, "latest=true&include_deactivated=true").await;
    assert_eq!(rebuilt, expected, "{case}, after a rebuild");
}

#[apply(both_databases)]
async fn newest_completion_follows_late_records_and_voidings(server: &TestServer) {
    let admin = set_up_with_renewals(server).await;
    check_latest(server, &admin, &[1, 4, 5], "at first").await;
    // An older completion that arrives late is not the newest. Of two of the same time, the later recorded one is.
    post_batch(
        &admin,
        &[completion(11, "bo", "2025-08-01T09:00:00Z"), completion(12, "cy", "2026-03-01T09:00:00Z")],
    )
    .await;
    check_latest(server, &admin, &[1, 4, 12], "late arrival").await;
    // Several in one batch, in any order.
    let batch = [
        completion(13, "ada", "2026-01-03T09:00:00Z"),
        completion(14, "ada", "2026-01-05T09:00:00Z"),
        completion(15, "ada", "2026-01-04T09:00:00Z"),
    ];
    post_batch(&admin, &batch).await;
    check_latest(server, &admin, &[14, 4, 12], "several in one batch").await;
    for (number, expected) in [
        (14, &[15, 4, 12][..]),
        (4, &[11, 15, 12]),
        // Not the newest.
        (1, &[11, 15, 12]),
        (12, &[11, 15, 5]),
        (5, &[3, 11, 15]),
        (3, &[11, 15]),
    ] {
        admin.delete(&format!("/v1/activities/{}", id(number))).await.expect(204);
        check_latest(server, &admin, expected, &format!("{number} voided")).await;
    }
}

#[apply(both_databases)]
async fn newest_completion_follows_what_the_content_demands(server: &TestServer) {
    let admin = set_up(server).await;
    let scored =
        |number, at: &str, score: u32| completion(number, "bo", at).set("result", json!({"score": score}));
    post_batch(
        &admin,
        &[
            scored(1, "2025-02-01T09:00:00Z", 95),
            scored(2, "2025-06-01T09:00:00Z", 70),
            scored(3, "2026-02-01T09:00:00Z", 80),
        ],
    )
    .await;
    check_latest(server, &admin, &[3], "at first").await;
    let raise = json!({"pass_mark": 75, "effective_from": "2025-03-01T00:00:00Z"});
    admin.patch("/v1/contents/fire", &raise).await.expect(200);
    check_latest(server, &admin, &[3], "an older one failed").await;
    let raise = json!({"pass_mark": 90, "effective_from": "2025-12-01T00:00:00Z"});
    admin.patch("/v1/contents/fire", &raise).await.expect(200);
    check_latest(server, &admin, &[1], "both later ones failed").await;
    let lower = json!({"pass_mark": 60, "effective_from": "2025-03-01T00:00:00Z"});
    admin.patch("/v1/contents/fire", &lower).await.expect(200);
    check_latest(server, &admin, &[2], "one of them passed again").await;
}

#[apply(both_databases)]
async fn newest_completion_counts_over_all_identifiers_of_a_user(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential("acme", &["all"]).await;
    let by_mail = |number: usize, address: &str, at: &str| {
        statement(mailbox(address), COMPLETED, FIRE).set("id", id(number)).set("timestamp", at)
    };
    post_batch(&admin, &[completion(1, "bo", "2025-02-01T09:00:00Z")]).await;
    sender.post("/xapi/statements", &by_mail(2, "bo@example.org", "2025-03-01T09:00:00Z")).await.expect(200);
    check_latest(server, &admin, &[2], "two identifiers").await;
    // An unclaimed address is a person of its own until it is claimed.
    sender.post("/xapi/statements", &by_mail(3, "bo@example.com", "2025-04-01T09:00:00Z")).await.expect(200);
    sender.post("/xapi/statements", &by_mail(4, "x@example.com", "2025-05-01T09:00:00Z")).await.expect(200);
    check_latest(server, &admin, &[2, 3, 4], "unclaimed addresses").await;
    let claim = json!({"identifiers": [mailbox("bo@example.com")]});
    admin.patch("/v1/users/bo", &claim).await.expect(200);
    check_latest(server, &admin, &[3, 4], "a claimed address").await;
    post_batch(&admin, &[completion(5, "bo", "2025-06-01T09:00:00Z")]).await;
    check_latest(server, &admin, &[4, 5], "a newer one of the account").await;
    admin.delete(&format!("/v1/activities/{}", id(5))).await.expect(204);
    check_latest(server, &admin, &[3, 4], "and voided").await;
    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    assert_eq!(find_numbers(&admin, "latest=true").await, [4]);
    check_latest(server, &admin, &[3, 4], "deactivated").await;
}

#[apply(both_databases)]
async fn many_completions_are_projected_again_in_the_background(server: &TestServer) {
    let admin = set_up(server).await;
    // More than are projected at once, two of each week.
    let scored = |number: usize| {
        let at =
            format!("2025-{:02}-{:02}T{:02}:00:00Z", 1 + number / 280, 1 + number / 10 % 28, number % 10);
        let person = ["ada", "bo", "cy"][number % 3];
        completion(number, person, &at).set("result", json!({"score": 60 + number % 40}))
    };
    let records: Vec<Body> = (0..1_200).map(scored).collect();
    for batch in records.chunks(600) {
        post_batch(&admin, batch).await;
    }
    assert_eq!(find_numbers(&admin, "latest=true").await, [1_197, 1_198, 1_199]);
    let raise = json!({"pass_mark": 99, "effective_from": "2025-01-01T00:00:00Z"});
    admin.patch("/v1/contents/fire", &raise).await.expect(200);
    while admin.get("/v1/contents/fire").await.expect(200).json()["reprojecting"] == json!(true) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    check_latest(server, &admin, &[1_119, 1_159, 1_199], "raised").await;
}

/// Of a person that the caller may not see, neither the newest nor an older completion is shown, and completions of
/// others change nothing.
#[apply(both_databases)]
async fn latest_shows_nothing_outside_the_reach(server: &TestServer) {
    let admin = set_up_with_renewals(server).await;
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.post("/v1/users/batch", &[user("bo"), user("cy")]).await.expect(200);
    other.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    post_batch(
        &other,
        &[completion(4, "bo", "2026-03-10T09:00:00Z"), completion(21, "bo", "2026-03-09T09:00:00Z")],
    )
    .await;
    let manager = server.person("manager", "ada");
    for (caller, expected) in [
        (&manager, &[1, 4][..]),
        (&server.person("learner", "cy"), &[5]),
        (&server.person("learner", "bo"), &[4]),
        (&admin, &[1, 4, 5]),
        (&other, &[4]),
    ] {
        assert_eq!(find_numbers(caller, "latest=true").await, expected);
        let total = caller.get("/v1/activities?latest=true&count=exact&limit=1").await.expect(200).json();
        assert_eq!(total["total"], expected.len());
    }
    assert_eq!(find_numbers(&manager, "latest=true&user=cy").await, Vec::<usize>::new());
    let rows = manager.get("/v1/activities?latest=true&scope=managed").await.expect(200).json();
    assert_eq!(rows["activities"].as_array().map(Vec::len), Some(1));
    assert_ne!(rows["activities"][0]["user"]["id"], Value::Null);
}
