//! With what result (xAPI 1.0.3, Data 2.4.5).

use super::duration::Duration;
use super::extensions;
use crate::base::fault::{Fault, Place};
use crate::base::json::{Fields, Node, boolean, number, owned_string};

/// The result of a statement; [`Result`] is another thing in Rust.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The score.
    pub score: Option<Score>,
    /// Whether it was done well.
    pub success: Option<bool>,
    /// Whether it was done to the end.
    pub completion: Option<bool>,
    /// What was answered.
    pub response: Option<String>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// What else was said, as a JSON object.
    pub extensions: Option<String>,
}

/// A score (xAPI 1.0.3, Data 2.4.5.1). Every number is finite, `scaled` in -1 to 1, `min` below
/// `max`, and `raw` between the two.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// The score on a scale from -1 to 1.
    pub scaled: Option<f64>,
    /// The points.
    pub raw: Option<f64>,
    /// The fewest points that are possible.
    pub min: Option<f64>,
    /// The most points that are possible.
    pub max: Option<f64>,
}

impl Outcome {
    /// Reads a result.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let known = [
            "score",
            "success",
            "completion",
            "response",
            "duration",
            "extensions",
        ];
        let fields = Fields::from_node(node, place, "a result", &known)?;
        Ok(Self {
            score: fields.optional("score", Score::from_node)?,
            success: fields.optional("success", boolean)?,
            completion: fields.optional("completion", boolean)?,
            response: fields.optional("response", owned_string)?,
            duration: fields.optional("duration", Duration::from_node)?,
            extensions: fields.optional("extensions", extensions::from_node)?,
        })
    }
}

impl Score {
    /// Reads a score.
    ///
    /// # Errors
    ///
    /// Anything else, and numbers that contradict each other.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let fields = Fields::from_node(node, place, "a score", &["scaled", "raw", "min", "max"])?;
        let score = Self {
            scaled: fields.optional("scaled", number)?,
            raw: fields.optional("raw", number)?,
            min: fields.optional("min", number)?,
            max: fields.optional("max", number)?,
        };
        let wrong = |key: &str, detail: &str| Err(place.member(key).fault(detail));
        if score.scaled.is_some_and(|scaled| !(-1.0..=1.0).contains(&scaled)) {
            return wrong("scaled", "a scaled score lies between -1 and 1");
        }
        if let (Some(min), Some(max)) = (score.min, score.max)
            && min >= max
        {
            return wrong("min", "the minimum must be less than the maximum");
        }
        if let (Some(raw), Some(min)) = (score.raw, score.min)
            && raw < min
        {
            return wrong("raw", "a raw score is not less than the minimum");
        }
        if let (Some(raw), Some(max)) = (score.raw, score.max)
            && raw > max
        {
            return wrong("raw", "a raw score is not greater than the maximum");
        }
        Ok(score)
    }
}
