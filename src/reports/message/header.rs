//! Header fields that hold what people wrote, and addresses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::address::AddressError;
use lettre::message::header::{HeaderName, HeaderValue};
use reqwest::Url;

/// Bytes of text in one encoded word: with its frame it is 68 characters, below the 75 of RFC 2047, section 2.
const WORD: usize = 42;

/// Whom messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::reports) struct Sender {
    /// The name, where there is one.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

/// Reads `Name <address>`, `"Name" <address>` or an address alone.
pub(in crate::reports) fn sender(text: &str) -> Result<Sender, AddressError> {
    let text = text.trim();
    let Some((name, rest)) = text.rsplit_once('<') else {
        return Ok(Sender {
            name: None,
            address: address(text)?,
        });
    };
    let inner = rest.strip_suffix('>').ok_or(AddressError::Unbalanced)?;
    let name = one_line(name);
    let unquoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let name = unquoted.unwrap_or(&name).trim();
    Ok(Sender {
        name: (!name.is_empty()).then(|| name.to_owned()),
        address: address(inner)?,
    })
}

/// Reads an address. A domain beyond ASCII is written as every server takes it (RFC 5891).
pub(in crate::reports) fn address(text: &str) -> Result<Address, AddressError> {
    let address: Address = text.trim().parse()?;
    // The parser knows which characters an address may hold; a command and a header must have one line in any case.
    if text.trim().chars().any(breaks) {
        return Err(AddressError::InvalidInput);
    }
    if address.domain().is_ascii() {
        return Ok(address);
    }
    let url =
        Url::parse(&format!("http://{}/", address.domain())).map_err(|_| AddressError::InvalidDomain)?;
    Address::new(address.user(), url.host_str().unwrap_or_default())
}

/// One line of text: control characters are spaces, and what turns the direction of writing for what stands after it
/// is left out, so that a name can't make a line look like another.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if breaks(letter) {
            line.push(' ');
        } else if !turns(letter) {
            line.push(letter);
        }
    }
    line.trim().to_owned()
}

/// Whether it is a control character or the end of a line, by anybody's reading.
fn breaks(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// Whether it embeds, overrides or isolates a direction of writing (Unicode Standard Annex 9), or ends that.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A field of a text that this crate wrote.
pub(super) fn plain(name: &'static str, text: &'static str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), text.to_owned())
}

/// A field of any text.
pub(super) fn encoded(name: &'static str, text: &str) -> HeaderValue {
    let text = one_line(text);
    let field = HeaderName::new_from_ascii_str(name);
    // What looks like an encoded word would be decoded by its reader, to whatever it holds.
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') && !text.contains("=?") {
        return HeaderValue::new(field, text);
    }
    let words = encoded_words(&text);
    HeaderValue::dangerous_new_pre_encoded(field, text, words)
}

/// A field of one address with a name.
pub(super) fn mailbox(field: &'static str, name: Option<&str>, address: &Address) -> HeaderValue {
    let name = name.map(one_line).filter(|name| !name.is_empty());
    let value = match &name {
        None => address.to_string(),
        Some(name) if is_phrase(name) => format!("{name} <{address}>"),
        Some(name) => format!("{}\r\n <{address}>", encoded_words(name)),
    };
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(field), address.to_string(), value)
}

/// Whether the name can stand before an address as it is (RFC 5322, section 3.2.5), on one line.
fn is_phrase(name: &str) -> bool {
    name.len() <= WORD
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '\''))
}

/// The text as encoded words (RFC 2047), each on a line of its own. They are of ASCII letters, digits, and `+/=?-`.
fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // A word holds whole characters.
        let mut end = rest.len().min(WORD);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (word, after) = rest.split_at(end);
        words.push(format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_read_with_and_without_a_name() {
        for (text, name, address) in [
            ("rollbook@example.org", None, "rollbook@example.org"),
            (
                " Rollbook <rollbook@localhost> ",
                Some("Rollbook"),
                "rollbook@localhost",
            ),
            (
                "\"Acme, Learning\" <l@acme.example>",
                Some("Acme, Learning"),
                "l@acme.example",
            ),
            (
                "Müller & Söhne <post@bücher.example>",
                Some("Müller & Söhne"),
                "post@xn--bcher-kva.example",
            ),
            ("<a@b.example>", None, "a@b.example"),
        ] {
            let sender = sender(text).unwrap();
            assert_eq!(
                (sender.name.as_deref(), sender.address.as_ref()),
                (name, address),
                "{text}"
            );
        }
        for text in [
            "",
            "Rollbook",
            "Rollbook <rollbook@localhost",
            "a@b@c",
            "<>",
            "a b@c.example",
            "x <a@b\r\nc>",
        ] {
            assert!(sender(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_hold_one_line_and_nothing_else() {
        for text in [
            "bo@example.com\r\nRCPT TO:<eve@example.com>",
            "bo@example.com\nBcc: eve@example.com",
            "bo@example.com>, <eve@example.com",
            "\"a\r\nb\"@example.com",
            "bo @example.com",
            "bo@exam\u{2028}ple.com",
            "bo@",
            "@example.com",
        ] {
            assert!(address(text).is_err(), "{text:?} is {:?}", address(text));
        }
        for text in ["bo+x@example.com", "jürgen@example.com"] {
            assert_eq!(address(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn encoded_words_are_short_and_hold_whole_characters() {
        let text = "😀".repeat(64);
        let words = encoded_words(&text);
        assert!(words.is_ascii());
        let mut decoded = String::new();
        for line in words.split("\r\n ") {
            assert!(line.len() <= 75, "{line}");
            let inner = line
                .strip_prefix("=?utf-8?b?")
                .unwrap()
                .strip_suffix("?=")
                .unwrap();
            decoded.push_str(std::str::from_utf8(&STANDARD.decode(inner).unwrap()).unwrap());
        }
        assert_eq!(decoded, text);
    }
}
