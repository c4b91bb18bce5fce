//! Tests of `/v1/reports/{id}/deliveries`: the result of each run. The tests in `mail` cover the sender.

use serde_json::{Value, json};

use super::reports::create_report;
use super::schedules::{create_schedule, set_up};
use crate::support::builders::activity;
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, quick, sender};
use crate::support::records::advance_clock;
use crate::support::{TestServer, apply, both_databases};

/// Starts a run by hand, one minute later than before, and returns the id of the delivery.
async fn run_schedule(server: &TestServer, caller: &Caller, schedule: &str) -> Value {
    advance_clock(server, 60);
    caller.post(&format!("{schedule}/run"), &json!({})).await.expect(202).json()["delivery"].clone()
}

/// Lets the sender process all due runs.
async fn run_sender(server: &TestServer) {
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
}

async fn delivery_ids(caller: &Caller, list: &str) -> Vec<Value> {
    let deliveries = caller.list(list, "deliveries").await;
    deliveries.iter().map(|delivery| delivery["id"].clone()).collect()
}

fn last_segment(schedule: &str) -> &str {
    schedule.rsplit('/').next().expect("an id")
}

#[apply(both_databases)]
async fn delivery_describes_the_result_of_a_run(server: &TestServer) {
    let admin = set_up(server).await;
    admin.post("/v1/activities", &activity("ada", "logged_out")).await.expect(201);
    // A maker learns how a run ended for users within its reach.
    admin.patch("/v1/users/mo", &json!({"manager": "ada"})).await.expect(200);
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let body = json!({"frequency": "daily", "at": "08:00", "recipients": ["ada", "mo"]});
    let schedule = ada.post(&format!("{report}/schedules"), &body).await.expect(201).json();
    let path = format!("/v1/schedules/{}", schedule["id"].as_str().expect("an id"));
    let delivery = run_schedule(server, &ada, &path).await;
    let list = format!("{report}/deliveries");
    assert_eq!(
        ada.get(&list).await.expect(200).json(),
        json!({"deliveries": [], "next": null}),
        "the run has not ended"
    );
    advance_clock(server, 60);
    run_sender(server).await;
    let listed = ada.get(&list).await.expect(200).json();
    let one = &listed["deliveries"][0];
    let export = ada.get(&format!("{report}/export.csv?bom=true")).await.expect(200);
    let headings = server.person("manager", "mo").get("/v1/activities/export.csv?bom=true").await.expect(200);
    assert_eq!(
        listed,
        json!({"next": null, "deliveries": [{
            "id": delivery, "schedule": schedule["id"], "run_at": "2026-03-18T10:18:23.000Z", "status": "sent", "reason": null,
            "seconds": one["seconds"], "attempts": 1, "finished_at": "2026-03-18T10:19:23.000Z",
            "recipients": [
                {"recipient": "ada", "status": "sent", "rows": 1, "bytes": export.body.len(), "linked": false,
                    "sent_at": "2026-03-18T10:19:23.000Z", "reason": null},
                {"recipient": "mo", "status": "sent", "rows": 0, "bytes": headings.body.len(), "linked": false,
                    "sent_at": "2026-03-18T10:19:23.000Z", "reason": null},
            ]
        }]})
    );
    assert!(one["seconds"].as_f64().is_some_and(|seconds| (0.0..60.0).contains(&seconds)), "{one}");

    // First a recipient loses access to the report, then the maker of the schedule.
    admin.patch("/v1/users/mo", &json!({"active": false})).await.expect(200);
    run_schedule(server, &ada, &path).await;
    run_sender(server).await;
    admin.patch("/v1/users/ada", &json!({"role": "learner"})).await.expect(200);
    run_schedule(server, &ada, &path).await;
    run_sender(server).await;
    let listed = ada.list(&list, "deliveries").await;
    let statuses: Vec<_> = listed.iter().map(|one| one["status"].as_str().expect("a status")).collect();
    assert_eq!(statuses, ["suspended", "failed", "sent"]);
    for one in &listed[..2] {
        assert!(one["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{one}");
        let last = &one["recipients"][1];
        assert_eq!((&last["recipient"], &last["status"]), (&json!("mo"), &json!("failed")));
        assert_eq!(
            (&last["rows"], &last["bytes"], &last["sent_at"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert!(last["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{one}");
    }
}

#[apply(both_databases)]
async fn deliveries_are_listed_in_pages(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let report = create_report(&ada, "Ours", "shared", json!({})).await;
    let other = create_report(&ada, "Others", "shared", json!({})).await;
    let (first, second, on_other_report) = (
        create_schedule(&ada, &report).await,
        create_schedule(&ada, &report).await,
        create_schedule(&ada, &other).await,
    );
    let mut expected = Vec::new();
    for schedule in [&first, &second, &first, &on_other_report, &second, &first] {
        let id = run_schedule(server, &ada, schedule).await;
        expected.insert(0, (schedule, id));
    }
    run_sender(server).await;
    let expected_ids = |schedules: &[&String]| -> Vec<Value> {
        expected
            .iter()
            .filter(|(schedule, _)| schedules.contains(schedule))
            .map(|(_, id)| id.clone())
            .collect()
    };
    let list = format!("{report}/deliveries");
    for limit in [1, 2, 5, 1000] {
        assert_eq!(
            delivery_ids(&ada, &format!("{list}?limit={limit}")).await,
            expected_ids(&[&first, &second]),
            "{limit}"
        );
        let one = format!("{list}?schedule={}&limit={limit}", last_segment(&second));
        assert_eq!(delivery_ids(&ada, &one).await, expected_ids(&[&second]), "{limit}");
    }
    assert_eq!(delivery_ids(&ada, &format!("{other}/deliveries")).await, expected_ids(&[&on_other_report]));
    let both = format!("{list}?schedule={}&schedule={}&limit=2", last_segment(&first), last_segment(&second));
    assert_eq!(delivery_ids(&ada, &both).await, expected_ids(&[&first, &second]));
    assert!(
        delivery_ids(&ada, &format!("{list}?schedule={}", last_segment(&on_other_report))).await.is_empty()
    );

    // A new delivery does not change the following pages.
    let page = ada.get(&format!("{list}?limit=2")).await.expect(200);
    let next = page.json()["next"].as_str().expect("another page").to_owned();
    assert_eq!(page.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    run_schedule(server, &ada, &first).await;
    run_sender(server).await;
    assert_eq!(delivery_ids(&ada, &next).await, expected_ids(&[&first, &second])[2..]);
    // A cursor is valid only for its caller and its parameters.
    mo.get(&next).await.expect(400);
    ada.get(&next.replace(last_segment(&report), last_segment(&other))).await.expect(400);
    ada.get(&format!("{next}&schedule={}", last_segment(&first))).await.expect(400);
    for wrong in ["limit=0", "limit=1001", "schedule=1", "status=sent", "cursor=abc"] {
        ada.get(&format!("{list}?{wrong}")).await.expect(400);
    }
    assert_eq!(ada.get(&format!("{list}?schedule=1")).await.json()["errors"][0]["parameter"], "schedule");
    assert!(
        ada.post(&format!("{report}/schedules"), &json!([]))
            .await
            .expect(400)
            .error_pointers()
            .contains(&String::new())
    );
}

#[apply(both_databases)]
async fn deliveries_are_visible_to_the_maker_and_administrators(server: &TestServer) {
    set_up(server).await;
    let (ada, mo, rita) =
        (server.person("manager", "ada"), server.person("manager", "mo"), server.person("reporter", "rita"));
    let report = create_report(&rita, "Ours", "shared", json!({})).await;
    let private = create_report(&ada, "Mine", "private", json!({})).await;
    let (adas, mos, hidden) = (
        create_schedule(&ada, &report).await,
        create_schedule(&mo, &report).await,
        create_schedule(&ada, &private).await,
    );
    let adas = (run_schedule(server, &ada, &adas).await, adas);
    let mos = run_schedule(server, &mo, &mos).await;
    let hidden = run_schedule(server, &ada, &hidden).await;
    run_sender(server).await;
    let list = format!("{report}/deliveries");
    assert_eq!(delivery_ids(&ada, &list).await, std::slice::from_ref(&adas.0));
    assert_eq!(delivery_ids(&mo, &list).await, std::slice::from_ref(&mos));
    assert!(delivery_ids(&mo, &format!("{list}?schedule={}", last_segment(&adas.1))).await.is_empty());
    for (role, who) in [("reporter", "rita"), ("hr", "hal"), ("learning_designer", "hal"), ("manager", "hal")]
    {
        let caller = server.person(role, who);
        assert!(delivery_ids(&caller, &list).await.is_empty(), "{role}");
        caller.get(&format!("{private}/deliveries")).await.expect(404);
    }
    for role in ["owner", "admin"] {
        let administrator = server.person(role, "root");
        assert_eq!(delivery_ids(&administrator, &list).await, [mos.clone(), adas.0.clone()]);
        administrator.get(&format!("{private}/deliveries")).await.expect(404);
    }
    assert_eq!(delivery_ids(&ada, &format!("{private}/deliveries")).await, [hidden]);
    let integration = server.credential("acme", &["activities/read"]).await;
    for caller in [server.person("learner", "ada"), server.person("curator", "ada"), integration] {
        caller.get(&list).await.expect(403);
    }
    let key = rita.post(&format!("{report}/keys"), &json!({"name": "Excel"})).await.expect(201).json();
    server.anonymous().with_basic("", key["secret"].as_str().expect("a secret")).get(&list).await.expect(403);
    let stranger = server.person_of("globex", json!({"sub": "ada", "role": "owner"}));
    stranger.get(&list).await.expect(404);
    // Deleting a schedule deletes its deliveries.
    ada.delete(&adas.1).await.expect(204);
    assert_eq!(delivery_ids(&server.person("admin", "root"), &list).await, [mos]);
}
