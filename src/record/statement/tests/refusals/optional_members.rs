//! Tests of the optional members: results, contexts and attachments.

use super::*;

#[test]
fn results_are_checked() {
    assert_refused(
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
    assert_accepted(
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
fn contexts_are_checked() {
    assert_refused(
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
    assert_accepted(
        FULL,
        Version::V1,
        &[(r#"{"deep": [1.0, {"x": ""}]}"#, r#"[null, "", {}, true, 1e400]"#)],
    );
    let about_agent = r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"http://x.org/v"},
        "object":{"objectType":"Agent","mbox":"mailto:a@b.c"},"context":{"language":"en"}}"#;
    assert_refused(
        about_agent,
        Version::V1,
        &[
            (r#""language":"en""#, r#""revision":"1""#, "/context/revision"),
            (r#""language":"en""#, r#""platform":"p""#, "/context/platform"),
        ],
    );
}

#[test]
fn context_agents_and_groups_need_version_2() {
    assert_eq!(
        parse(WITH_CONTEXT_AGENTS, Version::V1).unwrap_err().pointer,
        "/context/contextAgents"
    );
    let context = parse(WITH_CONTEXT_AGENTS, Version::V2).unwrap().context.unwrap();
    assert_eq!(
        context.context_agents[0].relevant_types[0].as_str(),
        "http://x.org/r"
    );
    assert_eq!(context.context_groups.len(), 1);
    assert_refused(
        WITH_CONTEXT_AGENTS,
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
fn attachments_are_checked() {
    let pointer = |member: &str| format!("/attachments/0{member}");
    assert_refused(
        FULL,
        Version::V1,
        &[
            ("http://example.org/usage", "usage", &pointer("/usageType")),
            (r#""display": {"en": "File"}, "#, "", &pointer("")),
            ("text/plain", "text", &pointer("/contentType")),
            ("27", "27.5", &pointer("/length")),
            ("27", "-1", &pointer("/length")),
            ("495395e7", "495395e", &pointer("/sha2")),
            ("495395e7", "495395g7", &pointer("/sha2")),
            (
                r#""length": 27"#,
                r#""length": 27, "fileUrl": "here""#,
                &pointer("/fileUrl"),
            ),
            (r#"[{"usageType""#, r#"["a", {"usageType""#, &pointer("")),
        ],
    );
    assert_accepted(FULL, Version::V1, &[("text/plain", "text/plain; charset=ascii")]);
}
