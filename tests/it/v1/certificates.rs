//! Tests of certificates, expiry and recurring content in every resource: log, single activity, CSV
//! exports, progress.

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use crate::support::builders::{Body, activity, content, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

fn id(number: usize) -> String {
    format!("0190a000-0000-7000-8000-{number:012}")
}

/// A completion of the content `fire` by the user `bo`.
fn completion(number: usize, at: &str) -> Body {
    activity("bo", "completed").set("id", id(number)).set("content", "fire").set("happened_at", at)
}

/// Creates the user `bo` and a quiz that expires after one year, with a certificate for two years. Returns
/// an admin and a credential.
async fn set_up(server: &TestServer) -> (Caller, Caller) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    let fire = content("fire", "quiz")
        .set("title", "Fire Safety")
        .set("pass_mark", 50)
        .set("expires_after", "P1Y")
        .set("certificate", json!({"name": "Warden", "expires_after": "P2Y"}));
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    let scopes = ["activities/write", "activities/read"];
    (admin, server.credential("acme", &scopes).await)
}

async fn post_batch(sender: &Caller, activities: &[Body]) {
    sender.post("/v1/activities/batch", activities).await.expect(201);
}

/// The numbers of the activities that match, the oldest first.
async fn find_numbers(caller: &Caller, parameters: &str) -> Vec<usize> {
    let rows = caller.list(&format!("/v1/activities?sort=happened_at&{parameters}"), "activities").await;
    let number =
        |row: &Value| row["id"].as_str().and_then(|id| id.get(24..)).and_then(|digits| digits.parse().ok());
    rows.iter().map(|row| number(row).expect("a number in the id")).collect()
}

fn advance_days(server: &TestServer, days: i64) {
    let now = server.clock.now().micros() + days * 86_400_000_000;
    server.clock.set(Timestamp::from_micros(now));
}

async fn progress_of_bo(caller: &Caller) -> Value {
    let path = "/v1/contents/fire/progress?user=bo";
    caller.get(path).await.expect(200).json()["progress"][0].clone()
}

/// Name and expiry of a certificate each come from the record, or else from the content. Every resource
/// shows the same.
#[apply(both_databases)]
async fn certificate_comes_from_the_record_or_the_content(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let at = "2026-03-01T09:00:00Z";
    let without_demands = json!({"id": "unruled", "title": "Unruled", "type": "item"});
    let with = |number, certificate: Value| completion(number, at).set("certificate", certificate);
    post_batch(
        &sender,
        &[
            completion(1, at),
            with(2, json!({"name": "Chief"})),
            with(3, json!({"expires_at": "2026-06-01T00:00:00Z"})),
            with(4, json!({"name": "Chief", "expires_at": "2026-06-01T00:00:00Z"})),
            activity("bo", "completed")
                .set("id", id(5))
                .set("content", without_demands.clone())
                .set("happened_at", at),
            activity("bo", "received_certificate_for")
                .set("id", id(6))
                .set("content", without_demands)
                .set("happened_at", at),
            activity("bo", "received_certificate_for")
                .set("id", id(7))
                .set("happened_at", at)
                .set("certificate", json!({"name": "First aid"})),
        ],
    )
    .await;
    let (awarded, two_years, june) =
        ("2026-03-01T09:00:00.000Z", "2028-03-01T09:00:00.000Z", "2026-06-01T00:00:00.000Z");
    let expected: [(usize, Value); 7] = [
        (1, json!({"name": "Warden", "awarded_at": awarded, "expires_at": two_years})),
        (2, json!({"name": "Chief", "awarded_at": awarded, "expires_at": two_years})),
        (3, json!({"name": "Warden", "awarded_at": awarded, "expires_at": june})),
        (4, json!({"name": "Chief", "awarded_at": awarded, "expires_at": june})),
        (5, Value::Null),
        (6, json!({"name": null, "awarded_at": awarded, "expires_at": null})),
        (7, json!({"name": "First aid", "awarded_at": awarded, "expires_at": null})),
    ];
    let rows = admin.list("/v1/activities?sort=happened_at", "activities").await;
    let exports = ["standard", "elearning", "full"]
        .map(|set| format!("/v1/activities/export.csv?sort=happened_at&columns={set}"));
    let (elearning, full) =
        (admin.get(&exports[1]).await.expect(200), admin.get(&exports[2]).await.expect(200));
    let (expires, expires_in_full) =
        (elearning.csv_column("Certificate expires at"), full.csv_column("Certificate expires at"));
    let names = full.csv_column("Certificate name");
    assert!(!admin.get(&exports[0]).await.expect(200).csv().0.contains(&"Certificate expires at".to_owned()));
    for (place, (number, certificate)) in expected.iter().enumerate() {
        assert_eq!(&rows[place]["certificate"], certificate, "{number}");
        let details = admin.get(&format!("/v1/activities/{}", id(*number))).await.expect(200).json();
        assert_eq!(&details["certificate"], certificate, "{number}, single activity");
        let text = |member: &str| certificate[member].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (&expires[place], &expires_in_full[place], &names[place]),
            (&text("expires_at"), &text("expires_at"), &text("name")),
            "{number}"
        );
    }
    assert_eq!(find_numbers(&admin, "has_certificate=true").await, [1, 2, 3, 4, 6, 7]);
    assert_eq!(find_numbers(&admin, "has_certificate=false").await, [5]);
    assert_eq!(find_numbers(&admin, "action=received_certificate_for").await, [6, 7]);

    // A voided certificate disappears from every resource.
    admin.delete(&format!("/v1/activities/{}", id(4))).await.expect(204);
    assert_eq!(find_numbers(&admin, "has_certificate=true&completed=true").await, [1, 2, 3]);
    assert_eq!(
        progress_of_bo(&admin).await["certificate"]["name"],
        "Chief",
        "the certificate for two years, which was recorded later"
    );
}

/// The period includes both ends. All pages use the time of the first page.
#[apply(both_databases)]
async fn certificates_that_expire_within_a_period_are_found(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    // The server's time is 2026-03-18T10:17:23Z.
    let expiring_at = |number: usize, expires: &str| {
        completion(number, &format!("2026-03-01T09:00:{number:02}Z"))
            .set("certificate", json!({"expires_at": expires}))
    };
    post_batch(
        &sender,
        &[
            expiring_at(1, "2026-03-18T10:17:22.999Z"),
            expiring_at(2, "2026-03-18T10:17:23Z"),
            expiring_at(3, "2026-03-20T00:00:00Z"),
            expiring_at(4, "2026-04-18T10:17:23Z"),
            expiring_at(5, "2026-04-18T10:17:23.001Z"),
        ],
    )
    .await;
    let soon = "certificate_expires_within=P1M";
    assert_eq!(find_numbers(&admin, soon).await, [2, 3, 4]);
    assert_eq!(find_numbers(&admin, "certificate_expires_within=P31D").await, [2, 3, 4]);
    assert_eq!(find_numbers(&admin, "certificate_expires_within=P0D").await, [2]);

    let first =
        admin.get(&format!("/v1/activities?sort=happened_at&limit=1&{soon}")).await.expect(200).json();
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 10 * 86_400_000_000));
    let rest = admin.list(first["next"].as_str().expect("a next page"), "activities").await;
    assert_eq!(rest.len(), 2, "the first page's now is that of all");
    assert_eq!(find_numbers(&admin, soon).await, [4, 5]);
}

/// A changed rule is for what comes; a past award stays as it was.
#[apply(both_databases)]
async fn changed_demand_keeps_past_certificates(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    post_batch(&sender, &[completion(1, "2026-03-01T09:00:00Z")]).await;
    advance_days(server, 1);
    let changed =
        json!({"expires_after": "P3M", "certificate": {"name": "Fire marshal", "expires_after": "P6M"}});
    admin.patch("/v1/contents/fire", &changed).await.expect(200);
    advance_days(server, 1);
    post_batch(&sender, &[completion(2, "2026-03-19T12:00:00Z"), completion(3, "2026-03-02T09:00:00Z")])
        .await;
    let rows = admin.list("/v1/activities?sort=happened_at", "activities").await;
    let certificates: Vec<_> = rows
        .iter()
        .map(|row| (&row["certificate"]["name"], &row["certificate"]["expires_at"], &row["expired_at"]))
        .collect();
    let (name, expires, expired) =
        (json!("Warden"), json!("2028-03-01T09:00:00.000Z"), json!("2027-03-01T09:00:00.000Z"));
    assert_eq!(certificates[0], (&name, &expires, &expired));
    let (expires, expired) = (json!("2028-03-02T09:00:00.000Z"), json!("2027-03-02T09:00:00.000Z"));
    assert_eq!(
        certificates[1],
        (&name, &expires, &expired),
        "a late record is judged by the demands of its time"
    );
    let (name, expires, expired) =
        (json!("Fire marshal"), json!("2026-09-19T12:00:00.000Z"), json!("2026-06-19T12:00:00.000Z"));
    assert_eq!(certificates[2], (&name, &expires, &expired));
    // Without the demand, new completions award no certificate, and earlier certificates stay.
    admin.patch("/v1/contents/fire", &json!({"certificate": null})).await.expect(200);
    advance_days(server, 1);
    post_batch(&sender, &[completion(4, "2026-03-20T12:00:00Z")]).await;
    assert_eq!(find_numbers(&admin, "has_certificate=true").await, [1, 3, 2]);
}

/// The content is completed, expires, and is completed again.
#[apply(both_databases)]
async fn recurring_content_is_completed_again(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    post_batch(&sender, &[completion(1, "2026-03-18T09:00:00Z")]).await;
    assert_eq!(
        (find_numbers(&admin, "expired=true").await, find_numbers(&admin, "expired=false").await),
        (vec![], vec![1])
    );
    advance_days(server, 366);
    assert_eq!(
        (find_numbers(&admin, "expired=true").await, find_numbers(&admin, "expired=false").await),
        (vec![1], vec![])
    );
    let progress = progress_of_bo(&admin).await;
    assert_eq!(
        (&progress["state"], &progress["since"]),
        (&json!("expired"), &json!("2027-03-18T09:00:00.000Z"))
    );
    assert_eq!(
        progress["certificate"]["expires_at"], "2028-03-18T09:00:00.000Z",
        "the certificate expires at another time"
    );

    post_batch(&sender, &[completion(2, "2027-03-19T09:00:00Z")]).await;
    assert_eq!(find_numbers(&admin, "completed=true").await, [1, 2], "both completions stay in the log");
    assert_eq!(find_numbers(&admin, "completed=true&expired=true").await, [1]);
    assert_eq!(progress_of_bo(&admin).await["state"], "completed");
    let csv = admin.get("/v1/activities/export.csv?sort=happened_at").await.expect(200);
    assert_eq!(csv.csv_column("Expired at"), ["2027-03-18T09:00:00.000Z", "2028-03-19T09:00:00.000Z"]);
    let summary = admin.get("/v1/activities/summary?by=content").await.expect(200).json();
    assert_eq!((&summary["total"]["rows"], &summary["total"]["completions"]), (&json!(2), &json!(1)));
}

/// An activity that never expires is not expired. A failed attempt does not expire and awards no
/// certificate.
#[apply(both_databases)]
async fn permanent_and_failed_activities_do_not_expire(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let old = "2020-03-01T09:00:00Z";
    post_batch(
        &sender,
        &[
            completion(1, old),
            completion(2, old).set("result", json!({"score": 10})),
            activity("bo", "viewed").set("id", id(3)).set("content", "fire").set("happened_at", old),
            activity("bo", "logged_in").set("id", id(4)).set("happened_at", old),
        ],
    )
    .await;
    assert_eq!(find_numbers(&admin, "expired=true").await, [1]);
    assert_eq!(find_numbers(&admin, "expired=false").await, [2, 3, 4]);
    let failed = admin.get(&format!("/v1/activities/{}", id(2))).await.expect(200).json();
    assert_eq!(
        (&failed["action"]["key"], &failed["expired_at"], &failed["certificate"]),
        (&json!("failed"), &Value::Null, &Value::Null)
    );
    admin
        .patch(
            "/v1/contents/fire",
            &json!({"expires_after": "P10Y", "effective_from": "2019-01-01T00:00:00Z"}),
        )
        .await
        .expect(200);
    assert_eq!(
        find_numbers(&admin, "expired=true").await,
        Vec::<usize>::new(),
        "the demand applies from an earlier time"
    );
}
