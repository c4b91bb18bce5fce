//! Pages of statements (xAPI 1.0.3, Communication 2.1.3 and Data 2.5): order, `since`, `until`, `limit`, `more`. What
//! holds while others write is in `consistency.rs`.

use reqwest::Method;
use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{STATEMENTS as PATH, id, page_numbers};
use crate::support::{TestServer, apply, both_databases};

const DID: &str = "https://example.org/verbs/did";

fn one(n: usize) -> Value {
    statement(mailbox("ada@example.org"), DID, "urn:thing").set("id", id(n)).json()
}

async fn page(caller: &Caller, path: &str) -> Value {
    caller.get(path).await.expect(200).json()
}

/// The pages from an address on, each as its numbers.
async fn pages(caller: &Caller, path: &str) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    let mut next = path.to_owned();
    while !next.is_empty() {
        let page = page(caller, &next).await;
        all.push(page_numbers(&page));
        next = page["more"].as_str().expect("`more` is always there").to_owned();
    }
    all
}

/// Statements of one request are stored at one moment: their order is that of the request.
#[apply(both_databases)]
async fn the_order_is_that_of_recording(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &json!([one(3), one(1), one(2)])).await.expect(200);
    admin.post(PATH, &json!([one(9), one(8)])).await.expect(200);
    // When it happened doesn't matter.
    let mut old = one(4);
    old["timestamp"] = json!("1999-01-01T00:00:00Z");
    admin.post(PATH, &old).await.expect(200);
    assert_eq!(pages(&admin, &format!("{PATH}?limit=2&ascending=true")).await, [[3, 1], [2, 9], [8, 4]]);
    assert_eq!(pages(&admin, &format!("{PATH}?limit=4")).await, [vec![4, 8, 9, 2], vec![1, 3]]);
    assert_eq!(pages(&admin, &format!("{PATH}?limit=6")).await.len(), 1, "no empty page at the end");
}

/// Stored after `since`, and at `until` or before, to the millisecond, in any zone.
#[apply(both_databases)]
async fn moments_are_bounds(server: &TestServer) {
    let admin = server.person("admin", "root");
    for n in 1..=4 {
        admin.post(PATH, &json!([one(n), one(n + 10)])).await.expect(200);
        server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 1_000));
    }
    let stored = async |n: usize| {
        page(&admin, &format!("{PATH}?statementId={}", id(n))).await["stored"]
            .as_str()
            .expect("a moment")
            .to_owned()
    };
    let (second, third) = (stored(2).await, stored(3).await);
    assert_eq!(stored(12).await, second, "one request, one moment");
    assert!(second < third);
    let asked =
        async |query: &str| page_numbers(&page(&admin, &format!("{PATH}?ascending=true&{query}")).await);
    assert_eq!(asked(&format!("since={second}")).await, [3, 13, 4, 14]);
    assert_eq!(asked(&format!("until={second}")).await, [1, 11, 2, 12]);
    assert_eq!(asked(&format!("since={second}&until={third}")).await, [3, 13]);
    assert_eq!(asked(&format!("since={third}&until={second}")).await, Vec::<usize>::new());
    assert_eq!(
        asked(&format!("since={}", encode_segment(&second.replace('Z', "+00:00")))).await,
        [3, 13, 4, 14]
    );
    let at = chrono::DateTime::parse_from_rfc3339(&third).expect("a moment");
    let elsewhere = at.with_timezone(&chrono::FixedOffset::west_opt(34_200).expect("an offset")).to_rfc3339();
    assert_eq!(
        asked(&format!("until={}&verb={}", encode_segment(&elsewhere), encode_segment(DID))).await,
        [1, 11, 2, 12, 3, 13]
    );
    // Finer than what is stored: after it, and not yet the next.
    let finer = second.replace('Z', "999Z");
    assert_eq!(asked(&format!("since={finer}&limit=2")).await, [3, 13]);
    assert_eq!(asked(&format!("until={finer}&limit=9")).await, [1, 11, 2, 12]);
    // Nothing is before the first or after the last.
    assert_eq!(asked("until=1970-01-01T00:00:00Z").await, Vec::<usize>::new());
    assert_eq!(asked("since=9999-12-31T23:59:59Z").await, Vec::<usize>::new());
    assert_eq!(asked("since=0000-01-01T00:00:00Z&until=9999-12-31T23:59:59Z").await.len(), 8);
}

/// The rest of what was there is the rest of it, whatever came meanwhile.
#[apply(both_databases)]
async fn more_goes_on_where_the_page_ended(server: &TestServer) {
    let admin = server.person("admin", "root");
    for n in 1..=6 {
        admin.post(PATH, &one(n)).await.expect(200);
    }
    let newest = page(&admin, &format!("{PATH}?limit=2&verb={}", encode_segment(DID))).await;
    let oldest = page(&admin, &format!("{PATH}?limit=2&ascending=true&verb={}", encode_segment(DID))).await;
    let mut voiding_statement = one(20);
    voiding_statement["verb"]["id"] = json!("http://adlnet.gov/expapi/verbs/voided");
    voiding_statement["object"] = json!({"objectType": "StatementRef", "id": id(4)});
    let mut other = one(8);
    other["verb"]["id"] = json!("urn:other");
    admin.post(PATH, &json!([one(7), other, voiding_statement])).await.expect(200);
    let more = |page: &Value| page["more"].as_str().expect("`more`").to_owned();
    // What is voided now is gone, what came is newer; the voiding is found by what it voided.
    assert_eq!(
        (page_numbers(&newest), pages(&admin, &more(&newest)).await),
        (vec![6, 5], vec![vec![3, 2], vec![1]])
    );
    assert_eq!(
        (page_numbers(&oldest), pages(&admin, &more(&oldest)).await),
        (vec![1, 2], vec![vec![3, 5], vec![6, 7], vec![20]])
    );
    // It is an address like any other: asked twice it answers twice.
    assert_eq!(pages(&admin, &more(&newest)).await, pages(&admin, &more(&newest)).await);
}

/// `more` is of use to whoever may ask what it asks, and shows each what they may see.
#[apply(both_databases)]
async fn more_shows_each_what_they_may_see(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ours = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    for n in 1..=3 {
        ours.post(PATH, &one(n)).await.expect(200);
        admin.post(PATH, &one(n + 10)).await.expect(200);
    }
    let more = page(&admin, &format!("{PATH}?limit=1")).await["more"].as_str().expect("`more`").to_owned();
    assert_eq!(pages(&admin, &more).await, [[3], [12], [2], [11], [1]]);
    assert_eq!(pages(&ours, &more).await, [[3], [2], [1]]);
    assert_eq!(
        pages(&server.person_of("other", json!({"sub": "root", "role": "admin"})), &more).await,
        [Vec::<usize>::new()]
    );
    server.anonymous().get(&more).await.expect(401);
    for version in ["2.0.0", "1.0.0"] {
        admin
            .send(Method::GET, &more, &[("x-experience-api-version", version)], Vec::new())
            .await
            .expect(200);
    }
    admin.send(Method::HEAD, &more, &[], Vec::new()).await.expect(200);
}

/// A limit is a limit; 0, and more than the server gives, is what the server gives.
#[apply(both_databases)]
async fn a_limit_is_a_limit(server: &TestServer) {
    let admin = server.person("admin", "root");
    let many: Vec<Value> = (1..=1_000).map(one).collect();
    admin.post(PATH, &many).await.expect(200);
    admin.post(PATH, &one(1_001)).await.expect(200);
    for asked in ["", "limit=0", "limit=1000", "limit=1001", "limit=9223372036854775807"] {
        let sizes: Vec<usize> =
            pages(&admin, &format!("{PATH}?{asked}")).await.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1_000, 1], "{asked}");
    }
    assert_eq!(page_numbers(&page(&admin, &format!("{PATH}?limit=1")).await), [1_001]);
    for wrong in
        ["limit=-1", "limit=1e3", "limit=", "limit=one", "limit=1&limit=2", "limit=99999999999999999999999"]
    {
        admin.get(&format!("{PATH}?{wrong}")).await.expect(400);
    }
    for wrong in ["cursor=", "cursor=x", "cursor=1.5", "cursor=9223372036854775808", "more=1"] {
        admin.get(&format!("{PATH}?{wrong}")).await.expect(400);
    }
}
