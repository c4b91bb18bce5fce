//! Tests of filters, of persons without a user, and of contents.

use serde_json::{Value, json};

use super::{
    FIRE, FIRE_CSV, activity_on_fire, find_users, post_batch, progress_of, set_up, set_up_with_every_state,
    user_ids,
};
use crate::support::builders::{content, mailbox, statement, user};
use crate::support::http::encode_segment;
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn filters_of_people_are_those_of_the_log(server: &TestServer) {
    let (admin, _) = set_up_with_every_state(server).await;
    for (query, expected) in [
        ("", "ada bo cy dee eve"),
        ("include_deactivated=true", "ada bo cy dee eve old"),
        ("include_deactivated=true&state=completed", "ada old"),
        ("team=sales", "bo cy"),
        ("team=sales&include_sub_teams=true", "bo cy dee"),
        ("team=sales&primary_team_only=true", "bo"),
        ("scope=team&team=north", "dee"),
        ("group=aid", "eve"),
        ("scope=group&group=aid", "eve"),
        ("team=sales&group=aid", ""),
        ("user=cy&user=dee&user=nobody", "cy dee"),
        ("user=old", ""),
        ("custom%5BRegion%5D=North", "bo"),
        ("custom%5BRegion%5D=North&custom%5BRegion%5D=South", "bo dee"),
        ("custom%5BRegion%5D=South&team=sales", ""),
        ("state=completed", "ada"),
        ("state=failed", "bo"),
        ("state=in_progress", "cy"),
        ("state=expired", "dee"),
        ("state=not_started", "eve"),
        ("state=not_started,in_progress,failed,expired", "bo cy dee eve"),
        ("state=completed&state=expired", "ada dee"),
        ("state=completed,expired,failed,in_progress,not_started", "ada bo cy dee eve"),
        ("state=failed&team=sales", "bo"),
        ("state=not_started&team=sales", ""),
        ("scope=company", "ada bo cy dee eve"),
    ] {
        let pairs = if query.is_empty() { "limit=2".to_owned() } else { format!("{query}&limit=2") };
        assert_eq!(find_users(&admin, &pairs).await, expected, "{query}");
        assert_eq!(
            admin.get(&format!("{FIRE_CSV}?{query}")).await.expect(200).csv_column("User ID").join(" "),
            expected,
            "{query}"
        );
        let counted = admin.get(&format!("{FIRE}?{query}&count=exact&limit=1")).await.expect(200).json();
        assert_eq!(counted["total"], expected.split_whitespace().count(), "{query}");
    }
    let states = admin
        .get(&format!("{FIRE}?count=exact&state=failed&include_deactivated=true"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        states["states"],
        json!({"not_started": 1, "in_progress": 1, "failed": 1, "completed": 2, "expired": 1})
    );
}

#[apply(both_databases)]
async fn persons_without_user_come_last_and_need_full_reach(server: &TestServer) {
    let (admin, sender) = set_up_with_every_state(server).await;
    let iri = "https://rollbook.invalid/acme/contents/fire";
    for (name, verb) in [
        ("zoe", "http://adlnet.gov/expapi/verbs/passed"),
        ("amy", "http://activitystrea.ms/schema/1.0/assign"),
    ] {
        let sent = statement(mailbox(&format!("{name}@example.com")), verb, iri)
            .set("actor.name", name)
            .set("timestamp", "2026-03-09T09:00:00Z");
        sender.post("/xapi/statements", &sent).await.expect(200);
    }
    // A person without an activity on this content is not listed.
    sender
        .post(
            "/xapi/statements",
            &statement(mailbox("stranger@example.com"), "http://id.tincanapi.com/verb/viewed", "urn:else"),
        )
        .await
        .expect(200);
    let page = admin.get(&format!("{FIRE}?count=exact")).await.expect(200).json();
    let people = page["progress"].as_array().expect("a list");
    assert_eq!(user_ids(people), "ada bo cy dee eve - -");
    assert_eq!(
        people[5]["user"],
        json!({
            "id": null, "first_name": null, "last_name": null, "name": "zoe", "email": "zoe@example.com", "active": null,
            "identifier": {"mbox": "mailto:zoe@example.com"}
        })
    );
    assert_eq!(
        (&people[5]["state"], &people[5]["since"]),
        (&json!("completed"), &json!("2026-03-09T09:00:00.000Z"))
    );
    assert_eq!(people[5]["certificate"]["name"], "Fire warden");
    assert_eq!((&people[6]["user"]["name"], &people[6]["state"]), (&json!("amy"), &json!("not_started")));
    assert_eq!(
        (&page["total"], &page["states"]["completed"], &page["states"]["not_started"]),
        (&json!(7), &json!(2), &json!(2))
    );
    for (query, expected) in [
        ("scope=company", "ada bo cy dee eve - -"),
        ("include_deactivated=true", "ada bo cy dee eve old - -"),
        ("state=completed", "ada -"),
        ("state=not_started", "eve -"),
        ("state=failed", "bo"),
        ("team=sales", "bo cy"),
        ("user=ada", "ada"),
        ("custom%5BRegion%5D=North", "bo"),
        ("group=aid", "eve"),
        ("scope=managed", ""),
        ("scope=me", ""),
    ] {
        assert_eq!(find_users(&admin, query).await, expected, "{query}");
        assert_eq!(
            admin.get(&format!("{FIRE_CSV}?{query}")).await.expect(200).csv().1.len(),
            expected.split_whitespace().count(),
            "{query}"
        );
    }
    let csv = admin.get(FIRE_CSV).await.expect(200);
    assert_eq!(csv.csv_column("First name")[5..], ["zoe", "amy"]);
    assert_eq!(csv.csv_column("Email address")[5..], ["zoe@example.com", "amy@example.com"]);
    for other in [server.person("manager", "ada"), server.person("learner", "bo")] {
        let page = other.get(&format!("{FIRE}?count=exact")).await.expect(200);
        assert!(!page.text().contains("zoe"), "{}", page.text());
    }
    // When a user gets the identifier, the progress is the user's.
    admin.put("/v1/users/zed", &user("zed").set("email", "zoe@example.com")).await.expect(201);
    assert_eq!(find_users(&admin, "state=completed").await, "ada zed");
    assert_eq!(find_users(&admin, "limit=3").await, "ada bo cy dee eve zed -");
}

#[apply(both_databases)]
async fn all_identifiers_of_a_user_are_one_entry(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let iri = "https://rollbook.invalid/acme/contents/fire";
    let by = |actor: Value, verb: &str, at: &str| {
        statement(actor, &format!("http://adlnet.gov/expapi/verbs/{verb}"), iri).set("timestamp", at)
    };
    let badge = json!({"account": {"homePage": "https://badge.example", "name": "4711"}});
    for sent in [
        by(mailbox("bo@example.org"), "launched", "2026-03-01T09:00:00Z"),
        by(badge.clone(), "passed", "2026-03-02T09:00:00Z"),
    ] {
        sender.post("/xapi/statements", &sent).await.expect(200);
    }
    post_batch(&sender, &[activity_on_fire(1, "bo", "failed", "2026-03-03T09:00:00Z")]).await;
    assert_eq!(progress_of(&admin, "bo").await["state"], "failed");
    admin.post("/v1/users/bo/identifiers", &json!({"identifiers": [badge]})).await.expect(200);
    let one = progress_of(&admin, "bo").await;
    assert_eq!((&one["state"], &one["since"]), (&json!("completed"), &json!("2026-03-02T09:00:00.000Z")));
    let page = admin.get(&format!("{FIRE}?count=exact")).await.expect(200).json();
    assert_eq!(
        (&page["total"], &page["states"]["completed"], &page["states"]["failed"]),
        (&json!(5), &json!(1), &json!(0))
    );
}

#[apply(both_databases)]
async fn progress_of_archived_unregistered_and_unknown_contents(server: &TestServer) {
    let (admin, sender) = set_up_with_every_state(server).await;
    admin.patch("/v1/contents/fire", &json!({"archived_at": "2026-03-10T00:00:00Z"})).await.expect(200);
    let page = admin.get(FIRE).await.expect(200).json();
    assert_eq!(
        (&page["content"]["archived"], page["progress"].as_array().map(Vec::len)),
        (&json!(true), Some(5))
    );

    let iri = "http://example.org/course?x=1";
    let sent = statement(mailbox("bo@example.org"), "http://adlnet.gov/expapi/verbs/completed", iri);
    sender.post("/xapi/statements", &sent).await.expect(200);
    let address = format!("/v1/contents/{}/progress", encode_segment(iri));
    let people = admin.list(&format!("{address}?limit=1"), "progress").await;
    assert_eq!(user_ids(&people), "ada bo cy dee eve");
    assert_eq!(people[1]["state"], "completed");
    assert_eq!(admin.get(&format!("{address}.csv?state=completed")).await.expect(200).csv().1.len(), 1);
    // When the content is registered with an id, its history stays.
    admin.put("/v1/contents/course", &content("course", "item").set("iri", iri)).await.expect(201);
    admin.get(&address).await.expect(404);
    assert_eq!(admin.list("/v1/contents/course/progress?state=completed", "progress").await.len(), 1);

    for path in
        ["/v1/contents/nothing/progress", "/v1/contents/nothing/progress.csv", "/v1/contents/%20/progress"]
    {
        admin.get(path).await.expect(404);
    }
    // An activity that occurs only in statements is not in the catalogue.
    let referring = sent.set("context", json!({"contextActivities": {"other": [{"id": "urn:mentioned"}]}}));
    sender.post("/xapi/statements", &referring).await.expect(200);
    admin.get("/v1/contents/urn%3Amentioned/progress").await.expect(404);
}

#[apply(both_databases)]
async fn unknown_and_invalid_parameters_are_refused(server: &TestServer) {
    let (admin, _) = set_up(server).await;
    for (query, parameter) in [
        ("from=2026-01-01", "from"),
        ("tz=Europe%2FBerlin", "tz"),
        ("action=completed", "action"),
        ("content=fire", "content"),
        ("sort=happened_at", "sort"),
        ("states=failed", "states"),
        ("state=finished", "state"),
        ("state=failed,", "state"),
        ("state=", "state"),
        ("user=", "user"),
        ("include_deactivated=yes", "include_deactivated"),
        ("scope=all", "scope"),
        ("scope=team", "scope"),
    ] {
        for path in [FIRE, FIRE_CSV] {
            let problem = admin.get(&format!("{path}?{query}")).await.expect(400).json();
            assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}?{query}");
        }
    }
    for (path, query, parameter) in [
        (FIRE, "limit=0", "limit"),
        (FIRE, "limit=1001", "limit"),
        (FIRE, "limit=%2B5", "limit"),
        (FIRE, "limit=5&limit=5", "limit"),
        (FIRE, "count=all", "count"),
        (FIRE, "cursor=x&cursor=y", "cursor"),
        (FIRE, "bom=true", "bom"),
        (FIRE_CSV, "limit=5", "limit"),
        (FIRE_CSV, "cursor=x", "cursor"),
        (FIRE_CSV, "count=exact", "count"),
        (FIRE_CSV, "columns=full", "columns"),
        (FIRE_CSV, "raw=1", "raw"),
        (FIRE_CSV, "bom=yes", "bom"),
    ] {
        let problem = admin.get(&format!("{path}?{query}")).await.expect(400).json();
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}?{query}");
    }
    let both = admin.get(&format!("{FIRE}?limit=x&count=all")).await.expect(400).json();
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(2));
    let both = admin.get(&format!("{FIRE_CSV}?bom=x&state=x&state=y")).await.expect(400).json();
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(2));
    admin.post(FIRE, &json!({})).await.expect(405);
    server.anonymous().get(FIRE).await.expect(401);
    server
        .credential(ORG, &["all", "activities/write", "catalogue", "directory"])
        .await
        .get(FIRE)
        .await
        .expect(403);
}

#[apply(both_databases)]
async fn expires_within_leaves_out_people_that_renewed(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let done = |number: u32, user: &str, at: &str| {
        activity_on_fire(number, user, "completed", at).set("result", json!({"success": true}))
    };
    post_batch(
        &sender,
        &[
            done(1, "ada", "2025-04-01T09:00:00Z"),
            done(2, "bo", "2025-04-02T09:00:00Z"),
            done(3, "bo", "2026-03-01T09:00:00Z"),
            done(4, "cy", "2025-02-01T09:00:00Z"),
            // Exactly thirty days after now, and a millisecond later.
            done(5, "dee", "2025-04-17T10:17:23Z"),
            done(6, "eve", "2025-04-17T10:17:23.001Z"),
        ],
    )
    .await;
    let guest = statement(
        mailbox("guest@example.com"),
        "http://adlnet.gov/expapi/verbs/completed",
        "https://rollbook.invalid/acme/contents/fire",
    );
    sender.post("/xapi/statements", &guest.set("timestamp", "2025-04-05T09:00:00Z")).await.expect(200);
    for (query, expected) in [
        ("expires_within=P30D", "ada dee -"),
        ("expires_within=P30D&limit=1", "ada dee -"),
        ("expires_within=P30D&state=completed&state=failed", "ada dee -"),
        ("expires_within=P30D&state=expired", ""),
        ("expires_within=P1M", "ada dee eve -"),
        ("expires_within=P1Y", "ada bo dee eve -"),
        ("state=expired&state=completed&user=cy&user=bo", "bo cy"),
        ("expires_within=P30D&user=bo&user=dee", "dee"),
    ] {
        assert_eq!(find_users(&admin, query).await, expected, "{query}");
    }
    let page = admin.get(&format!("{FIRE}?expires_within=P30D&count=exact")).await.expect(200).json();
    assert_eq!(page["total"], 3);
    assert_eq!(
        page["states"],
        json!({"not_started": 0, "in_progress": 0, "failed": 0, "completed": 5, "expired": 1})
    );
    let csv =
        admin.get(&format!("{FIRE_CSV}?expires_within=P30D&state=completed&state=expired")).await.expect(200);
    assert_eq!(csv.csv_column("User ID"), ["ada", "dee", ""]);
    // A manager finds reports only.
    assert_eq!(find_users(&server.person("manager", "ada"), "expires_within=P30D").await, "ada dee");
    assert_eq!(find_users(&server.person("learner", "eve"), "expires_within=P30D").await, "");
    for query in ["expires_within=soon", "expires_within=", "expires_within=P1D&expires_within=P2D"] {
        let answer = admin.get(&format!("{FIRE}?{query}")).await.expect(400);
        assert_eq!(answer.error_parameters(), ["expires_within".to_owned()].into(), "{query}");
        admin.get(&format!("{FIRE_CSV}?{query}")).await.expect(400);
    }
}
