//! Durations as text for people (docs/specification.md#total-time).

const UNITS: [(i64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];

/// A duration in whole seconds as text: the largest unit and the next smaller one, without smaller units and without
/// zeros. Examples: `45 seconds`, `1 hour 5 minutes`, and `1 hour` for one hour and three seconds.
///
/// Zero and negative durations are `0 seconds`.
pub fn time_text(seconds: i64) -> String {
    let Some(largest) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else {
        return "0 seconds".to_owned();
    };
    let mut rest = seconds;
    let mut parts = Vec::with_capacity(2);
    for (unit, name) in UNITS.iter().skip(largest).take(2) {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_has_two_units_without_zeros() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "1 minute"),
            (61, "1 minute 1 second"),
            (300, "5 minutes"),
            (3_599, "59 minutes 59 seconds"),
            (3_600, "1 hour"),
            (3_603, "1 hour"),
            (3_900, "1 hour 5 minutes"),
            (3_959, "1 hour 5 minutes"),
            (86_399, "23 hours 59 minutes"),
            (86_400, "1 day"),
            (86_460, "1 day"),
            (180_000, "2 days 2 hours"),
            (-5, "0 seconds"),
        ] {
            assert_eq!(time_text(seconds), text, "{seconds}");
        }
    }

    proptest! {
        /// The text differs from the duration by less than its smaller unit.
        #[test]
        fn text_is_exact_to_its_smaller_unit(seconds in 1i64..10_000_000) {
            let text = time_text(seconds);
            let words: Vec<&str> = text.split(' ').collect();
            prop_assert!(words.len() == 2 || words.len() == 4);
            let units: Vec<(i64, i64)> = words.chunks(2).map(|pair| {
                let unit = UNITS.iter().find(|(_, name)| pair[1].trim_end_matches('s') == *name).unwrap().0;
                (pair[0].parse::<i64>().unwrap(), unit)
            }).collect();
            prop_assert!(units.iter().all(|(count, _)| *count > 0));
            let total: i64 = units.iter().map(|(count, unit)| count * unit).sum();
            // A text with one unit has zero of the next smaller one.
            let smallest = if units.len() == 2 { units[1].1 } else {
                UNITS.iter().find(|(unit, _)| *unit < units[0].1).map_or(1, |(unit, _)| *unit)
            };
            prop_assert!(total <= seconds && seconds - total < smallest);
        }
    }
}
