//! Reading of parameters one by one, with all their faults.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::ParameterFault;
use super::value::FilterItem;
use crate::base::fault::Faults;

/// The most values that one parameter may have.
pub const MAX_VALUES: usize = 1_000;

/// The longest value of a parameter, in characters.
pub const MAX_VALUE_CHARACTERS: usize = 2_048;

/// The parameters of a request by name, and the faults found so far.
pub struct ParameterReader<'a> {
    values: BTreeMap<&'a str, Vec<&'a str>>,
    faults: Faults<ParameterFault>,
}

impl<'a> ParameterReader<'a> {
    /// Groups the parameters by name, and refuses values that no parameter may have.
    pub(super) fn new(pairs: &'a [(String, String)]) -> Self {
        let mut values: BTreeMap<&'a str, Vec<&'a str>> = BTreeMap::new();
        for (name, value) in pairs {
            values.entry(name).or_default().push(value);
        }
        let mut faults = Faults::new();
        for (name, values) in &mut values {
            if let Some(detail) = general_fault(name, values) {
                faults.push_with(|| ParameterFault {
                    parameter: name.replace('\0', "\u{fffd}"),
                    detail,
                });
                values.clear();
            }
        }
        Self { values, faults }
    }

    /// The faults of all parameters.
    pub(super) fn into_faults(self) -> Faults<ParameterFault> {
        self.faults
    }

    /// Whether any fault was found.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The names of all parameters.
    pub(super) fn names(&self) -> Vec<&'a str> {
        self.values.keys().copied().collect()
    }

    /// Whether the parameter was sent.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// All values of a parameter, as they were sent.
    pub(super) fn raw(&self, name: &str) -> Vec<&'a str> {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// Drops a parameter that must not be read.
    pub(super) fn remove(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// Adds a fault. Only the first fault of a parameter is reported: later ones often follow from it.
    pub(super) fn fault(&mut self, parameter: &str, detail: impl Display) {
        if self.faults.iter().all(|fault| fault.parameter != parameter) {
            self.faults.push_with(|| ParameterFault {
                parameter: parameter.to_owned(),
                detail: detail.to_string(),
            });
        }
    }

    /// The value of a result. An error becomes a fault of the parameter.
    pub(super) fn value_of<T>(&mut self, name: &str, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|error| self.fault(name, error)).ok()
    }

    /// The value of a parameter with one value.
    pub(super) fn one<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        match self.raw(name).as_slice() {
            [] => None,
            [value] => self.value_of(name, parse(value)),
            _ => {
                self.fault(name, "has one value; send it once");
                None
            }
        }
    }

    /// The text of a parameter with one value.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.one(name, String::parse_item)
    }

    /// The value of a parameter with one key of a closed list.
    pub(super) fn key<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        key: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        self.one(name, |text| parse_key(text, all, key))
    }

    /// All values of a parameter that may be repeated, each once, in order.
    pub(super) fn many<T: FilterItem + Ord>(&mut self, name: &str) -> Vec<T> {
        let mut items = Vec::new();
        for value in self.raw(name) {
            if T::SPLITS_AT_COMMAS {
                for key in value.split(',') {
                    items.extend(self.value_of(name, T::parse_item(key)));
                }
            } else {
                items.extend(self.value_of(name, T::parse_item(value)));
            }
        }
        items.sort_unstable();
        items.dedup();
        items
    }
}

/// The fault of values that no parameter may have.
fn general_fault(name: &str, values: &[&str]) -> Option<String> {
    let is_too_long = |value: &&str| value.chars().nth(MAX_VALUE_CHARACTERS).is_some();
    if name.contains('\0') || values.iter().any(|value| value.contains('\0')) {
        Some("contains U+0000, which no text may contain".to_owned())
    } else if values.len() > MAX_VALUES {
        Some(format!("has at most {MAX_VALUES} values"))
    } else if values.iter().any(|value| value.is_empty()) {
        Some("is empty; omit it or give it a value".to_owned())
    } else if values.iter().any(is_too_long) {
        Some(format!("has at most {MAX_VALUE_CHARACTERS} characters"))
    } else {
        None
    }
}

/// Reads a key of a closed list.
///
/// # Errors
///
/// A text that is not in the list, with the list.
pub(super) fn parse_key<T: Copy>(
    text: &str,
    all: &[T],
    key: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let matching = all.iter().copied().find(|value| key(*value) == text);
    matching.ok_or_else(|| {
        let allowed: Vec<&str> = all.iter().map(|value| key(*value)).collect();
        format!(
            "`{}` is not a value of it; the values are `{}`",
            shorten(text),
            allowed.join("`, `")
        )
    })
}

/// The text, cut if it is too long to be repeated in an error message.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
