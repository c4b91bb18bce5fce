//! Tests of the access to schedules.

use serde_json::{Value, json};

use super::{
    NO_SUCH_SCHEDULE, all_statuses, count_rows, create_report, create_schedule, daily_schedule, list_paths,
    refused_recipients, set_up,
};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn schedule_is_visible_to_its_maker_and_administrators(server: &TestServer) {
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
    assert_eq!(
        (list_paths(&ada, &report).await, list_paths(&mo, &report).await),
        (vec![adas.clone()], vec![mos.clone()])
    );
    // The owner of the report has no access to the schedules of others.
    for (role, who) in [
        ("reporter", "rita"),
        ("hr", "hal"),
        ("learning_designer", "hal"),
        ("manager", "mo"),
        ("reporter", "elsewhere"),
    ] {
        let caller = server.person(role, who);
        assert!(!list_paths(&caller, &report).await.contains(&adas), "{role}");
        for path in [&adas, &hidden, NO_SUCH_SCHEDULE] {
            assert_eq!(all_statuses(&caller, path).await, [404; 5], "{role} at {path}");
        }
        caller.get(&format!("{private}/schedules")).await.expect(404);
        caller.post(&format!("{private}/schedules"), &daily_schedule()).await.expect(404);
    }
    let curator =
        server.person_of("acme", json!({"sub": "cy", "role": "curator", "permissions": ["reporting"]}));
    assert_eq!(all_statuses(&curator, &adas).await, [404; 5]);
    let integration = server.credential("acme", &["activities/read"]).await;
    for caller in [server.person("learner", "ada"), server.person("curator", "ada"), integration] {
        assert_eq!(all_statuses(&caller, &adas).await, [403; 5]);
        caller.get(&format!("{report}/schedules")).await.expect(403);
        caller.post(&format!("{report}/schedules"), &daily_schedule()).await.expect(403);
    }
    let key = rita.post(&format!("{report}/keys"), &json!({"name": "Excel"})).await.expect(201).json();
    let key = server.anonymous().with_basic("", key["secret"].as_str().expect("a secret"));
    assert_eq!(all_statuses(&key, &adas).await, [403; 5]);
    key.get(&format!("{report}/schedules")).await.expect(403);
    for role in ["owner", "admin"] {
        let administrator = server.person(role, "root");
        assert_eq!(list_paths(&administrator, &report).await, [adas.clone(), mos.clone()]);
        assert_eq!(all_statuses(&administrator, &hidden).await, [404; 5], "{role}");
        administrator.get(&format!("{private}/schedules")).await.expect(404);
        // The maker does not change.
        let changed = administrator.patch(&adas, &json!({"at": "09:00"})).await.expect(200).json();
        assert_eq!((&changed["maker"]["id"], &changed["at"]), (&json!("ada"), &json!("09:00")));
        let changed = administrator.put(&adas, &daily_schedule()).await.expect(200).json();
        assert_eq!((&changed["maker"]["id"], &changed["at"]), (&json!("ada"), &json!("08:00")));
        assert_eq!(
            all_statuses(&administrator, &create_schedule(&ada, &report).await).await,
            [200, 200, 200, 202, 204]
        );
    }
    // The maker has access in every role with reporting access.
    for role in ["owner", "admin", "hr", "reporter", "learning_designer", "manager"] {
        let path = create_schedule(&ada, &report).await;
        assert_eq!(
            all_statuses(&server.person(role, "ada"), &path).await,
            [200, 200, 200, 202, 204],
            "{role}"
        );
    }
    // After the report becomes private, administrators have no access to its schedules.
    rita.patch(&report, &json!({"visibility": "private"})).await.expect(200);
    assert_eq!(all_statuses(&server.person("admin", "root"), &adas).await, [404; 5]);
    for caller in [&ada, &server.person("admin", "root")] {
        caller.get(&format!("{report}/schedules")).await.expect(404);
    }
    assert!(list_paths(&rita, &report).await.is_empty());
    assert_eq!(list_paths(&ada, &private).await, [hidden]);
}

#[apply(both_databases)]
async fn maker_without_access_to_the_report_can_only_pause_or_delete(server: &TestServer) {
    set_up(server).await;
    let (ada, mo, rita) =
        (server.person("manager", "ada"), server.person("manager", "mo"), server.person("reporter", "rita"));
    let report = create_report(&rita, "Ours", "shared", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    rita.patch(&report, &json!({"visibility": "private"})).await.expect(200);
    for other in [&mo, &rita, &server.person("admin", "root")] {
        other.get(&path).await.expect(404);
        other.patch(&path, &json!({"active": false})).await.expect(404);
    }
    // The schedule is active. It can be neither changed nor run.
    let read = ada.get(&path).await.expect(200).json();
    assert_eq!(read["active"], true);
    ada.patch(&path, &json!({"at": "09:00"})).await.expect(404);
    ada.put(&path, &json!({"frequency": "daily", "at": "09:00", "recipients": ["ada", "mo"]}))
        .await
        .expect(404);
    ada.post(&format!("{path}/run"), &json!({})).await.expect(404);
    assert_eq!(ada.get(&path).await.json(), read);
    let paused = ada.patch(&path, &json!({"active": false})).await.expect(200).json();
    assert_eq!((&paused["active"], &paused["next_run_at"]), (&json!(false), &Value::Null));
    ada.patch(&path, &json!({"active": true})).await.expect(404);
    ada.put(&path, &daily_schedule()).await.expect(404);
    ada.post(&format!("{path}/run"), &json!({})).await.expect(404);
    assert_eq!(count_rows(server, "deliveries").await, 0);
    // The schedule works again when the report is shared again.
    rita.patch(&report, &json!({"visibility": "shared"})).await.expect(200);
    ada.patch(&path, &json!({"active": true})).await.expect(200);
    ada.post(&format!("{path}/run"), &json!({})).await.expect(202);
    rita.patch(&report, &json!({"visibility": "private"})).await.expect(200);
    ada.delete(&path).await.expect(204);
    assert_eq!((count_rows(server, "schedules").await, count_rows(server, "deliveries").await), (0, 0));
}

#[apply(both_databases)]
async fn schedules_of_other_organisations_are_not_accessible(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Ours", "shared", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    for role in ["owner", "reporter"] {
        let foreign_caller = server.person_of("globex", json!({"sub": "ada", "role": role}));
        assert_eq!(all_statuses(&foreign_caller, &path).await, [404; 5]);
        foreign_caller.get(&format!("{report}/schedules")).await.expect(404);
        foreign_caller.post(&format!("{report}/schedules"), &daily_schedule()).await.expect(404);
        // Users of another organisation are unknown.
        let foreign_report = create_report(&foreign_caller, "Theirs", "private", json!({})).await;
        let errors =
            refused_recipients(&foreign_caller, &foreign_report, json!(["ada", "rita@example.org"])).await;
        assert_eq!(errors.len(), 2);
    }
    ada.get(&path).await.expect(200);
}
