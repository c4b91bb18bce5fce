//! Tests of extreme values: numbers, nesting, dates, ids and lengths.

use reqwest::Method;
use serde_json::{Value, json};

use super::{count_stored, full_statement, set_up};
use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::http::{Caller, encode_segment, query};
use crate::support::records::VIEWED;
use crate::support::{TestServer, apply, both_databases};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

async fn post_text(caller: &Caller, path: &str, text: impl Into<Vec<u8>>) -> crate::support::http::Answer {
    caller.send(Method::POST, path, JSON, text.into()).await
}

/// The text of a statement in which one member has this JSON text.
fn statement_with(member: &str, text: &str) -> String {
    let mut body = statement(mailbox("ada@example.org"), VIEWED, "https://example.org/c").json();
    let mut inner = &mut body;
    for name in member.split('.') {
        if inner.get(name).is_none() {
            inner[name] = json!({});
        }
        inner = &mut inner[name];
    }
    *inner = json!("!here");
    body.to_string().replace("\"!here\"", text)
}

/// Checks that every time of an activity is a valid RFC 3339 time.
fn assert_valid_times(row: &Value) {
    for pointer in
        ["/happened_at", "/stored_at", "/expired_at", "/certificate/awarded_at", "/certificate/expires_at"]
    {
        if let Some(Value::String(text)) = row.pointer(pointer) {
            assert!(
                text.len() == 24 && text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok(),
                "{pointer}: {text}"
            );
        }
    }
}

#[apply(both_databases)]
async fn huge_numbers_are_refused_or_stored_exactly(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let before = count_stored(&admin).await;
    let huge = [
        "1e400",
        "-1e400",
        "1e99999999999999999999",
        "10000000000000000000000000000000000000000",
        &"9".repeat(400),
        &format!("0.{}1", "0".repeat(400)),
    ];
    for number in ["1e400", "-1e400", "1e99999999999999999999", &"9".repeat(400)] {
        for member in ["raw", "min", "max", "scaled"] {
            let refused = post_text(
                &admin,
                "/xapi/statements",
                statement_with(&format!("result.score.{member}"), number),
            )
            .await
            .expect(400)
            .json();
            let pointer = refused["pointer"].as_str().expect("a pointer");
            assert!(pointer.starts_with("/result/score"), "{member} {number}: {pointer}");
        }
        for member in ["score", "total_time"] {
            let text = activity("ada", "viewed")
                .set("content", "fire")
                .set(&format!("result.{member}"), "!here")
                .json()
                .to_string();
            let refused = post_text(&admin, "/v1/activities", text.replace("\"!here\"", number))
                .await
                .expect(400)
                .json();
            assert_eq!(refused["pointer"], format!("/result/{member}"), "{number}");
        }
    }
    for mark in ["1e400", "-1", "100.0001", "1e2e3", "NaN", "Infinity", "01", "0x10"] {
        let text = format!("{{\"title\":\"T\",\"pass_mark\":{mark}}}");
        admin.send(Method::PUT, "/v1/contents/q", JSON, text.into_bytes()).await.expect(400);
    }
    for time in ["PT1e400S", &format!("PT{}S", "9".repeat(400)), "-PT1S", "PT1.S", "P", "PT"] {
        let answer = post_text(
            &admin,
            "/xapi/statements",
            statement_with("result.duration", &json!(time).to_string()),
        )
        .await;
        assert!([200, 400].contains(&answer.status), "{time}: {}", answer.status);
    }
    let after = count_stored(&admin).await;
    for row in admin.list("/v1/activities", "activities").await {
        assert!(row["result"]["total_time"]["seconds"].as_i64().is_some_and(|seconds| seconds >= 0), "{row}");
    }
    assert_eq!(
        after["contents"],
        json!(
            before["contents"].as_u64().expect("a number")
                + after["activities"].as_u64().expect("a number").min(1)
        )
    );
    // Extensions keep all digits of numbers.
    for number in huge {
        let mut sent =
            statement_with("context.extensions", "{\"https://example.org/n\":!n}").replace("!n", number);
        let id = format!("00000000-0000-4000-8000-{:012}", number.len());
        sent = sent.replacen('{', &format!("{{\"id\":\"{id}\","), 1);
        // Numbers of equal length have the same id: the second statement is a conflict.
        post_text(&admin, "/xapi/statements", sent).await.expect_one_of(&[200, 409]);
    }
    let text = admin.get("/xapi/statements?limit=1").await.expect(200);
    assert!(text.text().contains(&format!("0.{}1", "0".repeat(400))), "{}", text.text());
}

#[apply(both_databases)]
async fn largest_valid_numbers_are_stored(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    for (raw, min, max) in [
        ("1.7976931348623157e308", "-1.7976931348623157e308", "1.7976931348623157e308"),
        ("5e-324", "0", "1e-320"),
        ("-0.0", "-1", "1e2"),
    ] {
        let score = format!("{{\"raw\":{raw},\"min\":{min},\"max\":{max}}}");
        post_text(&admin, "/xapi/statements", statement_with("result.score", &score)).await.expect(200);
    }
    let rows = admin.list("/v1/activities?sort=happened_at", "activities").await;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["result"]["score"]["percent"], 100, "{}", rows[0]);
    let csv = admin.get("/v1/activities/export.csv").await.expect(200);
    assert_eq!(csv.csv().1.len(), 3);
}

#[apply(both_databases)]
async fn deep_nesting_is_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let before = count_stored(&admin).await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"https://example.org/x\":", "}]")] {
        for (depth, closed) in [(10_000, true), (10_000, false), (500, true)] {
            let inner = format!(
                "{}1{}",
                open.repeat(depth),
                if closed { close.repeat(depth) } else { String::new() }
            );
            for path in [
                "/xapi/statements",
                "/v1/activities",
                "/v1/activities/batch",
                "/v1/users/batch",
                "/v1/contents/batch",
                "/v1/credentials",
            ] {
                let accepts_ndjson = !["/v1/activities", "/v1/credentials"].contains(&path);
                post_text(&admin, path, inner.clone()).await.expect(400);
                post_text(&admin, path, format!("[{inner}]")).await.expect(400);
                admin
                    .send(
                        Method::POST,
                        path,
                        &[("content-type", "application/x-ndjson")],
                        inner.clone().into_bytes(),
                    )
                    .await
                    .expect(if accepts_ndjson { 400 } else { 415 });
            }
            let refused = post_text(
                &admin,
                "/xapi/statements",
                statement_with("result.extensions", &format!("{{\"https://example.org/x\":{inner}}}")),
            )
            .await;
            let refused = refused.expect(400).json();
            if closed {
                let pointer = refused["pointer"].as_str().expect("a pointer");
                assert!(pointer.starts_with("/result/extensions/https:~1~1example.org~1x/"), "{pointer}");
            }
            admin
                .send(Method::PUT, "/v1/users/x", JSON, format!("{{\"custom\":{inner}}}").into_bytes())
                .await
                .expect(400);
            admin.send(Method::PATCH, "/v1/organisation", JSON, inner.into_bytes()).await.expect(400);
        }
    }
    assert_eq!(count_stored(&admin).await, before);
}

#[apply(both_databases)]
async fn invalid_times_are_refused_and_unusual_ones_are_stored(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let before = count_stored(&admin).await;
    for bad in [
        "",
        "now",
        "2026",
        "2026-02",
        "2026-02-30T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "+10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T24:00:01Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00+99:99",
        "2026-01-01T00:00:00-00:00",
        "2026-01-01T00:00:00ZZ",
        "2026-01-01T00:00:00.Z",
        "01/011/2015",
        "٢٠٢٦-01-01T00:00:00Z",
        "2026-W01-1T00:00:00Z",
        "1767225600",
        "9999-12-31T23:59:59-01:00",
        "0000-01-01T00:00:00+01:00",
    ] {
        let sent = statement(mailbox("a@example.org"), VIEWED, "urn:c").set("timestamp", bad);
        let refused = admin.post("/xapi/statements", &sent).await.expect(400).json();
        assert_eq!(refused["pointer"], "/timestamp", "{bad}");
        for member in ["happened_at", "expired_at", "certificate.expires_at"] {
            let sent = activity("ada", "viewed").set("content", "fire").set(member, bad);
            let refused = admin.post("/v1/activities", &sent).await.expect(400).json();
            assert_eq!(refused["pointer"], format!("/{}", member.replace('.', "/")), "{bad}");
        }
        for parameter in ["from", "to"] {
            admin.get(&format!("/v1/activities?{parameter}={}", encode_segment(bad))).await.expect(400);
        }
        for parameter in ["since", "until"] {
            admin.get(&format!("/xapi/statements?{parameter}={}", encode_segment(bad))).await.expect(400);
        }
        admin.put("/v1/contents/x", &content("x", "item").set("archived_at", bad)).await.expect(400);
    }
    for bad in ["2026-02-30", "10000-01-01", "2026-1-1", "0", "2026-01-01T00:00:00Z"] {
        admin.put("/v1/users/x", &user("x").set("joined_on", bad)).await.expect(400);
    }
    assert_eq!(count_stored(&admin).await, before);

    // The limits of the calendar and a leap second are stored, sorted, and shown as valid times.
    admin
        .put(
            "/v1/contents/long",
            &content("long", "quiz")
                .set("expires_after", "P9999Y")
                .set("certificate", json!({"name": "C", "expires_after": "P99999D"})),
        )
        .await
        .expect(201);
    for (n, good) in [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1582-10-10T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "2016-12-31T23:59:60Z",
        "9999-12-31T23:59:59.999999Z",
    ]
    .into_iter()
    .enumerate()
    {
        let sent = activity("ada", "completed")
            .set("content", "long")
            .set("happened_at", good)
            .set("comment", Value::Null);
        let created = admin.post("/v1/activities", &sent).await;
        assert!([201, 400].contains(&created.status), "{n} {good}: {}", created.status);
        if created.status == 201 {
            assert_valid_times(&created.json());
        }
    }
    let rows = admin.list("/v1/activities?sort=happened_at&limit=1", "activities").await;
    assert!(rows.len() >= 4, "{rows:#?}");
    rows.iter().for_each(assert_valid_times);
    let times: Vec<&str> = rows.iter().map(|row| row["happened_at"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(admin.get("/v1/activities/export.csv").await.expect(200).csv().1.len(), rows.len());
    for query in [
        "from=0001-01-01",
        "to=9999-12-31",
        "from=9999-12-31T23:59:59Z",
        "certificate_expires_within=P9999Y",
        "certificate_expires_within=P99999999999Y",
        "period=today&tz=Pacific/Kiritimati",
    ] {
        let answer = admin.get(&format!("/v1/activities?{query}")).await;
        assert!([200, 400].contains(&answer.status), "{query}: {}", answer.status);
    }
}

#[apply(both_databases)]
async fn long_texts_are_stored_or_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let long = |length: usize| {
        // Text that does not compress, because an index could store compressible text.
        let mut state = 7_u32;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(b'a' + (state >> 24) as u8 % 26)
            })
            .collect::<String>()
    };
    let text = long(100_000);
    let iri = format!("https://example.org/{text}");
    let mut accepted = 0;
    for (member, value) in [
        ("object.id", json!(iri)),
        ("verb.id", json!(iri)),
        ("verb.display", json!({"en": text})),
        ("object.definition", json!({"name": {"en": text}, "description": {"en": text}})),
        ("object.definition", json!({"type": iri})),
        ("actor", json!({"name": text, "mbox": "mailto:ada@example.org"})),
        ("actor", json!({"openid": iri})),
        ("actor", json!({"account": {"homePage": iri, "name": "a"}})),
        ("actor", json!({"account": {"homePage": "https://example.org", "name": text}})),
        ("actor", json!({"mbox": format!("mailto:{text}@example.org")})),
        ("context.platform", json!(text)),
        ("context.extensions", json!({ iri.clone(): text })),
        ("result.response", json!(text)),
        ("context.contextActivities.parent", json!([{"id": iri}])),
    ] {
        let sent = statement(mailbox("bo@example.org"), VIEWED, "https://example.org/c").set(member, value);
        let answer = admin.post("/xapi/statements", &sent).await;
        assert!(
            [200, 400].contains(&answer.status),
            "{member}: {} {}",
            answer.status,
            &answer.text()[..answer.text().len().min(500)]
        );
        if answer.status == 200 {
            accepted += 1;
            let id = answer.json()[0].as_str().expect("an id").to_owned();
            admin.get(&format!("/v1/activities/{id}")).await.expect(200);
            let stored = admin.get(&format!("/xapi/statements?statementId={id}")).await.expect(200);
            assert!(stored.text().contains(&text), "{member}");
            // An equal statement is found.
            admin.post("/xapi/statements", &sent).await.expect(200);
        }
    }
    assert!(accepted >= 12, "{accepted}");
    let rows = admin.list("/v1/activities?limit=3", "activities").await;
    assert_eq!(rows.len(), 2 * accepted);
    assert_eq!(admin.get("/v1/activities/export.csv").await.expect(200).csv().1.len(), rows.len());
    for path in ["contents", "users"] {
        let whole = admin.get(&format!("/v1/{path}?limit=1000")).await.expect(200).json();
        let all = whole[path].as_array().expect("a list").len();
        assert_eq!(admin.list(&format!("/v1/{path}?limit=1"), path).await.len(), all, "{path}, pages");
    }
}

#[apply(both_databases)]
async fn long_ids_and_titles_are_limited(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let before = count_stored(&admin).await;
    let long = "x".repeat(256);
    for path in ["users", "teams", "groups", "contents"] {
        let body = json!({"name": "T", "title": "T"});
        let body = if path == "users" {
            json!({})
        } else if path == "contents" {
            json!({"title": body["title"]})
        } else {
            json!({"name": "T"})
        };
        admin.put(&format!("/v1/{path}/{long}"), &body).await.expect(400);
        admin.get(&format!("/v1/{path}/{long}")).await.expect(404);
        admin.get(&format!("/v1/{path}/{}", "x".repeat(33_000))).await.expect(414);
        let refused = admin
            .post(&format!("/v1/{path}/batch"), &json!([{"id": long, "name": "T", "title": "T"}]))
            .await
            .expect(400)
            .json();
        assert!(refused["pointer"].as_str().expect("a pointer").starts_with("/0"), "{path}: {refused}");
    }
    for (member, length, pointer) in [
        ("user", 256, "/user"),
        ("content", 100_001, "/content"),
        ("device_type", 256, "/device_type"),
        ("source", 256, "/source"),
    ] {
        let sent = activity("ada", "viewed").set("content", "fire").set(member, "ü".repeat(length));
        let refused = admin.post("/v1/activities", &sent).await.expect(400).json();
        assert_eq!(refused["pointer"], pointer);
    }
    let long_title = activity("ada", "viewed")
        .set("content", json!({"id": "n", "type": "item", "title": "ü".repeat(1_001)}));
    assert_eq!(
        admin.post("/v1/activities", &long_title).await.expect(400).json()["pointer"],
        "/content/title"
    );
    admin.post("/v1/credentials", &json!({"name": "x".repeat(10_000), "scopes": ["all"]})).await.expect(400);
    admin.patch("/v1/organisation", &json!({"name": "x".repeat(100_000)})).await.expect(400);
    assert_eq!(count_stored(&admin).await, before);
    // The longest values are accepted. Characters count, not bytes.
    let id = "ü".repeat(255);
    admin.put(&format!("/v1/users/{}", encode_segment(&id)), &user(&id)).await.expect(201);
    admin
        .put(&format!("/v1/contents/{}", encode_segment(&id)), &content(&id, "quiz").set("tags", json!([id])))
        .await
        .expect(201);
    let created = admin
        .post("/v1/activities", &activity(&id, "viewed").set("content", id.as_str()))
        .await
        .expect(201)
        .json();
    assert_eq!((&created["user"]["id"], &created["content"]["id"]), (&json!(id), &json!(id)));
    for name in ["user", "content", "tag"] {
        assert_eq!(
            admin.list(&format!("/v1/activities?{name}={}", encode_segment(&id)), "activities").await.len(),
            1,
            "{name}"
        );
    }
}

#[apply(both_databases)]
async fn invalid_ids_are_not_found(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let sent = full_statement();
    admin.post("/xapi/statements", &sent).await.expect(200);
    for id in [
        "x",
        "1",
        "00000000-0000-4000-8000-00000000000",
        "00000000-0000-4000-8000-0000000000011",
        "%F0%9F%94%A5",
        "..",
        "{}",
        "null",
    ] {
        for path in ["/v1/activities", "/v1/credentials"] {
            let answer = admin.get(&format!("{path}/{id}")).await;
            assert!([404, 405, 200].contains(&answer.status), "{path}/{id}: {}", answer.status);
            if id != ".." {
                answer.expect(404);
                admin.delete(&format!("{path}/{id}")).await.expect(404);
            }
        }
        if id != ".." {
            admin.get(&format!("/xapi/statements?statementId={id}")).await.expect(400);
            let put = admin
                .put(
                    &format!("/xapi/statements?statementId={id}"),
                    &statement(mailbox("a@example.org"), VIEWED, "urn:x"),
                )
                .await;
            put.expect(400);
        }
    }
    // Ids are compared without case.
    let id = sent["id"].as_str().expect("an id").to_uppercase();
    admin.get(&format!("/v1/activities/{id}")).await.expect(200);
    admin.get(&format!("/xapi/statements?statementId={id}")).await.expect(200);
}

#[apply(both_databases)]
async fn query_with_the_maximum_of_values_is_answered(server: &TestServer) {
    let admin = server.person("admin", "root");
    let custom: Value =
        (0..100).map(|field| (format!("f{field}"), json!("v0"))).collect::<serde_json::Map<_, _>>().into();
    admin.put("/v1/teams/n0", &json!({"name": "N"})).await.expect(201);
    admin.put("/v1/groups/n0", &json!({"name": "N"})).await.expect(201);
    let full_user = user("n0").set("teams", json!(["n0"])).set("groups", json!(["n0"])).set("custom", custom);
    admin.put("/v1/users/n0", &full_user).await.expect(201);
    let full_content = content("n0", "quiz").set("title", "w0 t0").set("tags", json!(["n0"]));
    admin.put("/v1/contents/n0", &full_content).await.expect(201);
    let created =
        admin.post("/v1/activities", &activity("n0", "viewed").set("content", "n0")).await.expect(201).json();
    // Repeated parameters with many values; custom fields and titles up to their limits.
    let mut filter = serde_json::Map::new();
    let many = |prefix: &str, count: usize| -> Value { (0..count).map(|n| format!("{prefix}{n}")).collect() };
    for name in ["team", "group", "user", "content"] {
        filter.insert(name.to_owned(), many("n", 150));
    }
    filter.insert("tag".to_owned(), many("n", 150));
    filter.insert("title".to_owned(), (0..100).map(|n| format!("w{n} t{n}")).collect());
    filter.insert(
        "verb".to_owned(),
        (0..50)
            .map(|n| match n {
                0 => VIEWED.to_owned(),
                n => format!("a:{n}"),
            })
            .collect(),
    );
    for field in 0..100 {
        filter.insert(format!("custom[f{field}]"), many("v", 10));
    }
    let query_string = |filter: &serde_json::Map<String, Value>| {
        let pairs = filter.iter().flat_map(|(name, values)| {
            let values = values.as_array().expect("values").iter();
            values.map(|value| (name.clone(), value.as_str().expect("a text").to_owned()))
        });
        query(&pairs.collect::<Vec<_>>())
    };
    let finds_activity = |answer: &Value| {
        answer["activities"].as_array().is_some_and(|rows| rows.len() == 1 && rows[0]["id"] == created["id"])
    };
    let parameters = query_string(&filter);
    let answer = admin.get(&format!("/v1/activities{parameters}&count=exact")).await.expect(200).json();
    assert!(finds_activity(&answer) && answer["total"] == 1, "{answer}");
    for path in ["/v1/activities/export.csv", "/v1/activities/export.ndjson"] {
        assert!(admin.get(&format!("{path}{parameters}")).await.expect(200).text().contains("n0"), "{path}");
    }
    let summary = admin.get(&format!("/v1/activities/summary{parameters}&by=team")).await.expect(200).json();
    assert_eq!(summary["total"]["rows"], 1, "{summary}");
    let mut people = filter.clone();
    people
        .retain(|name, _| ["team", "group", "user"].contains(&name.as_str()) || name.starts_with("custom["));
    admin.get(&format!("/v1/contents/n0/progress{}", query_string(&people))).await.expect(200);
    // A report stores as many values, and accepts as many additional ones.
    for list in ["team", "group", "user", "content", "tag"] {
        filter.insert(list.to_owned(), many("n", 1_000));
    }
    let report = json!({"name": "All of it", "filter": filter});
    let made_report = admin.post("/v1/reports", &report).await.expect(201).json();
    let path = format!("/v1/reports/{}", made_report["id"].as_str().expect("an id"));
    let answer = admin.get(&format!("{path}/activities{parameters}&count=exact")).await.expect(200).json();
    assert!(finds_activity(&answer) && answer["total"] == 1, "{answer}");
    assert!(admin.get(&format!("{path}/export.csv{parameters}")).await.expect(200).text().contains("n0"));
    // More titles or more words are refused everywhere.
    let words = vec!["w"; 1_020].join(" ");
    for titles in [(0..1_000).map(|n| n.to_string()).collect::<Vec<_>>(), vec![words]] {
        let pairs: Vec<(String, String)> =
            titles.iter().map(|title| ("title".to_owned(), title.clone())).collect();
        for path in ["/v1/activities", "/v1/activities/export.csv", "/v1/activities/summary"] {
            let by = if path.ends_with("summary") { "&by=team" } else { "" };
            let refused = admin.get(&format!("{path}{}{by}", query(&pairs))).await.expect(400).json();
            assert_eq!(refused["errors"][0]["parameter"], "title", "{path}: {refused}");
        }
        let refused = admin
            .post("/v1/reports", &json!({"name": "R", "filter": {"title": titles}}))
            .await
            .expect(400)
            .json();
        assert_eq!(refused["pointer"], "/filter/title", "{refused}");
    }
}
