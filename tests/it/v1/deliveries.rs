//! `/v1/reports/{id}/deliveries`: what became of each run, for whose schedule it was. What the sender does in each case is
//! the matter of `mail`.

use serde_json::{Value, json};

use super::reports::saved;
use super::schedules::{scheduled, set_up};
use crate::support::builders::activity;
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, quick, sender};
use crate::support::records::advance_clock;
use crate::support::{TestServer, apply, both_databases};

/// Runs a schedule by hand, a minute after whatever was before, and gives the delivery's id.
async fn run(server: &TestServer, caller: &Caller, schedule: &str) -> Value {
    advance_clock(server, 60);
    caller.post(&format!("{schedule}/run"), &json!({})).await.expect(202).json()["delivery"].clone()
}

/// Has the sender do whatever there is to do.
async fn send(server: &TestServer) {
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("it works");
}

async fn ids(caller: &Caller, list: &str) -> Vec<Value> {
    let deliveries = caller.list(list, "deliveries").await;
    deliveries.iter().map(|delivery| delivery["id"].clone()).collect()
}

fn id_of(schedule: &str) -> &str {
    schedule.rsplit('/').next().expect("an id")
}

#[apply(both_databases)]
async fn a_delivery_tells_what_became_of_a_run(server: &TestServer) {
    let admin = set_up(server).await;
    admin.post("/v1/activities", &activity("ada", "logged_out")).await.expect(201);
    let ada = server.person("manager", "ada");
    let report = saved(&ada, "Mine", "private", json!({})).await;
    let body = json!({"frequency": "daily", "at": "08:00", "recipients": ["ada", "mo"]});
    let schedule = ada.post(&format!("{report}/schedules"), &body).await.expect(201).json();
    let path = format!("/v1/schedules/{}", schedule["id"].as_str().expect("an id"));
    let delivery = run(server, &ada, &path).await;
    let list = format!("{report}/deliveries");
    assert_eq!(
        ada.get(&list).await.expect(200).json(),
        json!({"deliveries": [], "next": null}),
        "it has not ended"
    );
    advance_clock(server, 60);
    send(server).await;
    let listed = ada.get(&list).await.expect(200).json();
    let one = &listed["deliveries"][0];
    let export = ada.get(&format!("{report}/export.csv")).await.expect(200);
    let headings = server.person("manager", "mo").get("/v1/activities/export.csv").await.expect(200);
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

    // Somebody who may not any more, and then the maker.
    admin.patch("/v1/users/mo", &json!({"active": false})).await.expect(200);
    run(server, &ada, &path).await;
    send(server).await;
    admin.patch("/v1/users/ada", &json!({"role": "learner"})).await.expect(200);
    run(server, &ada, &path).await;
    send(server).await;
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
async fn deliveries_are_read_page_by_page(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let report = saved(&ada, "Ours", "shared", json!({})).await;
    let other = saved(&ada, "Others", "shared", json!({})).await;
    let (first, second, elsewhere) =
        (scheduled(&ada, &report).await, scheduled(&ada, &report).await, scheduled(&ada, &other).await);
    let mut expected = Vec::new();
    for schedule in [&first, &second, &first, &elsewhere, &second, &first] {
        let id = run(server, &ada, schedule).await;
        expected.insert(0, (schedule, id));
    }
    send(server).await;
    let of = |schedules: &[&String]| -> Vec<Value> {
        expected
            .iter()
            .filter(|(schedule, _)| schedules.contains(schedule))
            .map(|(_, id)| id.clone())
            .collect()
    };
    let list = format!("{report}/deliveries");
    for limit in [1, 2, 5, 1000] {
        assert_eq!(ids(&ada, &format!("{list}?limit={limit}")).await, of(&[&first, &second]), "{limit}");
        let one = format!("{list}?schedule={}&limit={limit}", id_of(&second));
        assert_eq!(ids(&ada, &one).await, of(&[&second]), "{limit}");
    }
    assert_eq!(ids(&ada, &format!("{other}/deliveries")).await, of(&[&elsewhere]));
    let both = format!("{list}?schedule={}&schedule={}&limit=2", id_of(&first), id_of(&second));
    assert_eq!(ids(&ada, &both).await, of(&[&first, &second]));
    assert!(ids(&ada, &format!("{list}?schedule={}", id_of(&elsewhere))).await.is_empty());

    // What comes while somebody reads doesn't move their pages.
    let page = ada.get(&format!("{list}?limit=2")).await.expect(200);
    let next = page.json()["next"].as_str().expect("another page").to_owned();
    assert_eq!(page.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    run(server, &ada, &first).await;
    send(server).await;
    assert_eq!(ids(&ada, &next).await, of(&[&first, &second])[2..]);
    // A cursor is its caller's and its question's.
    mo.get(&next).await.expect(400);
    ada.get(&next.replace(id_of(&report), id_of(&other))).await.expect(400);
    ada.get(&format!("{next}&schedule={}", id_of(&first))).await.expect(400);
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
async fn deliveries_are_for_whose_schedules_they_are(server: &TestServer) {
    set_up(server).await;
    let (ada, mo, rita) =
        (server.person("manager", "ada"), server.person("manager", "mo"), server.person("reporter", "rita"));
    let report = saved(&rita, "Ours", "shared", json!({})).await;
    let private = saved(&ada, "Mine", "private", json!({})).await;
    let (adas, mos, hidden) =
        (scheduled(&ada, &report).await, scheduled(&mo, &report).await, scheduled(&ada, &private).await);
    let adas = (run(server, &ada, &adas).await, adas);
    let mos = run(server, &mo, &mos).await;
    let hidden = run(server, &ada, &hidden).await;
    send(server).await;
    let list = format!("{report}/deliveries");
    assert_eq!(ids(&ada, &list).await, std::slice::from_ref(&adas.0));
    assert_eq!(ids(&mo, &list).await, std::slice::from_ref(&mos));
    assert!(ids(&mo, &format!("{list}?schedule={}", id_of(&adas.1))).await.is_empty());
    for (role, who) in [("reporter", "rita"), ("hr", "hal"), ("learning_designer", "hal"), ("manager", "hal")]
    {
        let caller = server.person(role, who);
        assert!(ids(&caller, &list).await.is_empty(), "{role}");
        caller.get(&format!("{private}/deliveries")).await.expect(404);
    }
    for role in ["owner", "admin"] {
        let administrator = server.person(role, "root");
        assert_eq!(ids(&administrator, &list).await, [mos.clone(), adas.0.clone()]);
        administrator.get(&format!("{private}/deliveries")).await.expect(404);
    }
    assert_eq!(ids(&ada, &format!("{private}/deliveries")).await, [hidden]);
    let integration = server.credential("acme", &["activities/read"]).await;
    for caller in [server.person("learner", "ada"), server.person("curator", "ada"), integration] {
        caller.get(&list).await.expect(403);
    }
    let key = rita.post(&format!("{report}/keys"), &json!({"name": "Excel"})).await.expect(201).json();
    server.anonymous().with_basic("", key["secret"].as_str().expect("a secret")).get(&list).await.expect(403);
    let stranger = server.person_of("globex", json!({"sub": "ada", "role": "owner"}));
    stranger.get(&list).await.expect(404);
    // A schedule takes its deliveries along.
    ada.delete(&adas.1).await.expect(204);
    assert_eq!(ids(&server.person("admin", "root"), &list).await, [mos]);
}
