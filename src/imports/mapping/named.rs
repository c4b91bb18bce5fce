//! The mappings that have a name.

use std::collections::BTreeMap;

use super::{Mapping, SpecialLayout};
use crate::imports::dates::DateRules;
use crate::log::Action;

/// The names of mappings with what each reads.
pub const MAPPING_NAMES: [(&str, &str); 6] = [
    (
        "learn_amp_activity_log",
        "the CSV of Learn Amp's Activity Log, and the exports of Rollbook",
    ),
    (
        "smarteru_learner_report",
        "the CSV of SmarterU's learner (enrollment) report",
    ),
    ("moodle_log", "the CSV of Moodle's logs"),
    (
        "moodle_completion",
        "the CSV of Moodle's activity completion report",
    ),
    (
        "learning_locker",
        "statements of Learning Locker as NDJSON or an array",
    ),
    (
        "lrsql",
        "statements of lrsql as NDJSON, an array, or a CSV with the column `payload`",
    ),
];

/// What a caller says about the file of a named mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedOptions {
    /// The IANA name of the time zone of its times.
    pub time_zone: Option<String>,
    /// The format of its dates.
    pub date_format: Option<String>,
    /// The address of the system.
    pub home_page: Option<String>,
}

impl Mapping {
    /// The mapping with this name.
    ///
    /// # Errors
    ///
    /// The name is not known, or the mapping needs an option that is missing or does not take one.
    pub fn named(name: &str, options: &NamedOptions) -> Result<Self, String> {
        let mapping = match name {
            "learn_amp_activity_log" => Self {
                special: Some(SpecialLayout::LearnAmp),
                restore_formulas: true,
                ..dated(options, &["year_first", "%Y-%m-%d %H:%M:%S UTC"], Some("UTC"))
            },
            "smarteru_learner_report" => Self {
                special: Some(SpecialLayout::SmarterU),
                ..dated(options, &["year_first"], None)
            },
            "moodle_log" => Self {
                special: Some(SpecialLayout::MoodleLog {
                    home_page: home_page(name, options)?,
                }),
                ..dated(options, &["%d/%m/%y, %H:%M:%S", "%d/%m/%y, %H:%M"], None)
            },
            "moodle_completion" => Self {
                special: Some(SpecialLayout::MoodleCompletion {
                    home_page: home_page(name, options)?,
                }),
                ..dated(options, &["year_first"], None)
            },
            "learning_locker" => Self {
                record: Some("/statement".to_owned()),
                special: Some(SpecialLayout::LearningLocker),
                ..Self::default()
            },
            "lrsql" => Self {
                record: Some("/payload".to_owned()),
                columns: BTreeMap::from([("payload".to_owned(), Some("statement".to_owned()))]),
                ignore_unknown_columns: true,
                ..Self::default()
            },
            _ => {
                let names: Vec<&str> = MAPPING_NAMES.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "there is no mapping `{name}`; known are {}, or send a mapping as JSON",
                    names.join(", ")
                ));
            }
        };
        if mapping.record.is_none() {
            let missing = mapping.dates.time_zone.is_none();
            if missing {
                return Err(format!(
                    "the mapping `{name}` needs `time_zone`, such as `Europe/London`: its times have none"
                ));
            }
            mapping.dates.check()?;
        }
        Ok(mapping)
    }
}

fn dated(options: &NamedOptions, formats: &[&str], zone: Option<&str>) -> Mapping {
    let formats = match &options.date_format {
        Some(format) => vec![format.clone()],
        None => formats.iter().map(|format| (*format).to_owned()).collect(),
    };
    Mapping {
        dates: DateRules {
            formats,
            time_zone: options.time_zone.clone().or_else(|| zone.map(str::to_owned)),
        },
        ignore_unknown_columns: true,
        ..Mapping::default()
    }
}

fn home_page(name: &str, options: &NamedOptions) -> Result<String, String> {
    let address = options
        .home_page
        .as_deref()
        .map(|address| address.trim_end_matches('/'));
    let address = address.filter(|address| address.starts_with("https://") || address.starts_with("http://"));
    address.map(str::to_owned).ok_or_else(|| {
        format!("the mapping `{name}` needs `home_page`, the address of the site, such as `https://moodle.example.org`")
    })
}

/// The action with this label, or key.
pub(super) fn find_action(text: &str) -> Option<Action> {
    let actions = <Action as strum::VariantArray>::VARIANTS.iter().copied();
    let mut known = actions.filter(|action| *action != Action::Other);
    known.find(|action| action.label().eq_ignore_ascii_case(text) || action.key() == text)
}
