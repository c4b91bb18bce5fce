//! Tests of accepted and refused statements: their actors, verbs and objects.

mod hostile;
mod optional_members;

use super::*;

/// Makes each change to a valid text and checks the pointer of the fault.
fn assert_refused(text: &str, version: Version, changes: &[(&str, &str, &str)]) {
    for (from, to, pointer) in changes {
        assert!(text.contains(from), "the text lacks {from}");
        let fault = parse(&text.replacen(from, to, 1), version).expect_err(to);
        assert_eq!(fault.pointer, *pointer, "{from} -> {to}: {fault}");
        assert!(!fault.detail.is_empty());
    }
}

/// Makes each change to a valid text and checks that it is still valid.
fn assert_accepted(text: &str, version: Version, changes: &[(&str, &str)]) {
    for (from, to) in changes {
        assert!(text.contains(from), "the text lacks {from}");
        parse(&text.replacen(from, to, 1), version).unwrap_or_else(|fault| panic!("{from} -> {to}: {fault}"));
    }
}

#[test]
fn members_of_statements_are_checked() {
    assert_refused(
        FULL,
        Version::V1,
        &[
            (r#""actor""#, r#""Actor""#, "/Actor"),
            (r#""timestamp""#, r#""timeStamp""#, "/timeStamp"),
            (r#""id": "01890A"#, r#""ID": "01890A"#, "/ID"),
            (r#""version""#, r#""verion""#, "/verion"),
            (
                "01890A5D-AC96-774B-BCCE-B302099A8057",
                "01890a5dac96774bbcceb302099a8057",
                "/id",
            ),
            (
                "01890A5D-AC96-774B-BCCE-B302099A8057",
                "{01890a5d-ac96-774b-bcce-b302099a8057}",
                "/id",
            ),
            (
                "01890A5D-AC96-774B-BCCE-B302099A8057",
                "01890a5d-ac96-774b-bcce-b302099a80577",
                "/id",
            ),
            (
                "01890A5D-AC96-774B-BCCE-B302099A8057",
                "01890a5d-ac96-774b-bcce-b302099a805x",
                "/id",
            ),
            (r#""01890A5D-AC96-774B-BCCE-B302099A8057""#, "12", "/id"),
            (r#""2026-01-01T12:00:00.5+02:00""#, "null", "/timestamp"),
            ("12:00:00.5+02:00", "12:00:00-00:00", "/timestamp"),
            ("2020-01-01T00:00:00Z", "yesterday", "/stored"),
            (r#""1.0.3""#, r#""1.1.0""#, "/version"),
            (r#""1.0.3""#, r#""0.9.9""#, "/version"),
            (r#""1.0.3""#, r#""1.0.""#, "/version"),
            (r#""1.0.3""#, r#""2.0.0""#, "/version"),
            (r#""1.0.3""#, "1.0", "/version"),
            (
                r#""verb": {"id": "http://example.org/did", "display": {"en-US": "did", "de": "tat"}},"#,
                "",
                "",
            ),
        ],
    );
    assert_accepted(
        FULL,
        Version::V1,
        &[(r#""1.0.3""#, r#""1.0""#), (r#""1.0.3""#, r#""1.0.17""#)],
    );
    assert_accepted(
        FULL,
        Version::V2,
        &[(r#""1.0.3""#, r#""2.0.0""#), (r#""1.0.3""#, r#""1.0.0""#)],
    );
    for body in ["", "[", "null", "7", r#""text""#, "[[]]", r#"{"a":1"#, "{} {}"] {
        assert!(parse(body, Version::V1).is_err(), "{body}");
        assert!(
            parse_statements(body.as_bytes(), Version::V1, &Limits::default()).is_err(),
            "{body}"
        );
    }
}

#[test]
fn actors_are_checked() {
    assert_refused(
        FULL,
        Version::V1,
        &[
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""mbox": "mailto:should.fail.com""#,
                "/actor/mbox",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""mbox": "ada@example.org""#,
                "/actor/mbox",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""mbox": "mailto:ada b@example.org""#,
                "/actor/mbox",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""mbox": "mailto:a@b@example.org""#,
                "/actor/mbox",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""mbox": """#,
                "/actor/mbox",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""mbox": 5"#,
                "/actor/mbox",
            ),
            (r#", "mbox": "mailto:ada@example.org""#, "", "/actor"),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""mbox_sha1sum": "abc""#,
                "/actor/mbox_sha1sum",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""openid": "ab=c://should.not.work""#,
                "/actor/openid",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""account": {"name": "a"}"#,
                "/actor/account",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""account": {"homePage": "http://x.org"}"#,
                "/actor/account",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""account": {"homePage": "x.org/u", "name": "a"}"#,
                "/actor/account/homePage",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""account": {"homePage": "http://x.org", "name": 1}"#,
                "/actor/account/name",
            ),
            (
                r#""mbox": "mailto:ada@example.org""#,
                r#""mbox": "mailto:ada@example.org", "openid": "http://o.org/1""#,
                "/actor/openid",
            ),
            (
                r#""objectType": "Agent""#,
                r#""objectType": "agent""#,
                "/actor/objectType",
            ),
            (
                r#""objectType": "Agent""#,
                r#""objectType": null"#,
                "/actor/objectType",
            ),
            (r#""objectType": "Agent""#, r#""member": []"#, "/actor/member"),
            (r#""name": "Ada \u0041""#, r#""name": null"#, "/actor/name"),
            (
                r#""member": [{"openid": "http://openid.example.org/1"}]"#,
                r#""name": "nobody""#,
                "/context/instructor",
            ),
            (
                r#"{"openid": "http://openid.example.org/1"}"#,
                r#"{"objectType": "Group", "openid": "http://o.org/1"}"#,
                "/context/instructor/member/0/objectType",
            ),
            (
                r#"[{"openid": "http://openid.example.org/1"}]"#,
                r#"{}"#,
                "/context/instructor/member",
            ),
            (
                r#"{"objectType": "Group", "account""#,
                r#"{"account""#,
                "/context/team",
            ),
            (
                r#""authority": {"mbox": "mailto:somebody@example.org"}"#,
                r#""authority": {"objectType": "Group", "member": [{"mbox": "mailto:a@b.c"}]}"#,
                "/authority",
            ),
            (
                r#""authority": {"mbox": "mailto:somebody@example.org"}"#,
                r#""authority": {"objectType": "Group", "mbox": "mailto:g@b.c"}"#,
                "/authority",
            ),
        ],
    );
    assert_accepted(
        FULL,
        Version::V1,
        &[
            (r#""objectType": "Agent", "#, ""),
            ("mailto:ada@example.org", "mailto:ada.o'hara+x@mail.ex-ample.org"),
            ("mailto:ada@example.org", "mailto:ada@localhost"),
            ("mailto:ada@example.org", "mailto:zoë@münchen.example"),
            (
                r#""authority": {"mbox": "mailto:somebody@example.org"}"#,
                r#""authority": {"objectType": "Group", "member": [{"mbox": "mailto:a@b.c"}, {"mbox": "mailto:a@b.d"}]}"#,
            ),
        ],
    );
}

#[test]
fn verbs_and_objects_are_checked() {
    assert_refused(
        FULL,
        Version::V1,
        &[
            (r#""id": "http://example.org/did", "#, "", "/verb"),
            ("http://example.org/did", "did", "/verb/id"),
            (r#""en-US": "did""#, r#""a12345": "did""#, "/verb/display/a12345"),
            (r#""en-US": "did""#, r#""en-US": 1"#, "/verb/display/en-US"),
            (r#"{"en-US": "did", "de": "tat"}"#, r#""did""#, "/verb/display"),
            ("http://example.org/did", VOIDED, "/object"),
            (
                r#""id": "http://example.org/quiz""#,
                r#""objectType": "activity", "id": "http://x.org/""#,
                "/object/objectType",
            ),
            (
                r#""id": "http://example.org/quiz""#,
                r#""objectType": "Agent", "id": "http://x.org/""#,
                "/object/id",
            ),
            (
                r#"http://example.org/quiz""#,
                r#"//example.org/quiz""#,
                "/object/id",
            ),
            (
                r#""moreInfo": "http://example.org/more""#,
                r#""moreInfo": "more""#,
                "/object/definition/moreInfo",
            ),
            (
                r#""interactionType": "choice""#,
                r#""interactionType": "choiCe""#,
                "/object/definition/interactionType",
            ),
            (
                r#""interactionType": "choice", "#,
                "",
                "/object/definition/correctResponsesPattern",
            ),
            (
                r#""interactionType": "choice", "correctResponsesPattern": ["a[,]b"],"#,
                "",
                "/object/definition/choices",
            ),
            (
                r#"["a[,]b"]"#,
                "[1]",
                "/object/definition/correctResponsesPattern/0",
            ),
            (
                r#"{"id": "b"}"#,
                r#"{"id": "a"}"#,
                "/object/definition/choices/1/id",
            ),
            (
                r#"{"id": "b"}"#,
                r#"{"id": 2}"#,
                "/object/definition/choices/1/id",
            ),
            (
                r#"{"id": "b"}"#,
                r#"{"description": {}}"#,
                "/object/definition/choices/1",
            ),
            (
                r#"{"id": "b"}"#,
                r#"{"id": "b", "description": {"x y": ""}}"#,
                "/object/definition/choices/1/description/x y",
            ),
            (
                r#"{"http://example.org/e": null}"#,
                r#"{"e/~": null}"#,
                "/object/definition/extensions/e~1~0",
            ),
            (
                r#"{"http://example.org/e": null}"#,
                "null",
                "/object/definition/extensions",
            ),
            (
                r#""name": {"en": "Quiz"}"#,
                r#""Name": {"en": "Quiz"}"#,
                "/object/definition/Name",
            ),
        ],
    );
    let reference = r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"http://adlnet.gov/expapi/verbs/voided"},
        "object":{"objectType":"StatementRef","id":"01890a5d-ac96-774b-bcce-b302099a8057"}}"#;
    assert_eq!(
        parse_valid(reference).voids().unwrap().to_string(),
        "01890a5d-ac96-774b-bcce-b302099a8057"
    );
    assert_refused(
        reference,
        Version::V1,
        &[
            (r#","id":"01890a5d-ac96-774b-bcce-b302099a8057""#, "", "/object"),
            ("01890a5d", "1890a5d", "/object/id"),
            (r#""objectType":"StatementRef","#, "", "/object/id"),
        ],
    );
    let about_agent = r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"http://x.org/v"},
        "object":{"objectType":"Agent","mbox":"mailto:a@b.c"}}"#;
    assert_accepted(about_agent, Version::V1, &[("\"Agent\"", "\"Group\"")]);
    assert_refused(
        about_agent,
        Version::V1,
        &[(r#""objectType":"Agent","#, "", "/object/mbox")],
    );
}

#[test]
fn sub_statements_are_checked() {
    assert_refused(
        WITH_SUB_STATEMENT,
        Version::V1,
        &[
            (
                r#""object":{"id":"http://example.org/a"}"#,
                r#""object":{"objectType":"SubStatement"}"#,
                "/object/object/objectType",
            ),
            (
                r#""SubStatement","#,
                r#""SubStatement","id":"01890a5d-ac96-774b-bcce-b302099a8057","#,
                "/object/id",
            ),
            (
                r#""SubStatement","#,
                r#""SubStatement","stored":"2020-01-01T00:00:00Z","#,
                "/object/stored",
            ),
            (
                r#""SubStatement","#,
                r#""SubStatement","version":"1.0.0","#,
                "/object/version",
            ),
            (
                r#""SubStatement","#,
                r#""SubStatement","authority":{"mbox":"mailto:a@b.c"},"#,
                "/object/authority",
            ),
            (r#""SubStatement","#, r#""Substatement","#, "/object/objectType"),
            (
                r#""SubStatement","#,
                r#""SubStatement","timestamp":"01/011/2015","#,
                "/object/timestamp",
            ),
            (r#""object":{"id":"http://example.org/a"},"#, "", "/object"),
        ],
    );
}
