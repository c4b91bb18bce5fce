//! What is taken and what is refused, with the place of every fault.

use super::*;

/// One change to a good text, and where the fault is then.
fn refused(text: &str, version: Version, changes: &[(&str, &str, &str)]) {
    for (from, to, pointer) in changes {
        assert!(text.contains(from), "{from} is not there");
        let fault = read(&text.replacen(from, to, 1), version).expect_err(to);
        assert_eq!(fault.pointer, *pointer, "{from} -> {to}: {fault}");
        assert!(!fault.detail.is_empty());
    }
}

/// One change to a good text that leaves it good.
fn taken(text: &str, version: Version, changes: &[(&str, &str)]) {
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not there");
        read(&text.replacen(from, to, 1), version).unwrap_or_else(|fault| panic!("{from} -> {to}: {fault}"));
    }
}

#[test]
fn the_frame_of_a_statement() {
    refused(
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
    taken(
        FULL,
        Version::V1,
        &[(r#""1.0.3""#, r#""1.0""#), (r#""1.0.3""#, r#""1.0.17""#)],
    );
    taken(
        FULL,
        Version::V2,
        &[(r#""1.0.3""#, r#""2.0.0""#), (r#""1.0.3""#, r#""1.0.0""#)],
    );
    for body in ["", "[", "null", "7", r#""text""#, "[[]]", r#"{"a":1"#, "{} {}"] {
        assert!(read(body, Version::V1).is_err(), "{body}");
        assert!(
            parse_statements(body.as_bytes(), Version::V1, &Limits::default()).is_err(),
            "{body}"
        );
    }
}

#[test]
fn actors() {
    refused(
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
    taken(
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
fn verbs_and_objects() {
    refused(
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
        good(reference).voids().unwrap().to_string(),
        "01890a5d-ac96-774b-bcce-b302099a8057"
    );
    refused(
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
    taken(about_agent, Version::V1, &[("\"Agent\"", "\"Group\"")]);
    refused(
        about_agent,
        Version::V1,
        &[(r#""objectType":"Agent","#, "", "/object/mbox")],
    );
}

#[test]
fn results() {
    refused(
        FULL,
        Version::V1,
        &[
            ("0.12123434", "1.01", "/result/score/scaled"),
            ("0.12123434", "-1.01", "/result/score/scaled"),
            ("0.12123434", "\"0.1\"", "/result/score/scaled"),
            ("45.450", "-0.1", "/result/score/raw"),
            ("45.450", "100.1", "/result/score/raw"),
            ("1E2", "0", "/result/score/min"),
            ("1E2", "1e400", "/result/score/max"),
            (r#""min": 0"#, r#""minimum": 0"#, "/result/score/minimum"),
            (r#""success": true"#, r#""success": "true""#, "/result/success"),
            (
                r#""completion": false"#,
                r#""completion": 0"#,
                "/result/completion",
            ),
            (r#""response": "a""#, r#""response": null"#, "/result/response"),
            ("PT1H0M0.1S", "P4W1D", "/result/duration"),
            (r#""PT1H0M0.1S""#, "3600", "/result/duration"),
        ],
    );
    taken(
        FULL,
        Version::V1,
        &[
            ("0.12123434", "-1"),
            ("0.12123434", "1.0e0"),
            ("45.450", "-0.0"),
            ("45.450", "100"),
            ("PT1H0M0.1S", "P1DT12H36M0.12567S"),
            (r#", "min": 0, "max": 1E2"#, ""),
        ],
    );
}

#[test]
fn contexts() {
    refused(
        FULL,
        Version::V1,
        &[
            (
                r#""registration": "01890a5d"#,
                r#""registration": "1890a5d"#,
                "/context/registration",
            ),
            (
                r#""language": "en""#,
                r#""language": "something""#,
                "/context/language",
            ),
            (r#""revision": "3""#, r#""revision": 3"#, "/context/revision"),
            (
                r#""parent": {"id": "http://example.org/course"}"#,
                r#""Parent": []"#,
                "/context/contextActivities/Parent",
            ),
            (
                r#""id": "http://example.org/course""#,
                r#""id": "course""#,
                "/context/contextActivities/parent/id",
            ),
            (
                r#""other": []"#,
                r#""other": [{"id": "http://x.org/1"}, {}]"#,
                "/context/contextActivities/other/1",
            ),
            (
                r#""other": []"#,
                r#""other": ["http://x.org/1"]"#,
                "/context/contextActivities/other/0",
            ),
            (
                r#""other": []"#,
                r#""other": null"#,
                "/context/contextActivities/other",
            ),
            (
                r#"{"objectType": "StatementRef", "id""#,
                r#"{"id""#,
                "/context/statement",
            ),
            (
                r#"{"deep": [1.0, {"x": ""}]}"#,
                r#""\u0000""#,
                "/context/extensions/http:~1~1example.org~1e",
            ),
        ],
    );
    taken(
        FULL,
        Version::V1,
        &[(r#"{"deep": [1.0, {"x": ""}]}"#, r#"[null, "", {}, true, 1e400]"#)],
    );
    let about_agent = r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"http://x.org/v"},
        "object":{"objectType":"Agent","mbox":"mailto:a@b.c"},"context":{"language":"en"}}"#;
    refused(
        about_agent,
        Version::V1,
        &[
            (r#""language":"en""#, r#""revision":"1""#, "/context/revision"),
            (r#""language":"en""#, r#""platform":"p""#, "/context/platform"),
        ],
    );
}

#[test]
fn agents_and_groups_of_a_context_are_of_version_2() {
    assert_eq!(
        read(AGENTS, Version::V1).unwrap_err().pointer,
        "/context/contextAgents"
    );
    let context = read(AGENTS, Version::V2).unwrap().context.unwrap();
    assert_eq!(
        context.context_agents[0].relevant_types[0].as_str(),
        "http://x.org/r"
    );
    assert_eq!(context.context_groups.len(), 1);
    refused(
        AGENTS,
        Version::V2,
        &[
            (
                r#""contextAgent","#,
                r#""Should fail","#,
                "/context/contextAgents/0/objectType",
            ),
            (r#""objectType":"contextAgent","#, "", "/context/contextAgents/0"),
            (
                r#""mbox":"mailto:p@b.c""#,
                r#""key":"x""#,
                "/context/contextAgents/0/agent/key",
            ),
            (
                r#"["http://x.org/r"]"#,
                "[]",
                "/context/contextAgents/0/relevantTypes",
            ),
            (
                r#"["http://x.org/r"]"#,
                r#"["abc"]"#,
                "/context/contextAgents/0/relevantTypes/0",
            ),
            (r#""objectType":"Group","#, "", "/context/contextGroups/0/group"),
        ],
    );
}

#[test]
fn sub_statements() {
    refused(
        WITHIN,
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

#[test]
fn attachments() {
    let at = |member: &str| format!("/attachments/0{member}");
    refused(
        FULL,
        Version::V1,
        &[
            ("http://example.org/usage", "usage", &at("/usageType")),
            (r#""display": {"en": "File"}, "#, "", &at("")),
            ("text/plain", "text", &at("/contentType")),
            ("27", "27.5", &at("/length")),
            ("27", "-1", &at("/length")),
            ("495395e7", "495395e", &at("/sha2")),
            ("495395e7", "495395g7", &at("/sha2")),
            (
                r#""length": 27"#,
                r#""length": 27, "fileUrl": "here""#,
                &at("/fileUrl"),
            ),
            (r#"[{"usageType""#, r#"["a", {"usageType""#, &at("")),
        ],
    );
    taken(FULL, Version::V1, &[("text/plain", "text/plain; charset=ascii")]);
}

#[test]
fn hostile_texts() {
    refused(
        FULL,
        Version::V1,
        &[
            (
                r#""revision": "3""#,
                r#""revision": "3\u0000""#,
                "/context/revision",
            ),
            (
                r#""revision": "3""#,
                r#""revision": "\ud800""#,
                "/context/revision",
            ),
            (
                r#""revision": "3""#,
                r#""revision": "3", "revision": "3""#,
                "/context/revision",
            ),
            (
                r#""revision": "3""#,
                r#""revision": "3", "revisi\u006fn": "3""#,
                "/context/revision",
            ),
            (
                r#"{"x": ""}"#,
                r#"{"x": "", "a\u0000": 1}"#,
                "/context/extensions/http:~1~1example.org~1e/deep/1",
            ),
        ],
    );
    for depth in [100, 1_000_000] {
        let deep = "[".repeat(depth) + &"]".repeat(depth);
        let fault = read(&FULL.replace("null", &deep), Version::V1).unwrap_err();
        assert!(
            fault
                .pointer
                .starts_with("/object/definition/extensions/http:~1~1example.org~1e/0/0"),
            "{fault}"
        );
        assert!(fault.detail.contains("deep"), "{fault}");
    }
    let broken = parse_statement(b"{\n  \"actor\": \xff}", Version::V1, &Limits::default()).unwrap_err();
    assert_eq!(
        broken.detail,
        "this is not UTF-8 at line 2, byte 12; send the text as UTF-8"
    );
    let broken = read("{\n  \"actor\" 1}", Version::V1).unwrap_err();
    assert!(
        broken.pointer.is_empty() && broken.detail.contains("line 2 column 11"),
        "{broken}"
    );
}

/// The deepest statement that is taken can be kept, although sealing makes it one level deeper.
#[test]
fn the_deepest_statement() {
    // Seven levels lie around the value of an extension of a context activity of a SubStatement.
    for (levels, taken) in [(MAX_DEPTH - 7, true), (MAX_DEPTH - 6, false)] {
        let deep = "[".repeat(levels) + &"]".repeat(levels);
        let definition = format!(r#""definition":{{"extensions":{{"http://x.org/e":{deep}}}}},"#);
        let category = r#""category":{"#;
        let body = WITHIN.replace(category, &format!("{category}{definition}"));
        let limits = Limits {
            depth: usize::MAX,
            ..Limits::default()
        };
        for body in [format!("[{body}]"), body] {
            let read = parse_statements(body.as_bytes(), Version::V1, &limits);
            let kept = read.map(|statements| Statement::parse_kept(&statements[0].seal(&SEAL)).unwrap());
            assert_eq!(kept.is_ok(), taken, "{levels}");
        }
    }
}
