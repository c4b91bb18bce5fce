//! Folding of texts, for searches that ignore case, accents and the Unicode form.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;

/// The folded text. All texts that are searched or compared by a filter are folded by this function.
///
/// | difference | folded |
/// | --- | --- |
/// | case | lower case; `ß` and `ẞ` become `ss`, the final `ς` becomes `σ`; `İ` and `ı` both become `i`, because the language of a text is not known |
/// | accents and points | removed: `José` becomes `jose`, `Nguyễn` becomes `nguyen` |
/// | letters with a stroke, and joined letters | their base letters: `ł` becomes `l`, `đ` becomes `d`, `æ` becomes `ae` |
/// | composed and decomposed letters, ligatures, full-width and other compatibility forms | their plain form |
/// | characters without width | removed |
///
/// Marks that make another letter stay, such as the vowel signs of Indic scripts and the voicing marks of Japanese.
/// Folding a folded text changes nothing.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain = without_accents(text.nfkd());
    // The detour by upper case handles letters that change their length.
    let lower = plain
        .chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    // The other case of a few letters has a decomposition or an accent again.
    let mut folded = String::with_capacity(text.len());
    for character in without_accents(lower.nfkd()).nfc() {
        match base_letters(character) {
            Some(letters) => folded.push_str(letters),
            None => folded.push(character),
        }
    }
    folded
}

/// The folded text if it differs from the text. Tables store it beside the text.
pub fn fold_if_different(text: Option<&str>) -> Option<String> {
    let text = text?;
    Some(fold(text)).filter(|folded| folded != text)
}

/// The first text of each group of texts that fold to the same.
pub fn distinct_folded(texts: &[String]) -> Vec<&String> {
    let mut folded = HashSet::new();
    texts.iter().filter(|text| folded.insert(fold(text))).collect()
}

/// The decomposed text without accents and without characters without width.
fn without_accents(decomposed: impl Iterator<Item = char>) -> String {
    decomposed
        .filter(|character| !is_accent(*character) && !is_invisible(*character))
        .collect()
}

/// Whether the character is an accent or a point above, below or through a letter.
///
/// The combining class tells: 1 and 200 to 234 are attached, above or below; 10 to 36 are the points of Hebrew, Arabic and
/// Syriac. Marks of other classes make another letter: 7 to 9 are nuktas, voicing marks and viramas, the classes between
/// 36 and 200 are vowels and tones of single scripts, and 240 is the Greek iota, whose upper case is a letter.
fn is_accent(character: char) -> bool {
    matches!(canonical_combining_class(character), 1 | 10..=36 | 200..=234)
}

/// Whether the character has no width: a soft hyphen, a joiner, or a mark of direction or variant.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// The base letters of a lower-case letter that Unicode does not decompose.
fn base_letters(character: char) -> Option<&'static str> {
    Some(match character {
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ł' => "l",
        'ø' => "o",
        'ŧ' => "t",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        _ => return None,
    })
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
    }

    #[test]
    fn texts_that_differ_in_accents_or_form_fold_to_the_same() {
        for (left, right) in [
            ("José", "jose"),
            ("Jose\u{301}", "Jos\u{e9}"),
            ("Nguyễn Thị Đào", "nguyen thi dao"),
            ("Łódź", "LODZ"),
            ("Bjørn Ærø", "bjorn aero"),
            ("Œuvre", "oeuvre"),
            ("Þór", "thor"),
            ("Ελένη", "ελενη"),
            ("Ёлка", "елка"),
            ("ｆｉｒｅ　①", "fire 1"),
            ("co\u{ad}operate", "cooperate"),
            ("שָׁלוֹם", "שלום"),
            ("한글", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
            ("が", "か\u{3099}"),
        ] {
            assert_eq!(fold(left), fold(right), "{left} and {right}");
        }
    }

    #[test]
    fn marks_that_make_another_letter_stay() {
        for (left, right) in [("か", "が"), ("कि", "का"), ("ड", "ड़"), ("ก", "กี"), ("가", "각")]
        {
            assert_ne!(fold(left), fold(right), "{left} and {right}");
        }
        assert!(!fold("각").contains(&fold("가")), "a syllable is one letter");
    }

    #[test]
    fn texts_that_fold_to_the_same_are_found_once() {
        let texts = ["José", "Jose\u{301}", "jose", "Ana"].map(str::to_owned);
        assert_eq!(distinct_folded(&texts), ["José", "Ana"]);
        assert_eq!(fold_if_different(Some("jose")), None);
        assert_eq!(fold_if_different(Some("José")), Some("jose".to_owned()));
        assert_eq!(fold_if_different(None), None);
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

        #[test]
        fn all_unicode_forms_fold_to_the_same(text in any::<String>()) {
            let forms: [String; 4] = [text.nfc().collect(), text.nfd().collect(), text.nfkc().collect(), text.nfkd().collect()];
            for form in forms {
                prop_assert_eq!(fold(&form), fold(&text));
            }
        }
    }
}
