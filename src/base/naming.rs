//! Which texts may be ids and names.
//!
//! People compare ids and names by eye, and search them by typing. So a text with characters that nobody sees is
//! refused: `Ada` and `Ada` followed by a space would be two names that look alike.

/// Why a text is neither an id nor a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// The text begins or ends with white space.
    #[error("must not begin or end with white space")]
    OuterWhiteSpace,
    /// The text contains a character that is not visible.
    #[error("must not contain control or zero-width characters; this contains U+{:04X}", u32::from(*.0))]
    Invisible(char),
}

/// Refuses a text with white space at its begin or end, or with a character that is not visible.
///
/// Two zero-width characters are part of the spelling of some languages and of emoji: the joiner U+200D and the
/// non-joiner U+200C. They are accepted between two characters of the scripts that use them.
///
/// # Errors
///
/// The first reason to refuse the text.
pub fn check_naming(text: &str) -> Result<(), NamingError> {
    for (character, is_spelling) in characters(text) {
        if character.is_control() || !is_spelling {
            return Err(NamingError::Invisible(character));
        }
    }
    if text.trim() == text {
        Ok(())
    } else {
        Err(NamingError::OuterWhiteSpace)
    }
}

/// The characters, each with whether it belongs to the spelling: it has a width, or it joins two characters of scripts that
/// use joiners.
fn characters(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut previous = None;
    let mut characters = text.chars().peekable();
    std::iter::from_fn(move || {
        let character = characters.next()?;
        let joins = matches!(character, '\u{200C}' | '\u{200D}')
            && previous.is_some_and(uses_joiners)
            && characters.peek().copied().is_some_and(uses_joiners);
        previous = Some(character);
        Some((character, joins || !is_zero_width(character)))
    })
}

/// The text as a name of at most `max` characters: on one line, and without the characters that a name must not have. For
/// texts that cannot be refused, such as the titles in statements. `None` if nothing is left.
pub fn to_name(text: &str, max: usize) -> Option<String> {
    let mut visible = String::with_capacity(text.len());
    for (character, is_spelling) in characters(text) {
        if character.is_control() {
            visible.push(' ');
        } else if is_spelling {
            visible.push(character);
        }
    }
    let cut: String = visible.trim().chars().take(max).collect();
    let name = cut.trim_end_matches(|character: char| character.is_whitespace() || is_zero_width(character));
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether the character belongs to the scripts from Arabic on, or to emoji. The scripts before, such as Latin, Greek and
/// Cyrillic, have no joiners.
fn uses_joiners(character: char) -> bool {
    character >= '\u{600}' && !is_zero_width(character)
}

/// Whether the character has no width and no meaning of its own: fillers, joiners, marks of direction, line separators.
fn is_zero_width(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180E}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0001}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_texts_are_accepted() {
        for text in [
            "",
            "Ada Obi",
            "ä b/c?d#e%f+g\u{1F600}",
            "علی\u{200C}رضا",
            "क्\u{200D}ष",
            "👩\u{200D}🏫",
            "A\u{A0}B",
        ] {
            assert_eq!(check_naming(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn any_text_becomes_a_name_or_nothing() {
        for (text, name) in [
            ("Ada Obi", Some("Ada Obi")),
            ("  Fire\u{200B}\nSafety\u{FEFF} ", Some("Fire Safety")),
            ("علی\u{200C}رضا", Some("علی\u{200C}رضا")),
            ("👩\u{200D}🏫", Some("👩\u{200D}🏫")),
            (" \u{200B}\r\n", None),
            ("", None),
        ] {
            assert_eq!(to_name(text, 100).as_deref(), name, "{text:?}");
        }
        let long = "👩\u{200D}🏫 a\u{200B} \t\u{AD}".repeat(9);
        for max in 1..60 {
            let name = to_name(&long, max).unwrap();
            assert!(name.chars().count() <= max);
            assert_eq!(check_naming(&name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn invisible_characters_are_refused() {
        for text in [
            "Ada\u{200B}",
            "\u{FEFF}Ada",
            "A\u{200D}da",
            "علی\u{200C}",
            "a\tb",
            "a\nb",
            "a\u{202E}b",
            "\u{85}",
        ] {
            assert!(
                matches!(check_naming(text), Err(NamingError::Invisible(_))),
                "{text:?}"
            );
        }
        let message = check_naming("a\u{200B}b").unwrap_err().to_string();
        assert_eq!(
            message,
            "must not contain control or zero-width characters; this contains U+200B"
        );
    }

    #[test]
    fn white_space_around_a_text_is_refused() {
        for text in [" Ada", "Ada ", "Ada\u{A0}", "\u{3000}Ada", " "] {
            assert_eq!(check_naming(text), Err(NamingError::OuterWhiteSpace), "{text:?}");
        }
    }
}
