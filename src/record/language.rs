//! Languages: tags (RFC 5646), maps from tags to texts (xAPI 1.0.3, Data 4.2), and what a reader
//! prefers.

use std::ops::Deref;

use oxilangtag::LanguageTag as Tag;

use crate::base::fault::{Fault, Place};
use crate::base::json::{Node, string};

/// A well-formed language tag (RFC 5646), as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// Takes the text as a language tag, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let good = Tag::parse(text).is_ok() && !repeats_a_singleton(text);
        good.then(|| Self(text.to_owned()))
    }

    /// Reads a language tag.
    ///
    /// # Errors
    ///
    /// Not a string, or not well-formed.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        Self::of(string(node, place)?, place)
    }

    fn of(text: &str, place: &Place<'_>) -> Result<Self, Fault> {
        Self::parse(text)
            .ok_or_else(|| place.fault("a language tag as in RFC 5646 is needed here, such as en or de-CH"))
    }

    /// The tag as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a letter that announces an extension appears twice (RFC 5646, section 2.2.6, rule 3),
/// which the grammar alone doesn't forbid. After an `x` all is private.
fn repeats_a_singleton(tag: &str) -> bool {
    let subtags = tag
        .split('-')
        .skip(1)
        .take_while(|subtag| !subtag.eq_ignore_ascii_case("x"));
    let mut singletons: Vec<String> = subtags
        .filter(|subtag| subtag.len() == 1)
        .map(str::to_ascii_lowercase)
        .collect();
    let all = singletons.len();
    singletons.sort_unstable();
    singletons.dedup();
    singletons.len() < all
}

impl Deref for LanguageTag {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// The same text in several languages (xAPI 1.0.3, Data 4.2), in the order it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LanguageMap(Vec<(LanguageTag, String)>);

impl LanguageMap {
    /// A map with one text, in English.
    pub fn english(text: &str) -> Self {
        Self::of_constant_tag("en", text)
    }

    /// A map with one text of which the language is not known (`und`).
    pub fn undetermined(text: &str) -> Self {
        Self::of_constant_tag("und", text)
    }

    /// `tag` must be well-formed.
    fn of_constant_tag(tag: &'static str, text: &str) -> Self {
        Self(vec![(LanguageTag(tag.to_owned()), text.to_owned())])
    }

    /// Reads a language map.
    ///
    /// # Errors
    ///
    /// Not an object, a key that is not a language tag, or a value that is not a string.
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
            let tag = LanguageTag::of(member.key.value(), &place)?;
            Ok((tag, string(&member.value, &place)?.to_owned()))
        };
        members.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tag and text of every language, in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(tag, text)| (tag.as_str(), text.as_str()))
    }

    /// The text in exactly this language; the case of the tag does not matter.
    pub fn get(&self, tag: &str) -> Option<&str> {
        self.iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(tag))
            .map(|(_, text)| text)
    }

    /// The one text to show where nobody says which language they read: `en`, else `en-US`, else
    /// the first other English one, else `und`, else the first that was sent.
    pub fn pick_english_first(&self) -> Option<&str> {
        let index = english_first(self.0.iter().map(|(tag, _)| tag.as_str()))?;
        self.0.get(index).map(|(_, text)| text.as_str())
    }

    /// The one text that suits `preference` best; see [`Preference::pick`].
    pub fn pick(&self, preference: &Preference) -> Option<&str> {
        let index = preference.pick(self.0.iter().map(|(tag, _)| tag.as_str()))?;
        self.0.get(index).map(|(_, text)| text.as_str())
    }
}

/// A map made by hand, in tests and by what writes statements.
impl FromIterator<(LanguageTag, String)> for LanguageMap {
    fn from_iter<I: IntoIterator<Item = (LanguageTag, String)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// Whether `tag` is the language `range` or a variety of it: `en-GB` of `en` (RFC 4647, section
/// 3.3.1).
fn matches(tag: &str, range: &str) -> bool {
    match tag.get(..range.len()) {
        Some(start) if start.eq_ignore_ascii_case(range) => {
            matches!(tag.as_bytes().get(range.len()), None | Some(b'-'))
        }
        _ => false,
    }
}

fn english_first<'t>(tags: impl Iterator<Item = &'t str> + Clone) -> Option<usize> {
    let find = |wanted: &str| tags.clone().position(|tag| tag.eq_ignore_ascii_case(wanted));
    find("en")
        .or_else(|| find("en-US"))
        .or_else(|| tags.clone().position(|tag| matches(tag, "en")))
        .or_else(|| find("und"))
        .or_else(|| tags.clone().next().map(|_| 0))
}

/// The languages that a reader prefers, as an `Accept-Language` header says them (RFC 9110,
/// 12.5.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preference {
    /// Lower-case ranges, the most wanted first.
    wanted: Vec<String>,
    /// Lower-case ranges with a weight of 0.
    refused: Vec<String>,
}

/// More ranges than any browser sends; what comes after them is not looked at.
const MAX_RANGES: usize = 32;

impl Preference {
    /// Reads the header. What is not well-formed in it is passed over: a header about taste is no
    /// reason to refuse a request.
    pub fn parse(header: &str) -> Self {
        let mut weighed: Vec<(u16, String)> = header.split(',').take(MAX_RANGES).filter_map(range).collect();
        // A stable sort: of two with the same weight the first is wanted more.
        weighed.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let (wanted, refused): (Vec<_>, Vec<_>) = weighed.into_iter().partition(|(weight, _)| *weight > 0);
        let ranges = |list: Vec<(u16, String)>| list.into_iter().map(|(_, range)| range).collect();
        Self {
            wanted: ranges(wanted),
            refused: ranges(refused),
        }
    }

    /// The position of the tag that suits best: for each range, the most wanted first, the same
    /// tag, else a variety of it, else what is left when the range is shortened from its end (RFC
    /// 4647, section 3.4); without a match the one that [`LanguageMap::pick_english_first`] takes.
    /// None where there are no tags.
    pub fn pick<'t>(&self, tags: impl Iterator<Item = &'t str> + Clone) -> Option<usize> {
        let wanted = self
            .wanted
            .iter()
            .find_map(|range| self.look_up(range, tags.clone()));
        wanted.or_else(|| english_first(tags))
    }

    fn look_up<'t>(&self, range: &str, tags: impl Iterator<Item = &'t str> + Clone) -> Option<usize> {
        let welcome = |tag: &str| !self.refused.iter().any(|refused| matches(tag, refused));
        if range == "*" {
            return tags.clone().position(welcome);
        }
        let mut range = range;
        loop {
            let same = tags
                .clone()
                .position(|tag| tag.eq_ignore_ascii_case(range) && welcome(tag));
            let found = same.or_else(|| tags.clone().position(|tag| matches(tag, range) && welcome(tag)));
            match (found, range.rsplit_once('-')) {
                (Some(index), _) => return Some(index),
                (None, Some((shorter, _))) => range = shorter,
                (None, None) => return None,
            }
        }
    }
}

/// A range with its weight in thousandths, where it is well-formed.
fn range(text: &str) -> Option<(u16, String)> {
    let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
    let range = range.trim().to_ascii_lowercase();
    if range.is_empty()
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
    fn tags_are_those_of_rfc_5646() {
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
    fn english_comes_first_in_a_fixed_order() {
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
    }

    #[test]
    fn a_reader_gets_what_they_prefer() {
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
