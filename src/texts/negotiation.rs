//! Which language a text is in.

use super::{Language, SOURCES};

/// The most parts of `Accept-Language` that are read. Browsers send fewer than ten.
const MAX_RANGES: usize = 100;

/// A tag of which no language has texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a language of the texts; the languages are `{}`", tags().join("`, `"))]
pub struct UnknownLanguage;

fn tags() -> Vec<&'static str> {
    SOURCES.iter().map(|(tag, _)| *tag).collect()
}

impl Language {
    /// The language for a tag, such as `de`, `DE` or `de-AT`: the longest beginning of the tag that is a language of the
    /// texts (RFC 4647, section 3.4).
    pub fn find(tag: &str) -> Option<Self> {
        let mut range = tag;
        loop {
            let found = Self::all().find(|language| language.tag().eq_ignore_ascii_case(range));
            if found.is_some() {
                return found;
            }
            (range, _) = range.rsplit_once('-')?;
        }
    }

    /// The language for the value of the parameter `language`.
    ///
    /// # Errors
    ///
    /// The texts are not in this language.
    pub fn parse(tag: &str) -> Result<Self, UnknownLanguage> {
        Self::find(tag).ok_or(UnknownLanguage)
    }

    /// The language for the value of `Accept-Language` (RFC 9110, section 12.5.4): the acceptable one with the highest
    /// weight, of several the first. Without one it is English, since an answer in English is better than none.
    pub fn negotiate(header: &str) -> Self {
        let ranges = header.split(',').take(MAX_RANGES).map(parse_range);
        let ranges: Vec<(&str, u16)> = ranges.collect();
        let is_refused = |language: Self| {
            let mut ranges = ranges.iter();
            ranges.any(|(range, weight)| *weight == 0 && language.tag().eq_ignore_ascii_case(range))
        };
        let mut best: Option<(u16, Self)> = None;
        for (range, weight) in &ranges {
            let language = match *range {
                "*" => Self::all().find(|language| !is_refused(*language)),
                range => Self::find(range),
            };
            let is_better = best.is_none_or(|(best, _)| best < *weight);
            if let Some(language) =
                language.filter(|language| *weight > 0 && is_better && !is_refused(*language))
            {
                best = Some((*weight, language));
            }
        }
        best.map_or(Self::ENGLISH, |(_, language)| language)
    }
}

/// A language range and its weight in thousandths. A weight that is not well formed is 0, so that the range is ignored.
fn parse_range(part: &str) -> (&str, u16) {
    let mut parts = part.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let mut weight = 1_000;
    for parameter in parts {
        let value = parameter
            .split_once('=')
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        if let Some((_, value)) = value {
            let value: Option<f32> = value
                .trim()
                .parse()
                .ok()
                .filter(|value| (0.0..=1.0).contains(value));
            weight = value.map_or(0, |value| (value * 1_000.0) as u16);
        }
    }
    (range, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_of_a_region_finds_its_language() {
        for (tag, expected) in [
            ("de", Some("de")),
            ("DE", Some("de")),
            ("de-AT", Some("de")),
            ("pt-BR", Some("pt")),
            ("zh-Hant-TW", None),
            ("", None),
            ("d", None),
            ("deu", None),
            ("*", None),
            ("-", None),
            ("de_AT", None),
        ] {
            assert_eq!(Language::find(tag).map(Language::tag), expected, "{tag}");
        }
        let message = Language::parse("xx").unwrap_err().to_string();
        for language in Language::all() {
            assert!(message.contains(&format!("`{language}`")), "{message}");
        }
    }

    #[test]
    fn header_chooses_the_language_with_the_highest_weight() {
        for (header, expected) in [
            ("de", "de"),
            ("de-CH, fr;q=0.9", "de"),
            ("fr;q=0.8, de;q=0.9, en;q=0.1", "de"),
            ("fr;q=0.8, de;q=0.8", "fr"),
            ("sv, nb;q=0.9, nl;q=0.5, *;q=0.1", "nl"),
            ("sv", "en"),
            ("sv, *", "en"),
            ("*, en;q=0", "de"),
            ("de;q=0, fr", "fr"),
            ("de;q=0", "en"),
            ("en;q=0, de-DE;q=0.1", "de"),
            ("PL;Q=1.0", "pl"),
            ("de;q=2, fr;q=0.1", "fr"),
            ("de;q=x", "en"),
            ("de;q=NaN, es", "es"),
            (" pt-BR , pt ; q = 0.9", "pt"),
            ("", "en"),
            (",,;;=,q=1", "en"),
        ] {
            assert_eq!(Language::negotiate(header).tag(), expected, "{header}");
        }
        let long = "sv,".repeat(MAX_RANGES) + "de";
        assert_eq!(Language::negotiate(&long), Language::ENGLISH);
    }
}
