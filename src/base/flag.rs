//! Flags as texts of parameters.

/// Parses `true` or `false`, in any case: some languages write `True`.
pub fn parse_flag(text: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(word, flag)| text.eq_ignore_ascii_case(word).then_some(flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_any_case() {
        for (text, flag) in [
            ("true", Some(true)),
            ("True", Some(true)),
            ("FALSE", Some(false)),
            ("1", None),
            ("", None),
            ("yes", None),
        ] {
            assert_eq!(parse_flag(text), flag, "{text}");
        }
    }
}
