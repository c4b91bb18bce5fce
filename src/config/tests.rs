use clap::{CommandFactory, Parser};

use super::*;
use crate::http::limits::Limits;

#[derive(Debug, Parser)]
struct Only {
    #[command(flatten)]
    settings: ServeSettings,
}

#[test]
fn defaults_are_those_of_the_specification() {
    Only::command().debug_assert();
    let settings = Only::parse_from(["rollbook"]).settings;
    assert_eq!(settings.listen.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.limits.limits(), Limits::default());
    assert_eq!(settings.server_settings(), ServerSettings::default());
    assert_eq!(settings.server.xapi_unversioned.as_str(), "0.95");
}

#[test]
fn every_limit_has_its_own_setting() {
    let flags: Vec<String> = [
        "max-body-bytes",
        "max-attachment-bytes",
        "max-document-bytes",
        "max-batch",
        "max-json-depth",
        "max-group-members",
        "max-context-activities",
        "max-attachments",
        "max-uri-bytes",
        "max-header-bytes",
        "max-page",
        "body-timeout",
        "rate-limit",
        "rate-burst",
        "refusals-per-second",
        "refusal-burst",
        "max-concurrent-exports",
        "max-concurrent-downloads",
        "max-concurrent-counts",
        "concurrency-wait-seconds",
        "max-page-bytes",
        "max-concurrent-per-caller",
        "max-open-exports",
        "max-open-exports-per-caller",
        "max-export-spool-bytes",
        "export-window-seconds",
        "export-window-bytes",
        "export-deadline-seconds",
        "max-waiting-feeds",
        "max-waiting-feeds-per-caller",
        "max-course-package-bytes",
        "file-link-seconds",
        "max-scorm-commit-bytes",
        "export-link-seconds",
        "max-export-links-per-caller",
        "export-space-wait-seconds",
    ]
    .iter()
    .zip(101..)
    .map(|(flag, value)| format!("--{flag}={value}"))
    .collect();
    let arguments = std::iter::once("rollbook").chain(flags.iter().map(String::as_str));
    let limits = Only::parse_from(arguments).settings.limits.limits();
    let expected = Limits {
        body_bytes: 101,
        attachment_bytes: 102,
        document_bytes: 103,
        batch: 104,
        json_depth: 105,
        group_members: 106,
        context_activities: 107,
        attachments: 108,
        uri_bytes: 109,
        header_bytes: 110,
        page_default: 50,
        page_search: Duration::from_secs(5),
        page_max: 111,
        body_timeout: Duration::from_secs(112),
        requests_per_second: 113,
        burst: 114,
        refusals_per_second: 115,
        refusal_burst: 116,
        concurrent_exports: 117,
        concurrent_downloads: 118,
        concurrent_counts: 119,
        concurrency_wait: Duration::from_secs(120),
        page_bytes: 121,
        concurrent_per_caller: 122,
        open_exports: 123,
        open_exports_per_caller: 124,
        export_spool_bytes: 125,
        export_window: Duration::from_secs(126),
        export_window_bytes: 127,
        export_deadline: Duration::from_secs(128),
        waiting_feeds: 129,
        waiting_feeds_per_caller: 130,
        course_package_bytes: 131,
        file_link: Duration::from_secs(132),
        export_link: Duration::from_secs(134),
        export_links_per_caller: 135,
        scorm_commit_bytes: 133,
        export_space_wait: Duration::from_secs(136),
    };
    assert_eq!(limits, expected);
    let statement = limits.statement();
    assert_eq!((statement.depth, statement.batch), (105, 104));
    assert_eq!(
        (
            statement.group_members,
            statement.context_activities,
            statement.attachments
        ),
        (106, 107, 108)
    );
}

#[test]
fn debug_output_contains_no_secrets() {
    let settings = Only::parse_from([
        "rollbook",
        "--jwt-secret=hunter2",
        "--database=postgres://me:hunter2@db/x",
        "--bootstrap-credential=acme:key:hunter2",
        "--smtp-url=smtps://me:hunter2@mail.example.org",
    ])
    .settings;
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert_eq!(settings.database.settings().url, "postgres://me:hunter2@db/x");
}

#[test]
fn wrong_values_are_refused_with_an_explanation() {
    for (argument, help) in [
        ("--listen=8080", "invalid socket address"),
        (
            "--cors-origins=https://a.example,learn.example",
            "is not an origin",
        ),
        ("--database-connections=0", "1..=1000"),
        ("--xapi-unversioned=3", "possible values"),
    ] {
        let error = Only::try_parse_from(["rollbook", argument])
            .expect_err(argument)
            .to_string();
        assert!(error.contains(help), "{error}");
    }
}

#[test]
fn verb_file_adds_to_the_table_and_never_changes_it() {
    let folder = std::env::temp_dir().join(format!("rollbook-verbs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("verbs.json");
    let mut arguments = Only::parse_from(["rollbook"]).settings.database;
    arguments.verbs = Some(path.clone());
    for (text, good) in [
        (r#"{"https://example.org/verbs/ticked": "completed"}"#, true),
        (r#"{"https://example.org/verbs/ticked": "done"}"#, false),
        (r#"{"http://adlnet.gov/expapi/verbs/failed": "completed"}"#, false),
        ("[]", false),
    ] {
        std::fs::write(&path, text).expect("a file");
        assert_eq!(arguments.verb_table().is_ok(), good, "{text}");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    assert!(arguments.verb_table().is_err(), "no file");
}
