//! Texts for people in several languages: labels, sentences, headings and e-mails (docs/specification.md#languages).
//!
//! Each language is one file of Project Fluent in `locales`, and the build finds the files by itself. [`Language`] is a
//! handle to the texts of one file. A text that a file does not have is the English one; a test demands that each file has
//! all of them. The files begin with a comment that explains their parts.
//!
//! | file | content |
//! | --- | --- |
//! | `bundle` | the texts of a language, prepared when the first of them is needed |
//! | `template` | texts with places for values, which are filled in without formatting them again |
//! | `negotiation` | the language for `Accept-Language`, and for the tag of a parameter |
//! | `numbers` | durations, dates and numbers as text |

mod bundle;
mod negotiation;
mod numbers;
mod template;

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

pub use fluent_bundle::FluentValue as Value;

pub use bundle::Phrase;
pub use negotiation::UnknownLanguage;
pub use template::{Piece, Template};

use bundle::Texts;

/// The tag and the file of each language. English is the first.
const SOURCES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/locales.rs"));

static LANGUAGES: LazyLock<Vec<Texts>> = LazyLock::new(|| {
    let texts = SOURCES.iter().map(|(tag, source)| Texts::load(tag, source));
    texts.collect()
});

/// A language of the texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Language(usize);

impl Language {
    /// English, the language of everything that has no other one.
    pub const ENGLISH: Self = Self(0);

    /// All languages, English first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SOURCES.len()).map(Self)
    }

    /// The place of the language in [`Language::all`].
    pub fn index(self) -> usize {
        self.0
    }

    /// The tag of the language (BCP 47), such as `de`.
    pub fn tag(self) -> &'static str {
        SOURCES[self.0].0
    }

    fn texts(self) -> &'static Texts {
        &LANGUAGES[self.0]
    }

    /// The label with this key in a group, which is an attribute of a message of the file; empty if no file has it.
    pub fn label(self, group: &str, key: &str) -> &'static str {
        self.find_label(group, key).unwrap_or_default()
    }

    /// The label with this key in a group, if a file has it.
    pub fn find_label(self, group: &str, key: &str) -> Option<&'static str> {
        let label = self.texts().label(group, key);
        label.or_else(|| Self::ENGLISH.texts().label(group, key))
    }

    /// The phrase of what a person did, such as `completed`.
    pub fn phrase(self, key: &str) -> &'static Phrase {
        static NONE: LazyLock<Phrase> = LazyLock::new(Phrase::default);
        let phrase = self.texts().phrase(key);
        let phrase = phrase.or_else(|| Self::ENGLISH.texts().phrase(key));
        phrase.unwrap_or_else(|| LazyLock::force(&NONE))
    }

    /// The text with places for values.
    pub fn template(self, id: &str) -> &'static Template {
        static NONE: LazyLock<Template> = LazyLock::new(Template::default);
        let template = self.texts().template(id);
        let template = template.or_else(|| Self::ENGLISH.texts().template(id));
        template.unwrap_or_else(|| LazyLock::force(&NONE))
    }

    /// The text with these values. A text can depend on them, for example on the plural of a number.
    pub fn format<'v, const N: usize>(self, id: &str, values: [(&'static str, Value<'v>); N]) -> String {
        let values = values.into_iter().collect();
        let text = self.texts().format(id, &values);
        text.or_else(|| Self::ENGLISH.texts().format(id, &values))
            .map_or_else(String::new, Cow::into_owned)
    }

    /// The heading of a column of a file. `english` is its English heading, from which its key follows.
    pub fn heading(self, english: &'static str) -> &'static str {
        if self == Self::ENGLISH {
            return english;
        }
        self.find_heading(english).unwrap_or(english)
    }

    /// The heading in a file of the texts.
    pub(crate) fn find_heading(self, english: &str) -> Option<&'static str> {
        self.texts().label("heading", &heading_key(english))
    }
}

/// The key of a heading: `E-learning / Quiz result` has the key `e-learning-quiz-result`.
fn heading_key(english: &str) -> String {
    let words = english.split(|character: char| !character.is_ascii_alphanumeric());
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}

/// The tag.
impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({self})")
    }
}

#[cfg(test)]
mod tests;
