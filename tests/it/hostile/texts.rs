//! Tests of bodies that are not JSON or not text, and of texts in many scripts.

use reqwest::Method;
use serde_json::json;

use super::{count_stored, full_activity, full_statement, set_up};
use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::http::encode_segment;
use crate::support::records::COMPLETED;
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn invalid_json_is_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let before = count_stored(&admin).await;
    let statement = full_statement().to_string();
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "}",
        "[",
        "[}",
        "{]",
        "nul",
        "undefined",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "[1,]",
        "{\"a\":1,}",
        "\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "--1",
        "{} {}",
        "[] x",
        "// no\n{}",
        "{\"a\":\"\t\"}",
        "{}\u{FEFF}",
        "\u{0}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    // Not UTF-8: a single byte, a surrogate, an overlong slash, an incomplete character; and UTF-16.
    bodies.extend([
        b"\xff".to_vec(),
        b"\"\xed\xa0\x80\"".to_vec(),
        b"\"\xc0\xaf\"".to_vec(),
        b"\"\xe2\x82\"".to_vec(),
        b"{\0\"\0}\0".to_vec(),
    ]);
    bodies.push(statement.replace("Crew", "Cr\u{1}w").into_bytes());
    let mut broken = statement.clone().into_bytes();
    let index = statement.find("Crew").expect("the text occurs");
    broken[index] = 0xff;
    bodies.push(broken);
    for cut in [1, 10, 100, statement.len() / 2, statement.len() - 1] {
        bodies.push(statement.as_bytes()[..cut].to_vec());
    }
    for (method, path) in [
        (Method::POST, "/xapi/statements"),
        (Method::PUT, "/xapi/statements?statementId=00000000-0000-4000-8000-000000000001"),
        (Method::POST, "/v1/activities"),
        (Method::POST, "/v1/activities/batch"),
        (Method::PUT, "/v1/users/x"),
        (Method::PATCH, "/v1/users/ada"),
        (Method::POST, "/v1/users/batch"),
        (Method::PUT, "/v1/contents/x"),
        (Method::POST, "/v1/contents/batch"),
        (Method::PUT, "/v1/teams/x"),
        (Method::PUT, "/v1/groups/x"),
        (Method::POST, "/v1/credentials"),
        (Method::PATCH, "/v1/organisation"),
    ] {
        for body in &bodies {
            let excerpt = String::from_utf8_lossy(body).chars().take(60).collect::<String>();
            let answer =
                admin.send(method.clone(), path, &[("content-type", "application/json")], body.clone()).await;
            assert_eq!(
                answer.status,
                400,
                "{method} {path} {excerpt:?}: {}",
                String::from_utf8_lossy(&answer.body)
            );
            assert!(answer.json()["pointer"].is_string(), "{method} {path} {excerpt:?}: {}", answer.text());
        }
    }
    for body in &bodies[2..] {
        let answer = admin
            .send(
                Method::POST,
                "/v1/activities/batch",
                &[("content-type", "application/x-ndjson")],
                body.clone(),
            )
            .await;
        assert_eq!(
            answer.status,
            400,
            "{:?}: {}",
            String::from_utf8_lossy(body),
            String::from_utf8_lossy(&answer.body)
        );
    }
    assert_eq!(count_stored(&admin).await, before);
}

#[apply(both_databases)]
async fn other_content_types_are_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let before = count_stored(&admin).await;
    let statement = full_statement().to_string().into_bytes();
    for kind in [
        "text/plain",
        "application/xml",
        "application/json; charset=utf-16",
        "multipart/form-data",
        "application/jsonp",
        "",
        "application/x-www-form-urlencoded",
    ] {
        for path in ["/v1/activities", "/v1/activities/batch", "/v1/credentials"] {
            admin
                .send(Method::POST, path, &[("content-type", kind)], full_activity().to_string().into_bytes())
                .await
                .expect(415);
        }
        // The conformance suites require 400 here.
        admin
            .send(Method::POST, "/xapi/statements", &[("content-type", kind)], statement.clone())
            .await
            .expect(400);
    }
    for encoding in ["gzip", "br", "deflate", "compress, gzip"] {
        let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
        for (path, status) in [("/v1/activities", 415), ("/xapi/statements", 400)] {
            admin.send(Method::POST, path, &headers, statement.clone()).await.expect(status);
        }
    }
    assert_eq!(count_stored(&admin).await, before);
}

#[apply(both_databases)]
async fn titles_in_many_scripts_are_found(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let titles = [
        "\u{1F525} Fête du feu \u{1F9EF}\u{1F469}\u{200D}\u{1F692}",
        "مرحبا بالعالم",
        "שלום עולם",
        "Straße & Gasse",
        "STRASSE",
        "İstanbul Isparta",
        "ΟΔΥΣΣΕΥΣ ΣΟΦΟΣ",
        "Οδυσσεύς",
        "Пожарная Безопасность",
        "火災安全",
        "ﬁre ﬂight",
        "a\u{301}ccent",
        "100%_of\\it",
        "'; DROP TABLE activities; --",
        "tab and line",
    ];
    for (n, title) in titles.iter().enumerate() {
        let id = format!("c{n:02}");
        admin
            .put(&format!("/v1/contents/{id}"), &content(&id, "item").set("title", *title))
            .await
            .expect(201);
        admin.post("/v1/activities", &activity("ada", "viewed").set("content", id)).await.expect(201);
    }
    let find_contents = async |words: &str| {
        let rows = admin
            .list(&format!("/v1/activities?sort=happened_at&title={}", encode_segment(words)), "activities")
            .await;
        let mut ids: Vec<String> =
            rows.iter().map(|row| row["content"]["id"].as_str().expect("an id")[1..].to_owned()).collect();
        ids.sort();
        let mut listed = admin.list(&format!("/v1/contents?q={}", encode_segment(words)), "contents").await;
        listed.retain(|content| content["id"] != "fire");
        assert_eq!(listed.len(), ids.len(), "the catalogue must find the same contents for {words}");
        ids.join(" ")
    };
    for (words, expected) in [
        ("\u{1F525}", "00"),
        ("\u{1F9EF}", "00"),
        ("FÊTE", "00"),
        ("fete", "00"),
        ("\u{1F469}\u{200D}\u{1F692}", "00"),
        ("مرحبا", "01"),
        ("بالعالم مرحبا", "01"),
        ("עולם", "02"),
        ("straße", "03 04"),
        ("STRASSE", "03 04"),
        ("STRAẞE gasse", "03"),
        ("ss", "03 04"),
        ("istanbul", "05"),
        ("İSTANBUL", "05"),
        ("ISTANBUL", "05"),
        ("ısparta", "05"),
        ("isparta", "05"),
        ("οδυσσευς", "06 07"),
        ("σοφος", "06"),
        ("ΣΟΦΟσ", "06"),
        ("οδυσσεύσ", "06 07"),
        ("ΟΔΥΣΣΕΎΣ", "06 07"),
        ("БЕЗОПАСНОСТЬ", "08"),
        ("火災", "09"),
        ("安全 火", "09"),
        ("FIRE", "10"),
        ("flight", "10"),
        ("%", "12"),
        ("_", "12"),
        ("\\", "12"),
        ("100%_OF\\IT", "12"),
        ("'", "13"),
        ("drop --", "13"),
        ("tab line", "14"),
    ] {
        assert_eq!(find_contents(words).await, expected, "{words}");
    }
    // Titles are returned unchanged in the exports.
    let csv = admin.get("/v1/activities/export.csv?raw=true").await.expect(200);
    let (headings, rows) = csv.csv();
    let column = headings.iter().position(|heading| heading == "Title").expect("a column");
    for title in titles {
        assert!(rows.iter().any(|row| row[column] == title), "{title:?}");
    }
}

#[apply(both_databases)]
async fn names_in_many_scripts_are_stored(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    for (n, name) in [
        "\u{1F469}\u{200D}\u{1F692}",
        "\u{202E}evil",
        "Ａｄａ",
        "a\u{308}",
        "\u{FFFF}",
        "\u{10FFFF}",
        "\\u0000",
        "\u{7f}",
        "<b>&amp;\"'",
    ]
    .into_iter()
    .enumerate()
    {
        let sent = statement(
            json!({"mbox": format!("mailto:p{n}@example.org"), "name": name}),
            COMPLETED,
            "https://example.org/ü/火",
        );
        admin.post("/xapi/statements", &sent).await.expect(200);
        let row = admin.get("/v1/activities?limit=1").await.expect(200).json();
        assert_eq!(row["activities"][0]["user"]["name"], name);
        let id = format!("id {n} {name}").replace(['\u{7f}', '\u{FFFF}'], "");
        let address = format!("/v1/users/{}", encode_segment(&id));
        // An id with a control character is refused.
        let created = admin
            .put(&address, &user(&id).set("last_name", name).set("custom", json!({ name: name })))
            .await
            .expect_one_of(&[201, 400]);
        admin.get(&address).await.expect(if created.status == 201 { 200 } else { 404 });
    }
    let statements =
        admin.get("/xapi/statements?activity=https://example.org/%C3%BC/%E7%81%AB").await.expect(200).json();
    assert_eq!(statements["statements"].as_array().map(Vec::len), Some(9));
    admin
        .post(
            "/xapi/statements",
            &statement(mailbox("ada@example.org"), COMPLETED, "https://example.org/a b"),
        )
        .await
        .expect(400);
    let refused = admin
        .post("/xapi/statements", &statement(mailbox("ada"), COMPLETED, "urn:x"))
        .await
        .expect(400)
        .json();
    assert_eq!(refused["pointer"], "/actor/mbox");
}
