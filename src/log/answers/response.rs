//! Responses in the formats of xAPI (Data 2.4.4.1): their parts, their text for people, and whether they are correct.
//!
//! | type | format |
//! | --- | --- |
//! | `choice`, `sequencing` | ids, with `[,]` between them |
//! | `fill-in` | texts, with `[,]` between them |
//! | `matching`, `performance` | pairs `source[.]target` and `step[.]response`, with `[,]` between them |
//! | `numeric` | a number; a correct response is also a range `min[:]max` |
//! | `true-false`, `likert`, `long-fill-in`, `other` | one text |
//!
//! A text can begin with `{case_matters=…}`, `{order_matters=…}` and `{lang=…}`. Real clients deviate from the formats. A
//! response that does not follow its format is shown as it is.

use std::borrow::Cow;

use crate::record::object::InteractionType;

use super::question::Question;

/// The separator of ids, texts and pairs.
const ITEM: &str = "[,]";
/// The separator inside a pair.
const PAIR: &str = "[.]";
/// The separator of the ends of a range.
const RANGE: &str = "[:]";
/// The separators of the ends of a range in a correct response. The second one is from the example of xAPI for
/// `performance`. In a response it can be a part of a time.
const RANGES: [&str; 2] = [RANGE, ":"];
/// The text between several values of one response.
pub const BETWEEN_VALUES: &str = "; ";

/// A response, or a correct response of a definition, divided at its separators.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Divided<'a> {
    case_matters: Option<bool>,
    order_matters: Option<bool>,
    items: Vec<Item<'a>>,
}

/// A part of a response: an id or a text, or a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item<'a> {
    first: &'a str,
    second: Option<&'a str>,
}

/// The flags at the beginning of a text.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    case_matters: Option<bool>,
    order_matters: Option<bool>,
}

/// Removes `{case_matters=…}`, `{order_matters=…}` and `{lang=…}` from the beginning of a text.
fn strip_flags(mut text: &str) -> (Flags, &str) {
    let mut flags = Flags::default();
    while let Some((flag, rest)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        let Some((name, value)) = flag.split_once('=') else {
            break;
        };
        match name.trim() {
            "case_matters" => flags.case_matters = Some(value.trim() == "true"),
            "order_matters" => flags.order_matters = Some(value.trim() == "true"),
            "lang" => {}
            _ => break,
        }
        text = rest;
    }
    (flags, text)
}

/// Divides a response of this type. A response of an unknown type is divided at every separator that it has.
fn divide(interaction: Option<InteractionType>, text: &str) -> Divided<'_> {
    use InteractionType::{Choice, FillIn, Matching, Performance, Sequencing};
    let (flags, text) = strip_flags(text);
    let single = |text| Item {
        first: text,
        second: None,
    };
    let is_list = matches!(
        interaction,
        None | Some(Choice | FillIn | Matching | Performance | Sequencing)
    );
    let has_pairs = matches!(interaction, None | Some(Matching | Performance));
    let to_item = |text| {
        let (_, text) = strip_flags(text);
        match text.split_once(PAIR).filter(|_| has_pairs) {
            Some((first, second)) => Item {
                first,
                second: Some(strip_flags(second).1),
            },
            None => single(text),
        }
    };
    let items = match text {
        "" => Vec::new(),
        text if is_list => text.split(ITEM).map(to_item).collect(),
        text => vec![single(text)],
    };
    Divided {
        case_matters: flags.case_matters,
        order_matters: flags.order_matters,
        items,
    }
}

/// The truth value of a response. Real clients send several spellings.
fn to_truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" => Some(true),
        "false" | "f" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// A range of numbers. An end that is missing is open.
type NumberRange = (Option<f64>, Option<f64>);

/// The range that a correct response allows: `min[:]max`, or one number.
fn to_range(text: &str) -> Option<NumberRange> {
    let end = |text: &str| match text.trim() {
        "" => Some(None),
        text => text.parse::<f64>().ok().map(Some),
    };
    for separator in RANGES {
        if let Some((least, most)) = text.split_once(separator) {
            return Some((end(least)?, end(most)?));
        }
    }
    let number = text.trim().parse::<f64>().ok()?;
    Some((Some(number), Some(number)))
}

fn is_in(range: NumberRange, number: f64) -> bool {
    let (least, most) = range;
    least.is_none_or(|least| least <= number) && most.is_none_or(|most| number <= most)
}

impl Question {
    /// The ids of a response to this question, in its order. Some clients send the text of a choice instead of its id, and
    /// `a,b` or `{a,b}` instead of `a[,]b`.
    fn ids<'a>(&'a self, divided: &Divided<'a>) -> Vec<&'a str> {
        let ids: Vec<&str> = divided.items.iter().map(|item| self.id_of(item.first)).collect();
        if let [one] = ids.as_slice()
            && self.text_of(one).is_none()
            && one.contains(',')
        {
            let inner = one.trim_start_matches('{').trim_end_matches('}');
            let pieces: Vec<&str> = inner.split(',').map(str::trim).collect();
            if pieces.iter().all(|piece| self.text_of(piece).is_some()) {
                return pieces;
            }
        }
        ids
    }

    /// The text of a response for people: components by their texts, several values joined with `; `.
    pub fn show(&self, response: &str) -> String {
        if self.is_plain {
            return response.to_owned();
        }
        use InteractionType::{Choice, Likert, Matching, Numeric, Performance, Sequencing, TrueFalse};
        let divided = divide(self.interaction, response);
        let texts: Vec<Cow<'_, str>> = match self.interaction {
            Some(Choice | Sequencing | Likert) => {
                let ids = self.ids(&divided).into_iter();
                ids.map(|id| Cow::Borrowed(self.text_of(id).unwrap_or(id)))
                    .collect()
            }
            Some(TrueFalse) => {
                let word = |item: &Item<'_>| match to_truth(item.first) {
                    Some(true) => "true".to_owned(),
                    Some(false) => "false".to_owned(),
                    None => item.first.to_owned(),
                };
                divided.items.iter().map(word).map(Cow::Owned).collect()
            }
            Some(Numeric) => {
                let number = |item: &Item<'_>| show_range(item.first);
                divided.items.iter().map(number).map(Cow::Owned).collect()
            }
            Some(Matching | Performance) | None => {
                let is_performance = self.interaction == Some(Performance);
                let pair = |item: &Item<'_>| {
                    let first = self.text_of(item.first).unwrap_or(item.first);
                    match item.second {
                        Some(second) if is_performance => format!("{first} → {}", show_range(second)),
                        Some(second) => format!("{first} → {}", self.target_text(second).unwrap_or(second)),
                        None => first.to_owned(),
                    }
                };
                divided.items.iter().map(pair).map(Cow::Owned).collect()
            }
            Some(_) => divided
                .items
                .iter()
                .map(|item| Cow::Borrowed(item.first))
                .collect(),
        };
        texts.join(BETWEEN_VALUES)
    }

    /// A text that two responses share if they are the same answer: other order of choices, other case of a text.
    pub fn normalise(&self, response: &str) -> String {
        use InteractionType::{Choice, FillIn, LongFillIn, Matching, Numeric, TrueFalse};
        let divided = divide(self.interaction, response);
        match self.interaction {
            Some(Choice) => {
                let mut ids = self.ids(&divided);
                ids.sort_unstable();
                ids.join(ITEM)
            }
            Some(Matching) => {
                let mut pairs: Vec<_> = divided
                    .items
                    .iter()
                    .map(|item| (item.first, item.second))
                    .collect();
                pairs.sort_unstable();
                let pair = |(first, second): (&str, Option<&str>)| {
                    format!("{first}{PAIR}{}", second.unwrap_or_default())
                };
                pairs.into_iter().map(pair).collect::<Vec<_>>().join(ITEM)
            }
            Some(TrueFalse) => {
                to_truth(response).map_or_else(|| response.trim().to_owned(), |truth| truth.to_string())
            }
            Some(Numeric) => {
                let text = response.trim();
                text.parse::<f64>()
                    .map_or_else(|_| text.to_owned(), |number| number.to_string())
            }
            Some(FillIn | LongFillIn) if !self.case_matters() => self.show(response).trim().to_lowercase(),
            _ => self.show(response).trim().to_owned(),
        }
    }

    /// Whether upper and lower case make a difference in the correct responses.
    fn case_matters(&self) -> bool {
        let matters = |pattern: &String| divide(self.interaction, pattern).case_matters == Some(true);
        self.correct.iter().any(matters)
    }

    /// Whether the response is one of the correct responses. `None` if the definition has none.
    pub fn is_correct(&self, response: &str) -> Option<bool> {
        if self.correct.is_empty() || self.is_poll() {
            return None;
        }
        Some(self.correct.iter().any(|pattern| self.matches(pattern, response)))
    }

    /// Whether the only correct response is all choices together. Moodle describes the questions of polls so, in which each
    /// choice is as good as another.
    fn is_poll(&self) -> bool {
        let [pattern] = self.correct.as_slice() else {
            return false;
        };
        let is_choice = self.interaction == Some(InteractionType::Choice);
        let count = self.ids(&divide(self.interaction, pattern)).len();
        is_choice && count > 1 && count == self.component_count()
    }

    fn matches(&self, pattern: &str, response: &str) -> bool {
        use InteractionType::{
            Choice, FillIn, LongFillIn, Matching, Numeric, Performance, Sequencing, TrueFalse,
        };
        let (expected, actual) = (
            divide(self.interaction, pattern),
            divide(self.interaction, response),
        );
        let sorted = |mut ids: Vec<&'_ str>| {
            ids.sort_unstable();
            ids.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        match self.interaction {
            Some(Choice) => sorted(self.ids(&expected)) == sorted(self.ids(&actual)),
            Some(Sequencing) => self.ids(&expected) == self.ids(&actual),
            Some(Matching) => self.normalise(pattern) == self.normalise(response),
            Some(TrueFalse) => match (to_truth(pattern), to_truth(response)) {
                (Some(one), Some(other)) => one == other,
                _ => pattern.trim() == response.trim(),
            },
            Some(Numeric) => match (to_range(strip_flags(pattern).1), response.trim().parse::<f64>()) {
                (Some(range), Ok(number)) => is_in(range, number),
                _ => pattern.trim() == response.trim(),
            },
            Some(FillIn | LongFillIn) => same_texts(&expected, &actual),
            Some(Performance) => same_steps(&expected, &actual),
            _ => strip_flags(pattern).1.trim() == strip_flags(response).1.trim(),
        }
    }
}

/// Whether the texts are the expected ones. Without flags, the order matters and the case does not.
fn same_texts(expected: &Divided<'_>, actual: &Divided<'_>) -> bool {
    let case_matters = expected.case_matters == Some(true);
    let texts = |divided: &Divided<'_>| {
        let text = |item: &Item<'_>| match case_matters {
            true => item.first.trim().to_owned(),
            false => item.first.trim().to_lowercase(),
        };
        let mut texts: Vec<String> = divided.items.iter().map(text).collect();
        if expected.order_matters == Some(false) {
            texts.sort_unstable();
        }
        texts
    };
    texts(expected) == texts(actual)
}

/// Whether the steps are the expected ones, each with a response in the expected range.
fn same_steps(expected: &Divided<'_>, actual: &Divided<'_>) -> bool {
    if expected.items.len() != actual.items.len() {
        return false;
    }
    let sorted = |divided: &Divided<'_>| {
        let mut items: Vec<(String, Option<String>)> = divided
            .items
            .iter()
            .map(|item| (item.first.to_owned(), item.second.map(str::to_owned)))
            .collect();
        if expected.order_matters == Some(false) {
            items.sort();
        }
        items
    };
    let fits = |((step, wanted), (other, response)): ((String, Option<String>), (String, Option<String>))| {
        let (wanted, response) = (wanted.unwrap_or_default(), response.unwrap_or_default());
        let is_fitting = match (wanted.trim(), to_range(&wanted), response.trim().parse::<f64>()) {
            ("", ..) => true,
            (_, Some(range), Ok(number)) => is_in(range, number),
            (wanted, ..) => wanted == response.trim(),
        };
        (step.is_empty() || step == other) && is_fitting
    };
    sorted(expected).into_iter().zip(sorted(actual)).all(fits)
}

/// A number or a range for people: `5`, `1 to 10`, `at least 1`, `at most 10`.
fn show_range(text: &str) -> String {
    match to_range(text).filter(|_| text.contains(RANGE)) {
        Some((Some(least), Some(most))) => format!("{least} to {most}"),
        Some((Some(least), None)) => format!("at least {least}"),
        Some((None, Some(most))) => format!("at most {most}"),
        Some((None, None)) => "any".to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::testing::question;

    fn show(definition: &str, response: &str) -> String {
        question(definition).show(response)
    }

    fn correct(definition: &str, response: &str) -> Option<bool> {
        question(definition).is_correct(response)
    }

    const CHOICE: &str = r#"{"interactionType":"choice","correctResponsesPattern":["golf[,]tetris","golf"],
        "choices":[{"id":"golf","description":{"en":"Golf <b>Example</b>"}},{"id":"tetris","description":{"de":"Tetris DE","en":"Tetris"}},
            {"id":"facebook"},{"id":"a,b","description":{"en":"Comma"}}]}"#;

    #[test]
    fn choices_are_shown_by_their_texts() {
        assert_eq!(show(CHOICE, "tetris[,]golf"), "Tetris; Golf Example");
        assert_eq!(show(CHOICE, "facebook[,]unknown"), "facebook; unknown");
        assert_eq!(show(CHOICE, "tetris,golf"), "Tetris; Golf Example");
        assert_eq!(show(CHOICE, "{golf,tetris}"), "Golf Example; Tetris");
        assert_eq!(show(CHOICE, "a,b"), "Comma");
        assert_eq!(show(CHOICE, "golf,unknown"), "golf,unknown");
        assert_eq!(show(CHOICE, "Tetris"), "Tetris");
        assert_eq!(show(CHOICE, ""), "");
    }

    #[test]
    fn choices_are_correct_in_any_order() {
        for (response, expected) in [
            ("tetris[,]golf", true),
            ("golf", true),
            ("Golf Example", true),
            ("tetris", false),
            ("", false),
        ] {
            assert_eq!(correct(CHOICE, response), Some(expected), "{response}");
        }
        assert_eq!(correct(r#"{"interactionType":"choice"}"#, "golf"), None);
    }

    #[test]
    fn question_of_a_poll_has_no_correct_response() {
        let poll = r#"{"interactionType":"choice","correctResponsesPattern":["be[,]not"],
            "choices":[{"id":"be","description":{"en":"To be"}},{"id":"not","description":{"en":"Not to be"}}]}"#;
        assert_eq!((correct(poll, "be"), correct(poll, "be[,]not")), (None, None));
    }

    #[test]
    fn order_of_a_sequence_matters() {
        let definition = r#"{"interactionType":"sequencing","correctResponsesPattern":["tim[,]mike[,]ells"],
            "choices":[{"id":"tim","description":{"en":"Tim"}},{"id":"mike","description":{"en":"Mike"}},{"id":"ells"}]}"#;
        assert_eq!(show(definition, "mike[,]tim[,]ells"), "Mike; Tim; ells");
        assert_eq!(correct(definition, "tim[,]mike[,]ells"), Some(true));
        assert_eq!(correct(definition, "mike[,]tim[,]ells"), Some(false));
    }

    #[test]
    fn true_and_false_have_several_spellings() {
        let definition = r#"{"interactionType":"true-false","correctResponsesPattern":["true"]}"#;
        for (response, text, expected) in [
            ("true", "true", true),
            ("True", "true", true),
            ("1", "true", true),
            ("f", "false", false),
            ("perhaps", "perhaps", false),
        ] {
            assert_eq!(
                (show(definition, response).as_str(), correct(definition, response)),
                (text, Some(expected))
            );
        }
    }

    #[test]
    fn flags_decide_about_case_and_order_of_texts() {
        let definition = |pattern: &str| {
            format!(r#"{{"interactionType":"fill-in","correctResponsesPattern":["{pattern}"]}}"#)
        };
        for (pattern, response, expected) in [
            ("Bob's your uncle", "bob's YOUR uncle", true),
            ("{case_matters=true}Bob", "bob", false),
            ("{case_matters=true}{lang=en}Bob", "Bob", true),
            ("{lang=en}{case_matters=false}Bob", "{lang=en-US}bob", true),
            ("car[,]auto", "car[,]auto", true),
            ("car[,]auto", "auto[,]car", false),
            ("{order_matters=false}car[,]auto", "auto[,]car", true),
            (
                "{order_matters=false}{lang=en}car[,]{lang=de}Auto",
                "auto[,]car",
                true,
            ),
            ("car", "car[,]auto", false),
        ] {
            assert_eq!(
                correct(&definition(pattern), response),
                Some(expected),
                "{pattern} {response}"
            );
        }
        assert_eq!(
            show(&definition("x"), "{lang=en}car[,]{lang=de}Auto"),
            "car; Auto"
        );
        assert_eq!(show(&definition("x"), "{unknown=1}x"), "{unknown=1}x");
        let long = r#"{"interactionType":"long-fill-in","correctResponsesPattern":["{case_matters=false}{lang=en}To store"]}"#;
        assert_eq!(
            (show(long, "{lang=en}to [,] store"), correct(long, "TO STORE")),
            ("to [,] store".to_owned(), Some(true))
        );
    }

    #[test]
    fn pairs_are_shown_by_both_texts() {
        let definition = r#"{"interactionType":"matching","correctResponsesPattern":["ben[.]3[,]chris[.]2"],
            "source":[{"id":"ben","description":{"en":"Ben"}},{"id":"chris","description":{"en":"Chris"}}],
            "target":[{"id":"2","description":{"en":"Two"}},{"id":"3","description":{"en":"Three"}}]}"#;
        assert_eq!(
            show(definition, "ben[.]3[,]chris[.]2"),
            "Ben → Three; Chris → Two"
        );
        assert_eq!(correct(definition, "chris[.]2[,]ben[.]3"), Some(true));
        assert_eq!(correct(definition, "chris[.]3[,]ben[.]2"), Some(false));
        assert_eq!(show(definition, "ben"), "Ben");
    }

    #[test]
    fn steps_have_ranges() {
        let definition = r#"{"interactionType":"performance","correctResponsesPattern":["pong[.]1:[,]dg[.]:10[,]lunch[.]"],
            "steps":[{"id":"pong","description":{"en":"Net pong matches won"}},{"id":"dg","description":{"en":"Strokes over par"}},{"id":"lunch"}]}"#;
        assert_eq!(
            show(definition, "pong[.]1[,]dg[.]10[,]lunch[.]"),
            "Net pong matches won → 1; Strokes over par → 10; lunch → "
        );
        assert_eq!(
            question(definition).show("pong[.]1[:][,]dg[.][:]10[,]lunch[.]3[:]4[,]lunch[.]10:30"),
            "Net pong matches won → at least 1; Strokes over par → at most 10; lunch → 3 to 4; lunch → 10:30"
        );
        for (response, expected) in [
            ("pong[.]1[,]dg[.]10[,]lunch[.]x", true),
            ("pong[.]0[,]dg[.]10[,]lunch[.]", false),
            ("dg[.]10[,]pong[.]1[,]lunch[.]", false),
            ("pong[.]1[,]dg[.]10", false),
        ] {
            assert_eq!(correct(definition, response), Some(expected), "{response}");
        }
    }

    #[test]
    fn numbers_are_compared_with_ranges() {
        let definition = |pattern: &str| {
            format!(r#"{{"interactionType":"numeric","correctResponsesPattern":["{pattern}"]}}"#)
        };
        for (pattern, response, expected) in [
            ("4[:]6", "4", true),
            ("4[:]6", "6.01", false),
            ("[:]6", "-100", true),
            ("4[:]", "1e3", true),
            ("23", "23.0", true),
            ("23", "24", false),
            ("0[:]10", "three", false),
        ] {
            assert_eq!(
                correct(&definition(pattern), response),
                Some(expected),
                "{pattern} {response}"
            );
        }
        assert_eq!(show(&definition("0[:]10"), "3"), "3");
        assert_eq!(show(&definition("0[:]10"), "0[:]10"), "0 to 10");
    }

    #[test]
    fn scale_of_a_likert_question_has_texts() {
        let definition =
            r#"{"interactionType":"likert","scale":[{"id":"likert_0","description":{"en":"It's OK"}}]}"#;
        assert_eq!(show(definition, "likert_0"), "It's OK");
        assert_eq!(correct(definition, "likert_0"), None);
    }

    #[test]
    fn response_of_an_unknown_type_is_divided() {
        assert_eq!(show("{}", "a[.]b[,]c"), "a → b; c");
        assert_eq!(show("{}", "plain text: 1"), "plain text: 1");
        let other = r#"{"interactionType":"other","correctResponsesPattern":["(35.9,-86.7)"]}"#;
        assert_eq!(
            (show(other, "(35.9,-86.7)"), correct(other, "(35.9,-86.7)")),
            ("(35.9,-86.7)".to_owned(), Some(true))
        );
    }

    #[test]
    fn same_answers_have_the_same_normal_form() {
        let normal = |definition: &str, response: &str| question(definition).normalise(response);
        assert_eq!(
            normal(CHOICE, "golf[,]tetris"),
            normal(CHOICE, "Tetris[,]Golf Example")
        );
        let text = r#"{"interactionType":"fill-in","correctResponsesPattern":["Paris"]}"#;
        assert_eq!(normal(text, " paris "), normal(text, "PARIS"));
        let exact = r#"{"interactionType":"fill-in","correctResponsesPattern":["{case_matters=true}Paris"]}"#;
        assert_ne!(normal(exact, "paris"), normal(exact, "PARIS"));
        let number = r#"{"interactionType":"numeric"}"#;
        assert_eq!(normal(number, "5.0"), normal(number, "5"));
    }

    proptest::proptest! {
        #[test]
        fn no_response_panics(
            kind in proptest::sample::select(vec!["true-false", "choice", "fill-in", "long-fill-in", "matching",
                "performance", "sequencing", "likert", "numeric", "other"]),
            pattern in "[a-c1{}=,:;\\[\\]. ]{0,20}",
            response in "[a-c1{}=,:;\\[\\]. ]{0,20}",
        ) {
            let definition = serde_json::json!({"interactionType": kind, "correctResponsesPattern": [pattern]}).to_string();
            let question = question(&definition);
            let _ = (question.show(&response), question.normalise(&response), question.is_correct(&response));
            // What is expected is correct, unless it is a range or a free text with flags.
            if matches!(kind, "choice" | "sequencing" | "matching" | "likert") {
                proptest::prop_assert_eq!(question.is_correct(&pattern), Some(true));
            }
        }
    }
}
