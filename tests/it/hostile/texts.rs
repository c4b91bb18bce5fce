//! Bodies that are no text or no JSON, and texts of every script, which are found again.

use reqwest::Method;
use serde_json::json;

use super::{prepared, stored, whole_activity, whole_statement};
use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::http::encode_segment;
use crate::support::records::COMPLETED;
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn what_is_no_json_is_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    prepared(&admin).await;
    let before = stored(&admin).await;
    let statement = whole_statement().to_string();
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
        "\u{FEFF}{}",
        "\u{0}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    // Not UTF-8: a lone byte, a surrogate, an overlong slash, one cut short; UTF-16; within a string.
    bodies.extend([
        b"\xff".to_vec(),
        b"\"\xed\xa0\x80\"".to_vec(),
        b"\"\xc0\xaf\"".to_vec(),
        b"\"\xe2\x82\"".to_vec(),
        b"{\0\"\0}\0".to_vec(),
    ]);
    bodies.push(statement.replace("Crew", "Cr\u{1}w").into_bytes());
    let mut broken = statement.clone().into_bytes();
    let place = statement.find("Crew").expect("it is there");
    broken[place] = 0xff;
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
            let said = String::from_utf8_lossy(body).chars().take(60).collect::<String>();
            let answer =
                admin.send(method.clone(), path, &[("content-type", "application/json")], body.clone()).await;
            assert_eq!(
                answer.status,
                400,
                "{method} {path} {said:?}: {}",
                String::from_utf8_lossy(&answer.body)
            );
            assert!(answer.json()["pointer"].is_string(), "{method} {path} {said:?}: {}", answer.text());
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
    assert_eq!(stored(&admin).await, before);
}

#[apply(both_databases)]
async fn a_body_of_another_kind_is_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    prepared(&admin).await;
    let before = stored(&admin).await;
    let statement = whole_statement().to_string().into_bytes();
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
                .send(
                    Method::POST,
                    path,
                    &[("content-type", kind)],
                    whole_activity().to_string().into_bytes(),
                )
                .await
                .expect(415);
        }
        // The specification's suites ask for 400 here, whatever the kind.
        let refused =
            admin.send(Method::POST, "/xapi/statements", &[("content-type", kind)], statement.clone()).await;
        assert!([400, 415].contains(&refused.status), "{kind}: {}", refused.status);
    }
    for encoding in ["gzip", "br", "deflate", "compress, gzip"] {
        let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
        for path in ["/v1/activities", "/xapi/statements"] {
            admin.send(Method::POST, path, &headers, statement.clone()).await.expect_one_of(&[400, 415]);
        }
    }
    assert_eq!(stored(&admin).await, before);
}

#[apply(both_databases)]
async fn titles_of_every_script_are_found(server: &TestServer) {
    let admin = server.person("admin", "root");
    prepared(&admin).await;
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
        "tab\tand\nline",
    ];
    for (n, title) in titles.iter().enumerate() {
        let id = format!("c{n:02}");
        admin
            .put(&format!("/v1/contents/{id}"), &content(&id, "item").set("title", *title))
            .await
            .expect(201);
        admin.post("/v1/activities", &activity("ada", "viewed").set("content", id)).await.expect(201);
    }
    let found = async |words: &str| {
        let rows = admin
            .list(&format!("/v1/activities?sort=happened_at&title={}", encode_segment(words)), "activities")
            .await;
        let mut ids: Vec<String> =
            rows.iter().map(|row| row["content"]["id"].as_str().expect("an id")[1..].to_owned()).collect();
        ids.sort();
        let mut listed = admin.list(&format!("/v1/contents?q={}", encode_segment(words)), "contents").await;
        listed.retain(|content| content["id"] != "fire");
        assert_eq!(listed.len(), ids.len(), "the catalogue finds the same for {words}");
        ids.join(" ")
    };
    for (words, expected) in [
        ("\u{1F525}", "00"),
        ("\u{1F9EF}", "00"),
        ("FÊTE", "00"),
        ("fete", ""),
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
        ("οδυσσευς", "06"),
        ("σοφος", "06"),
        ("ΣΟΦΟσ", "06"),
        ("οδυσσεύσ", "07"),
        ("ΟΔΥΣΣΕΎΣ", "07"),
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
        assert_eq!(found(words).await, expected, "{words}");
    }
    // They come back as they were, in every way out.
    let csv = admin.get("/v1/activities/export.csv?raw=true").await.expect(200);
    let (headings, rows) = csv.csv();
    let column = headings.iter().position(|heading| heading == "Title").expect("a column");
    for title in titles {
        assert!(rows.iter().any(|row| row[column] == title), "{title:?}");
    }
}

#[apply(both_databases)]
async fn names_of_every_script_are_kept(server: &TestServer) {
    let admin = server.person("admin", "root");
    prepared(&admin).await;
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
        admin
            .put(&address, &user(&id).set("last_name", name).set("custom", json!({ name: name })))
            .await
            .expect_one_of(&[201, 400]);
        admin.get(&address).await.expect_one_of(&[200, 404]);
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
