//! Whether a changed question shows rows that the question before did not show (docs/specification.md#widening).
//!
//! The answer holds for every log, directory and reader, and for every later moment. It compares parameter by parameter
//! and never looks at stored data. So a change that happens to show the same rows today counts as widening if it could
//! show more rows tomorrow, for example another team that is below the team before.

use super::parameter::{InReport, Parameter, Subject};
use super::value::{TitleSearch, ValueKind};
use super::{Filter, Query};
use crate::access::AskedScope;
use crate::base::clock::Timestamp;

/// The parameters that change what `team` selects.
const TEAM_OPTIONS: [&str; 2] = ["include_sub_teams", "primary_team_only"];

impl Query {
    /// Whether every row that this question shows at `now` or later is shown by `other` too, for every reader. Both
    /// questions of a report are read in the time zone of its schedule, so `tz` does not move a `period`.
    pub fn is_within(&self, other: &Self, now: Timestamp) -> bool {
        AskedScope::is_within(self.asked_scope, other.asked_scope)
            && self.filter.is_within(&other.filter, now)
    }
}

impl Filter {
    fn is_within(&self, other: &Self, now: Timestamp) -> bool {
        let pairs = self.values().zip(other.values());
        let by_table = pairs
            .filter(|((parameter, _), _)| !has_own_rule(parameter))
            // Without teams the other filter has no condition that these two could loosen.
            .filter(|((parameter, _), _)| !(other.teams.is_empty() && TEAM_OPTIONS.contains(&parameter.name)))
            .all(|((parameter, values), (_, others))| implies(parameter, &values, &others));
        let by_custom_field = other.custom.iter().all(|(field, others)| {
            let values = self.custom.get(field).map_or(&[][..], Vec::as_slice);
            is_subset(values, others)
        });
        by_table
            && by_custom_field
            && self.has_title_of(other)
            && self.expires_within(other)
            && self.window_is_within(other, now)
            && self.stored_window_is_within(other)
    }

    /// Whether every title with the words of one of this filter's searches has the words of one of the other's.
    fn has_title_of(&self, other: &Self) -> bool {
        let contains = |title: &TitleSearch, wanted: &TitleSearch| {
            let mut wanted = wanted.words.iter();
            wanted.all(|word| title.words.iter().any(|longer| longer.contains(word.as_str())))
        };
        let is_found = |title: &TitleSearch| other.titles.iter().any(|wanted| contains(title, wanted));
        other.titles.is_empty() || (!self.titles.is_empty() && self.titles.iter().all(is_found))
    }

    fn expires_within(&self, other: &Self) -> bool {
        match (
            &self.certificate_expires_within,
            &other.certificate_expires_within,
        ) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(one), Some(other)) => one.is_never_longer_than(other),
        }
    }

    /// Whether the window of this filter is in the other's at every moment from `now` on.
    fn window_is_within(&self, other: &Self, now: Timestamp) -> bool {
        let starts = |filter: &Self| filter.from.map(|from| from.resolve(filter.zone()));
        let ends = |filter: &Self| filter.to.map(|to| to.resolve(filter.zone()));
        match (self.period, other.period) {
            (Some(one), Some(other)) => one.is_within(other),
            (None, Some(_)) => false,
            // The window of a period moves on, so it leaves every window that has an end.
            (Some(period), None) => {
                other.to.is_none() && starts(other).is_none_or(|from| from <= period.earliest_start(now))
            }
            (None, None) => {
                let begins_later =
                    starts(other).is_none_or(|from| starts(self).is_some_and(|own| from <= own));
                let ends_earlier = ends(other).is_none_or(|to| ends(self).is_some_and(|own| own <= to));
                begins_later && ends_earlier
            }
        }
    }

    fn stored_window_is_within(&self, other: &Self) -> bool {
        let (own, other) = (self.own_stored_window(), other.own_stored_window());
        let begins_later = other
            .from
            .is_none_or(|from| own.from.is_some_and(|own| from <= own));
        let ends_earlier = other.to.is_none_or(|to| own.to.is_some_and(|own| own <= to));
        begins_later && ends_earlier
    }
}

/// Whether a parameter is compared by a rule of its own, because its values are no plain list.
fn has_own_rule(parameter: &Parameter) -> bool {
    parameter.traits.subject == Subject::Time
        || matches!(
            parameter.name,
            "title" | "certificate_expires_within" | "stored_from" | "stored_to"
        )
}

/// Whether the condition of a parameter with `values` implies the one with `others`.
fn implies(parameter: &Parameter, values: &[String], others: &[String]) -> bool {
    match parameter.traits.in_report {
        InReport::Widens => values.is_empty() || !others.is_empty(),
        // Without any value, this one is excluded.
        InReport::WidensWith(key) if others.is_empty() => values.iter().all(|value| value != key),
        InReport::WidensWith(_) | InReport::Narrows => match parameter.kind {
            ValueKind::Repeated => is_subset(values, others),
            ValueKind::Single | ValueKind::Boolean => others.is_empty() || values == others,
        },
    }
}

/// Whether a row with one of `values` has one of `others`. An empty list is no condition.
fn is_subset(values: &[String], others: &[String]) -> bool {
    others.is_empty() || (!values.is_empty() && values.iter().all(|value| others.contains(value)))
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::log::ParseContext;
    use crate::log::filter::FILTER_PARAMETERS;

    /// 2026-03-18T10:17:23Z.
    const NOW: Timestamp = Timestamp::from_micros(1_773_829_043_000_000);

    fn query(text: &str) -> Query {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        Query::parse(&pairs, &ParseContext::export(NOW, Tz::UTC, &[]))
            .unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
    }

    fn is_within(after: &str, before: &str) -> bool {
        query(after).is_within(&query(before), NOW)
    }

    /// The first question of each pair shows fewer rows than the second, and not all of them.
    const NARROWER: &[(&str, &str)] = &[
        ("user=bo", ""),
        ("team=a", ""),
        ("tag=a", "tag=a&tag=b"),
        ("tag=a&type=quiz", "tag=a"),
        ("custom[Region]=North", ""),
        (
            "custom[Region]=North",
            "custom[Region]=North&custom[Region]=South",
        ),
        ("custom[Region]=North&custom[Grade]=1", "custom[Region]=North"),
        ("action=completed", ""),
        ("action=completed", "action=completed,visited"),
        ("completed=true", ""),
        ("stored_from=2026-01-02", "stored_from=2026-01-01"),
        (
            "stored_from=2026-01-02&stored_to=2026-01-03",
            "stored_to=2026-01-03",
        ),
        ("expired=false", ""),
        ("result=passed", "result=passed,failed"),
        ("team=a", "team=a&include_sub_teams=true"),
        ("team=a&primary_team_only=true", "team=a"),
        ("team=a&include_sub_teams=true", ""),
        ("", "include_deactivated=true"),
        ("title=fire+safety", "title=fire"),
        ("title=wildfire", "title=fire"),
        ("title=fire", "title=fire&title=water"),
        ("scope=managed", ""),
        ("scope=managed", "scope=company"),
        ("scope=managed", "scope=managed&include_sub_managers=true"),
        ("scope=me", "scope=company"),
        ("from=2026-01-01", ""),
        ("from=2026-01-01&to=2026-02-01", "from=2026-01-01"),
        ("from=2026-01-02&to=2026-02-01", "from=2026-01-01&to=2026-02-01"),
        (
            "from=2026-01-01&tz=America/New_York",
            "from=2026-01-01&tz=Europe/London",
        ),
        ("period=today", ""),
        ("period=today", "period=this_month"),
        ("period=previous_week", "period=last_30_days"),
        ("period=previous_month", "from=2026-01-31"),
        ("certificate_expires_within=P7D", "certificate_expires_within=P1M"),
        ("certificate_expires_within=P7D", ""),
    ];

    #[test]
    fn narrower_question_is_within_the_wider_one_and_not_the_reverse() {
        for (narrow, wide) in NARROWER {
            assert!(is_within(narrow, wide), "{narrow} in {wide}");
            assert!(!is_within(wide, narrow), "{wide} in {narrow}");
        }
    }

    #[test]
    fn equal_questions_are_within_each_other() {
        for (one, other) in [
            ("", "sort=happened_at"),
            ("scope=company", ""),
            ("team=a&scope=team", "team=a"),
            ("type=quiz,item", "type=item&type=quiz"),
            ("period=today&tz=Asia/Tokyo", "period=today"),
            ("completed=true", "completed=true"),
            ("title=Fire++Safety", "title=safety+fire"),
        ] {
            assert!(
                is_within(one, other) && is_within(other, one),
                "{one} and {other}"
            );
        }
    }

    #[test]
    fn question_with_other_rows_is_not_within() {
        for (one, other) in [
            ("tag=a", "tag=b"),
            ("tag=a", "type=quiz"),
            ("completed=true", "completed=false"),
            ("action=visited", ""),
            ("", "action=visited"),
            ("scope=me", "scope=managed"),
            ("team=b", "team=a&include_sub_teams=true"),
            ("period=previous_month", "period=previous_quarter"),
            ("period=today", "from=2026-01-01&to=2030-01-01"),
            ("period=last_30_days", "from=2026-02-20"),
            ("from=2026-03-18&to=2026-03-19", "period=today"),
            (
                "certificate_expires_within=P1M",
                "certificate_expires_within=P30D",
            ),
            ("title=fire", "title=fire+safety"),
            ("custom[Region]=North", "custom[Grade]=1"),
        ] {
            assert!(!is_within(one, other), "{one} in {other}");
        }
    }

    /// A parameter without any effect on the rows must not make a difference, and each other one must.
    #[test]
    fn every_parameter_of_the_table_can_narrow_or_widen() {
        for parameter in FILTER_PARAMETERS {
            if parameter.traits.subject == Subject::Time {
                continue;
            }
            let example = match parameter.name {
                "verb" => "http://example.org/x",
                "import" => "ec531277-b57b-4c15-8d91-d292c5b2b8f7",
                "action" => "completed",
                "type" => "quiz",
                "content_type" => "video",
                "origin" => "api",
                "result" => "passed",
                "certificate_expires_within" => "P1D",
                "stored_from" | "stored_to" => "2026-01-01",
                _ if parameter.kind == ValueKind::Boolean => "true",
                _ => "x",
            };
            let team = if TEAM_OPTIONS.contains(&parameter.name) {
                "team=x"
            } else {
                ""
            };
            let (with, without) = (format!("{team}&{}={example}", parameter.name), team);
            let (narrows, widens) = (is_within(&with, without), is_within(without, &with));
            assert!(narrows != widens, "{}", parameter.name);
            assert_eq!(widens, parameter.always_widens(), "{}", parameter.name);
        }
    }
}
