//! Header fields that contain text from users, and e-mail addresses.
//!
//! lettre writes the fields. This file adds what lettre leaves out: see [`one_line`], [`subject`] and [`parse_address`].

use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use lettre::Address;
use lettre::address::AddressError;
use lettre::message::Mailbox;
use lettre::message::header::{Header, HeaderValue, Subject};

/// Parses `Name <address>`, `"Name" <address>` or an address alone.
///
/// Unlike lettre's own parser it accepts names that should be in quotation marks, such as `Acme, Learning <l@acme.example>`.
pub(in crate::reports) fn parse_mailbox(text: &str) -> Result<Mailbox, AddressError> {
    let text = text.trim();
    let Some((name, rest)) = text.rsplit_once('<') else {
        return Ok(Mailbox::new(None, parse_address(text)?));
    };
    let address = parse_address(rest.strip_suffix('>').ok_or(AddressError::Unbalanced)?)?;
    let name = one_line(name);
    let unquoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    Ok(mailbox(Some(unquoted.unwrap_or(&name)), address))
}

/// Parses an address. A domain beyond ASCII becomes its ASCII form (RFC 5891), which every server accepts.
pub(in crate::reports) fn parse_address(text: &str) -> Result<Address, AddressError> {
    let address: Address = text.trim().parse()?;
    // lettre accepts control characters in a quoted local part. They would end the line of a command or header.
    if text.trim().chars().any(ends_line) {
        return Err(AddressError::InvalidInput);
    }
    if address.domain().is_ascii() {
        return Ok(address);
    }
    let domain = idna::domain_to_ascii(address.domain()).map_err(|_| AddressError::InvalidDomain)?;
    Address::new(address.user(), domain)
}

/// An address with a name. A name that is empty on one line is left out.
pub(super) fn mailbox(name: Option<&str>, address: Address) -> Mailbox {
    let name = name.map(one_line).filter(|name| !name.is_empty());
    Mailbox::new(name, address)
}

/// The subject field: ASCII text as it is, any other text encoded as a whole (RFC 2047).
///
/// lettre's own encoding has two faults. It encodes word by word, and a reader drops a second space between two encoded
/// words. It writes `=?` in ASCII text as it is, and a reader would decode the words after it.
pub(super) fn subject(text: &str) -> HeaderValue {
    let text = one_line(text);
    if text.is_ascii() && !text.contains("=?") {
        return Subject::from(text).display();
    }
    let mut encoded = String::new();
    let mut writer = EmailWriter::new(&mut encoded, "Subject: ".len(), 0, false);
    // Writing to a String does not fail.
    let _ = rfc2047::encode(&text, &mut writer);
    drop(writer);
    HeaderValue::dangerous_new_pre_encoded(Subject::name(), text, encoded)
}

/// One line of text: control characters become spaces, and marks that change the direction of writing are removed, because
/// with them a name could make a line look like another one.
pub(super) fn one_line(text: &str) -> String {
    let line = text.chars().filter(|c| !changes_direction(*c));
    let line: String = line.map(|c| if ends_line(c) { ' ' } else { c }).collect();
    line.trim().to_owned()
}

/// Whether the character is a control character, or ends a line for any reader.
fn ends_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether the character embeds, overrides or isolates a direction of writing (Unicode Standard Annex 9), or ends that.
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use lettre::message::header::Headers;

    use super::*;

    #[test]
    fn mailbox_is_parsed_with_and_without_a_name() {
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
            let mailbox = parse_mailbox(text).unwrap();
            assert_eq!(
                (mailbox.name.as_deref(), mailbox.email.as_ref()),
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
            assert!(parse_mailbox(text).is_err(), "{text}");
        }
    }

    #[test]
    fn address_with_more_than_an_address_is_refused() {
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
            assert!(
                parse_address(text).is_err(),
                "{text:?} is {:?}",
                parse_address(text)
            );
        }
        for text in ["bo+x@example.com", "jürgen@example.com"] {
            assert_eq!(parse_address(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn subject_that_looks_encoded_is_encoded_in_short_words() {
        let text = format!("=?utf-8?q?x?= {}", "😀".repeat(64));
        let mut headers = Headers::new();
        headers.insert_raw(subject(&text));
        let field = headers.to_string();
        assert!(field.is_ascii());
        let mut decoded = String::new();
        for line in field.trim_end().split("\r\n ") {
            assert!(line.len() <= 76, "{line}");
            let inner = line
                .trim_start_matches("Subject: ")
                .strip_prefix("=?utf-8?b?")
                .unwrap()
                .strip_suffix("?=")
                .unwrap();
            decoded.push_str(std::str::from_utf8(&STANDARD.decode(inner).unwrap()).unwrap());
        }
        assert_eq!(decoded, text);
    }
}
