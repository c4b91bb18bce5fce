//! Tests of `/xapi/statements`: sending, reading, filters, versions and rights.

mod rights;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{Body, mailbox, statement};
use crate::support::http::{Answer, Caller, encode_segment};
use crate::support::records::{
    COMPLETED, PASSED, STATEMENTS as PATH, advance_clock, find_statements, id, page_numbers,
    voiding_statement,
};
use crate::support::{TestServer, apply, both_databases};

/// A statement with number `n`.
fn numbered_statement(n: usize, email: &str, verb: &str, object: &str) -> Body {
    statement(mailbox(email), verb, object).set("id", id(n))
}

async fn send(
    caller: &Caller,
    method: Method,
    path: &str,
    version: &str,
    body: impl Into<Vec<u8>>,
) -> Answer {
    let headers = [("content-type", "application/json"), ("x-experience-api-version", version)];
    caller.send(method, path, &headers, body.into()).await
}

#[apply(both_databases)]
async fn statements_are_sent_with_put_and_post(server: &TestServer) {
    let admin = server.person("admin", "root");
    let one = |n: usize| numbered_statement(n, "ada@example.org", COMPLETED, "urn:c");
    assert_eq!(admin.post(PATH, &one(1)).await.expect(200).json(), json!([id(1)]), "one id is an array too");
    assert_eq!(
        admin.post(PATH, &[one(3), one(2)]).await.expect(200).json(),
        json!([id(3), id(2)]),
        "in the order of the request"
    );
    assert_eq!(admin.post(PATH, &json!([])).await.expect(200).json(), json!([]));
    let put = admin
        .put(
            &format!("{PATH}?statementId={}", id(4)),
            &statement(mailbox("ada@example.org"), COMPLETED, "urn:c"),
        )
        .await
        .expect(204);
    assert!(put.body.is_empty());
    admin.put(&format!("{PATH}?statementId={}", id(4)), &one(4)).await.expect(204);
    let without_id =
        admin.post(PATH, &statement(mailbox("ada@example.org"), COMPLETED, "urn:c")).await.expect(200).json();
    let created_id = without_id[0].as_str().expect("an id").to_owned();
    let stored = admin.get(&format!("{PATH}?statementId={created_id}")).await.expect(200).json();
    assert_eq!(stored["id"], json!(created_id));
    assert_eq!(
        (&stored["timestamp"], &stored["stored"], &stored["version"]),
        (&stored["stored"], &json!("2026-03-18T10:17:23.000Z"), &json!("1.0.0"))
    );
    assert_eq!(
        stored["authority"]["account"],
        json!({"homePage": "https://rollbook.invalid/acme", "name": "root"})
    );
    assert_eq!(find_statements(&admin, "ascending=true&limit=4").await, [1, 3, 2, 4]);
    // The server ignores these members of the client.
    let sent = one(5).set("stored", "1999-01-01T00:00:00Z").set("authority", mailbox("liar@example.org"));
    admin.post(PATH, &sent).await.expect(200);
    let stored = admin.get(&format!("{PATH}?statementId={}", id(5))).await.expect(200).json();
    assert_eq!(
        (&stored["stored"], &stored["authority"]["account"]["name"]),
        (&json!("2026-03-18T10:17:23.000Z"), &json!("root"))
    );
}

#[apply(both_databases)]
async fn batch_of_statements_is_all_or_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    let valid_statement = numbered_statement(1, "ada@example.org", COMPLETED, "urn:c");
    let refused = admin
        .post(
            PATH,
            &[
                valid_statement.json(),
                valid_statement.clone().set("id", id(2)).set("actor", json!({})).json(),
                json!(1),
            ],
        )
        .await
        .expect(400)
        .json();
    let pointers: Vec<&str> = refused["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .filter_map(|error| error["pointer"].as_str())
        .collect();
    assert_eq!(pointers, ["/1/actor", "/2"]);
    let twice =
        admin.post(PATH, &[valid_statement.clone(), valid_statement.clone()]).await.expect(400).json();
    assert_eq!(twice["pointer"], "/1/id");
    assert_eq!(find_statements(&admin, "").await, Vec::<usize>::new());
    admin.post(PATH, &valid_statement).await.expect(200);
    let conflict = [valid_statement.clone().set("id", id(2)), valid_statement.clone().set("verb.id", PASSED)];
    assert_eq!(admin.post(PATH, &conflict).await.expect(409).json()["pointer"], "/1/id");
    assert_eq!(find_statements(&admin, "").await, [1]);
    for (path, body) in [
        (PATH.to_owned(), valid_statement.json()),
        (format!("{PATH}?statementId=x"), valid_statement.json()),
        (format!("{PATH}?statementId={}", id(2)), valid_statement.json()),
        (format!("{PATH}?statementId={}", id(2)), json!([valid_statement.clone().set("id", id(2)).json()])),
        (format!("{PATH}?statementId={}&x=1", id(1)), valid_statement.json()),
    ] {
        admin.put(&path, &body).await.expect(400);
    }
    admin.post(&format!("{PATH}?statementId={}", id(2)), &valid_statement).await.expect(400);
    assert_eq!(find_statements(&admin, "").await, [1]);
}

/// The rules for equal statements (xAPI 1.0.3, Data 2.3.1 and 2.2).
#[apply(both_databases)]
async fn equal_statement_is_stored_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sent = json!({
        "id": id(1), "timestamp": "2026-03-01T10:00:00.000+01:00",
        "actor": {"objectType": "Group", "member": [mailbox("a@example.org"), mailbox("b@example.org")]},
        "verb": {"id": COMPLETED, "display": {"en": "completed"}},
        "object": {"id": "urn:c", "definition": {"name": {"en": "C"}}},
        "result": {"duration": "PT1M0.123S", "score": {"raw": 1.0}},
        "context": {"contextActivities": {"parent": {"id": "urn:p"}}}
    });
    admin.post(PATH, &sent).await.expect(200);
    let first = admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).text().to_owned();
    let with = |pointer: &str, value: Value| {
        let mut changed = sent.clone();
        *changed.pointer_mut(pointer).expect("the member exists") = value;
        changed
    };
    let mut with_server_members = sent.clone();
    with_server_members["stored"] = json!("2020-01-01T00:00:00Z");
    with_server_members["authority"] = mailbox("x@example.org");
    with_server_members["version"] = json!("1.0.0");
    for same in [
        sent.clone(),
        with_server_members,
        with("/timestamp", json!("2026-03-01T09:00:00Z")),
        with("/actor/member", json!([mailbox("b@example.org"), mailbox("a@example.org")])),
        with("/verb/display", json!({"de": "anders"})),
        with("/object/definition", json!({"name": {"en": "Other"}})),
        with("/result/duration", json!("PT1M0.129S")),
        with("/result/score/raw", json!(1)),
        with("/context/contextActivities/parent", json!([{"id": "urn:p"}])),
    ] {
        admin.post(PATH, &same).await.expect(200);
        admin.put(&format!("{PATH}?statementId={}", id(1)), &same).await.expect(204);
    }
    for different in [
        with("/timestamp", json!("2026-03-01T10:00:00Z")),
        with("/actor/member", json!([mailbox("a@example.org"), mailbox("c@example.org")])),
        with("/actor", mailbox("a@example.org")),
        with("/verb/id", json!(PASSED)),
        with("/object/id", json!("urn:d")),
        with("/result/duration", json!("PT1M1S")),
        with("/result/score/raw", json!(2)),
        with("/context/contextActivities/parent/id", json!("urn:q")),
    ] {
        assert_eq!(admin.post(PATH, &different).await.expect(409).json()["pointer"], "/id");
        admin.put(&format!("{PATH}?statementId={}", id(1)), &different).await.expect(409);
    }
    assert_eq!(admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).text(), first);
    assert_eq!(find_statements(&admin, "").await, [1]);
}

#[apply(both_databases)]
async fn statement_is_returned_unchanged(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sent = format!(
        concat!(
            r#"{{"version":"1.0.1","timestamp":"2026-03-01T05:30:00.00041+05:30","id":"{}","verb":{{"display":{{"zh-Hant":"完成","en":"\u0064one \"\\\/\b\f\n\r\t"}},"#,
            r#""id":"{}"}},"result":{{"score":{{"scaled":1e-1,"raw":0.12123434,"min":-0.0,"max":1.50E+2}},"duration":"PT0.12345S","#,
            r#""extensions":{{"https://example.org/z":[1e2,100,100.0,-0,12345678901234567890123,null,{{"b":1,"a":{{}},"":[]}}],"https://example.org/a":"\ud83d\ude00 😀"}}}},"#,
            r#""object":{{"definition":{{"name":{{"en":"é"}}}},"id":"https://example.org/ü?a=b#c"}},"actor":{{"name":"Ada","mbox":"mailto:Ada@Example.ORG"}},"#,
            r#""context":{{"contextActivities":{{"parent":[{{"id":"urn:p"}}],"other":[]}},"language":"sr-Latn-RS"}}}}"#
        ),
        id(1),
        COMPLETED
    );
    send(&admin, Method::POST, PATH, "1.0.3", sent.clone()).await.expect(200);
    let without_last_brace = &sent[..sent.len() - 1];
    let one = admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200);
    assert!(one.text().starts_with(without_last_brace), "{}\n{sent}", one.text());
    let page = admin.get(PATH).await.expect(200);
    assert!(page.text().starts_with(&format!("{{\"statements\":[{without_last_brace}")), "{}", page.text());
    // White space is removed, and a single context activity becomes a list.
    let spaced = sent
        .replace("\",\"", "\" ,\r\n\t\"")
        .replace(&id(1), &id(2))
        .replace("\"parent\":[{\"id\":\"urn:p\"}]", "\"parent\" : {\"id\":\"urn:p\"}");
    send(&admin, Method::POST, PATH, "1.0.3", spaced).await.expect(200);
    let one = admin.get(&format!("{PATH}?statementId={}", id(2))).await.expect(200);
    assert!(one.text().starts_with(&without_last_brace.replace(&id(1), &id(2))), "{}\n{sent}", one.text());
    assert_eq!(one.header("content-type"), Some("application/json"));
}

#[apply(both_databases)]
async fn filters_match_statements(server: &TestServer) {
    let admin = server.person("admin", "root");
    let registration = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";
    let all = [
        numbered_statement(1, "ada@example.org", COMPLETED, "urn:a"),
        numbered_statement(2, "ada@example.org", PASSED, "urn:a")
            .set("verb.display", json!({"en": "passed"})),
        numbered_statement(3, "bo@example.org", PASSED, "urn:b").set("context.registration", registration),
        numbered_statement(4, "bo@example.org", COMPLETED, "urn:b")
            .set("actor", json!({"account": {"homePage": "https://example.org", "name": "bo"}})),
        numbered_statement(5, "bo@example.org", PASSED, "urn:c")
            .set("context.registration", registration)
            .set("timestamp", "1999-01-01T00:00:00Z"),
        numbered_statement(6, "ada@example.org", PASSED, "urn:a")
            .set("verb.display", json!({"de": "bestanden"})),
    ];
    for one in &all {
        admin.post(PATH, one).await.expect(200);
        advance_clock(server, 1);
    }
    let agent = |value: Value| format!("agent={}", encode_segment(&value.to_string()));
    for (parameters, expected) in [
        (String::new(), vec![6, 5, 4, 3, 2, 1]),
        ("ascending=true".to_owned(), vec![1, 2, 3, 4, 5, 6]),
        ("ascending=false&limit=2".to_owned(), vec![6, 5]),
        ("limit=0".to_owned(), vec![6, 5, 4, 3, 2, 1]),
        (format!("verb={}", encode_segment(PASSED)), vec![6, 5, 3, 2]),
        ("activity=urn:a".to_owned(), vec![6, 2, 1]),
        ("activity=urn:none".to_owned(), vec![]),
        (format!("registration={registration}"), vec![5, 3]),
        (agent(mailbox("ada@example.org")), vec![6, 2, 1]),
        (
            agent(json!({"objectType": "Agent", "name": "Whoever", "mbox": "mailto:bo@example.org"})),
            vec![5, 3],
        ),
        (agent(json!({"account": {"homePage": "https://example.org", "name": "bo"}})), vec![4]),
        (agent(json!({"account": {"homePage": "https://example.com", "name": "bo"}})), vec![]),
        ("since=2026-03-18T10:17:25.000Z".to_owned(), vec![6, 5, 4]),
        ("until=2026-03-18T10:17:25.000Z".to_owned(), vec![3, 2, 1]),
        ("since=2026-03-18T11:17:23.000%2B01:00&until=2026-03-18T10:17:24.999Z".to_owned(), vec![2]),
        (
            format!(
                "{}&verb={}&activity=urn:a&ascending=true",
                agent(mailbox("ada@example.org")),
                encode_segment(PASSED)
            ),
            vec![2, 6],
        ),
    ] {
        assert_eq!(find_statements(&admin, &parameters).await, expected, "{parameters}");
        // The pages contain the same statements.
        let mut pages = Vec::new();
        let mut next = format!("{PATH}?{parameters}{}limit=1", if parameters.is_empty() { "" } else { "&" });
        if parameters.contains("limit=") {
            continue;
        }
        while !next.is_empty() {
            let page = admin.get(&next).await.expect(200).json();
            pages.extend(page_numbers(&page));
            next = page["more"].as_str().expect("every page has `more`").to_owned();
            assert!(next.is_empty() || next.starts_with("/xapi/statements?"), "{next}");
        }
        assert_eq!(pages, expected, "{parameters}, pages");
    }
    assert_eq!(admin.get(&format!("{PATH}?limit=6")).await.expect(200).json()["more"], "");
}

#[apply(both_databases)]
async fn invalid_parameter_is_named_in_the_problem(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &numbered_statement(1, "ada@example.org", COMPLETED, "urn:a")).await.expect(200);
    let one = id(1);
    for parameters in [
        "foo=1",
        "Limit=1",
        "statementid=x",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=",
        "ascending=yes",
        "since=x",
        "until=2026-02-30T00:00:00Z",
        "agent=x",
        "agent=%7B%7D",
        "agent=%5B%5D",
        "agent=%7B%22mbox%22:%22ada%22%7D",
        "agent=%7B%22mbox%22:%22mailto:a@b.c%22,%22openid%22:%22urn:x%22%7D",
        "verb=completed",
        "activity=a",
        "registration=x",
        "format=full",
        "statementId=x",
        "voidedStatementId=x",
        "limit=1&limit=2",
        "attachments=maybe",
    ] {
        let refused = admin.get(&format!("{PATH}?{parameters}")).await.expect(400);
        assert!(refused.json()["errors"][0]["parameter"].is_string(), "{parameters}");
        assert!(
            refused.header("x-experience-api-consistent-through").is_some(),
            "{parameters}: errors have the header too"
        );
    }
    for other_parameter in [
        "verb=urn:v",
        "agent=x",
        "limit=1",
        "ascending=true",
        "since=2026-01-01T00:00:00Z",
        "activity=urn:a",
        "voidedStatementId=00000000-0000-4000-8000-000000000001",
    ] {
        admin.get(&format!("{PATH}?statementId={one}&{other_parameter}")).await.expect(400);
    }
    for other_parameter in ["format=exact", "format=ids", "format=canonical", "attachments=false"] {
        admin.get(&format!("{PATH}?statementId={one}&{other_parameter}")).await.expect(200);
    }
    admin.get(&format!("{PATH}?statementId={}", id(2))).await.expect(404);
    admin.get(&format!("{PATH}?voidedStatementId={one}")).await.expect(404);
}

#[apply(both_databases)]
async fn voided_statement_is_read_with_voided_statement_id(server: &TestServer) {
    let admin = server.person("admin", "root");
    let one = |n: usize| numbered_statement(n, "ada@example.org", COMPLETED, "urn:c");
    let statuses = async |n: usize| {
        let valid = admin.get(&format!("{PATH}?statementId={}", id(n))).await.status;
        (valid, admin.get(&format!("{PATH}?voidedStatementId={}", id(n))).await.status)
    };
    admin.post(PATH, &[one(1), one(2)]).await.expect(200);
    admin.post(PATH, &voiding_statement(11, 1)).await.expect(200);
    assert_eq!((statuses(1).await, statuses(2).await), ((404, 200), (200, 404)));
    // The voiding arrives before its target, in one request before it, and without target.
    admin.post(PATH, &voiding_statement(13, 3)).await.expect(200);
    assert_eq!(statuses(3).await, (404, 404));
    admin.post(PATH, &one(3)).await.expect(200);
    admin.post(PATH, &json!([voiding_statement(14, 4), one(4)])).await.expect(200);
    assert_eq!((statuses(3).await, statuses(4).await), ((404, 200), (404, 200)));
    // A voiding can't be voided, in either order.
    admin.post(PATH, &voiding_statement(21, 11)).await.expect(200);
    admin.post(PATH, &voiding_statement(23, 22)).await.expect(200);
    admin.post(PATH, &voiding_statement(22, 2)).await.expect(200);
    assert_eq!(
        (statuses(11).await, statuses(22).await, statuses(2).await),
        ((200, 404), (200, 404), (404, 200))
    );
    assert_eq!(find_statements(&admin, "ascending=true").await, [11, 13, 14, 21, 23, 22]);
    // What was about it is voided; the voidings are about that (Communication 2.1.3).
    assert_eq!(find_statements(&admin, "activity=urn:c").await, [22, 23, 21, 14, 13, 11]);
    for bad in [
        json!({"objectType": "Activity", "id": "urn:x"}),
        json!({"id": "urn:x"}),
        mailbox("a@example.org"),
        json!({"objectType": "StatementRef", "id": "x"}),
    ] {
        let mut sent = voiding_statement(31, 1);
        sent["object"] = bad;
        admin.post(PATH, &sent).await.expect(400);
    }
}

#[apply(both_databases)]
async fn version_of_the_request_and_answer(server: &TestServer) {
    let admin = server.person("admin", "root");
    let body = numbered_statement(1, "ada@example.org", COMPLETED, "urn:a").json().to_string();
    for (parameters, answered) in [
        ("1.0", "1.0.3"),
        ("1.0.0", "1.0.3"),
        ("1.0.3", "1.0.3"),
        ("1.0.99", "1.0.3"),
        ("2.0", "2.0.0"),
        ("2.0.0", "2.0.0"),
    ] {
        let answer = send(&admin, Method::GET, PATH, parameters, "").await.expect(200);
        assert_eq!(answer.header("x-experience-api-version"), Some(answered), "{parameters}");
        let posted = send(&admin, Method::POST, PATH, parameters, body.clone()).await.expect(200);
        assert_eq!(posted.header("x-experience-api-version"), Some(answered));
        let refused = send(&admin, Method::GET, &format!("{PATH}?x=1"), parameters, "").await.expect(400);
        assert_eq!(refused.header("x-experience-api-version"), Some(answered), "errors have the version too");
    }
    for parameters in [
        "",
        "0.95",
        "0.9",
        "1",
        "1.1.0",
        "1.0.",
        "1.0.x",
        "1.0.3.1",
        "3.0.0",
        "2.1",
        "latest",
        "1.0.3, 2.0.0",
    ] {
        for (method, text) in [(Method::GET, ""), (Method::POST, body.as_str()), (Method::PUT, body.as_str())]
        {
            let answer = send(&admin, method, &format!("{PATH}?statementId={}", id(9)), parameters, text)
                .await
                .expect(400);
            assert_eq!(answer.header("x-experience-api-version"), Some("0.95"), "{parameters:?}");
        }
    }
    // The stored version of a statement does not change. A missing version is the one of the request.
    for (n, parameters, own, stored) in [
        (2, "1.0.3", None, "1.0.0"),
        (3, "2.0.0", None, "2.0.0"),
        (4, "1.0.3", Some("1.0.2"), "1.0.2"),
        (5, "2.0.0", Some("1.0.0"), "1.0.0"),
        (6, "2.0.0", Some("2.0.0"), "2.0.0"),
    ] {
        let sent = numbered_statement(n, "ada@example.org", COMPLETED, "urn:a")
            .set_option("version", own)
            .json()
            .to_string();
        send(&admin, Method::POST, PATH, parameters, sent).await.expect(200);
        assert_eq!(
            admin.get(&format!("{PATH}?statementId={}", id(n))).await.expect(200).json()["version"],
            stored
        );
    }
    for (parameters, own) in [("1.0.3", "2.0.0"), ("1.0.3", "0.9.9"), ("1.0.3", "1.1.0"), ("2.0.0", "2.1.0")]
    {
        let sent = numbered_statement(7, "ada@example.org", COMPLETED, "urn:a")
            .set("version", own)
            .json()
            .to_string();
        assert_eq!(
            send(&admin, Method::POST, PATH, parameters, sent).await.expect(400).json()["pointer"],
            "/version"
        );
    }
    // Context agents exist only in 2.0.0.
    let agents = numbered_statement(8, "ada@example.org", COMPLETED, "urn:a").set(
        "context.contextAgents",
        json!([{"objectType": "contextAgent", "agent": mailbox("b@example.org")}]),
    );
    send(&admin, Method::POST, PATH, "1.0.3", agents.json().to_string()).await.expect(400);
    send(&admin, Method::POST, PATH, "2.0.0", agents.json().to_string()).await.expect(200);
}

#[apply(both_databases)]
async fn every_answer_has_consistent_through(server: &TestServer) {
    let admin = server.person("admin", "root");
    let through = |answer: &Answer| {
        let text = answer.header("x-experience-api-consistent-through").expect("the header").to_owned();
        assert!(chrono::DateTime::parse_from_rfc3339(&text).is_ok(), "{text}");
        text
    };
    through(&admin.get(PATH).await.expect(200));
    admin.post(PATH, &numbered_statement(1, "ada@example.org", COMPLETED, "urn:a")).await.expect(200);
    let first = admin.get(PATH).await.expect(200);
    // Later statements are stored after this time.
    admin.post(PATH, &numbered_statement(2, "ada@example.org", COMPLETED, "urn:a")).await.expect(200);
    let stored = admin.get(&format!("{PATH}?statementId={}", id(2))).await.expect(200);
    assert!(stored.json()["stored"].as_str().expect("a time") > through(&first).as_str());
    through(&stored);
    through(&admin.get(&format!("{PATH}?statementId={}", id(3))).await.expect(404));
}

#[apply(both_databases)]
async fn body_must_be_json_or_multipart(server: &TestServer) {
    let admin = server.person("admin", "root");
    let body = numbered_statement(1, "ada@example.org", COMPLETED, "urn:a").json().to_string();
    for kind in [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        for (method, path) in
            [(Method::POST, PATH.to_owned()), (Method::PUT, format!("{PATH}?statementId={}", id(1)))]
        {
            admin.send(method, &path, &[("content-type", kind)], body.clone().into_bytes()).await.expect(400);
        }
    }
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON"] {
        admin
            .send(Method::POST, PATH, &[("content-type", kind)], body.clone().into_bytes())
            .await
            .expect(200);
    }
}
