//! What a content demands, and the history of it (product text, section 6, rule 10).
//!
//! A past result never flips because a pass mark was raised: [`DemandHistory::at`] answers with what
//! was demanded when the activity happened.

use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::record::{CalendarDuration, Duration};

/// What a content demands at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Demands {
    /// The least score that passes, in percent.
    pub pass_mark: Option<f64>,
    /// How long an attempt may take.
    pub time_limit: Option<Duration>,
    /// How long a completion counts.
    pub expires_after: Option<CalendarDuration>,
    /// The certificate that a completion earns.
    pub certificate: Option<CertificateRule>,
}

/// The certificate that a completion of a content earns.
#[derive(Debug, Clone, PartialEq)]
pub struct CertificateRule {
    /// What it is called.
    pub name: Option<String>,
    /// How long it is valid; `None`: for ever.
    pub expires_after: Option<CalendarDuration>,
}

/// What a content demanded over time: for each field, from when which value held.
///
/// Each field has a history of its own, so that setting a pass mark says nothing about the expiry.
/// An entry whose value is `None` says that from then on nothing was demanded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DemandHistory {
    /// The pass mark, in percent.
    pub pass_mark: History<f64>,
    /// The time limit.
    pub time_limit: History<Duration>,
    /// The expiry of completions.
    pub expires_after: History<CalendarDuration>,
    /// The certificate.
    pub certificate: History<CertificateRule>,
}

#[derive(Serialize, Deserialize)]
struct DemandsText {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pass_mark: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    time_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    expires_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    certificate: Option<CertificateText>,
}

#[derive(Serialize, Deserialize)]
struct CertificateText {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    expires_after: Option<String>,
}

impl Demands {
    /// The demands as the text that is kept; [`Demands::from_json`] reads it back.
    pub fn to_json(&self) -> String {
        let calendar = |duration: &CalendarDuration| duration.as_str().to_owned();
        let text = DemandsText {
            pass_mark: self.pass_mark,
            time_limit: self.time_limit.as_ref().map(|limit| limit.as_str().to_owned()),
            expires_after: self.expires_after.as_ref().map(calendar),
            certificate: self.certificate.as_ref().map(|rule| CertificateText {
                name: rule.name.clone(),
                expires_after: rule.expires_after.as_ref().map(calendar),
            }),
        };
        // Texts and finite numbers always serialise; a pass mark is checked to be finite when it is set.
        serde_json::to_string(&text).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Reads what [`Demands::to_json`] wrote.
    ///
    /// # Errors
    /// Says what is not as it was written.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let text: DemandsText = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let calendar = |text: Option<String>| {
            text.map(|text| CalendarDuration::parse(&text).map_err(|error| error.to_string()))
                .transpose()
        };
        let time_limit = text
            .time_limit
            .map(|text| Duration::parse(&text).map_err(|error| error.to_string()));
        let certificate = match text.certificate {
            Some(rule) => Some(CertificateRule {
                name: rule.name,
                expires_after: calendar(rule.expires_after)?,
            }),
            None => None,
        };
        Ok(Self {
            pass_mark: text.pass_mark,
            time_limit: time_limit.transpose()?,
            expires_after: calendar(text.expires_after)?,
            certificate,
        })
    }
}

impl DemandHistory {
    /// Sets all fields from `from` on, until the next entry after it.
    pub fn set(&mut self, from: Timestamp, demands: Demands) {
        self.pass_mark.set(from, demands.pass_mark);
        self.time_limit.set(from, demands.time_limit);
        self.expires_after.set(from, demands.expires_after);
        self.certificate.set(from, demands.certificate);
    }

    /// What was demanded at `at`.
    pub fn at(&self, at: Timestamp) -> Demands {
        Demands {
            pass_mark: self.pass_mark.at(at).copied(),
            time_limit: self.time_limit.at(at).cloned(),
            expires_after: self.expires_after.at(at).cloned(),
            certificate: self.certificate.at(at).cloned(),
        }
    }
}

/// The values of one field over time.
#[derive(Debug, Clone, PartialEq)]
pub struct History<T> {
    /// `(from when, which value)`, by time; of two with the same time the later in the list counts.
    entries: Vec<(Timestamp, Option<T>)>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> FromIterator<(Timestamp, Option<T>)> for History<T> {
    /// A history from entries in the order in which they were set: of two that begin at the same
    /// moment the later one counts.
    fn from_iter<I: IntoIterator<Item = (Timestamp, Option<T>)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(from, _)| *from);
        Self { entries }
    }
}

impl<T> History<T> {
    /// Sets the value from `from` on, until the next entry after it.
    pub fn set(&mut self, from: Timestamp, value: Option<T>) {
        let place = self.entries.partition_point(|(other, _)| *other <= from);
        self.entries.insert(place, (from, value));
    }

    /// The entries, by time.
    pub fn entries(&self) -> &[(Timestamp, Option<T>)] {
        &self.entries
    }

    /// The value that held at `at`: that of the latest entry with `from ≤ at`.
    ///
    /// The first value ever set covers the time before it, so entries without a value ahead of it
    /// count for nothing: before a pass mark was first given there was nothing to unset.
    pub fn at(&self, at: Timestamp) -> Option<&T> {
        let first = self.entries.iter().position(|(_, value)| value.is_some())?;
        let entries = self.entries.get(first..)?;
        let after = entries.partition_point(|(from, _)| *from <= at);
        entries.get(after.saturating_sub(1))?.1.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn t(at: i64) -> Timestamp {
        Timestamp::from_micros(at)
    }

    fn history(entries: &[(i64, Option<u8>)]) -> History<u8> {
        entries.iter().map(|(from, value)| (t(*from), *value)).collect()
    }

    #[test]
    fn nothing_set_demands_nothing() {
        assert_eq!(history(&[]).at(t(5)), None);
        assert_eq!(history(&[(1, None)]).at(t(5)), None);
    }

    #[test]
    fn a_change_counts_from_its_moment_on() {
        let marks = history(&[(10, Some(50)), (20, Some(80))]);
        assert_eq!(marks.at(t(19)), Some(&50));
        assert_eq!(marks.at(t(20)), Some(&80));
    }

    #[test]
    fn the_first_value_covers_the_time_before_it() {
        assert_eq!(history(&[(10, Some(50)), (20, Some(80))]).at(t(-5)), Some(&50));
        assert_eq!(
            history(&[(1, None), (10, Some(50))]).at(t(5)),
            Some(&50),
            "a leading unset is no value"
        );
    }

    #[test]
    fn unset_is_no_value_from_then_on() {
        let marks = history(&[(10, Some(50)), (20, None), (30, Some(60))]);
        assert_eq!(marks.at(t(20)), None);
        assert_eq!(marks.at(t(30)), Some(&60));
        assert_eq!(marks.at(t(0)), Some(&50));
    }

    #[test]
    fn of_two_at_one_moment_the_later_set_counts() {
        let mut marks = history(&[(10, Some(50)), (10, Some(60))]);
        assert_eq!(marks.at(t(10)), Some(&60));
        marks.set(t(10), Some(70));
        assert_eq!(marks.at(t(10)), Some(&70));
        assert_eq!(marks.entries().len(), 3);
    }

    #[test]
    fn fields_have_histories_of_their_own() {
        let mut demands = DemandHistory::default();
        demands.pass_mark.set(t(10), Some(50.0));
        demands.certificate.set(
            t(20),
            Some(CertificateRule {
                name: None,
                expires_after: None,
            }),
        );
        demands.certificate.set(t(30), None);
        assert_eq!(demands.at(t(30)).pass_mark, Some(50.0));
        assert_eq!(demands.at(t(30)).certificate, None);
        assert!(demands.at(t(0)).certificate.is_some());
    }

    proptest! {
        #[test]
        fn set_one_by_one_is_the_same_as_all_at_once(
            entries in prop::collection::vec((0i64..20, prop::option::of(0u8..5)), 0..12),
            at in -2i64..22,
        ) {
            let mut one_by_one = History::default();
            for (from, value) in &entries {
                one_by_one.set(t(*from), *value);
            }
            let at_once = history(&entries);
            prop_assert_eq!(one_by_one.at(t(at)), at_once.at(t(at)));

            // The naive judge: walk the moments from the first value on.
            let mut held = None;
            let mut sorted = entries.clone();
            sorted.sort_by_key(|(from, _)| *from);
            let first = sorted.iter().position(|(_, value)| value.is_some());
            for (index, (from, value)) in sorted.iter().enumerate() {
                let begins = first == Some(index);
                if begins || (first.is_some_and(|first| index > first) && *from <= at) {
                    held = *value;
                }
            }
            prop_assert_eq!(one_by_one.at(t(at)).copied(), held);
        }
    }
}
