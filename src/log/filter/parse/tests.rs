//! Tests of every parameter, with valid and invalid values.

mod in_reports;

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::base::testing::{cursor_key, parse_time};
use crate::log::action::Action;
use crate::log::cursor::Position;
use crate::log::filter::{MAX_VALUE_CHARACTERS, MAX_VALUES, ResultFilter};

static KEY: LazyLock<CursorKey> = LazyLock::new(cursor_key);

fn paging(binding: &str) -> Option<Paging<'_>> {
    Some(Paging { key: &KEY, binding })
}

fn context() -> ParseContext<'static> {
    let paging = paging("acme/user:ada /v1/activities");
    ParseContext::list(parse_time("2026-02-12T20:00:00Z"), Tz::Europe__London, paging)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse(sent: &[(&str, &str)]) -> Query {
    Query::parse(&pairs(sent), &context()).unwrap()
}

/// The only fault.
fn fault(sent: &[(&str, &str)]) -> (String, String) {
    let faults = Query::parse(&pairs(sent), &context()).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults
        .into_iter()
        .map(|fault| (fault.parameter, fault.detail))
        .next()
        .unwrap()
}

#[test]
fn query_without_parameters_is_the_whole_reach_newest_first() {
    let query = parse(&[]);
    assert_eq!(
        query.filter,
        Filter {
            default_zone: Tz::Europe__London,
            ..Filter::default()
        }
    );
    assert_eq!(
        (query.asked_scope, query.sort, query.limit),
        (None, Sort::NewestFirst, 50)
    );
    assert!(query.after.is_none() && !query.count_exact && query.filter.hides_visited());
    assert_eq!(query.filter.window(query.now), crate::log::Window::default());
    assert!(query.to_pairs().is_empty());
}

#[test]
fn parameters_reach_their_fields_and_come_back() {
    let sent = [
        ("scope", "managed"),
        ("include_sub_managers", "true"),
        ("team", "sales"),
        ("team", "support"),
        ("include_sub_teams", "true"),
        ("primary_team_only", "true"),
        ("group", "first-aiders"),
        ("user", "ada"),
        ("action", "completed"),
        ("action", "visited"),
        ("verb", "http://adlnet.gov/expapi/verbs/passed"),
        ("type", "quiz"),
        ("content_type", "video"),
        ("content", "fire-safety"),
        ("tag", "a,b"),
        ("source", "library"),
        ("cpd_label", "Health"),
        ("device_type", "api"),
        ("origin", "manual"),
        ("import", "0190a000-0000-7000-8000-000000000001"),
        ("stored_from", "2026-01-02"),
        ("stored_to", "2026-02-01T00:00:00Z"),
        ("title", "Fire Safety"),
        ("completed", "true"),
        ("expired", "false"),
        ("latest", "true"),
        ("bulk_import", "false"),
        ("has_certificate", "true"),
        ("include_deactivated", "true"),
        ("result", "passed"),
        ("from", "2026-01-01"),
        ("to", "2026-01-31T09:30:00.123456Z"),
        ("tz", "Asia/Kathmandu"),
        ("certificate_expires_within", "P30D"),
        ("custom[Cost centre]", "42"),
        ("sort", "happened_at"),
    ];
    let query = parse(&sent);
    assert_eq!(query.to_pairs(), pairs(&sent));
    assert_eq!(
        query.asked_scope,
        Some(AskedScope::Managed {
            include_sub_managers: true
        })
    );
    let filter = &query.filter;
    assert!(!filter.hides_visited());
    assert_eq!(filter.tags, ["a,b"], "only keys are split at commas");
    assert_eq!(filter.titles[0].words, ["fire", "safety"]);
    let window = filter.window(query.now);
    assert_eq!(window.from, Some(parse_time("2025-12-31T18:15:00Z")));
    assert_eq!(window.to, Some(parse_time("2026-01-31T09:30:00.123456Z")));
    let stored = filter.stored_window();
    assert_eq!(stored.from, Some(parse_time("2026-01-01T18:15:00Z")));
    assert_eq!(stored.to, Some(parse_time("2026-02-01T00:00:00Z")));
    let certificate = filter.certificate_window(query.now).unwrap();
    let then = parse_time("2026-03-14T20:00:00Z");
    assert!(certificate.contains(query.now) && certificate.contains(then));
    assert!(!certificate.contains(parse_time("2026-03-14T20:00:00.000001Z")));
    assert_eq!(filter.custom["Cost centre"], ["42"]);
}

#[test]
fn keys_may_be_repeated_and_separated_by_commas() {
    let query = parse(&[
        ("action", "completed,failed"),
        ("action", "started,failed"),
        ("result", "passed,failed"),
    ]);
    assert_eq!(
        query.filter.actions,
        [Action::Completed, Action::Failed, Action::Started]
    );
    assert_eq!(query.filter.results, ResultFilter::ALL);
}

#[test]
fn unknown_parameter_is_refused_with_the_list_of_parameters() {
    let (parameter, detail) = fault(&[("actions", "completed")]);
    assert_eq!(parameter, "actions");
    assert!(
        detail.contains("`action`") && detail.contains("`custom[<field>]`"),
        "{detail}"
    );
    assert_eq!(fault(&[("custom[]", "x")]).0, "custom[]");
    assert_eq!(fault(&[("Action", "completed")]).0, "Action");
}

#[test]
fn unknown_key_is_refused_with_the_list_of_keys() {
    let (parameter, detail) = fault(&[("action", "completed,finished")]);
    assert_eq!(parameter, "action");
    assert!(
        detail.starts_with("`finished`") && detail.contains("`enrolled_for`"),
        "{detail}"
    );
    for (name, value) in [
        ("type", "Quiz"),
        ("content_type", "film"),
        ("origin", "web"),
        ("result", "pass"),
        ("scope", "all"),
        ("sort", "stored_at"),
        ("period", "tomorrow"),
        ("count", "true"),
        ("completed", "1"),
        ("expired", "yes"),
        ("tz", "Berlin"),
        ("import", "7"),
        ("verb", "completed"),
        ("certificate_expires_within", "30 days"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "+5"),
        ("from", "31.01.2026"),
        ("from", "2026-02-30"),
        ("from", "2026-1-1"),
        ("to", "2026-01-31 09:00:00Z"),
        ("title", "  "),
        ("user", ""),
        ("action", "completed,"),
    ] {
        assert_eq!(fault(&[(name, value)]).0, name, "{value}");
    }
}

#[test]
fn from_is_before_to() {
    for (from, to) in [
        ("2026-02-01", "2026-02-01"),
        ("2026-02-02", "2026-02-01"),
        ("2026-02-01T10:00Z", "2026-02-01T11:00+01:00"),
        ("2026-02-01", "2026-02-01T00:00Z"),
        ("2026-02-01T00:00Z", "2026-02-01"),
    ] {
        let (parameter, detail) = fault(&[("from", from), ("to", to), ("tz", "UTC")]);
        assert_eq!(
            (parameter.as_str(), detail.contains("before `to`")),
            ("from", true),
            "{from} {to}"
        );
    }
    parse(&[
        ("from", "2026-02-01"),
        ("to", "2026-02-01T00:00Z"),
        ("tz", "Asia/Tokyo"),
    ]);
    // A saved filter is valid in every time zone. A date and a time are compared only if it has its own.
    let stored = ParseContext {
        any_zone: true,
        ..context()
    };
    let read = |sent: &[(&str, &str)]| Query::parse(&pairs(sent), &stored).is_ok();
    assert!(read(&[("from", "2026-02-02"), ("to", "2026-02-01T20:00Z")]));
    assert!(!read(&[("from", "2026-02-02"), ("to", "2026-02-01")]));
    assert!(!read(&[
        ("from", "2026-02-02"),
        ("to", "2026-02-01T20:00Z"),
        ("tz", "UTC")
    ]));
}

#[test]
fn flag_without_effect_is_refused() {
    for (sent, name) in [
        (vec![("include_sub_teams", "true")], "include_sub_teams"),
        (
            vec![("include_sub_teams", "true"), ("group", "aid")],
            "include_sub_teams",
        ),
        (vec![("primary_team_only", "true")], "primary_team_only"),
        (vec![("include_sub_managers", "true")], "include_sub_managers"),
        (
            vec![("include_sub_managers", "true"), ("scope", "me")],
            "include_sub_managers",
        ),
        (
            vec![("include_sub_managers", "true"), ("scope", "company")],
            "include_sub_managers",
        ),
    ] {
        assert_eq!(fault(&sent).0, name, "{sent:?}");
        // `false` asks for nothing.
        let off: Vec<(&str, &str)> = sent
            .iter()
            .map(|(name, value)| (*name, if *value == "true" { "false" } else { value }))
            .collect();
        parse(&off);
    }
    for scope in ["company", "managed", "team", "me"] {
        let flags = [("include_sub_teams", "true"), ("primary_team_only", "true")];
        let query = parse(&[&flags[..], &[("team", "a"), ("scope", scope)]].concat());
        assert!(query.filter.include_sub_teams && query.filter.primary_team_only);
    }
}

#[test]
fn unescaped_plus_is_recognised() {
    assert!(fault(&[("from", "2026-01-31T09:00:00 02:00")]).1.contains("%2B"));
}

#[test]
fn parameter_with_one_value_must_not_be_repeated() {
    for (name, value) in [
        ("scope", "me"),
        ("completed", "true"),
        ("from", "2026-01-01"),
        ("period", "today"),
        ("tz", "UTC"),
        ("limit", "5"),
        ("sort", "happened_at"),
        ("include_sub_teams", "true"),
        ("certificate_expires_within", "P1D"),
        ("count", "exact"),
        ("cursor", "x"),
    ] {
        assert_eq!(fault(&[(name, value), (name, value)]).0, name);
    }
}

#[test]
fn period_excludes_from_and_to() {
    assert_eq!(fault(&[("period", "today"), ("from", "2026-01-01")]).0, "period");
    let query = parse(&[("period", "today"), ("tz", "Pacific/Auckland")]);
    assert_eq!(
        query.filter.window(query.now).from,
        Some(parse_time("2026-02-12T11:00:00Z"))
    );
}

#[test]
fn default_time_zone_is_that_of_the_organisation() {
    let query = parse(&[("from", "2026-07-01")]);
    assert_eq!(
        query.filter.window(query.now).from,
        Some(parse_time("2026-06-30T23:00:00Z"))
    );
    assert_eq!(
        query.to_pairs(),
        pairs(&[("from", "2026-07-01")]),
        "a default is not part of the pairs"
    );
}

#[test]
fn scopes_team_and_group_need_an_id() {
    assert_eq!(fault(&[("scope", "team")]).0, "scope");
    assert_eq!(fault(&[("scope", "group"), ("team", "sales")]).0, "scope");
    assert_eq!(
        parse(&[("scope", "team"), ("team", "sales")]).asked_scope,
        Some(AskedScope::Team)
    );
}

#[test]
fn all_faults_are_reported_together() {
    let sent = pairs(&[
        ("actions", "x"),
        ("type", "x"),
        ("limit", "x"),
        ("from", "x"),
        ("type", "y"),
    ]);
    let faults = Query::parse(&sent, &context()).unwrap_err();
    let mut named: Vec<&str> = faults.iter().map(|fault| fault.parameter.as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, ["actions", "from", "limit", "type"]);
}

#[test]
fn nul_and_too_many_values_are_refused() {
    assert!(fault(&[("title", "a\0b")]).1.contains("U+0000"));
    assert!(fault(&[("custom[a\0]", "b")]).1.contains("U+0000"));
    let long = "x".repeat(MAX_VALUE_CHARACTERS + 1);
    assert_eq!(fault(&[("tag", &long)]).0, "tag");
    let many: Vec<(String, String)> = (0..=MAX_VALUES)
        .map(|n| ("user".to_owned(), n.to_string()))
        .collect();
    assert_eq!(
        Query::parse(&many, &context()).unwrap_err().listed()[0].parameter,
        "user"
    );
    assert!(Query::parse(&many[1..], &context()).is_ok());
    let fields: Vec<(String, String)> = (0..=MAX_CUSTOM_FIELDS)
        .map(|n| (format!("custom[{n}]"), "x".to_owned()))
        .collect();
    assert_eq!(
        Query::parse(&fields, &context()).unwrap_err().listed()[0].parameter,
        "custom"
    );
}

#[test]
fn number_of_titles_and_words_is_limited() {
    let titles = |count: usize, words: usize| -> Vec<(String, String)> {
        let title = |n: usize| format!("t{n}{}", " w".repeat(words - 1));
        (0..count).map(|n| ("title".to_owned(), title(n))).collect()
    };
    let parsed = |sent: &[(String, String)]| Query::parse(sent, &context());
    for (count, words) in [
        (MAX_TITLES, 1),
        (MAX_TITLES, 2),
        (1, MAX_TITLE_WORDS),
        (2, MAX_TITLE_WORDS / 2),
    ] {
        let query = parsed(&titles(count, words)).unwrap();
        assert_eq!(query.filter.titles.len(), count, "{words} words each");
    }
    for (count, words) in [
        (MAX_TITLES + 1, 1),
        (1, MAX_TITLE_WORDS + 1),
        (MAX_TITLES, 3),
        (MAX_VALUES, 1),
    ] {
        let faults = parsed(&titles(count, words)).unwrap_err();
        assert_eq!(
            (faults.len(), &*faults.listed()[0].parameter),
            (1, "title"),
            "{count} of {words}"
        );
        assert!(
            faults.listed()[0].detail.contains("at most 100 titles"),
            "{}",
            faults.listed()[0]
        );
    }
    // Repeated titles count once.
    let twice = [titles(MAX_TITLES, 2), titles(MAX_TITLES, 2)].concat();
    assert_eq!(parsed(&twice).unwrap().filter.titles.len(), MAX_TITLES);
}

#[test]
fn resources_have_further_parameters_and_lack_others() {
    let export = ParseContext::export(parse_time("2026-01-01T00:00:00Z"), Tz::UTC, &["columns", "bom"]);
    let query = Query::parse(&pairs(&[("columns", "full"), ("action", "failed")]), &export).unwrap();
    assert_eq!((query.extra("columns"), query.extra("bom")), (Some("full"), None));
    for wrong in ["limit", "cursor", "count"] {
        assert_eq!(
            Query::parse(&pairs(&[(wrong, "1")]), &export)
                .unwrap_err()
                .listed()[0]
                .parameter,
            wrong
        );
    }
    let repeated = pairs(&[("columns", "full"), ("columns", "full")]);
    assert_eq!(
        Query::parse(&repeated, &export).unwrap_err().listed()[0].parameter,
        "columns"
    );
    let own = ParseContext {
        scope: false,
        ..context()
    };
    assert_eq!(
        Query::parse(&pairs(&[("scope", "me")]), &own)
            .unwrap_err()
            .listed()[0]
            .parameter,
        "scope"
    );
}

#[test]
fn lists_of_persons_have_only_filters_of_persons() {
    let people = ParseContext {
        filters: FilterSet::Persons,
        ..context()
    };
    let sent = pairs(&[
        ("team", "a"),
        ("include_sub_teams", "true"),
        ("primary_team_only", "true"),
        ("group", "g"),
        ("user", "u"),
        ("include_deactivated", "true"),
        ("custom[Region]", "North"),
        ("scope", "me"),
    ]);
    assert_eq!(Query::parse(&sent, &people).unwrap().filter.custom.len(), 1);
    for parameter in FILTER_PARAMETERS {
        let faults = Query::parse(&pairs(&[(parameter.name, "x")]), &people)
            .err()
            .unwrap_or_default();
        let unknown = faults
            .iter()
            .find(|fault| fault.detail.starts_with("is not a parameter here"));
        let selects_persons = FilterSet::Persons
            .parameters()
            .any(|other| other.name == parameter.name);
        assert_eq!(unknown.is_none(), selects_persons, "{}", parameter.name);
        if let Some(fault) = unknown {
            assert!(
                !fault.detail.contains("`action`"),
                "only its own parameters are listed"
            );
        }
    }
}

#[test]
fn further_lists_may_be_repeated_and_bind_the_cursor() {
    let own = ParseContext {
        lists: &["kind"],
        ..context()
    };
    let first = Query::parse(&pairs(&[("kind", "b"), ("kind", "a"), ("kind", "b")]), &own).unwrap();
    assert_eq!(first.extras("kind").collect::<Vec<_>>(), ["a", "b"]);
    let mut next = first.next_pairs(&first.cursor_after(LAST).unwrap());
    assert!(Query::parse(&next, &own).is_ok());
    next.retain(|(name, value)| name != "kind" || value != "a");
    assert_eq!(
        Query::parse(&next, &own).unwrap_err().listed()[0].parameter,
        "cursor"
    );
    assert!(Query::parse(&pairs(&[("kind", "a")]), &context()).is_err());
}

const LAST: Position = Position {
    happened_at: Timestamp::from_micros(5),
    seq: 3,
};

#[test]
fn next_page_has_all_parameters_and_the_same_now() {
    let first = parse(&[("period", "today"), ("limit", "2"), ("count", "exact")]);
    let next = first.next_pairs(&first.cursor_after(LAST).unwrap());
    assert!(next.contains(&("limit".to_owned(), "2".to_owned())));
    assert!(next.contains(&("count".to_owned(), "exact".to_owned())));
    // The next page is requested after midnight.
    let later = ParseContext {
        now: parse_time("2026-02-13T01:00:00Z"),
        ..context()
    };
    let second = Query::parse(&next, &later).unwrap();
    assert_eq!(second.now, first.now);
    assert_eq!(second.after, Some(LAST));
    assert_eq!(second.filter.window(second.now), first.filter.window(first.now));
}

#[test]
fn cursor_is_refused_with_another_query() {
    let cursor = parse(&[("action", "failed")]).cursor_after(LAST).unwrap();
    let with = |sent: &[(&str, &str)], context: &ParseContext<'_>| {
        let mut sent = pairs(sent);
        sent.push(("cursor".to_owned(), cursor.clone()));
        Query::parse(&sent, context)
            .map(|query| query.after)
            .map_err(|faults| faults.listed()[0].parameter.clone())
    };
    let refused = Err("cursor".to_owned());
    assert_eq!(with(&[("action", "failed")], &context()), Ok(Some(LAST)));
    assert_eq!(
        with(&[("action", "failed"), ("limit", "7")], &context()),
        Ok(Some(LAST))
    );
    assert_eq!(with(&[], &context()), refused);
    assert_eq!(with(&[("action", "started")], &context()), refused);
    assert_eq!(
        with(&[("action", "failed"), ("sort", "happened_at")], &context()),
        refused
    );
    assert_eq!(
        with(&[("action", "failed"), ("scope", "me")], &context()),
        refused
    );
    let caller = ParseContext {
        paging: paging("acme/user:bob /v1/activities"),
        ..context()
    };
    assert_eq!(with(&[("action", "failed")], &caller), refused);
    let zone = ParseContext {
        time_zone: Tz::UTC,
        ..context()
    };
    assert_eq!(with(&[("action", "failed")], &zone), refused);
    assert_eq!(fault(&[("cursor", "nonsense")]).0, "cursor");
}

proptest! {
    /// The canonical pairs of a query parse to the same query, and do not depend on the order of parameters.
    #[test]
    fn canonical_pairs_parse_to_the_same_query(
        sent in prop::collection::vec(prop::sample::select(vec![
            ("action", "completed"), ("action", "failed,visited"), ("user", "ada"), ("user", "bob"),
            ("title", "Fire  Safety"), ("title", "straße"), ("type", "quiz,event"), ("tag", "x"),
            ("custom[a]", "1"), ("custom[a]", "2"), ("custom[b]", "1"), ("result", "failed"), ("verb", "urn:x:y"),
        ]), 0..12),
    ) {
        let query = parse(&sent);
        let again = Query::parse(&query.to_pairs(), &context()).unwrap();
        prop_assert_eq!(&again.filter, &query.filter);
        let backwards: Vec<(&str, &str)> = sent.iter().rev().copied().collect();
        let mut next = parse(&backwards).next_pairs(&query.cursor_after(LAST).unwrap());
        next.reverse();
        prop_assert_eq!(Query::parse(&next, &context()).unwrap().after, Some(LAST));
    }

    #[test]
    fn no_parameters_cause_a_panic(sent in prop::collection::vec((any::<String>(), any::<String>()), 0..4)) {
        let _ = Query::parse(&sent, &context());
    }

    #[test]
    fn no_value_causes_a_panic(index in 0..FILTER_PARAMETERS.len(), value in any::<String>()) {
        let _ = Query::parse(&[(FILTER_PARAMETERS[index].name.to_owned(), value)], &context());
    }
}
