//! Pages of the directory and the catalogue.
//!
//! See `docs/specification.md#lists-and-pages`.

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The elements, in the order of their ids.
    pub items: Vec<T>,
    /// Whether the list has more elements after these.
    pub more: bool,
}

impl<T> Page<T> {
    /// A page without elements.
    pub fn empty() -> Self {
        Self {
            items: Vec::new(),
            more: false,
        }
    }

    /// The page with at most `limit` of its elements.
    pub fn first(mut self, limit: usize) -> Self {
        self.more |= self.items.len() > limit;
        self.items.truncate(limit);
        self
    }

    /// The page with converted elements.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            more: self.more,
        }
    }

    /// The first elements of the page that have at most `bytes` bytes together, but at least one.
    pub fn within(mut self, bytes: usize, size: impl Fn(&T) -> usize) -> Self {
        let mut sum = 0;
        let fitting = self.items.iter().take_while(|item| {
            sum += size(item);
            sum <= bytes
        });
        let fitting = fitting.count().max(1);
        self.more |= fitting < self.items.len();
        self.items.truncate(fitting);
        self
    }

    /// The page of the first `limit` elements. `items` was read with a limit of one more: if that element exists,
    /// the list has another page.
    pub fn from_overfetch(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

/// The words of a search text, folded like the stored texts that they are compared with.
pub fn folded_words(text: &str) -> Vec<String> {
    super::fold(text).split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_more_if_an_extra_element_was_read() {
        assert_eq!(
            Page::from_overfetch(vec![1, 2, 3], 2),
            Page {
                items: vec![1, 2],
                more: true
            }
        );
        assert_eq!(
            Page::from_overfetch(vec![1, 2], 2),
            Page {
                items: vec![1, 2],
                more: false
            }
        );
    }
}
