//! The score of an attempt.

use super::commit::Commit;
use super::model::{Version, to_number};
use crate::record::Score;

impl Commit {
    /// The score, as a statement can hold it. `None` without points and without a scaled score.
    ///
    /// A statement needs `min` < `max` and points between them. Limits that contradict this are left out: packages
    /// often set them wrong, and the points are what counts.
    pub(super) fn score(&self, version: Version) -> Option<Score> {
        let prefix = version.names().score;
        let number = |member: &str| self.get(&format!("{prefix}.{member}")).and_then(to_number);
        let scaled = match version {
            // SCORM 1.2 has no scaled score.
            Version::V12 => None,
            Version::V2004 => number("scaled").filter(|scaled| (-1.0..=1.0).contains(scaled)),
        };
        let raw = number("raw");
        if scaled.is_none() && raw.is_none() {
            return None;
        }
        let (mut min, mut max) = (number("min"), number("max"));
        if let (Version::V12, Some(0.0..=100.0), None) = (version, raw, max) {
            // The points of SCORM 1.2 are a number from 0 to 100.
            max = Some(100.0);
        }
        if min.zip(max).is_some_and(|(min, max)| min >= max) {
            (min, max) = (None, None);
        }
        if let Some(raw) = raw {
            min = min.filter(|min| *min <= raw);
            max = max.filter(|max| raw <= *max);
        }
        Some(Score {
            scaled,
            raw,
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(body: &str) -> Option<[Option<f64>; 4]> {
        let commit = Commit::parse(body, 16).expect("a commit");
        let version = commit.version().expect("a version");
        commit
            .score(version)
            .map(|score| [score.scaled, score.raw, score.min, score.max])
    }

    #[test]
    fn score_of_scorm_12_is_of_one_hundred() {
        for (text, expected) in [
            ("raw=80", Some([None, Some(80.0), None, Some(100.0)])),
            (
                "raw=8&cmi.core.score.max=10&cmi.core.score.min=0",
                Some([None, Some(8.0), Some(0.0), Some(10.0)]),
            ),
            (
                "raw=-5&cmi.core.score.min=0&cmi.core.score.max=100",
                Some([None, Some(-5.0), None, Some(100.0)]),
            ),
            (
                "raw=120&cmi.core.score.max=100",
                Some([None, Some(120.0), None, None]),
            ),
            (
                "raw=5&cmi.core.score.min=10&cmi.core.score.max=10",
                Some([None, Some(5.0), None, None]),
            ),
            ("raw=", None),
            ("raw=abc", None),
            ("max=100", None),
        ] {
            assert_eq!(score(&format!("cmi.core.score.{text}")), expected, "{text}");
        }
    }

    #[test]
    fn scaled_score_of_scorm_2004_is_within_its_limits() {
        assert_eq!(
            score("cmi.score.scaled=-0.25"),
            Some([Some(-0.25), None, None, None])
        );
        assert_eq!(
            score("cmi.score.scaled=1.5&cmi.score.raw=3"),
            Some([None, Some(3.0), None, None])
        );
        assert_eq!(score("cmi.score.scaled=&cmi.location=x"), None);
    }
}
