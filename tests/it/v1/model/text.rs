//! How the model compares texts: by a table of the letters that occur in the model.
//!
//! The server folds texts by the data of Unicode. The table is an independent rule.

/// Base letters and their variants.
const LETTERS: &[(&str, &str)] = &[
    ("c", "Çç"),
    ("e", "Éé"),
    ("l", "Łł"),
    ("n", "Ññ"),
    ("o", "Óóö"),
    ("ss", "ß"),
    ("u", "ÜüÚú"),
    ("z", "Źź"),
];

/// Whether the texts differ at most in case, accents and composition.
pub fn is_same_text(one: &str, other: &str) -> bool {
    plain_text(one) == plain_text(other)
}

/// The text in lower case without accents.
pub fn plain_text(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        // A combining accent.
        if ('\u{300}'..='\u{36f}').contains(&letter) {
            continue;
        }
        match LETTERS.iter().find(|(_, variants)| variants.contains(letter)) {
            Some((base, _)) => plain.push_str(base),
            None => plain.extend(letter.to_lowercase()),
        }
    }
    plain
}
