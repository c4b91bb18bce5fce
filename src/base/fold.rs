//! Text made alike for searches that don't mind upper and lower case, for all of Unicode.

/// The text folded: two texts that differ only in case fold to the same.
///
/// Each character is put into lower, upper and lower case again, which carries along what changes its
/// length: `ß` and `ẞ` become `ss`, the final `ς` becomes `σ`, ligatures their letters. The dotted `İ` and
/// the dotless `ı` of Turkish both become `i`, since nobody can know in which language a title was
/// written. Accents are kept. Folding twice changes nothing more.
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
        // `İ` in lower case is an `i` with a dot above it of its own.
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
    fn case_does_not_matter() {
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
        assert_ne!(fold("école"), fold("ecole"), "accents are kept");
    }

    proptest! {
        #[test]
        fn folding_is_done_once(text in any::<String>()) {
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
