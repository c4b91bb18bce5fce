//! Texts with places for values.

/// Stands before and after the name of a value in the formatted text. No text of a file contains this character.
const MARK: char = '\u{f0000}';

/// A text with places for values, such as `{ $title } (Archived)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A text of the file.
    Text(String),
    /// The place of the value with this name.
    Place(String),
}

/// The value that marks its place for [`Template::parse`].
pub(super) fn mark(name: &str) -> String {
    format!("{MARK}{name}{MARK}")
}

impl Template {
    /// Finds the places in a text that was formatted with marks as values.
    pub(super) fn parse(marked: &str) -> Self {
        let pieces = marked.split(MARK).enumerate();
        // The marks are in pairs, so each second piece is a name.
        let pieces = pieces.map(|(index, piece)| match index % 2 {
            0 => Piece::Text(piece.to_owned()),
            _ => Piece::Place(piece.to_owned()),
        });
        let is_empty = |piece: &Piece| matches!(piece, Piece::Text(text) if text.is_empty());
        Self(pieces.filter(|piece| !is_empty(piece)).collect())
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The text with the values. A place without a value stays empty.
    pub fn fill(&self, values: &[(&str, &str)]) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Place(name) => {
                    let value = values.iter().find(|(other, _)| other == name);
                    text.push_str(value.map_or("", |(_, value)| value));
                }
            }
        }
        text
    }

    /// The texts of the file alone, as one line without spaces at its ends.
    pub(super) fn words(&self) -> String {
        let texts = self.0.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.trim()),
            Piece::Place(_) => None,
        });
        texts.collect::<Vec<_>>().join(" ")
    }
}
