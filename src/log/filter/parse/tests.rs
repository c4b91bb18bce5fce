//! Tests of every parameter, with valid and invalid values.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::base::timestamp;
use crate::log::action::Action;
use crate::log::cursor::Position;
use crate::log::filter::{MAX_VALUE_CHARACTERS, MAX_VALUES, ResultFilter};

const BINDING: &str = "acme/user:ada /v1/activities";

fn at(text: &str) -> Timestamp {
    timestamp::parse(text).unwrap()
}

fn context() -> ParseContext<'static> {
    ParseContext::list(at("2026-02-12T20:00:00Z"), Tz::Europe__London, BINDING)
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

/// The one fault that there is.
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
fn nothing_asked_is_the_whole_reach_newest_first() {
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
        ("title", "Fire Safety"),
        ("completed", "true"),
        ("expired", "false"),
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
    assert_eq!(filter.tags, ["a,b"], "only enumerations are split at commas");
    assert_eq!(filter.titles[0].words, ["fire", "safety"]);
    let window = filter.window(query.now);
    assert_eq!(window.from, Some(at("2025-12-31T18:15:00Z")));
    assert_eq!(window.to, Some(at("2026-01-31T09:30:00.123456Z")));
    let certificate = filter.certificate_window(query.now).unwrap();
    let then = at("2026-03-14T20:00:00Z");
    assert!(certificate.contains(query.now) && certificate.contains(then));
    assert!(!certificate.contains(at("2026-03-14T20:00:00.000001Z")));
    assert_eq!(filter.custom["Cost centre"], ["42"]);
}

#[test]
fn enumerations_may_be_repeated_and_separated_by_commas() {
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
fn an_unknown_parameter_is_named_with_those_there_are() {
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
fn an_unknown_value_is_named_with_those_there_are() {
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
        ("expired", "True"),
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
fn a_plus_that_was_not_escaped_is_recognised() {
    assert!(fault(&[("from", "2026-01-31T09:00:00 02:00")]).1.contains("%2B"));
}

#[test]
fn a_parameter_with_one_value_is_sent_once() {
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
fn a_period_excludes_from_and_to() {
    assert_eq!(fault(&[("period", "today"), ("from", "2026-01-01")]).0, "period");
    let query = parse(&[("period", "today"), ("tz", "Pacific/Auckland")]);
    assert_eq!(
        query.filter.window(query.now).from,
        Some(at("2026-02-12T11:00:00Z"))
    );
}

#[test]
fn days_are_the_organisation_s_where_no_zone_is_asked_for() {
    let query = parse(&[("from", "2026-07-01")]);
    assert_eq!(
        query.filter.window(query.now).from,
        Some(at("2026-06-30T23:00:00Z"))
    );
    assert_eq!(
        query.to_pairs(),
        pairs(&[("from", "2026-07-01")]),
        "a default is not written down"
    );
}

#[test]
fn team_and_group_as_scopes_need_one() {
    assert_eq!(fault(&[("scope", "team")]).0, "scope");
    assert_eq!(fault(&[("scope", "group"), ("team", "sales")]).0, "scope");
    assert_eq!(
        parse(&[("scope", "team"), ("team", "sales")]).asked_scope,
        Some(AskedScope::Team)
    );
}

#[test]
fn everything_wrong_is_named_at_once() {
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
fn nul_and_too_much_are_refused() {
    assert!(fault(&[("title", "a\0b")]).1.contains("U+0000"));
    assert!(fault(&[("custom[a\0]", "b")]).1.contains("U+0000"));
    let long = "x".repeat(MAX_VALUE_CHARACTERS + 1);
    assert_eq!(fault(&[("tag", &long)]).0, "tag");
    let many: Vec<(String, String)> = (0..=MAX_VALUES)
        .map(|n| ("user".to_owned(), n.to_string()))
        .collect();
    assert_eq!(Query::parse(&many, &context()).unwrap_err()[0].parameter, "user");
    assert!(Query::parse(&many[1..], &context()).is_ok());
    let fields: Vec<(String, String)> = (0..=MAX_CUSTOM_FIELDS)
        .map(|n| (format!("custom[{n}]"), "x".to_owned()))
        .collect();
    assert_eq!(
        Query::parse(&fields, &context()).unwrap_err()[0].parameter,
        "custom"
    );
}

#[test]
fn titles_and_their_words_are_bounded_together() {
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
            (faults.len(), &*faults[0].parameter),
            (1, "title"),
            "{count} of {words}"
        );
        assert!(faults[0].detail.contains("at most 100 titles"), "{}", faults[0]);
    }
    // One that is sent again is one.
    let twice = [titles(MAX_TITLES, 2), titles(MAX_TITLES, 2)].concat();
    assert_eq!(parsed(&twice).unwrap().filter.titles.len(), MAX_TITLES);
}

#[test]
fn a_resource_has_parameters_of_its_own_and_lacks_others() {
    let export = ParseContext::export(at("2026-01-01T00:00:00Z"), Tz::UTC, &["columns", "bom"]);
    let query = Query::parse(&pairs(&[("columns", "full"), ("action", "failed")]), &export).unwrap();
    assert_eq!((query.extra("columns"), query.extra("bom")), (Some("full"), None));
    for wrong in ["limit", "cursor", "count"] {
        assert_eq!(
            Query::parse(&pairs(&[(wrong, "1")]), &export).unwrap_err()[0].parameter,
            wrong
        );
    }
    let repeated = pairs(&[("columns", "full"), ("columns", "full")]);
    assert_eq!(
        Query::parse(&repeated, &export).unwrap_err()[0].parameter,
        "columns"
    );
    let own = ParseContext {
        scope: false,
        ..context()
    };
    assert_eq!(
        Query::parse(&pairs(&[("scope", "me")]), &own).unwrap_err()[0].parameter,
        "scope"
    );
}

#[test]
fn a_resource_about_people_has_their_filters_alone() {
    let people = ParseContext {
        filters: FilterSet::Persons,
        ..context()
    };
    let asked = pairs(&[
        ("team", "a"),
        ("include_sub_teams", "true"),
        ("primary_team_only", "true"),
        ("group", "g"),
        ("user", "u"),
        ("include_deactivated", "true"),
        ("custom[Region]", "North"),
        ("scope", "me"),
    ]);
    assert_eq!(Query::parse(&asked, &people).unwrap().filter.custom.len(), 1);
    for parameter in FILTER_PARAMETERS {
        let faults = Query::parse(&pairs(&[(parameter.name, "x")]), &people)
            .err()
            .unwrap_or_default();
        let unknown = faults
            .iter()
            .find(|fault| fault.detail.starts_with("is not a parameter here"));
        let about_people = FilterSet::Persons
            .parameters()
            .any(|other| other.name == parameter.name);
        assert_eq!(unknown.is_none(), about_people, "{}", parameter.name);
        if let Some(fault) = unknown {
            assert!(!fault.detail.contains("`action`"), "only its own are named");
        }
    }
}

#[test]
fn lists_of_a_resource_s_own_may_be_repeated_and_bind_the_cursor() {
    let own = ParseContext {
        lists: &["kind"],
        ..context()
    };
    let first = Query::parse(&pairs(&[("kind", "b"), ("kind", "a"), ("kind", "b")]), &own).unwrap();
    assert_eq!(first.extras("kind").collect::<Vec<_>>(), ["a", "b"]);
    let mut next = first.next_pairs(&first.cursor_after(LAST));
    assert!(Query::parse(&next, &own).is_ok());
    next.retain(|(name, value)| name != "kind" || value != "a");
    assert_eq!(Query::parse(&next, &own).unwrap_err()[0].parameter, "cursor");
    assert!(Query::parse(&pairs(&[("kind", "a")]), &context()).is_err());
}

const LAST: Position = Position {
    happened_at: Timestamp::from_micros(5),
    seq: 3,
};

#[test]
fn the_next_page_carries_everything_and_keeps_its_now() {
    let first = parse(&[("period", "today"), ("limit", "2"), ("count", "exact")]);
    let next = first.next_pairs(&first.cursor_after(LAST));
    assert!(next.contains(&("limit".to_owned(), "2".to_owned())));
    assert!(next.contains(&("count".to_owned(), "exact".to_owned())));
    // The next page is asked for after midnight.
    let later = ParseContext {
        now: at("2026-02-13T01:00:00Z"),
        ..context()
    };
    let second = Query::parse(&next, &later).unwrap();
    assert_eq!(second.now, first.now);
    assert_eq!(second.after, Some(LAST));
    assert_eq!(second.filter.window(second.now), first.filter.window(first.now));
}

#[test]
fn a_cursor_is_refused_with_another_question() {
    let cursor = parse(&[("action", "failed")]).cursor_after(LAST);
    let with = |sent: &[(&str, &str)], context: &ParseContext<'_>| {
        let mut sent = pairs(sent);
        sent.push(("cursor".to_owned(), cursor.clone()));
        Query::parse(&sent, context)
            .map(|query| query.after)
            .map_err(|faults| faults[0].parameter.clone())
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
        binding: "acme/user:bob /v1/activities",
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

/// How a report's resource reads what is added to the report.
fn opened<'a>(saved: &'a Query) -> ParseContext<'a> {
    ParseContext {
        saved: Some(saved),
        ..context()
    }
}

/// The names of what is refused when it is added to the report.
fn refused(saved: &Query, added: &[(&str, &str)]) -> Vec<String> {
    let faults = Query::parse(&pairs(added), &opened(saved))
        .err()
        .unwrap_or_default();
    faults.into_iter().map(|fault| fault.parameter).collect()
}

#[test]
fn what_is_added_to_a_report_stands_beside_its_own() {
    let saved = parse(&[
        ("tag", "a"),
        ("action", "completed,visited"),
        ("include_deactivated", "true"),
        ("from", "2026-01-01"),
        ("tz", "Asia/Kathmandu"),
        ("sort", "happened_at"),
        ("scope", "managed"),
        ("certificate_expires_within", "P30D"),
    ]);
    let added = [
        ("tag", "b"),
        ("to", "2026-02-01"),
        ("from", "2025-12-01"),
        ("certificate_expires_within", "P10D"),
    ];
    let query = Query::parse(&pairs(&added), &opened(&saved)).unwrap();
    let each: Vec<&[String]> = query.filter.each().map(|filter| filter.tags.as_slice()).collect();
    assert_eq!(each, [["b"], ["a"]], "both have to hold");
    assert_eq!(query.filter.within.as_deref(), Some(&saved.filter));
    assert!(query.filter.shows_deactivated() && !query.filter.hides_visited());
    assert_eq!((query.sort, query.asked_scope), (Sort::OldestFirst, None));
    // Days are those of the report, until the reader asks for others; the report's own stay what they are.
    let window = query.filter.window(query.now);
    assert_eq!(window.from, Some(at("2025-12-31T18:15:00Z")));
    assert_eq!(window.to, Some(at("2026-01-31T18:15:00Z")));
    let there = Query::parse(&pairs(&[("to", "2026-02-01"), ("tz", "UTC")]), &opened(&saved)).unwrap();
    let window = there.filter.window(there.now);
    assert_eq!(window.from, Some(at("2025-12-31T18:15:00Z")));
    assert_eq!(window.to, Some(at("2026-02-01T00:00:00Z")));
    let certificate = query.filter.certificate_window(query.now).unwrap();
    assert_eq!(certificate.to, Some(at("2026-02-22T20:00:00.000001Z")));
    let mut names: Vec<String> = query.to_pairs().into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["certificate_expires_within", "from", "tag", "to"],
        "its own parameters alone"
    );
}

#[test]
fn the_order_against_the_report_s_own_is_carried_to_the_next_page() {
    let saved = parse(&[("sort", "happened_at")]);
    let newest = Query::parse(&pairs(&[("sort", "-happened_at")]), &opened(&saved)).unwrap();
    let next = newest.next_pairs(&newest.cursor_after(LAST));
    assert!(next.contains(&("sort".to_owned(), "-happened_at".to_owned())));
    let second = Query::parse(&next, &opened(&saved)).unwrap();
    assert_eq!((second.sort, second.after), (Sort::NewestFirst, Some(LAST)));
}

#[test]
fn what_would_widen_a_report_is_refused_by_name() {
    for saved in [
        parse(&[]),
        parse(&[("include_deactivated", "true"), ("action", "visited")]),
    ] {
        for value in ["true", "false"] {
            for name in ["include_deactivated", "include_sub_teams", "include_sub_managers"] {
                assert_eq!(refused(&saved, &[(name, value)]), [name]);
            }
        }
        for actions in ["visited", "completed,visited"] {
            assert_eq!(refused(&saved, &[("action", actions)]), ["action"]);
        }
        assert_eq!(
            refused(
                &saved,
                &[
                    ("include_sub_managers", "true"),
                    ("action", "visited"),
                    ("tag", "x")
                ]
            ),
            ["include_sub_managers", "action"]
        );
        assert!(refused(&saved, &[("action", "completed"), ("scope", "me")]).is_empty());
    }
    // And each names the way out.
    let faults = Query::parse(
        &pairs(&[("include_sub_teams", "true"), ("action", "visited")]),
        &opened(&parse(&[])),
    );
    for fault in faults.unwrap_err() {
        assert!(fault.detail.contains("in the report itself"), "{fault}");
    }
    for parameter in FILTER_PARAMETERS.iter().chain(SCOPE_PARAMETERS) {
        let including = parameter.name.starts_with("include_");
        let named = refused(&parse(&[]), &[(parameter.name, "true")]);
        assert!(
            !including || named == [parameter.name],
            "{} is not refused",
            parameter.name
        );
    }
}

#[test]
fn a_cursor_belongs_to_the_report_as_it_was() {
    let saved = parse(&[("tag", "a"), ("scope", "managed")]);
    let query = Query::parse(&pairs(&[("user", "ada")]), &opened(&saved)).unwrap();
    let next = query.next_pairs(&query.cursor_after(LAST));
    let again = |context: &ParseContext<'_>| {
        Query::parse(&next, context)
            .map(|query| query.after)
            .map_err(|faults| faults[0].parameter.clone())
    };
    assert_eq!(again(&opened(&saved)), Ok(Some(LAST)));
    for other in [
        parse(&[]),
        parse(&[("tag", "b"), ("scope", "managed")]),
        parse(&[("tag", "a"), ("scope", "me")]),
        parse(&[("tag", "a")]),
        parse(&[("tag", "a"), ("scope", "managed"), ("sort", "happened_at")]),
        parse(&[("tag", "a"), ("scope", "managed"), ("tz", "UTC")]),
        parse(&[("tag", "a"), ("scope", "managed"), ("user", "ada")]),
    ] {
        assert_eq!(again(&opened(&other)), Err("cursor".to_owned()), "{other:?}");
    }
    assert_eq!(
        again(&context()),
        Err("cursor".to_owned()),
        "nor to the log without it"
    );
    // Saved and added are two places: what is moved from one to the other is another question.
    let moved = parse(&[("scope", "managed"), ("user", "ada")]);
    let query = Query::parse(&pairs(&[("tag", "a")]), &opened(&moved)).unwrap();
    let mut next = query.next_pairs(&query.cursor_after(LAST));
    next.retain(|(name, _)| name == "cursor");
    next.extend(pairs(&[("user", "ada")]));
    assert_eq!(
        Query::parse(&next, &opened(&saved)).unwrap_err()[0].parameter,
        "cursor"
    );
}

proptest! {
    /// The naive reading of an opened report: what is saved and what is added, each read alone.
    #[test]
    fn an_opened_report_is_both_questions(
        saved in added_pairs(), added in added_pairs(), other in added_pairs(),
    ) {
        let saved = parse(&one_each(&saved));
        let added = one_each(&added);
        let widening: BTreeSet<&str> = added
            .iter()
            .filter(|(name, value)| name.starts_with("include_") || (*name == "action" && value.contains("visited")))
            .map(|(name, _)| *name)
            .collect();
        let named: BTreeSet<String> = refused(&saved, &added).into_iter().collect();
        prop_assert_eq!(named.iter().map(String::as_str).collect::<BTreeSet<_>>(), widening.clone());
        if !widening.is_empty() {
            return Ok(());
        }
        let query = Query::parse(&pairs(&added), &opened(&saved)).unwrap();

        let zoned = ParseContext { time_zone: saved.filter.zone(), ..context() };
        let alone = Query::parse(&pairs(&added), &zoned).unwrap();
        let own = Filter { within: None, ..query.filter.clone() };
        prop_assert_eq!(&own, &alone.filter);
        prop_assert_eq!(query.filter.within.as_deref(), Some(&saved.filter));
        prop_assert_eq!(query.filter.each().count(), 2);
        prop_assert_eq!(query.asked_scope, alone.asked_scope);
        let asks_order = added.iter().any(|(name, _)| *name == "sort");
        prop_assert_eq!(query.sort, if asks_order { alone.sort } else { saved.sort });
        // Whether a moment is in both windows, tried at their very ends.
        let (window, windows) = (query.filter.window(query.now), [&saved, &alone].map(|one| one.filter.window(query.now)));
        for end in windows.iter().flat_map(|window| [window.from, window.to]).flatten() {
            for moment in [-1, 0, 1].map(|step| Timestamp::from_micros(end.micros() + step)) {
                prop_assert_eq!(window.contains(moment), windows.iter().all(|one| one.contains(moment)));
            }
        }
        prop_assert_eq!(query.filter.shows_deactivated(), saved.filter.include_deactivated);
        prop_assert_eq!(query.filter.hides_visited(), saved.filter.hides_visited());

        // The next page is read back the same, and around no other report.
        let next = query.next_pairs(&query.cursor_after(LAST));
        let second = Query::parse(&next, &opened(&saved)).unwrap();
        prop_assert_eq!((&second.filter, second.sort, second.after), (&query.filter, query.sort, Some(LAST)));
        let other = parse(&one_each(&other));
        let same = other.to_pairs() == saved.to_pairs() && other.filter.zone() == saved.filter.zone();
        prop_assert_eq!(Query::parse(&next, &opened(&other)).is_ok(), same);
    }
}

/// Parameters that may be saved and added, some of which may not be added.
fn added_pairs() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec(
        prop::sample::select(vec![
            ("action", "completed"),
            ("action", "failed,visited"),
            ("user", "ada"),
            ("user", "bob"),
            ("tag", "x"),
            ("scope", "me"),
            ("scope", "managed"),
            ("sort", "happened_at"),
            ("sort", "-happened_at"),
            ("period", "last_7_days"),
            ("period", "this_month"),
            ("tz", "Asia/Kathmandu"),
            ("tz", "UTC"),
            ("include_deactivated", "true"),
            ("include_sub_managers", "true"),
            ("custom[a]", "1"),
            ("completed", "true"),
            ("certificate_expires_within", "P3D"),
        ]),
        0..6,
    )
}

/// Each parameter once.
fn one_each(sent: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let by_name: BTreeMap<_, _> = sent.iter().copied().collect();
    by_name.into_iter().collect()
}

proptest! {
    /// The canonical form of any question is the question, in whatever order it was asked.
    #[test]
    fn canonical_pairs_are_the_same_question(
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
        prop_assert_eq!(parse(&backwards).cursor_after(LAST), query.cursor_after(LAST));
    }

    #[test]
    fn no_parameters_end_the_process(sent in prop::collection::vec((any::<String>(), any::<String>()), 0..4)) {
        let _ = Query::parse(&sent, &context());
    }

    #[test]
    fn no_value_ends_the_process(index in 0..FILTER_PARAMETERS.len(), value in any::<String>()) {
        let _ = Query::parse(&[(FILTER_PARAMETERS[index].name.to_owned(), value)], &context());
    }
}
