//! Results and scores (xAPI 1.0.3, Data 2.4.5).

use super::duration::Duration;
use super::extensions;
use crate::base::fault::{Fault, Place};
use crate::base::json::{Fields, Node, boolean, number, owned_string};

/// The result of a statement. The name `Result` is taken by Rust.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The score.
    pub score: Option<Score>,
    /// Whether the attempt succeeded.
    pub success: Option<bool>,
    /// Whether the activity was completed.
    pub completion: Option<bool>,
    /// The response, for example the answer to a question.
    pub response: Option<String>,
    /// The time that it took.
    pub duration: Option<Duration>,
    /// The extensions, as the text of a JSON object.
    pub extensions: Option<String>,
}

/// A score (xAPI 1.0.3, Data 2.4.5.1).
///
/// All numbers are finite. `scaled` is between -1 and 1, `min` is less than `max`, and `raw` is between them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// The score as a number from -1 to 1.
    pub scaled: Option<f64>,
    /// The points.
    pub raw: Option<f64>,
    /// The smallest possible number of points.
    pub min: Option<f64>,
    /// The largest possible number of points.
    pub max: Option<f64>,
}

impl Outcome {
    /// Reads a result.
    ///
    /// # Errors
    ///
    /// The node is not a valid result.
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
    /// The node is not a valid score, or its numbers contradict each other.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let fields = Fields::from_node(node, place, "a score", &["scaled", "raw", "min", "max"])?;
        let score = Self {
            scaled: fields.optional("scaled", number)?,
            raw: fields.optional("raw", number)?,
            min: fields.optional("min", number)?,
            max: fields.optional("max", number)?,
        };
        let fault = |key: &str, detail: &str| Err(place.member(key).fault(detail));
        if score.scaled.is_some_and(|scaled| !(-1.0..=1.0).contains(&scaled)) {
            return fault("scaled", "a scaled score is between -1 and 1");
        }
        if let (Some(min), Some(max)) = (score.min, score.max)
            && min >= max
        {
            return fault("min", "the minimum must be less than the maximum");
        }
        if let (Some(raw), Some(min)) = (score.raw, score.min)
            && raw < min
        {
            return fault("raw", "a raw score must not be less than the minimum");
        }
        if let (Some(raw), Some(max)) = (score.raw, score.max)
            && raw > max
        {
            return fault("raw", "a raw score must not be greater than the maximum");
        }
        Ok(score)
    }
}
