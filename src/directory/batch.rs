//! Many at once: each element as PUT, with its id inside, all or nothing (product text, section 5).

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::fault::{Fault, Place};
use crate::base::json::{self, Node};

use super::error::Refusal;

/// What a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"created": 12, "updated": 3, "unchanged": 85}))]
pub struct BatchOutcome {
    /// Elements that were not there before.
    pub created: u64,
    /// Elements that were there and are different now.
    pub updated: u64,
    /// Elements that were there as they are.
    pub unchanged: u64,
}

/// What a client writes by an id of its own.
pub trait Keyed: Sized {
    /// Reads it at its place, noting every fault; `None` where there is one. `id` is the id that the
    /// address gives; in a batch there is none, and the element says it.
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Vec<Fault>) -> Option<Self>;

    /// The id, as text.
    fn id_text(&self) -> &str;
}

/// Reads the one element of a PUT to the address of `id`.
///
/// # Errors
///
/// Every fault, with pointers into the text.
pub fn read_one<T: Keyed>(text: &str, depth: usize, id: &str) -> Result<T, Refusal> {
    let node = json::parse(text, depth).map_err(|fault| Refusal::Faults(vec![fault]))?;
    let mut faults = Vec::new();
    match T::read(&node, &Place::Root, Some(id), &mut faults) {
        Some(draft) if faults.is_empty() => Ok(draft),
        _ => Err(Refusal::Faults(faults)),
    }
}

/// Reads the elements of a batch, each a JSON text; pointers begin with the number of the element.
///
/// # Errors
///
/// Every fault of every element, an id that two of them have among them.
pub fn read_batch<T: Keyed>(elements: &[&str], depth: usize) -> Result<Vec<T>, Refusal> {
    let mut faults = Vec::new();
    let mut drafts = Vec::with_capacity(elements.len());
    let mut places: HashMap<String, usize> = HashMap::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let place = Place::Root.element(index);
        let node = match json::parse(element, depth) {
            Ok(node) => node,
            Err(fault) => {
                faults.push(Fault {
                    pointer: format!("{place}{}", fault.pointer),
                    detail: fault.detail,
                });
                continue;
            }
        };
        let Some(draft) = T::read(&node, &place, None, &mut faults) else {
            continue;
        };
        match places.insert(draft.id_text().to_owned(), index) {
            None => drafts.push(draft),
            Some(first) => {
                let detail = format!("the element /{first} has this id too; send each id once");
                faults.push(place.member("id").fault(detail));
            }
        }
    }
    Refusal::unless_empty(faults)?;
    Ok(drafts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::GroupDraft;

    fn pointers(refusal: Refusal) -> Vec<String> {
        match refusal {
            Refusal::Faults(faults) => faults.into_iter().map(|fault| fault.pointer).collect(),
            Refusal::Conflicts(_) => panic!("reading finds no conflicts"),
        }
    }

    #[test]
    fn every_bad_element_is_named() {
        let elements = [
            r#"{"id":"a","name":"A"}"#,
            r#"{"name":"B"}"#,
            "nonsense",
            r#"{"id":"a","name":"C"}"#,
        ];
        let refusal = read_batch::<GroupDraft>(&elements, 8).unwrap_err();
        assert_eq!(pointers(refusal), ["/1/id", "/2", "/3/id"]);
        assert_eq!(read_batch::<GroupDraft>(&elements[..1], 8).unwrap().len(), 1);
    }

    #[test]
    fn the_address_gives_the_id_and_the_body_may_repeat_it() {
        let read = |text: &str| read_one::<GroupDraft>(text, 8, "a");
        assert_eq!(read(r#"{"name":"A"}"#).unwrap().id_text(), "a");
        assert_eq!(read(r#"{"id":"a","name":"A"}"#).unwrap().id_text(), "a");
        assert_eq!(pointers(read(r#"{"id":"b","name":"A"}"#).unwrap_err()), ["/id"]);
        assert_eq!(
            pointers(read(r#"{"id":"b","nam":"A"}"#).unwrap_err()),
            ["/nam", "/id", "/name"]
        );
    }
}
