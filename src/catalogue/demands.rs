//! What a content demands, and how that changed over time (`docs/specification.md#demands-over-time`).
//!
//! A new pass mark does not change past results: [`DemandHistory::at`] returns the demands of the time at which the
//! activity happened.

use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::base::json::exact_number;
use crate::record::{CalendarDuration, Duration};

/// The demands of a content at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Demands {
    /// The lowest score that passes, in percent.
    pub pass_mark: Option<f64>,
    /// How long an attempt may take.
    pub time_limit: Option<Duration>,
    /// How long a completion counts.
    pub expires_after: Option<CalendarDuration>,
    /// The certificate that a completion earns.
    pub certificate: Option<CertificateRule>,
}

/// Which demands a request sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemandFields {
    /// The pass mark.
    pub pass_mark: bool,
    /// The time limit.
    pub time_limit: bool,
    /// The expiry of completions.
    pub expires_after: bool,
    /// The certificate.
    pub certificate: bool,
}

impl DemandFields {
    /// All demands.
    pub const ALL: Self = Self {
        pass_mark: true,
        time_limit: true,
        expires_after: true,
        certificate: true,
    };
}

/// The certificate that a completion of a content earns.
#[derive(Debug, Clone, PartialEq)]
pub struct CertificateRule {
    /// The name.
    pub name: Option<String>,
    /// How long it is valid; `None`: without end.
    pub expires_after: Option<CalendarDuration>,
}

/// The demands of a content over time.
///
/// Each field has its own history: a new pass mark does not change the expiry. An entry with the value `None` removes the
/// demand from then on.
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
    #[serde(with = "exact_number", skip_serializing_if = "Option::is_none", default)]
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
    /// These demands in `fields`, and those of `others` in the other fields.
    pub fn limited_to(&self, fields: DemandFields, others: Demands) -> Self {
        let own = self.clone();
        Self {
            pass_mark: if fields.pass_mark {
                own.pass_mark
            } else {
                others.pass_mark
            },
            time_limit: if fields.time_limit {
                own.time_limit
            } else {
                others.time_limit
            },
            expires_after: if fields.expires_after {
                own.expires_after
            } else {
                others.expires_after
            },
            certificate: if fields.certificate {
                own.certificate
            } else {
                others.certificate
            },
        }
    }

    /// The demands as the text that is stored. [`Demands::from_json`] reads it.
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
        // Texts and finite numbers always have a JSON form. A pass mark is finite: it is checked when it is set.
        serde_json::to_string(&text).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Reads the text of [`Demands::to_json`].
    ///
    /// # Errors
    ///
    /// The text is damaged.
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
    /// Times and the values that begin then, in order of time. Of two entries with the same time, the later one counts.
    entries: Vec<(Timestamp, Option<T>)>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> FromIterator<(Timestamp, Option<T>)> for History<T> {
    /// Makes a history of entries in the order in which they were set. Of two with the same time, the later one counts.
    fn from_iter<I: IntoIterator<Item = (Timestamp, Option<T>)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(from, _)| *from);
        Self { entries }
    }
}

impl<T> History<T> {
    /// Sets the value from `from` until the next entry.
    pub fn set(&mut self, from: Timestamp, value: Option<T>) {
        let place = self.entries.partition_point(|(other, _)| *other <= from);
        self.entries.insert(place, (from, value));
    }

    /// The entries, by time.
    pub fn entries(&self) -> &[(Timestamp, Option<T>)] {
        &self.entries
    }

    /// The value at a time: the value of the last entry that begins at or before it.
    pub fn at(&self, at: Timestamp) -> Option<&T> {
        let after = self.entries.partition_point(|(from, _)| *from <= at);
        self.entries.get(after.checked_sub(1)?)?.1.as_ref()
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
    fn empty_history_has_no_value() {
        assert_eq!(history(&[]).at(t(5)), None);
        assert_eq!(history(&[(1, None)]).at(t(5)), None);
    }

    #[test]
    fn value_counts_from_its_time_on() {
        let marks = history(&[(10, Some(50)), (20, Some(80))]);
        assert_eq!(marks.at(t(9)), None);
        assert_eq!(marks.at(t(19)), Some(&50));
        assert_eq!(marks.at(t(20)), Some(&80));
    }

    #[test]
    fn removed_value_is_none_from_then_on() {
        let marks = history(&[(10, Some(50)), (20, None), (30, Some(60))]);
        assert_eq!(marks.at(t(20)), None);
        assert_eq!(marks.at(t(30)), Some(&60));
        assert_eq!(marks.at(t(10)), Some(&50));
    }

    #[test]
    fn later_of_two_values_at_one_time_counts() {
        let mut marks = history(&[(10, Some(50)), (10, Some(60))]);
        assert_eq!(marks.at(t(10)), Some(&60));
        marks.set(t(10), Some(70));
        assert_eq!(marks.at(t(10)), Some(&70));
        assert_eq!(marks.entries().len(), 3);
    }

    #[test]
    fn each_field_has_its_own_history() {
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
        assert!(demands.at(t(20)).certificate.is_some());
    }

    proptest! {
        #[test]
        fn setting_one_by_one_equals_setting_all_at_once(
            entries in prop::collection::vec((0i64..20, prop::option::of(0u8..5)), 0..12),
            at in -2i64..22,
        ) {
            let mut one_by_one = History::default();
            for (from, value) in &entries {
                one_by_one.set(t(*from), *value);
            }
            let at_once = history(&entries);
            prop_assert_eq!(one_by_one.at(t(at)), at_once.at(t(at)));

            // The naive model: it walks the entries in the order of time.
            let mut held = None;
            let mut sorted = entries.clone();
            sorted.sort_by_key(|(from, _)| *from);
            for (from, value) in &sorted {
                if *from <= at {
                    held = *value;
                }
            }
            prop_assert_eq!(one_by_one.at(t(at)).copied(), held);
        }
    }
}
