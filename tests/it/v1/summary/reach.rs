//! Tests that summaries count only rows within the reach of the caller.

use serde_json::{Value, json};

use super::super::activities::{id, post_batch};
use super::{DIMENSIONS, format_groups, get_groups, get_summary, groups, set_up_with_activities, sum_of};
use crate::support::builders::{Body, activity};
use crate::support::http::{Caller, query};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn summary_counts_only_rows_within_reach(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    // Another organisation with the same ids and more activities.
    let other = set_up_with_activities(server, "other").await;
    let more: Vec<Body> =
        (20..30).map(|n| activity("ada", "viewed").set("id", id(n)).set("content", "old")).collect();
    post_batch(&other, &more).await;
    let person = |claims: Value| server.person_of("acme", claims);
    // The reports of `bo` by the token, one of which the directory does not contain.
    let reports = json!({"direct": ["dee", "nobody-here"], "indirect": ["cy"]});
    let mut callers = vec![
        (Comparison::EachGroup, server.person("manager", "ada")),
        (Comparison::EachGroup, person(json!({"sub": "bo", "role": "manager", "reports": reports}))),
    ];
    for indirect in [false, true] {
        admin
            .patch("/v1/organisation", &json!({"managers_see_indirect_reports": indirect}))
            .await
            .expect(200);
        if indirect {
            for role in ["owner", "hr", "reporter", "learning_designer", "curator", "learner"] {
                callers.push((Comparison::Sum, server.person(role, "ada")));
            }
            callers.push((Comparison::EachGroup, admin.clone()));
            callers.push((Comparison::Sum, server.person("manager", "dee")));
            callers.push((Comparison::Sum, server.person("learner", "nobody-here")));
            callers.push((
                Comparison::Sum,
                person(json!({"sub": "cy", "role": "curator", "permissions": ["reporting"]})),
            ));
            callers.push((Comparison::Sum, server.credential("acme", &["activities/read"]).await));
        }
        for (comparison, caller) in &callers {
            for scope in [
                "",
                "scope=company",
                "scope=managed",
                "scope=managed&include_sub_managers=true",
                "scope=me",
                "scope=team&team=safety",
                "scope=group&group=aid",
                "include_deactivated=true",
            ] {
                assert_matches_log(caller, scope, *comparison).await;
            }
        }
    }
}

#[apply(both_databases)]
async fn values_outside_the_reach_are_no_groups(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    // Only `dee`, who is outside the reach of `ada`, is in the team `night` and has an activity on this
    // content.
    admin.patch("/v1/users/dee", &json!({"teams": ["night"], "primary_team": "night"})).await.expect(200);
    let ada = server.person("manager", "ada");
    let by_user = get_summary(&ada, "by=user").await;
    assert_eq!(
        format_groups(&by_user),
        ["bo: 3 1 1 2/1 77.75 500", "ada: 2 1 2 1/0 90 600", "cy: 1 1 1 0/0 null 0"]
    );
    for (parameters, hidden) in [
        ("by=team", "night"),
        ("by=content", "old"),
        ("by=user", "dee"),
        ("by=action", "viewed"),
        ("by=day", "2026-03-08"),
        ("by=content_type", "article"),
    ] {
        let found = get_groups(&ada, parameters).await.join("\n");
        assert!(!found.is_empty() && !found.contains(hidden), "{parameters}: {found}");
        let found = get_groups(&admin, parameters).await.join("\n");
        assert!(found.contains(hidden), "{parameters}: {found}");
    }
    // The answer for a hidden value equals the answer for an unknown value.
    for (parameters, unknown) in [
        ("by=team&team=night", "by=team&team=nowhere"),
        ("by=content&content=old", "by=content&content=never"),
        ("by=user&user=dee", "by=user&user=nobody"),
    ] {
        let (hidden, unknown) = (get_summary(&ada, parameters).await, get_summary(&ada, unknown).await);
        assert_eq!(hidden, unknown, "{parameters}");
        assert_eq!(hidden["total"]["rows"], 0, "{parameters}");
    }
    let cy = server.person("learner", "cy");
    assert_eq!(
        get_groups(&cy, "by=team").await,
        ["safety: 1 1 1 0/0 null 0"],
        "without ada, who is in the same team"
    );
}

/// How groups are compared with the log.
#[derive(Clone, Copy, PartialEq)]
enum Comparison {
    /// Compares the sum of the groups with the total of the log.
    Sum,
    /// Also compares each group with the log that is filtered by its key.
    EachGroup,
}

/// Compares the summaries of a scope with the log. Both must have the same status.
async fn assert_matches_log(caller: &Caller, scope: &str, comparison: Comparison) {
    let log = caller.get(&format!("/v1/activities?limit=1&count=exact&{scope}")).await;
    let first = caller.get(&format!("/v1/activities/summary?by=user&{scope}")).await;
    assert_eq!(first.status, log.status, "{scope}: {}", first.text());
    if log.status != 200 {
        return;
    }
    let total = log.json()["total"].as_i64().expect("a total");
    let dimensions = if comparison == Comparison::EachGroup { DIMENSIONS } else { &["user", "team"] };
    for by in dimensions {
        let found = get_summary(caller, &format!("by={by}&{scope}")).await;
        assert_eq!(found["total"]["rows"], total, "{by} {scope}");
        if *by != "team" {
            assert_eq!(sum_of(&found, "rows"), total, "{by} {scope}");
        }
        // `scope=team` and `scope=group` name a team or a group already.
        let is_filter = !["day", "week", "month"].contains(by) && !scope.contains(&format!("{by}="));
        for group in groups(&found).iter().filter(|_| is_filter && comparison == Comparison::EachGroup) {
            let Some(key) = group["key"][*by].as_str() else {
                continue;
            };
            let filter = query(&[((*by).to_owned(), key.to_owned())]);
            let path = format!("/v1/activities{filter}&limit=1&count=exact&{scope}");
            let log = caller.get(&path).await.expect(200).json();
            assert_eq!(log["total"], group["rows"], "{path}");
        }
    }
}
