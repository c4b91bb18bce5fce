//! When a delivery is tried again.

use std::time::Duration;

use uuid::Uuid;

/// The longest pause between two attempts, also if the receiver asks for a longer one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// The factor by which a pause is longer than the one before.
const FACTOR: u32 = 4;
/// The largest part of a pause that is added at random, in percent.
const JITTER_PERCENT: u32 = 20;

/// The pause after a number of failed attempts, at least one. `first` is the pause after the first one. `asked` is what the
/// receiver asks for. `random` spreads the attempts of many deliveries.
pub fn pause_after(attempts: i64, first: Duration, asked: Option<Duration>, random: Uuid) -> Duration {
    let steps = u32::try_from(attempts.max(1) - 1).unwrap_or(u32::MAX).min(16);
    let pause = first
        .saturating_mul(FACTOR.saturating_pow(steps))
        .min(LONGEST_PAUSE);
    // The last bytes of an id are random, also of one that begins with the time.
    let percent = u32::from(random.as_bytes()[15]) * JITTER_PERCENT / 255;
    let pause = pause + pause * percent / 100;
    pause.max(asked.unwrap_or_default()).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(attempts: i64, asked: Option<u64>) -> u64 {
        let asked = asked.map(Duration::from_secs);
        pause_after(attempts, Duration::from_secs(5), asked, Uuid::nil()).as_secs()
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses: Vec<u64> = (1..=8).map(|attempts| seconds(attempts, None)).collect();
        assert_eq!(pauses, [5, 20, 80, 320, 1_280, 5_120, 20_480, 21_600]);
        assert_eq!(seconds(i64::MAX, None), 21_600);
        assert_eq!(seconds(0, None), 5);
    }

    #[test]
    fn receiver_can_ask_for_a_longer_pause() {
        assert_eq!(seconds(1, Some(600)), 600);
        assert_eq!(seconds(3, Some(1)), 80);
        assert_eq!(seconds(1, Some(u64::MAX)), 21_600);
    }

    #[test]
    fn jitter_adds_at_most_a_fifth() {
        let longest = pause_after(1, Duration::from_secs(5), None, Uuid::max());
        assert_eq!(longest, Duration::from_secs(6));
    }
}
