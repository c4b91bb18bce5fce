//! Tests of `/v1/schedules`: the schedules of all reports, by status.

use rollbook::access::{Person, Principal, ReportAccess, Role};
use rollbook::base::ids::{OrgId, UserId};
use rollbook::store::ScheduleFilter;
use serde_json::{Value, json};

use super::{create_report, create_schedule, set_up};
use crate::support::http::Caller;
use crate::support::{Database, TestServer, apply, both_databases};

/// The paths of the schedules that the caller sees, in the order of the list.
async fn list_all(caller: &Caller, parameters: &str) -> Vec<String> {
    let listed = caller.list(&format!("/v1/schedules{parameters}"), "schedules").await;
    listed.iter().map(|one| format!("/v1/schedules/{}", one["id"].as_str().expect("an id"))).collect()
}

/// Suspends a schedule as the sender does.
async fn suspend(server: &TestServer, path: &str) {
    let id = server.database().id_expression(path.rsplit('/').next().expect("an id"));
    let update = "UPDATE schedules SET active = (1 = 0), next_run_at = NULL, suspended = 'no rights'";
    let changed = server.database().execute(&format!("{update} WHERE id = {id}")).await;
    assert_eq!(changed, 1);
}

#[apply(both_databases)]
async fn schedules_are_listed_by_status(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let first = create_report(&ada, "First", "shared", json!({})).await;
    let second = create_report(&ada, "Second", "private", json!({})).await;
    let mut paths = Vec::new();
    for report in [&first, &second, &first, &second] {
        paths.push(create_schedule(&ada, report).await);
    }
    let [active, paused, suspended, other_suspended] = &paths[..] else { panic!() };
    ada.patch(paused, &json!({"active": false})).await.expect(200);
    suspend(server, suspended).await;
    suspend(server, other_suspended).await;
    let newest_first = |paths: &[&String]| paths.iter().map(|path| (*path).clone()).collect::<Vec<_>>();
    for (parameters, expected) in [
        ("", newest_first(&[other_suspended, suspended, paused, active])),
        ("?limit=1", newest_first(&[other_suspended, suspended, paused, active])),
        ("?status=suspended", newest_first(&[other_suspended, suspended])),
        ("?status=suspended&limit=1", newest_first(&[other_suspended, suspended])),
        ("?status=active", newest_first(&[active])),
        ("?status=paused", newest_first(&[paused])),
        ("?status=active,paused&limit=1", newest_first(&[paused, active])),
        ("?status=active&status=suspended", newest_first(&[other_suspended, suspended, active])),
    ] {
        assert_eq!(list_all(&ada, parameters).await, expected, "{parameters}");
    }
    // Each element is the schedule as it is read alone, with the reason.
    let listed = ada.list("/v1/schedules?status=suspended", "schedules").await;
    assert_eq!(listed[1], ada.get(suspended).await.expect(200).json());
    assert_eq!((&listed[1]["suspended"], &listed[1]["active"]), (&json!("no rights"), &json!(false)));
    // A resumed schedule is in the list of active ones.
    ada.patch(suspended, &json!({"active": true})).await.expect(200);
    assert_eq!(list_all(&ada, "?status=suspended").await, newest_first(&[other_suspended]));
    assert_eq!(list_all(&ada, "?status=active").await, newest_first(&[suspended, active]));
    for wrong in ["?status=broken", "?status=", "?report=x", "?limit=0", "?cursor=x"] {
        ada.get(&format!("/v1/schedules{wrong}")).await.expect(400);
    }
    let page = ada.get("/v1/schedules?limit=1").await.expect(200).json();
    let next = page["next"].as_str().expect("a next page");
    server.person("manager", "mo").get(next).await.expect(400);
}

#[apply(both_databases)]
async fn administrators_list_what_they_may_open_and_others_their_own(server: &TestServer) {
    set_up(server).await;
    let (ada, mo, rita) =
        (server.person("manager", "ada"), server.person("manager", "mo"), server.person("reporter", "rita"));
    let shared = create_report(&rita, "Ours", "shared", json!({})).await;
    let private = create_report(&ada, "Mine", "private", json!({})).await;
    let hidden_later = create_report(&rita, "Later", "shared", json!({})).await;
    let adas = create_schedule(&ada, &shared).await;
    let mos = create_schedule(&mo, &shared).await;
    let hidden = create_schedule(&ada, &private).await;
    let orphan = create_schedule(&mo, &hidden_later).await;
    for path in [&adas, &mos, &hidden, &orphan] {
        suspend(server, path).await;
    }
    // The maker still finds the schedule of a report that is not open to the maker any more.
    rita.patch(&hidden_later, &json!({"visibility": "private"})).await.expect(200);
    for parameters in ["", "?status=suspended", "?limit=1", "?status=suspended,active,paused"] {
        assert_eq!(list_all(&ada, parameters).await, [hidden.clone(), adas.clone()]);
        assert_eq!(list_all(&mo, parameters).await, [orphan.clone(), mos.clone()]);
        // The owner of a report does not see the schedules of others.
        assert!(list_all(&rita, parameters).await.is_empty());
        for role in ["hr", "reporter", "learning_designer", "manager"] {
            assert!(list_all(&server.person(role, "hal"), parameters).await.is_empty(), "{role}");
        }
        for role in ["owner", "admin"] {
            let administrator = server.person(role, "root");
            assert_eq!(list_all(&administrator, parameters).await, [mos.clone(), adas.clone()], "{role}");
        }
        let foreign = server.person_of("globex", json!({"sub": "ada", "role": "owner"}));
        assert!(list_all(&foreign, parameters).await.is_empty());
    }
    let integration = server.credential("acme", &["activities/read"]).await;
    for caller in [server.person("learner", "ada"), server.person("curator", "ada"), integration] {
        caller.get("/v1/schedules").await.expect(403);
    }

    // The report shows the suspended schedules that the caller sees in its list of schedules.
    let suspended = async |caller: &Caller, report: &str| -> Vec<Value> {
        let report = caller.get(report).await.expect(200).json();
        report["suspended_schedules"].as_array().expect("a list").clone()
    };
    let of_ada = json!({"id": adas.rsplit('/').next(), "maker": {"id": "ada", "name": "ada Example"},
        "reason": "no rights"});
    let of_mo = json!({"id": mos.rsplit('/').next(), "maker": {"id": "mo", "name": "mo Example"},
        "reason": "no rights"});
    assert_eq!(suspended(&ada, &shared).await, std::slice::from_ref(&of_ada));
    assert_eq!(suspended(&mo, &shared).await, std::slice::from_ref(&of_mo));
    assert_eq!(suspended(&rita, &shared).await, Vec::<Value>::new());
    let root = server.person("admin", "root");
    assert_eq!(suspended(&root, &shared).await, [of_ada.clone(), of_mo.clone()]);
    let listed = root.list("/v1/reports", "reports").await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["suspended_schedules"], json!([of_ada, of_mo]));
    let integration = server.credential("acme", &["activities/read"]).await;
    assert_eq!(suspended(&integration, &shared).await, Vec::<Value>::new());
}

/// The plan of the list for a user with this role in the directory.
async fn explain_list(server: &TestServer, user: &str, role: Role, filter: ScheduleFilter) -> Vec<String> {
    let (org, user) = (OrgId::new("acme").expect("an id"), UserId::new(user).expect("an id"));
    let person = Principal::from(Person::from_directory(org, user, role));
    let access = ReportAccess::for_caller(&person).expect("reporting access");
    server.store.explain_schedules(&access, &filter).await.expect("a plan")
}

#[apply(both_databases)]
async fn lists_use_indexes_and_never_sort(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Ours", "shared", json!({})).await;
    create_schedule(&ada, &report).await;
    let database = server.database();
    let (series, id) = (database.series(5_000), database.random_id());
    database
        .execute(&format!(
            "INSERT INTO schedules (org, key, id, report, maker, frequency, at_minute, time_zone, weekday, \
             day_of_month, recipients, bom, active, suspended, next_run_at, version, created_at, updated_at) \
             SELECT s.org, s.key + 1000000 + n, {id}, s.report, CASE WHEN n % 500 = 0 THEN 'mo' ELSE 'rita' END, \
             s.frequency, s.at_minute, s.time_zone, s.weekday, s.day_of_month, s.recipients, s.bom, n % 250 <> 0, \
             CASE WHEN n % 250 = 0 THEN 'no rights' END, s.next_run_at, s.version, s.created_at, s.updated_at \
             FROM schedules s CROSS JOIN ({series}) AS numbers"
        ))
        .await;
    // SQLite has no statistics in a server, so its plans must not depend on them.
    if matches!(database, Database::Postgres { .. }) {
        database.execute("ANALYZE").await;
    }
    let suspended = ScheduleFilter { suspended: true, ..ScheduleFilter::default() };
    for (user, role, filter, indexes) in [
        ("root", Role::Admin, suspended, &["schedules_suspended"][..]),
        ("root", Role::Admin, ScheduleFilter::default(), &["schedules_pkey", "sqlite_autoindex_schedules_1"]),
        ("mo", Role::Manager, suspended, &["schedules_maker", "schedules_suspended"]),
        ("mo", Role::Manager, ScheduleFilter::default(), &["schedules_maker"]),
    ] {
        let plan = explain_list(server, user, role, filter).await;
        let uses_index = plan.iter().any(|line| indexes.iter().any(|index| line.contains(index)));
        assert!(uses_index, "{user} {filter:?}: {plan:#?}");
        let sorts = plan.iter().any(|line| line.contains("Sort") || line.contains("TEMP B-TREE"));
        assert!(!sorts, "{user} {filter:?}: {plan:#?}");
    }
}
