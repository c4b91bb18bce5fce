//! Tests of the parameters, the rights and the limits of documents.

use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::json;

use super::{all_kinds, create_document, post, put_document};
use crate::support::http::encode_segment;
use crate::support::{Database, TestServer, apply, both_databases, server};

#[apply(both_databases)]
async fn invalid_parameter_is_named_in_the_problem(server: &TestServer) {
    let admin = server.person("admin", "root");
    for place in all_kinds() {
        create_document(&admin, &place.one("x"), "a/b", "kept").await;
        let (one, all) = (place.one("x"), place.all());
        let is_state = place.name == "stateId";
        let mut wrong = vec![
            (one.replace(place.name, &place.name.to_lowercase()), place.name, "PUT POST"),
            (format!("{all}&{}=", place.name), place.name, "GET PUT POST DELETE"),
            (all.clone(), place.name, if is_state { "PUT POST" } else { "PUT POST DELETE" }),
            (format!("{one}&{}=y", place.name), place.name, "GET PUT POST DELETE"),
            (format!("{one}&foo=1"), "foo", "GET PUT POST DELETE"),
            (format!("{one}&since=2026-03-18T10:17:23.000Z"), "since", "GET PUT POST DELETE"),
            (format!("{all}&since=yesterday"), "since", "GET"),
            (format!("{all}&Since=2026-03-18T10:17:23.000Z"), "Since", "GET"),
        ];
        for (parameter, bad) in [
            ("activityId", vec!["", "course", "true"]),
            (
                "agent",
                vec![
                    "",
                    "ada",
                    "true",
                    "{}",
                    "[]",
                    r#"{"name":"Ada"}"#,
                    r#"{"mbox":"ada@example.org"}"#,
                    r#"{"mbox":"mailto:a@b.c","openid":"urn:x"}"#,
                    r#"{"objectType":"Group","mbox":"mailto:a@b.c"}"#,
                    r#"{"objectType":"Group","member":[]}"#,
                    r#"{"objectType":"agent","mbox":"mailto:a@b.c"}"#,
                ],
            ),
        ] {
            if !place.owner.contains(parameter) {
                wrong.push((format!("{one}&{parameter}=x"), parameter, "GET PUT POST DELETE"));
                continue;
            }
            let start = one.find(&format!("{parameter}=")).expect("the parameter exists");
            let end = one[start..].find('&').map_or(one.len(), |at| start + at);
            let with = |text: &str| format!("{}{text}{}", &one[..start], &one[end..]);
            wrong.push((with("").replace("?&", "?").replace("&&", "&"), parameter, "GET PUT POST DELETE"));
            wrong.push((
                with(&one[start..end].replace(parameter, &parameter.to_uppercase())),
                parameter,
                "GET PUT POST DELETE",
            ));
            for value in bad {
                wrong.push((
                    with(&format!("{parameter}={}", encode_segment(value))),
                    parameter,
                    "GET PUT POST DELETE",
                ));
            }
        }
        for (path, parameter, methods) in wrong {
            for method in methods.split(' ') {
                let headers: &[_] =
                    if method == "GET" { &[] } else { &[("if-match", "*"), ("content-type", "a/b")] };
                let refused = admin
                    .send(method.parse().expect("a method"), &path, headers, Vec::new())
                    .await
                    .expect(400)
                    .json();
                let errors = refused["errors"].as_array().expect("errors");
                assert!(
                    errors.iter().any(|error| error["parameter"] == parameter),
                    "{method} {path}: {refused}"
                );
            }
        }
        assert_eq!(admin.get(&one).await.expect(200).text(), "kept");
        assert_eq!(admin.get(&all).await.expect(200).json(), json!(["x"]));
    }
}

#[apply(both_databases)]
async fn documents_of_other_organisations_are_not_accessible(server: &TestServer) {
    let [acme, other] =
        ["acme", "other"].map(|org| server.person_of(org, json!({"sub": "root", "role": "admin"})));
    for place in all_kinds() {
        let path = place.one("x");
        create_document(&acme, &path, "a/b", "of acme").await;
        other.get(&path).await.expect(404);
        assert_eq!(other.get(&place.all()).await.expect(200).json(), json!([]));
        put_document(&other, &path, "a/b", "of other", ("if-match", "*")).await.expect(412);
        other.delete(&path).await.expect(204);
        create_document(&other, &path, "a/b", "of other").await;
        assert_eq!(acme.get(&path).await.expect(200).text(), "of acme");
        assert_eq!(other.get(&path).await.expect(200).text(), "of other");
        let key = server.credential("other", &["all"]).await;
        assert_eq!(key.get(&path).await.expect(200).text(), "of other");
        key.delete(&path).await.expect(204);
        assert_eq!(acme.get(&path).await.expect(200).text(), "of acme");
        assert_eq!(acme.get(&place.all()).await.expect(200).json(), json!(["x"]));
    }
}

#[apply(both_databases)]
async fn scopes_give_access_to_their_documents(server: &TestServer) {
    let admin = server.person("admin", "root");
    for place in all_kinds() {
        create_document(&admin, &place.one("x"), "application/json", "{}").await;
    }
    let [state, agent, activity] = all_kinds();
    for (scopes, states, profiles) in [
        (&["state"][..], "rw", ""),
        (&["profile"], "", "rw"),
        (&["state", "profile"], "rw", "rw"),
        (&["all"], "rw", "rw"),
        (&["all/read"], "r", "r"),
        (&["all/read", "state"], "rw", "r"),
        (
            &["statements/read", "statements/write", "define", "directory", "catalogue", "activities/read"],
            "",
            "",
        ),
    ] {
        let key = server.credential("acme", scopes).await;
        for (place, allowed) in [(&state, states), (&agent, profiles), (&activity, profiles)] {
            let (one, all) = (place.one("x"), place.all());
            let (reads, writes) = (
                if allowed.contains('r') { 200 } else { 403 },
                if allowed.contains('w') { 204 } else { 403 },
            );
            key.get(&one).await.expect(reads);
            key.get(&all).await.expect(reads);
            post(&key, &one, "application/json", "{}").await.expect(writes);
            put_document(&key, &one, "application/json", "{}", ("if-match", "*")).await.expect(writes);
            key.delete(&place.one("none")).await.expect(writes);
        }
    }
}

/// Documents have a separate limit, and merged documents too.
#[test]
fn documents_have_limits() {
    let limits = Limits { body_bytes: 64, document_bytes: 100, ..Limits::default() };
    for database in [Database::sqlite(), Database::postgres()] {
        let options = AppOptions { limits: limits.clone(), ..AppOptions::default() };
        server::run_with(database, options, async |server| {
            let admin = server.person("admin", "root");
            for place in all_kinds() {
                let path = place.one("x");
                create_document(&admin, &path, "a/b", "x".repeat(100)).await;
                let refused =
                    put_document(&admin, &path, "a/b", "y".repeat(101), ("if-match", "*")).await.expect(413);
                assert!(refused.json()["detail"].as_str().expect("a detail").contains("100 bytes"));
                assert_eq!(admin.get(&path).await.expect(200).text(), "x".repeat(100));
                // Two documents that are small enough alone, but not merged.
                let path = place.one("y");
                let object = |key: &str| format!("{{\"{key}\":\"{}\"}}", "x".repeat(30));
                post(&admin, &path, "application/json", object("a")).await.expect(204);
                post(&admin, &path, "application/json", object("b")).await.expect(413);
                post(&admin, &path, "application/json", "{\"b\":1}").await.expect(204);
            }
        });
    }
}
