//! Case folding, for searches that ignore upper and lower case in all of Unicode.

/// The folded text. Two texts that differ only in case have the same folded text.
///
/// Each character is converted to lower, upper and lower case again. The detour handles characters that change
/// their length: `ß` and `ẞ` become `ss`, the final `ς` becomes `σ`, and a ligature becomes its letters. The
/// Turkish letters `İ` and `ı` both become `i`, because the language of a title is not known. Accents stay.
/// Folding a folded text changes nothing.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let cased = text
        .chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    let mut folded = String::with_capacity(text.len());
    for character in cased {
        // The lower case of `İ` is `i` followed by U+0307, COMBINING DOT ABOVE.
        if !(character == '\u{307}' && folded.ends_with('i')) {
            folded.push(character);
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_differ_in_case_fold_to_the_same() {
        for (left, right) in [
            ("Fire Safety", "fIRE sAFETY"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("İstanbul", "istanbul"),
            ("ISPARTA", "ısparta"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("ﬁre", "FIRE"),
            ("ÉCOLE", "école"),
            ("ПОЖАР", "пожар"),
            ("ᾼ", "ᾳ"),
        ] {
            assert_eq!(fold(left), fold(right), "{left} and {right}");
        }
        assert_ne!(fold("école"), fold("ecole"), "accents stay");
    }

    proptest! {
        #[test]
        fn folding_again_changes_nothing(text in any::<String>()) {
            let folded = fold(&text);
            prop_assert_eq!(&fold(&folded), &folded);
        }

        #[test]
        fn upper_and_lower_case_fold_to_the_same(text in "[\\p{Latin}\\p{Greek}\\p{Cyrillic} ]{0,20}") {
            prop_assert_eq!(fold(&text.to_uppercase()), fold(&text));
            prop_assert_eq!(fold(&text.to_lowercase()), fold(&text));
        }
    }
}
