//! Tests of identifiers that change their owner over time (`docs/specification.md#identifiers`).

mod moves;

use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use crate::support::builders::{Body, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::records::{COMPLETED, STATEMENTS, advance_clock, find_statements, id, record_numbers};
use crate::support::{TestServer, apply, both_databases};

const DAY: i64 = 86_400;
const SHARED: &str = "desk@example.org";

/// A statement with number `n` by the shared address, at the time of storing.
fn by_shared_address(n: usize) -> Body {
    statement(mailbox(SHARED), COMPLETED, "urn:c").set("id", id(n))
}

async fn send(admin: &Caller, statement: Body) {
    admin.post(STATEMENTS, &statement).await.expect(200);
}

/// The numbers of the activities of each user, `1 ada, 2 -`, by number.
async fn find_owners(admin: &Caller) -> String {
    let mut rows = admin.list("/v1/activities?include_deactivated=true", "activities").await;
    rows.sort_by_key(|row| row["id"].to_string());
    let owners = rows.iter().map(|row| {
        let number = record_numbers(std::slice::from_ref(row))[0];
        format!("{number} {}", row["user"]["id"].as_str().unwrap_or("-"))
    });
    owners.collect::<Vec<_>>().join(", ")
}

async fn rebuild(server: &TestServer) {
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
}

async fn has_address(admin: &Caller, user: &str) -> bool {
    let user = admin.get(&format!("/v1/users/{user}")).await.expect(200).json();
    user["identifiers"].as_array().expect("identifiers").contains(&mailbox(SHARED))
}

#[apply(both_databases)]
async fn given_up_address_is_the_next_users_from_then_on(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", SHARED)).await.expect(201);
    send(&admin, by_shared_address(1).set("timestamp", "2026-01-10T09:00:00Z")).await;
    send(&admin, by_shared_address(2)).await;
    let refused = admin.put("/v1/users/bo", &user("bo").set("email", SHARED)).await.expect(409);
    let detail = refused.json()["errors"][0]["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("`ada`"), "{detail}");

    admin.patch("/v1/users/ada", &json!({"email": "ada@example.org"})).await.expect(200);
    assert!(!has_address(&admin, "ada").await);
    // Until another user claims the address, its records stay the former user's.
    advance_clock(server, DAY);
    send(&admin, by_shared_address(3)).await;
    assert_eq!(find_owners(&admin).await, "1 ada, 2 ada, 3 ada");
    advance_clock(server, DAY);
    admin.put("/v1/users/bo", &user("bo").set("email", SHARED)).await.expect(201);
    assert!(has_address(&admin, "bo").await);
    send(&admin, by_shared_address(4)).await;
    // The time of happening decides, not the time of arrival.
    send(&admin, by_shared_address(5).set("timestamp", "2026-02-10T09:00:00Z")).await;
    let owners = "1 ada, 2 ada, 3 bo, 4 bo, 5 ada";
    assert_eq!(find_owners(&admin).await, owners);
    rebuild(server).await;
    assert_eq!(find_owners(&admin).await, owners);

    let by_agent = "agent=%7B%22mbox%22%3A%22mailto%3Adesk%40example.org%22%7D&ascending=true";
    assert_eq!(find_statements(&admin, by_agent).await, [1, 2, 3, 4, 5]);
    assert_eq!(find_statements(&server.person("learner", "ada"), by_agent).await, [1, 2, 5]);
    assert_eq!(find_statements(&server.person("learner", "bo"), by_agent).await, [3, 4]);
    let person = admin.get("/xapi/agents?agent=%7B%22mbox%22%3A%22mailto%3Adesk%40example.org%22%7D").await;
    assert_eq!(person.expect(200).json()["name"], json!(["bo Example"]));
    let person = admin.get("/xapi/agents?agent=%7B%22mbox%22%3A%22mailto%3Aada%40example.org%22%7D").await;
    assert_eq!(person.expect(200).json()["mbox"], json!(["mailto:ada@example.org"]));

    // The former user cannot take it back while the other uses it.
    let refused = admin.patch("/v1/users/ada", &json!({"email": SHARED})).await.expect(409);
    assert_eq!(refused.json()["pointer"], "/email");
    admin.put("/v1/users/bo", &user("bo")).await.expect(200);
    admin.patch("/v1/users/ada", &json!({"email": SHARED})).await.expect(200);
    send(&admin, by_shared_address(6)).await;
    assert_eq!(find_owners(&admin).await, format!("{owners}, 6 ada"));
}

/// What a caller sees of the shared address, on every read path.
async fn find_visible(caller: &Caller) -> String {
    let rows = caller.list("/v1/activities?scope=managed", "activities").await;
    let csv = caller.get("/v1/activities/export.csv?scope=managed&columns=full").await.expect(200);
    let summary = caller.get("/v1/activities/summary?scope=managed&by=user").await.expect(200).json();
    let facets = caller.get("/v1/facets?scope=managed").await.expect(200).json();
    let facets = facets["facets"].as_array().expect("facets");
    let users = facets.iter().find(|facet| facet["name"] == "user").expect("the users");
    let progress = caller.list("/v1/contents/urn%3Ac/progress?scope=managed", "progress").await;
    let with_state = progress.iter().filter(|one| one["state"] == "completed");
    let mut numbers = record_numbers(&rows);
    numbers.sort_unstable();
    format!(
        "{numbers:?}, {} lines, {} rows, facets {}, completed {}",
        csv.csv().1.len(),
        summary["total"]["rows"],
        users["values"].as_array().map_or(0, Vec::len),
        with_state.map(|one| one["user"]["id"].to_string()).collect::<Vec<_>>().join(" ")
    )
}

#[apply(both_databases)]
async fn manager_of_one_user_sees_nothing_of_the_other(server: &TestServer) {
    let admin = server.person("admin", "root");
    let users = [
        user("mia").set("role", "manager"),
        user("max").set("role", "manager"),
        user("ada").set("manager", "mia").set("email", SHARED),
        user("bo").set("manager", "max"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    send(&admin, by_shared_address(1).set("timestamp", "2026-01-10T09:00:00Z")).await;
    let batch = [
        user("ada").set("manager", "mia").set("active", false),
        user("bo").set("manager", "max").set("email", SHARED),
    ];
    admin.post("/v1/users/batch", &batch).await.expect(200);
    admin.patch("/v1/users/ada", &json!({"active": true, "email": null})).await.expect(200);
    send(&admin, by_shared_address(2)).await;
    for _ in 0..2 {
        for (manager, own, foreign, person) in [("mia", 1, 2, "ada"), ("max", 2, 1, "bo")] {
            let caller = server.person("manager", manager);
            let expected = format!("[{own}], 1 lines, 1 rows, facets 1, completed \"{person}\"");
            assert_eq!(find_visible(&caller).await, expected, "{manager}");
            caller.get(&format!("/v1/activities/{}", id(own))).await.expect(200);
            caller.get(&format!("/v1/activities/{}", id(foreign))).await.expect(404);
            let own_rows = caller.list(&format!("/v1/users/{person}/activities"), "activities").await;
            assert_eq!(record_numbers(&own_rows), [own]);
        }
        for (person, own, foreign) in [("ada", 1, 2), ("bo", 2, 1)] {
            let caller = server.person("learner", person);
            caller.get(&format!("{STATEMENTS}?statementId={}", id(own))).await.expect(200);
            caller.get(&format!("{STATEMENTS}?statementId={}", id(foreign))).await.expect(404);
            assert_eq!(find_statements(&caller, "").await, [own]);
        }
        rebuild(server).await;
    }
}

#[apply(both_databases)]
async fn batch_swaps_and_reuses_addresses(server: &TestServer) {
    let admin = server.person("admin", "root");
    let hr = server.credential("acme", &["directory"]).await;
    let (one, two) = ("one@example.org", "two@example.org");
    let before =
        [user("ada").set("email", one), user("bo").set("email", two), user("cy").set("email", SHARED)];
    hr.post("/v1/users/batch", &before).await.expect(200);
    let sent = |n: usize, address: &str| statement(mailbox(address), COMPLETED, "urn:c").set("id", id(n));
    for (n, address) in [(1, one), (2, two), (3, SHARED)] {
        send(&admin, sent(n, address)).await;
    }
    advance_clock(server, DAY);
    let after = [
        user("ada").set("email", two),
        user("bo").set("email", one),
        user("cy").set("email", SHARED).set("active", false),
        user("dee").set("email", SHARED),
    ];
    let outcome = hr.post("/v1/users/batch", &after).await.expect(200).json();
    assert_eq!(outcome, json!({"created": 1, "updated": 3, "unchanged": 0}));
    let again = hr.post("/v1/users/batch", &after).await.expect(200).json();
    assert_eq!(again, json!({"created": 0, "updated": 0, "unchanged": 4}));
    for (n, address) in [(4, one), (5, two), (6, SHARED)] {
        send(&admin, sent(n, address)).await;
    }
    let owners = "1 ada, 2 bo, 3 cy, 4 bo, 5 ada, 6 dee";
    assert_eq!(find_owners(&admin).await, owners);
    rebuild(server).await;
    assert_eq!(find_owners(&admin).await, owners);
    // The bodies that were read are accepted again.
    let read = hr.list("/v1/users", "users").await;
    assert_eq!(hr.post("/v1/users/batch", &read).await.expect(200).json()["unchanged"], 4);
    // An address in use is refused, with the name of its user.
    let batch = [user("eve").set("email", one), user("fay").set("email", "fay@example.org")];
    let refused = hr.post("/v1/users/batch", &batch).await.expect(409);
    assert_eq!(refused.error_pointers(), ["/0/email", "/0/email"]);
    assert!(refused.text().contains("`bo`"), "{}", refused.text());
    admin.get("/v1/users/fay").await.expect(404);
    // A user that comes back needs another address, because its messages would reach the other user.
    let refused = hr.patch("/v1/users/cy", &json!({"active": true})).await.expect(409);
    assert!(refused.text().contains("`dee`"), "{}", refused.text());
    hr.patch("/v1/users/cy", &json!({"active": true, "email": "cy@example.org"})).await.expect(200);
    assert!(has_address(&admin, "dee").await && !has_address(&admin, "cy").await);
}

#[apply(both_databases)]
async fn first_import_knows_who_had_an_address_before(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (n, at) in [(1, "2020-05-01T09:00:00Z"), (2, "2022-05-01T09:00:00Z")] {
        send(&admin, by_shared_address(n).set("timestamp", at)).await;
    }
    let users = [
        user("new").set("email", SHARED),
        user("left").set("email", SHARED).set("deactivated_at", "2021-01-01T00:00:00Z"),
        user("older").set("email", SHARED).set("deactivated_at", "2019-01-01T00:00:00Z"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    assert_eq!(find_owners(&admin).await, "1 left, 2 new");
    assert_eq!(admin.post("/v1/users/batch", &users).await.expect(200).json()["unchanged"], 3);
}

#[apply(both_databases)]
async fn sessions_end_with_the_period(server: &TestServer) {
    let admin = server.person("admin", "root");
    let logged_in = "https://w3id.org/xapi/adl/verbs/logged-in";
    admin.put("/v1/users/ada", &user("ada").set("email", SHARED)).await.expect(201);
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    for (n, hour) in [(1, 9), (2, 10), (3, 11)] {
        let sent = statement(mailbox(SHARED), logged_in, "https://rollbook.invalid/acme");
        send(&admin, sent.set("id", id(n)).set("timestamp", format!("2026-03-01T{hour:02}:00:00Z"))).await;
    }
    let visits = async || {
        let mut rows = record_numbers(&admin.list("/v1/activities?action=visited", "activities").await);
        rows.sort_unstable();
        rows
    };
    assert_eq!(visits().await, [2, 3]);
    let moved = json!({"identifiers": [mailbox(SHARED)], "from": "2026-03-01T10:00:00Z"});
    admin.post("/v1/users/bo/identifiers", &moved).await.expect(200);
    assert_eq!(visits().await, [3], "the login of ada is no earlier session of bo");
    rebuild(server).await;
    assert_eq!(visits().await, [3]);
}

#[apply(both_databases)]
async fn unclaimed_person_keeps_the_name_of_its_period(server: &TestServer) {
    let admin = server.person("admin", "root");
    let named = |n: usize, name: &str, at: &str| {
        let actor = json!({"name": name, "mbox": format!("mailto:{SHARED}")});
        statement(actor, COMPLETED, "urn:c").set("id", id(n)).set("timestamp", at)
    };
    send(&admin, named(1, "Early", "2026-01-01T09:00:00Z")).await;
    send(&admin, named(2, "Late", "2026-02-01T09:00:00Z")).await;
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    let moved = json!({"identifiers": [mailbox(SHARED)], "from": "2026-01-15T00:00:00Z"});
    admin.post("/v1/users/bo/identifiers", &moved).await.expect(200);
    let name_of = async |n: usize| -> Value {
        admin.get(&format!("/v1/activities/{}", id(n))).await.expect(200).json()["user"]["name"].clone()
    };
    assert_eq!((name_of(1).await, name_of(2).await), (json!("Early"), json!("bo Example")));
    send(&admin, named(3, "Earlier", "2025-12-01T09:00:00Z")).await;
    send(&admin, named(4, "Latest", "2026-01-16T09:00:00Z")).await;
    assert_eq!((name_of(1).await, name_of(4).await), (json!("Early"), json!("bo Example")));
    rebuild(server).await;
    assert_eq!((name_of(1).await, name_of(4).await), (json!("Early"), json!("bo Example")));
    assert_eq!(find_owners(&admin).await, "1 -, 2 bo, 3 -, 4 bo");
}
