//! A small generator of random numbers that are the same for the same seed (SplitMix64).

/// A generator of random numbers.
pub(super) struct Random(u64);

impl Random {
    /// A generator with a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number. All numbers have the same probability.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to below `high`, or `low` if the range is empty.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0).max(1);
        // The remainder fits, because the width is the difference of two i64.
        low.saturating_add(i64::try_from(self.next() % width).unwrap_or(0))
    }

    /// An index below `end`, or 0 if `end` is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    /// True with this probability, in percent.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// A number from 0 to below 1.
    pub(super) fn fraction(&mut self) -> f64 {
        // A double has 53 bits of precision.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A random element of a list that is not empty.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_the_same_numbers_within_bounds() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            std::iter::repeat_with(move || random.next())
                .take(5)
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        // The published first value of SplitMix64 for the seed 0.
        assert_eq!(draw(0)[0], 0xe220_a839_7b1d_cdaf);
        let mut random = Random::new(7);
        for _ in 0..1_000 {
            assert!((-3..4).contains(&random.between(-3, 4)));
            assert!((0.0..1.0).contains(&random.fraction()));
            assert!(random.below(3) < 3);
        }
        assert_eq!(
            (random.between(5, 5), random.between(5, 1), random.below(0)),
            (5, 5, 0)
        );
    }
}
