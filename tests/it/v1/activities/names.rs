//! Tests of the titles and types of contents and the names of persons that records give
//! (`docs/specification.md#unregistered-contents`).

use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use super::parts::adl;
use super::{advance_clock, id, set_up};
use crate::support::builders::{Body, statement};
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const COURSE: &str = "urn:course";
const VIDEO: &str = "https://w3id.org/xapi/video/activity-type/video";
const ASSESSMENT: &str = "http://adlnet.gov/expapi/activities/assessment";

fn named(n: usize, actor: &str, when: &str, definition: Value) -> Body {
    statement(json!({"mbox": "mailto:x@elsewhere.example", "name": actor}), &adl("experienced"), COURSE)
        .set("id", id(n))
        .set("timestamp", when)
        .set("object.definition", definition)
}

/// The title, the type and the content type of the course, and the name of the stranger.
async fn read_names(admin: &crate::support::http::Caller) -> [Value; 4] {
    let row = admin.get("/v1/activities?limit=1").await.expect(200).json()["activities"][0].clone();
    let content = &row["content"];
    [&content["title"], &content["type"], &content["content_type"], &row["user"]["name"]].map(Clone::clone)
}

#[apply(both_databases)]
async fn record_of_the_future_pins_no_name(server: &TestServer) {
    let admin = set_up(server).await;
    let post = async |sent: Body| admin.post("/xapi/statements", &sent).await.expect(200);
    let names = |title: &str| json!({"name": {"en": title}});
    post(named(1, "Xe", "2026-03-01T00:00:00Z", names("First"))).await;
    post(named(2, "Xenia", "2099-01-01T00:00:00Z", json!({"name": {"en": "Future"}, "type": VIDEO}))).await;
    let (item, video) = (json!("item"), json!("video"));
    // It is the latest record now.
    assert_eq!(read_names(&admin).await, [json!("Future"), item.clone(), video.clone(), json!("Xenia")]);
    advance_clock(server, 3_600);
    post(named(3, "Old", "2026-03-17T00:00:00Z", names("Older"))).await;
    assert_eq!(read_names(&admin).await, [json!("Future"), item, video, json!("Xenia")]);
    // What happens later has its say, although it is before 2099.
    post(named(4, "Xaver", "2026-03-18T11:00:00Z", json!({"name": {"en": "Present"}, "type": ASSESSMENT})))
        .await;
    let present = [json!("Present"), json!("quiz"), Value::Null, json!("Xaver")];
    assert_eq!(read_names(&admin).await, present);
    server.store.rebuild(&OrgId::new(ORG).expect("an id")).await.expect("a rebuild");
    assert_eq!(read_names(&admin).await, present);
    // A voided record has left the log, but the names stay comparable.
    let void = statement(json!({"mbox": "mailto:x@elsewhere.example"}), &adl("voided"), "urn:x")
        .set("object", json!({"objectType": "StatementRef", "id": id(4)}));
    post(void).await;
    post(named(5, "Yet another", "2026-03-18T10:59:00Z", names("Earlier"))).await;
    let listed = admin.get(&format!("/v1/contents/{COURSE}")).await.expect(200).json();
    assert_eq!((&listed["title"], &listed["type"]), (&json!("Present"), &json!("quiz")));
}

#[apply(both_databases)]
async fn blank_text_is_no_name(server: &TestServer) {
    let admin = set_up(server).await;
    let post = async |sent: Body| admin.post("/xapi/statements", &sent).await.expect(200);
    post(named(1, "", "2026-03-01T00:00:00Z", json!({"name": {"en": "", "de": "  "}}))).await;
    let row = admin.get("/v1/activities").await.expect(200).json()["activities"][0].clone();
    assert_eq!((&row["content"]["title"], &row["description"]), (&Value::Null, &json!("Viewed urn:course")));
    post(named(
        2,
        "Xenia",
        "2026-03-02T00:00:00Z",
        json!({"name": {"en": " ", "fr": "Cours"}, "type": ASSESSMENT}),
    ))
    .await;
    let expected = [json!("Cours"), json!("quiz"), Value::Null, json!("Xenia")];
    assert_eq!(read_names(&admin).await, expected);
    // A later definition without a title or a type leaves what is known.
    post(named(3, " \u{200b}", "2026-03-03T00:00:00Z", json!({"name": {"en": "\u{a0}"}}))).await;
    post(named(4, "Xenia", "2026-03-04T00:00:00Z", json!({"description": {"en": "A course"}}))).await;
    assert_eq!(read_names(&admin).await, expected);
    post(named(5, "Xenia", "2026-03-05T00:00:00Z", json!({"type": VIDEO}))).await;
    let expected = [json!("Cours"), json!("item"), json!("video"), json!("Xenia")];
    assert_eq!(read_names(&admin).await, expected);
    server.store.rebuild(&OrgId::new(ORG).expect("an id")).await.expect("a rebuild");
    assert_eq!(read_names(&admin).await, expected);
}
