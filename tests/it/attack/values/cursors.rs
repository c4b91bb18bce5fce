//! Cursors are encrypted: a client cannot read them, and no other request accepts them.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::builders::{Body, activity, content, group, team, user};
use crate::support::http::Caller;
use crate::support::records::{STATEMENTS, numbered_statement};
use crate::support::{TestServer, apply, both_databases};

/// Lists with two pages of one element, as an administrator `root` reads them.
const LISTS: &[&str] = &[
    "/v1/users?limit=1",
    "/v1/teams?limit=1",
    "/v1/groups?limit=1",
    "/v1/contents?limit=1",
    "/v1/activities?limit=1",
    "/v1/me/activities?limit=1",
    "/v1/users/root/activities?limit=1",
    "/v1/users/root/timeline?limit=1",
    "/v1/users/bo/notes?limit=1",
    "/v1/contents/fire-0/progress?limit=1",
    "/v1/reports?limit=1",
    "/xapi/statements?limit=1",
    "/xapi/statements?limit=1&format=canonical&ascending=true",
];

/// Creates three elements of each list.
async fn set_up(server: &TestServer, organisation: &str) -> (Caller, Vec<String>) {
    let admin = server.person_of(organisation, json!({"sub": "root", "role": "owner"}));
    let mut users = vec![user("root").set("role", "owner"), user("bo"), user("cy")];
    users[1] = users[1].clone().set("manager", "root");
    admin.post("/v1/users/batch", &users).await.expect(200);
    for n in 0..3 {
        admin.put(&format!("/v1/teams/team-{n}"), &team(&format!("team-{n}"))).await.expect(201);
        admin.put(&format!("/v1/groups/group-{n}"), &group(&format!("group-{n}"))).await.expect(201);
        let fire = content(&format!("fire-{n}"), "quiz");
        admin.put(&format!("/v1/contents/fire-{n}"), &fire).await.expect(201);
        let note = json!({"text": "Called", "happened_at": "2026-03-01T09:00:00Z"});
        admin.post("/v1/users/bo/notes", &note).await.expect(201);
        let report =
            json!({"name": format!("Report {n}"), "visibility": "shared", "filter": {"action": "viewed"}});
        admin.post("/v1/reports", &report).await.expect(201);
        admin.post(STATEMENTS, &numbered_statement(n + 1)).await.expect(200);
    }
    let viewed = |n: usize| activity("root", "viewed").set("content", format!("fire-{n}"));
    let batch: Vec<Body> = (0..3).map(viewed).collect();
    admin.post("/v1/activities/batch", &batch).await.expect(201);
    let reports = admin.list("/v1/reports", "reports").await;
    let report = reports[0]["id"].as_str().expect("an id");
    let mut lists: Vec<String> = LISTS.iter().map(|path| (*path).to_owned()).collect();
    lists.push(format!("/v1/reports/{report}/activities?limit=1"));
    (admin, lists)
}

/// The address of the next page.
async fn next(caller: &Caller, path: &str) -> String {
    let page = caller.get(path).await.expect(200).json();
    let next = page.get("next").or_else(|| page.get("more")).and_then(Value::as_str);
    next.filter(|next| !next.is_empty()).unwrap_or_else(|| panic!("{path} has one page: {page}")).to_owned()
}

fn cursor(address: &str) -> &str {
    address.rsplit("cursor=").next().expect("a cursor")
}

/// The answer to a cursor is the problem `bad-cursor`, or the fault of the parameter `cursor`.
async fn expect_refused(caller: &Caller, path: &str) {
    let problem = caller.get(path).await.expect(400).json();
    let named = problem["errors"][0]["parameter"] == "cursor";
    assert!(problem["code"] == "bad-cursor" || named, "{path}: {problem}");
}

#[apply(both_databases)]
async fn nothing_is_readable_in_a_cursor(server: &TestServer) {
    let (admin, lists) = set_up(server, "acme").await;
    let mut lengths = BTreeSet::new();
    for path in &lists {
        let mut cursors = BTreeSet::new();
        for _ in 0..5 {
            let address = next(&admin, path).await;
            let text = cursor(&address).to_owned();
            let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
            // Random bytes have runs of three digits now and then, but no longer ones, and none of our words.
            for word in ["acme", "root", "team", "group", "fire", "user"] {
                assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{path}: {word}");
            }
            let is_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
            assert!(!bytes.windows(6).any(is_digits), "{path}: {bytes:?}");
            lengths.insert(text.len());
            cursors.insert(text);
        }
        assert_eq!(cursors.len(), 5, "{path}: equal positions have different texts");
    }
    assert!(lengths.len() <= 2, "the length does not tell the position: {lengths:?}");
}

#[apply(both_databases)]
async fn changed_cursor_is_refused(server: &TestServer) {
    let (admin, lists) = set_up(server, "acme").await;
    for path in &lists {
        let address = next(&admin, path).await;
        admin.get(&address).await.expect(200);
        let text = cursor(&address).to_owned();
        let bytes = URL_SAFE_NO_PAD.decode(&text).expect("base64url");
        let mut forged: Vec<String> = [0, 11, 12, 20, bytes.len() - 17, bytes.len() - 1]
            .iter()
            .map(|index| {
                let mut bytes = bytes.clone();
                bytes[*index] ^= 1;
                URL_SAFE_NO_PAD.encode(bytes)
            })
            .collect();
        forged.extend(
            [&text[..text.len() - 4], &text[4..], "", "90", "1", "AQ", "%00", "fire-0"].map(str::to_owned),
        );
        forged.push(format!("{text}AAAA"));
        forged.push(URL_SAFE_NO_PAD.encode("fire-0"));
        forged.push(URL_SAFE_NO_PAD.encode([0; 60]));
        for one in forged {
            let changed = address.replace(&text, &one);
            admin.get(&changed).await.expect(400);
        }
        expect_refused(&admin, &address.replace(&text, &URL_SAFE_NO_PAD.encode([0; 60]))).await;
        admin.get(&address).await.expect(200);
    }
}

#[apply(both_databases)]
async fn cursor_belongs_to_its_organisation_caller_and_request(server: &TestServer) {
    let (admin, lists) = set_up(server, "acme").await;
    let (twin, _) = set_up(server, "other").await;
    let namesake = server.person("owner", "bo");
    let mut addresses = Vec::new();
    for path in &lists {
        let address = next(&admin, path).await;
        if !path.contains("/reports/") {
            // The same user id in another organisation.
            expect_refused(&twin, &address).await;
        }
        if !path.contains("/me/") {
            expect_refused(&namesake, &address).await;
        }
        addresses.push(address);
    }
    // Each cursor in each other list.
    for (path, own) in lists.iter().zip(&addresses) {
        for other in addresses.iter().filter(|other| *other != own) {
            expect_refused(&admin, &format!("{path}&cursor={}", cursor(other))).await;
        }
    }
    // Changed parameters. Another limit is not a change.
    for (path, added) in [
        ("/v1/users?limit=1", "active=true"),
        ("/v1/contents?limit=1", "type=quiz"),
        ("/v1/activities?limit=1", "action=viewed"),
        ("/v1/users/root/timeline?limit=1", "kind=system"),
        ("/v1/contents/fire-0/progress?limit=1", "state=not_started"),
        ("/xapi/statements?limit=1", "ascending=true"),
        ("/xapi/statements?limit=1", "verb=urn:other"),
    ] {
        let address = next(&admin, path).await;
        expect_refused(&admin, &format!("{address}&{added}")).await;
        admin.get(&address.replace("limit=1", "limit=2")).await.expect(200);
    }
}

/// The key is in the database, so that replicas and restarts read the cursors of each other.
#[apply(both_databases)]
async fn replica_reads_the_cursors_of_another(server: &TestServer) {
    let (admin, lists) = set_up(server, "acme").await;
    let replica = server.start_replica().await;
    let there = replica.person("owner", "root");
    for path in &lists {
        let address = next(&admin, path).await;
        let pages = [&admin, &there].map(async |caller| {
            let mut page = caller.get(&address).await.expect(200).json();
            // Equal positions have different cursors.
            let members = page.as_object_mut().expect("a page");
            members.retain(|name, _| name != "next" && name != "more");
            page
        });
        let [here, there] = pages;
        assert_eq!(here.await, there.await, "{path}");
    }
    replica.stop().await;
}
