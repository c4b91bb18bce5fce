//! Tests of pages of statements (xAPI 1.0.3, Communication 2.1.3 and Data 2.5): order, `since`, `until`,
//! `limit` and `more`. Concurrent writes are tested in `consistency.rs`.

use reqwest::Method;
use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{STATEMENTS as PATH, id, page_numbers};
use crate::support::{TestServer, apply, both_databases};

const DID: &str = "https://example.org/verbs/did";

fn numbered_statement(n: usize) -> Value {
    statement(mailbox("ada@example.org"), DID, "urn:thing").set("id", id(n)).json()
}

async fn get_page(caller: &Caller, path: &str) -> Value {
    caller.get(path).await.expect(200).json()
}

/// The numbers of the statements on each page.
async fn get_pages(caller: &Caller, path: &str) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    let mut next = path.to_owned();
    while !next.is_empty() {
        let page = get_page(caller, &next).await;
        all.push(page_numbers(&page));
        next = page["more"].as_str().expect("every page has `more`").to_owned();
    }
    all
}

/// Statements of one request have the same time of storing, and the order of the request.
#[apply(both_databases)]
async fn order_is_the_order_of_recording(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin
        .post(PATH, &json!([numbered_statement(3), numbered_statement(1), numbered_statement(2)]))
        .await
        .expect(200);
    admin.post(PATH, &json!([numbered_statement(9), numbered_statement(8)])).await.expect(200);
    // The timestamp does not matter.
    let mut old = numbered_statement(4);
    old["timestamp"] = json!("1999-01-01T00:00:00Z");
    admin.post(PATH, &old).await.expect(200);
    assert_eq!(get_pages(&admin, &format!("{PATH}?limit=2&ascending=true")).await, [[3, 1], [2, 9], [8, 4]]);
    assert_eq!(get_pages(&admin, &format!("{PATH}?limit=4")).await, [vec![4, 8, 9, 2], vec![1, 3]]);
    assert_eq!(get_pages(&admin, &format!("{PATH}?limit=6")).await.len(), 1, "no empty page at the end");
}

/// `since` is exclusive and `until` inclusive, with milliseconds, in any zone.
#[apply(both_databases)]
async fn since_is_exclusive_and_until_inclusive(server: &TestServer) {
    let admin = server.person("admin", "root");
    for n in 1..=4 {
        admin.post(PATH, &json!([numbered_statement(n), numbered_statement(n + 10)])).await.expect(200);
        server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 1_000));
    }
    let stored = async |n: usize| {
        get_page(&admin, &format!("{PATH}?statementId={}", id(n))).await["stored"]
            .as_str()
            .expect("a time")
            .to_owned()
    };
    let (second, third) = (stored(2).await, stored(3).await);
    assert_eq!(stored(12).await, second, "statements of one request have one time");
    assert!(second < third);
    let find_numbers =
        async |query: &str| page_numbers(&get_page(&admin, &format!("{PATH}?ascending=true&{query}")).await);
    assert_eq!(find_numbers(&format!("since={second}")).await, [3, 13, 4, 14]);
    assert_eq!(find_numbers(&format!("until={second}")).await, [1, 11, 2, 12]);
    assert_eq!(find_numbers(&format!("since={second}&until={third}")).await, [3, 13]);
    assert_eq!(find_numbers(&format!("since={third}&until={second}")).await, Vec::<usize>::new());
    assert_eq!(
        find_numbers(&format!("since={}", encode_segment(&second.replace('Z', "+00:00")))).await,
        [3, 13, 4, 14]
    );
    let at = chrono::DateTime::parse_from_rfc3339(&third).expect("a time");
    let in_other_zone =
        at.with_timezone(&chrono::FixedOffset::west_opt(34_200).expect("an offset")).to_rfc3339();
    assert_eq!(
        find_numbers(&format!("until={}&verb={}", encode_segment(&in_other_zone), encode_segment(DID))).await,
        [1, 11, 2, 12, 3, 13]
    );
    // A time with more digits than the stored ones.
    let with_more_digits = second.replace('Z', "999Z");
    assert_eq!(find_numbers(&format!("since={with_more_digits}&limit=2")).await, [3, 13]);
    assert_eq!(find_numbers(&format!("until={with_more_digits}&limit=9")).await, [1, 11, 2, 12]);
    // The extreme times find nothing or everything.
    assert_eq!(find_numbers("until=1970-01-01T00:00:00Z").await, Vec::<usize>::new());
    assert_eq!(find_numbers("since=9999-12-31T23:59:59Z").await, Vec::<usize>::new());
    assert_eq!(find_numbers("since=0000-01-01T00:00:00Z&until=9999-12-31T23:59:59Z").await.len(), 8);
}

/// New statements do not change the following pages.
#[apply(both_databases)]
async fn more_continues_after_the_page(server: &TestServer) {
    let admin = server.person("admin", "root");
    for n in 1..=6 {
        admin.post(PATH, &numbered_statement(n)).await.expect(200);
    }
    let newest = get_page(&admin, &format!("{PATH}?limit=2&verb={}", encode_segment(DID))).await;
    let oldest =
        get_page(&admin, &format!("{PATH}?limit=2&ascending=true&verb={}", encode_segment(DID))).await;
    let mut voiding_statement = numbered_statement(20);
    voiding_statement["verb"]["id"] = json!("http://adlnet.gov/expapi/verbs/voided");
    voiding_statement["object"] = json!({"objectType": "StatementRef", "id": id(4)});
    let mut other = numbered_statement(8);
    other["verb"]["id"] = json!("urn:other");
    admin.post(PATH, &json!([numbered_statement(7), other, voiding_statement])).await.expect(200);
    let more = |page: &Value| page["more"].as_str().expect("`more`").to_owned();
    // The voided statement is missing, newer statements are not on the page, and the voiding is found
    // through its target.
    assert_eq!(
        (page_numbers(&newest), get_pages(&admin, &more(&newest)).await),
        (vec![6, 5], vec![vec![3, 2], vec![1]])
    );
    assert_eq!(
        (page_numbers(&oldest), get_pages(&admin, &more(&oldest)).await),
        (vec![1, 2], vec![vec![3, 5], vec![6, 7], vec![20]])
    );
    // The address can be used repeatedly.
    assert_eq!(get_pages(&admin, &more(&newest)).await, get_pages(&admin, &more(&newest)).await);
}

/// `more` works for the caller that got it, with the authorisation and the version alone.
#[apply(both_databases)]
async fn more_belongs_to_its_caller(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sending_credential = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    for n in 1..=3 {
        sending_credential.post(PATH, &numbered_statement(n)).await.expect(200);
        admin.post(PATH, &numbered_statement(n + 10)).await.expect(200);
    }
    let more =
        get_page(&admin, &format!("{PATH}?limit=1")).await["more"].as_str().expect("`more`").to_owned();
    assert_eq!(get_pages(&admin, &more).await, [[3], [12], [2], [11], [1]]);
    let own = get_page(&sending_credential, &format!("{PATH}?limit=1")).await;
    assert_eq!(page_numbers(&own), [3]);
    assert_eq!(get_pages(&sending_credential, own["more"].as_str().expect("`more`")).await, [[2], [1]]);
    let namesake = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    for other in [&sending_credential, &namesake] {
        assert_eq!(other.get(&more).await.expect(400).json()["code"], "bad-cursor");
    }
    server.anonymous().get(&more).await.expect(401);
    for version in ["2.0.0", "1.0.0"] {
        admin
            .send(Method::GET, &more, &[("x-experience-api-version", version)], Vec::new())
            .await
            .expect(200);
    }
    admin.send(Method::HEAD, &more, &[], Vec::new()).await.expect(200);
}

/// The limit 0, or one above the server's limit, means the server's limit.
#[apply(both_databases)]
async fn limit_is_respected(server: &TestServer) {
    let admin = server.person("admin", "root");
    let many: Vec<Value> = (1..=1_000).map(numbered_statement).collect();
    admin.post(PATH, &many).await.expect(200);
    admin.post(PATH, &numbered_statement(1_001)).await.expect(200);
    for query in ["", "limit=0", "limit=1000", "limit=1001", "limit=9223372036854775807"] {
        let sizes: Vec<usize> =
            get_pages(&admin, &format!("{PATH}?{query}")).await.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1_000, 1], "{query}");
    }
    assert_eq!(page_numbers(&get_page(&admin, &format!("{PATH}?limit=1")).await), [1_001]);
    for wrong in
        ["limit=-1", "limit=1e3", "limit=", "limit=one", "limit=1&limit=2", "limit=99999999999999999999999"]
    {
        admin.get(&format!("{PATH}?{wrong}")).await.expect(400);
    }
    for wrong in ["cursor=", "cursor=x", "cursor=1.5", "cursor=9223372036854775808", "more=1"] {
        admin.get(&format!("{PATH}?{wrong}")).await.expect(400);
    }
}
