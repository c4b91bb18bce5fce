//! Tests of parameters that are added to a saved report.

use std::collections::BTreeSet;

use super::*;

/// The context of parameters that are added to a report.
fn report_context<'a>(saved: &'a Query) -> ParseContext<'a> {
    ParseContext {
        saved: Some(saved),
        ..context()
    }
}

/// The names of the parameters that are refused when they are added to the report.
fn refused(saved: &Query, added: &[(&str, &str)]) -> Vec<String> {
    let faults = Query::parse(&pairs(added), &report_context(saved))
        .err()
        .unwrap_or_default();
    faults.into_iter().map(|fault| fault.parameter).collect()
}

#[test]
fn added_parameters_do_not_replace_those_of_the_report() {
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
    let query = Query::parse(&pairs(&added), &report_context(&saved)).unwrap();
    let each: Vec<&[String]> = query.filter.each().map(|filter| filter.tags.as_slice()).collect();
    assert_eq!(each, [["b"], ["a"]], "a row must pass both");
    assert_eq!(query.filter.within.as_deref(), Some(&saved.filter));
    assert!(query.filter.shows_deactivated() && !query.filter.hides_visited());
    assert_eq!((query.sort, query.asked_scope), (Sort::OldestFirst, None));
    // Added dates are in the zone of the report unless `tz` is added too. The dates of the report stay in its zone.
    let window = query.filter.window(query.now);
    assert_eq!(window.from, Some(parse_time("2025-12-31T18:15:00Z")));
    assert_eq!(window.to, Some(parse_time("2026-01-31T18:15:00Z")));
    let in_utc = Query::parse(
        &pairs(&[("to", "2026-02-01"), ("tz", "UTC")]),
        &report_context(&saved),
    )
    .unwrap();
    let window = in_utc.filter.window(in_utc.now);
    assert_eq!(window.from, Some(parse_time("2025-12-31T18:15:00Z")));
    assert_eq!(window.to, Some(parse_time("2026-02-01T00:00:00Z")));
    let certificate = query.filter.certificate_window(query.now).unwrap();
    assert_eq!(certificate.to, Some(parse_time("2026-02-22T20:00:00.000001Z")));
    let mut names: Vec<String> = query.to_pairs().into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["certificate_expires_within", "from", "tag", "to"],
        "only the added parameters"
    );
}

#[test]
fn primary_team_only_applies_to_the_team_of_the_report() {
    let added = [("primary_team_only", "true")];
    let saved = parse(&[("team", "sales")]);
    let query = Query::parse(&pairs(&added), &report_context(&saved)).unwrap();
    assert!(query.filter.adds_primary_team_only());
    assert_eq!(refused(&parse(&[]), &added), ["primary_team_only"]);
    let with_team = [("primary_team_only", "true"), ("team", "north")];
    let query = Query::parse(&pairs(&with_team), &report_context(&saved)).unwrap();
    assert!(!query.filter.adds_primary_team_only());
}

#[test]
fn next_page_keeps_an_order_that_differs_from_the_report() {
    let saved = parse(&[("sort", "happened_at")]);
    let newest = Query::parse(&pairs(&[("sort", "-happened_at")]), &report_context(&saved)).unwrap();
    let next = newest.next_pairs(&newest.cursor_after(LAST).unwrap());
    assert!(next.contains(&("sort".to_owned(), "-happened_at".to_owned())));
    let second = Query::parse(&next, &report_context(&saved)).unwrap();
    assert_eq!((second.sort, second.after), (Sort::NewestFirst, Some(LAST)));
}

#[test]
fn parameters_that_widen_a_report_are_refused() {
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
    // Each fault has a remedy.
    let faults = Query::parse(
        &pairs(&[("include_sub_teams", "true"), ("action", "visited")]),
        &report_context(&parse(&[])),
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
fn cursor_is_bound_to_the_filter_of_the_report() {
    let saved = parse(&[("tag", "a"), ("scope", "managed")]);
    let query = Query::parse(&pairs(&[("user", "ada")]), &report_context(&saved)).unwrap();
    let next = query.next_pairs(&query.cursor_after(LAST).unwrap());
    let again = |context: &ParseContext<'_>| {
        Query::parse(&next, context)
            .map(|query| query.after)
            .map_err(|faults| faults.listed()[0].parameter.clone())
    };
    assert_eq!(again(&report_context(&saved)), Ok(Some(LAST)));
    for other in [
        parse(&[]),
        parse(&[("tag", "b"), ("scope", "managed")]),
        parse(&[("tag", "a"), ("scope", "me")]),
        parse(&[("tag", "a")]),
        parse(&[("tag", "a"), ("scope", "managed"), ("sort", "happened_at")]),
        parse(&[("tag", "a"), ("scope", "managed"), ("tz", "UTC")]),
        parse(&[("tag", "a"), ("scope", "managed"), ("user", "ada")]),
    ] {
        assert_eq!(
            again(&report_context(&other)),
            Err("cursor".to_owned()),
            "{other:?}"
        );
    }
    assert_eq!(
        again(&context()),
        Err("cursor".to_owned()),
        "the log does not accept it either"
    );
    // A parameter moved from the report to the added ones gives another query.
    let moved = parse(&[("scope", "managed"), ("user", "ada")]);
    let query = Query::parse(&pairs(&[("tag", "a")]), &report_context(&moved)).unwrap();
    let mut next = query.next_pairs(&query.cursor_after(LAST).unwrap());
    next.retain(|(name, _)| name == "cursor");
    next.extend(pairs(&[("user", "ada")]));
    assert_eq!(
        Query::parse(&next, &report_context(&saved)).unwrap_err().listed()[0].parameter,
        "cursor"
    );
}

proptest! {
    /// An opened report against both of its filters, parsed separately.
    #[test]
    fn opened_report_has_both_filters(
        saved in added_pairs(), added in added_pairs(), other in added_pairs(),
    ) {
        let saved = parse(&saved_pairs(&saved));
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
        let query = Query::parse(&pairs(&added), &report_context(&saved)).unwrap();

        let zoned = ParseContext { time_zone: saved.filter.zone(), ..context() };
        let alone = Query::parse(&pairs(&added), &zoned).unwrap();
        let own = Filter { within: None, ..query.filter.clone() };
        prop_assert_eq!(&own, &alone.filter);
        prop_assert_eq!(query.filter.within.as_deref(), Some(&saved.filter));
        prop_assert_eq!(query.filter.each().count(), 2);
        prop_assert_eq!(query.asked_scope, alone.asked_scope);
        let asks_order = added.iter().any(|(name, _)| *name == "sort");
        prop_assert_eq!(query.sort, if asks_order { alone.sort } else { saved.sort });
        // Both windows must contain a moment; tested at their ends.
        let (window, windows) = (query.filter.window(query.now), [&saved, &alone].map(|one| one.filter.window(query.now)));
        for end in windows.iter().flat_map(|window| [window.from, window.to]).flatten() {
            for moment in [-1, 0, 1].map(|step| Timestamp::from_micros(end.micros() + step)) {
                prop_assert_eq!(window.contains(moment), windows.iter().all(|one| one.contains(moment)));
            }
        }
        prop_assert_eq!(query.filter.shows_deactivated(), saved.filter.include_deactivated);
        prop_assert_eq!(query.filter.hides_visited(), saved.filter.hides_visited());

        // The next page parses to the same query, and with no other report.
        let next = query.next_pairs(&query.cursor_after(LAST).unwrap());
        let second = Query::parse(&next, &report_context(&saved)).unwrap();
        prop_assert_eq!((&second.filter, second.sort, second.after), (&query.filter, query.sort, Some(LAST)));
        let other = parse(&saved_pairs(&other));
        let same = other.to_pairs() == saved.to_pairs() && other.filter.zone() == saved.filter.zone();
        prop_assert_eq!(Query::parse(&next, &report_context(&other)).is_ok(), same);
    }
}

/// The pairs as a valid filter of a report: `include_sub_managers` needs `scope=managed`.
fn saved_pairs(sent: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut pairs = one_each(sent);
    let is_managed = pairs.contains(&("scope", "managed"));
    pairs.retain(|(name, _)| is_managed || *name != "include_sub_managers");
    pairs
}

/// Parameters of saved filters. Some of them may not be added to a report.
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
