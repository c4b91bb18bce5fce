//! Tests of certificates that are meant or not, and of the verbs of cmi5
//! (`docs/specification.md#certificates`).

use serde_json::{Value, json};

use super::parts::adl;
use super::{advance_clock, id, in_march, read_log, set_up};
use crate::support::builders::{Body, activity, content, mailbox, statement};
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const EARNED: &str = "http://id.tincanapi.com/verb/earned";
const RECEIVE: &str = "http://activitystrea.ms/schema/1.0/receive";
const ACHIEVED: &str = "https://w3id.org/xapi/tla/verbs/achieved";

fn sent(n: usize, verb: &str, object: &str, name: &str, activity_type: &str) -> Body {
    statement(mailbox("ada@example.org"), verb, object)
        .set("id", id(n))
        .set("timestamp", in_march(1, n as u32))
        .set("object.definition", json!({"name": {"en": name}, "type": activity_type}))
}

#[apply(both_databases)]
async fn award_is_a_certificate_only_if_one_is_meant(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let awarding = content("warden", "quiz").set("iri", "urn:warden").set("title", "Warden Course");
    let certified = json!({"name": "Warden", "expires_after": "P2Y"});
    admin.put("/v1/contents/warden", &awarding.clone().set("certificate", certified)).await.expect(201);
    admin
        .put(
            "/v1/contents/diploma",
            &json!({"iri": "urn:diploma", "title": "Diploma", "type": "certification"}),
        )
        .await
        .expect(201);
    let resource = "http://id.tincanapi.com/activitytype/resource";
    let feedback = "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/feedback";
    let badge = "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/badge";
    let grade = |scaled: f64, success: Value| json!({"score": {"scaled": scaled}, "success": success});
    let statements = [
        sent(0, EARNED, "urn:s1", "Subsection 1", resource).set("result", json!({"score": {"scaled": 0.2}})),
        sent(1, EARNED, "urn:s1", "Subsection 1", resource).set("result", grade(0.2, json!(false))),
        sent(2, EARNED, "urn:s1", "Subsection 1", resource).set("result", grade(0.9, json!(true))),
        sent(3, RECEIVE, "urn:f", "Feedback", feedback),
        sent(4, ACHIEVED, "urn:goal", "Ten Kilometres", "https://example.org/types/goal"),
        sent(5, ACHIEVED, "urn:b", "Helper Badge", badge),
        sent(6, RECEIVE, "urn:c", "Certificate 4711", "https://example.org/types/certificate"),
        sent(7, EARNED, "urn:cred", "Credential", "https://w3id.org/xapi/tla/activity-types/credential"),
        statement(mailbox("ada@example.org"), EARNED, "urn:warden")
            .set("id", id(8))
            .set("timestamp", in_march(1, 8)),
        statement(mailbox("ada@example.org"), EARNED, "urn:diploma")
            .set("id", id(9))
            .set("timestamp", in_march(1, 9)),
        statement(mailbox("ada@example.org"), "urn:rollbook:verb:received_certificate_for", "urn:x")
            .set("id", id(10))
            .set("timestamp", in_march(1, 10)),
    ];
    sender.post("/xapi/statements", &statements).await.expect(200);
    let short = |n: usize| {
        Body::default()
            .set("id", id(n))
            .set("user", "ada")
            .set("content", "fire")
            .set("happened_at", in_march(1, n as u32))
    };
    let batch = [
        short(11).set("action", "received_certificate_for"),
        short(12).set("verb", RECEIVE),
        short(13).set("verb", RECEIVE).set("certificate", json!({"name": "First aid"})),
    ];
    admin.post("/v1/activities/batch", &batch).await.expect(201);
    let expected = [
        ("other", "Earned Subsection 1 scoring 20%", false),
        ("failed", "Failed Subsection 1 scoring 20%", false),
        ("other", "Earned Subsection 1 scoring 90%", false),
        ("other", "Received Feedback", false),
        ("other", "Achieved Ten Kilometres", false),
        ("received_certificate_for", "Received certificate for Helper Badge", true),
        ("received_certificate_for", "Received Certificate 4711", true),
        ("received_certificate_for", "Received certificate for Credential", true),
        ("received_certificate_for", "Received certificate for Warden Course", true),
        ("received_certificate_for", "Received certificate for Diploma", true),
        ("received_certificate_for", "Received certificate for urn:x", true),
        ("received_certificate_for", "Received certificate for Fire Safety", true),
        ("other", "Received Fire Safety", false),
        ("received_certificate_for", "Received certificate for Fire Safety", true),
    ];
    let rows = read_log(&admin).await;
    assert_eq!(rows.len(), expected.len());
    for (row, (action, sentence, certified)) in rows.iter().zip(expected) {
        assert_eq!(
            (&row["action"]["key"], &row["description"], row["certificate"].is_object(), &row["completed"]),
            (&json!(action), &json!(sentence), certified, &json!(false)),
            "{row}"
        );
    }
    assert_eq!(rows[0]["action"]["label"], "Earned");
    assert_eq!(rows[1]["result"]["success"], false);
    let progress = admin.get("/v1/contents/urn:s1/progress?user=ada").await.expect(200).json();
    assert_eq!(progress["progress"][0]["state"], "failed");
    // The same short form is the same record, also after the certificate was filled in.
    admin.post("/v1/activities/batch", &batch).await.expect(200);
    // A content that no longer awards a certificate keeps the past ones, one that becomes a certification gains them.
    advance_clock(server, 60);
    admin.patch("/v1/contents/warden", &json!({"certificate": null})).await.expect(200);
    admin.patch("/v1/contents/fire", &json!({"type": "certification"})).await.expect(200);
    let rows = read_log(&admin).await;
    assert_eq!(
        (&rows[8]["action"]["key"], &rows[12]["action"]["key"]),
        (&json!("received_certificate_for"), &json!("received_certificate_for"))
    );
}

#[apply(both_databases)]
async fn verbs_of_cmi5_read_as_what_they_are(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let au = content("geology", "item")
        .set("iri", "urn:geology")
        .set("title", "Geology")
        .set("content_type", "video");
    let au =
        au.set("expires_after", "P1Y").set("certificate", json!({"name": "Geologist"})).set("pass_mark", 50);
    admin.put("/v1/contents/geology", &au).await.expect(201);
    let adl3 = |name: &str| format!("https://w3id.org/xapi/adl/verbs/{name}");
    let both = json!({"success": true, "completion": true, "extensions": {"https://w3id.org/xapi/cmi5/result/extensions/reason": "Tested Out"}});
    let scored = json!({"score": {"scaled": 0.9}, "success": true});
    let expected = [
        (adl("launched"), json!({}), "started", "Started Geology", Value::Null, false),
        (adl("initialized"), json!({}), "started", "Started Geology", Value::Null, false),
        (
            adl("completed"),
            json!({"completion": true, "duration": "PT30M"}),
            "watched",
            "Watched Geology in 30 minutes",
            Value::Null,
            true,
        ),
        (
            adl("terminated"),
            json!({"duration": "PT31M"}),
            "other",
            "Terminated Geology in 31 minutes",
            Value::Null,
            false,
        ),
        (
            adl3("abandoned"),
            json!({"duration": "PT1M"}),
            "other",
            "Abandoned Geology in 1 minute",
            Value::Null,
            false,
        ),
        (adl3("waived"), both, "completed", "Waived Geology", Value::Null, true),
        (
            adl3("waived"),
            json!({"success": false, "score": {"scaled": 0.1}}),
            "completed",
            "Waived Geology scoring 10%",
            Value::Null,
            true,
        ),
        (adl3("satisfied"), json!({}), "completed", "Satisfied Geology", Value::Null, true),
        (adl3("satisfied"), scored, "completed", "Satisfied Geology scoring 90%", json!(true), true),
    ];
    for (n, (verb, result, ..)) in expected.iter().enumerate() {
        let statement = statement(mailbox("ada@example.org"), verb, "urn:geology")
            .set("id", id(n))
            .set("timestamp", in_march(1, n as u32))
            .set("result", result.clone());
        sender.post("/xapi/statements", &statement).await.expect(200);
    }
    let rows = read_log(&admin).await;
    for (row, (verb, _, action, sentence, success, completed)) in rows.iter().zip(&expected) {
        let found = row["result"].get("success").unwrap_or(&Value::Null);
        assert_eq!(
            (&row["action"]["key"], &row["description"]),
            (&json!(action), &json!(sentence)),
            "{verb} {row}"
        );
        assert_eq!((found, &row["completed"]), (success, &json!(completed)), "{verb} {row}");
        assert_eq!(row["certificate"].is_object(), *completed, "{row}");
    }
    assert_eq!(rows[5]["action"]["label"], "Waived");
    let passed = admin.list("/v1/activities?result=passed", "activities").await;
    assert_eq!(passed.len(), 1, "a waiver is no pass");
    let waived = activity("bo", "completed").set("content", "fire");
    let waived =
        waived.set("action", Value::Null).set("verb", adl3("waived")).set("result", json!({"success": true}));
    admin.post("/v1/activities", &waived).await.expect(201);
    let summary = admin.get("/v1/activities/summary?by=content&content=fire").await.expect(200).json();
    assert_eq!((&summary["total"]["completions"], &summary["total"]["passed"]), (&json!(1), &json!(0)));
}
