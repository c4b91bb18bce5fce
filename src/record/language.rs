//! Language tags (RFC 5646), language maps (xAPI 1.0.3, Data 4.2) and the preferred languages of a reader.

use std::ops::Deref;

use oxilangtag::LanguageTag as Tag;

use crate::base::fault::{Fault, Place};
use crate::base::json::{Node, string};

/// A well-formed language tag (RFC 5646). It keeps its spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// Parses a language tag. Returns `None` if the text is not well-formed.
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = Tag::parse(text).is_ok() && !repeats_a_singleton(text);
        is_valid.then(|| Self(text.to_owned()))
    }

    /// Reads a language tag from a node.
    ///
    /// # Errors
    ///
    /// The node is not a string, or the string is not a well-formed tag.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        Self::parse_at(string(node, place)?, place)
    }

    /// Parses a language tag. The fault is at `place`.
    fn parse_at(text: &str, place: &Place<'_>) -> Result<Self, Fault> {
        Self::parse(text)
            .ok_or_else(|| place.fault("a language tag as in RFC 5646 is needed here, such as en or de-CH"))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a singleton, the letter that begins an extension, occurs twice. RFC 5646, section 2.2.6, rule 3
/// forbids it, but `oxilangtag` accepts it. Subtags after an `x` are for private use and may repeat.
fn repeats_a_singleton(tag: &str) -> bool {
    let subtags = tag
        .split('-')
        .skip(1)
        .take_while(|subtag| !subtag.eq_ignore_ascii_case("x"));
    let mut singletons: Vec<String> = subtags
        .filter(|subtag| subtag.len() == 1)
        .map(str::to_ascii_lowercase)
        .collect();
    let count = singletons.len();
    singletons.sort_unstable();
    singletons.dedup();
    singletons.len() < count
}

impl Deref for LanguageTag {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// A text in several languages (xAPI 1.0.3, Data 4.2), in the order of the client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LanguageMap(Vec<(LanguageTag, String)>);

impl LanguageMap {
    /// A map with one text, in English.
    pub fn english(text: &str) -> Self {
        Self::with_constant_tag("en", text)
    }

    /// A map with one text in an unknown language (`und`).
    pub fn undetermined(text: &str) -> Self {
        Self::with_constant_tag("und", text)
    }

    /// A map with one text in this language.
    pub fn single(tag: LanguageTag, text: &str) -> Self {
        Self(vec![(tag, text.to_owned())])
    }

    /// A map with one text. `tag` is not checked, so it must be well-formed.
    fn with_constant_tag(tag: &'static str, text: &str) -> Self {
        Self(vec![(LanguageTag(tag.to_owned()), text.to_owned())])
    }

    /// Reads a language map.
    ///
    /// # Errors
    ///
    /// The node is not an object, a key is not a language tag, or a value is not a string.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let Some(members) = node.as_object() else {
            let detail = format!(
                "a language map such as {{\"en\":\"text\"}} is needed here, not {}",
                node.kind()
            );
            return Err(place.fault(detail));
        };
        let entry = |member: &crate::base::json::Member<'_>| {
            let place = place.member(member.key.value());
            let tag = LanguageTag::parse_at(member.key.value(), &place)?;
            Ok((tag, string(&member.value, &place)?.to_owned()))
        };
        members.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the map contains no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag and the text of every language, in the order of the client.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(tag, text)| (tag.as_str(), text.as_str()))
    }

    /// The text with exactly this tag. Upper and lower case of the tag are ignored.
    pub fn get(&self, tag: &str) -> Option<&str> {
        self.iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(tag))
            .map(|(_, text)| text)
    }

    /// The text to show if the language of the reader is not known. A blank text counts as missing.
    ///
    /// It is the first of these that exists: the text in `en`, in `en-US`, in another variety of English, in
    /// `und`, the first text of the map.
    pub fn pick_english_first(&self) -> Option<&str> {
        let texts = || self.0.iter().filter(|(_, text)| !is_blank(text));
        let index = english_first(texts().map(|(tag, _)| tag.as_str()))?;
        texts().nth(index).map(|(_, text)| text.as_str())
    }

    /// The text that fits `preference` best; see [`Preference::pick`].
    pub fn pick(&self, preference: &Preference) -> Option<&str> {
        let index = preference.pick(self.0.iter().map(|(tag, _)| tag.as_str()))?;
        self.0.get(index).map(|(_, text)| text.as_str())
    }
}

impl FromIterator<(LanguageTag, String)> for LanguageMap {
    fn from_iter<I: IntoIterator<Item = (LanguageTag, String)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// Whether the text shows nothing: it has only white space and characters without width.
pub fn is_blank(text: &str) -> bool {
    let shows_nothing = |character: char| {
        character.is_whitespace() || matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
    };
    text.chars().all(shows_nothing)
}

/// Whether `tag` is the language `range` or a variety of it, as `en-GB` is of `en` (RFC 4647, section 3.3.1).
fn matches(tag: &str, range: &str) -> bool {
    match tag.get(..range.len()) {
        Some(start) if start.eq_ignore_ascii_case(range) => {
            matches!(tag.as_bytes().get(range.len()), None | Some(b'-'))
        }
        _ => false,
    }
}

/// The index of the tag to show if no language is preferred; see [`LanguageMap::pick_english_first`].
fn english_first<'t>(tags: impl Iterator<Item = &'t str> + Clone) -> Option<usize> {
    let find = |wanted: &str| tags.clone().position(|tag| tag.eq_ignore_ascii_case(wanted));
    find("en")
        .or_else(|| find("en-US"))
        .or_else(|| tags.clone().position(|tag| matches(tag, "en")))
        .or_else(|| find("und"))
        .or_else(|| tags.clone().next().map(|_| 0))
}

/// The preferred languages of a reader: a parsed `Accept-Language` header (RFC 9110, 12.5.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preference {
    /// Language ranges in lower case, the most preferred first.
    wanted: Vec<String>,
    /// Language ranges in lower case with a weight of 0.
    refused: Vec<String>,
}

/// The number of ranges that are read; further ones are ignored. No browser sends so many.
const MAX_RANGES: usize = 32;

/// The longest range that is read, in bytes. The look-up tries each of its subtags with all languages.
const MAX_RANGE_BYTES: usize = 64;

impl Preference {
    /// Parses the header. Malformed parts are ignored, because a wrong preference is no reason to refuse a request.
    pub fn parse(header: &str) -> Self {
        let mut weighted: Vec<(u16, String)> = header
            .split(',')
            .take(MAX_RANGES)
            .filter_map(parse_range)
            .collect();
        // The sort is stable, so of two ranges with the same weight the first one is preferred.
        weighted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let (wanted, refused): (Vec<_>, Vec<_>) = weighted.into_iter().partition(|(weight, _)| *weight > 0);
        let ranges = |list: Vec<(u16, String)>| list.into_iter().map(|(_, range)| range).collect();
        Self {
            wanted: ranges(wanted),
            refused: ranges(refused),
        }
    }

    /// The index of the tag that fits best. `None` if `tags` is empty.
    ///
    /// For each range, from the most preferred to the least, it takes the same tag, else a variety of the
    /// range, else it removes the last subtag of the range and tries again (RFC 4647, section 3.4). If no
    /// range matches, it takes the tag of [`LanguageMap::pick_english_first`].
    pub fn pick<'t>(&self, tags: impl Iterator<Item = &'t str> + Clone) -> Option<usize> {
        let preferred = self
            .wanted
            .iter()
            .find_map(|range| self.look_up(range, tags.clone()));
        preferred.or_else(|| english_first(tags))
    }

    /// The index of the tag that fits one range best.
    fn look_up<'t>(&self, range: &str, tags: impl Iterator<Item = &'t str> + Clone) -> Option<usize> {
        let is_allowed = |tag: &str| !self.refused.iter().any(|refused| matches(tag, refused));
        if range == "*" {
            return tags.clone().position(is_allowed);
        }
        let mut range = range;
        loop {
            let same = tags
                .clone()
                .position(|tag| tag.eq_ignore_ascii_case(range) && is_allowed(tag));
            let matching = same.or_else(|| {
                tags.clone()
                    .position(|tag| matches(tag, range) && is_allowed(tag))
            });
            match (matching, range.rsplit_once('-')) {
                (Some(index), _) => return Some(index),
                (None, Some((shorter, _))) => range = shorter,
                (None, None) => return None,
            }
        }
    }
}

/// Parses a language range and its weight in thousandths. `None` if it is malformed.
fn parse_range(text: &str) -> Option<(u16, String)> {
    let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
    let range = range.trim().to_ascii_lowercase();
    if range.is_empty()
        || range.len() > MAX_RANGE_BYTES
        || !range
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'*'))
    {
        return None;
    }
    let weight = match parameters.trim().split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => value.trim().parse::<f32>().ok()?,
        _ => 1.0,
    };
    if !(0.0..=1.0).contains(&weight) {
        return None;
    }
    Some(((weight * 1000.0).round() as u16, range))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> LanguageMap {
        entries
            .iter()
            .map(|(tag, text)| (LanguageTag::parse(tag).unwrap(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn well_formed_tags_of_rfc_5646_are_accepted() {
        for good in [
            "de",
            "cmn",
            "tlh",
            "zh-Hant",
            "sr-Latn-RS",
            "es-MX",
            "und",
            "i-klingon",
            "fr-CA",
            "en-x-a-a",
        ] {
            assert!(LanguageTag::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "a12345",
            "something",
            "en_US",
            "a",
            "123",
            "zh-z-aaa-z-bbb-c-ccc",
            "en-",
        ] {
            assert!(LanguageTag::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn english_is_picked_first() {
        let all = [
            ("fr", "f"),
            ("en-GB", "gb"),
            ("und", "u"),
            ("en-US", "us"),
            ("en", "e"),
        ];
        for (rest, picked) in [(5, "e"), (4, "us"), (3, "gb"), (1, "f")] {
            assert_eq!(map(&all[..rest]).pick_english_first(), Some(picked));
        }
        assert_eq!(map(&[("fr", "f"), ("und", "u")]).pick_english_first(), Some("u"));
        assert_eq!(
            map(&[("enm", "middle"), ("fr", "f")]).pick_english_first(),
            Some("middle")
        );
        assert_eq!(map(&[]).pick_english_first(), None);
        let blank = [("en", ""), ("en-GB", " \u{a0}\u{200b}\n"), ("fr", "f")];
        assert_eq!(map(&blank).pick_english_first(), Some("f"));
        assert_eq!(map(&blank[..2]).pick_english_first(), None);
    }

    #[test]
    fn preferred_language_is_picked() {
        let map = map(&[("en-US", "us"), ("de-CH", "ch"), ("de", "de"), ("fr", "fr")]);
        let cases = [
            ("de", "de"),
            ("de-AT", "de"),
            ("DE-ch", "ch"),
            ("en", "us"),
            ("it, fr;q=0.5, de;q=0.7", "de"),
            ("it", "us"),
            ("*", "us"),
            ("en;q=0, *", "ch"),
            ("fr;q=x, de", "de"),
            ("", "us"),
        ];
        for (header, picked) in cases {
            assert_eq!(map.pick(&Preference::parse(header)), Some(picked), "{header}");
        }
    }
}
