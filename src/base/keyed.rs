//! What resources of elements with ids that the client chooses have in common: users, teams, groups and contents.
//!
//! [`KeyedDraft`] is what a client writes of one element. [`parse_one`] reads the body of a PUT, [`parse_batch`] the
//! elements of a batch. [`Refusal`] says why a write is refused, [`BatchOutcome`] what a batch did.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{ParsedBatch, parse_bodies, parse_body};
use super::fault::{Fault, Faults, Place};
use super::form::Form;
use super::json::Node;
use super::merge_patch::merge_patch;
use super::naming::check_naming;

/// An element as a client writes it, with an id that the client chooses.
pub trait KeyedDraft: Sized {
    /// Reads the element at its place, and adds every fault to `faults`; `None` if the element is not usable. `id` is
    /// the id in the address. An element of a batch has none: its own member `id` names it.
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Faults) -> Option<Self>;

    /// The id.
    fn id_text(&self) -> &str;

    /// Notes which members the patch contained from which this draft was made. By default it makes no difference: the
    /// draft has the present values of the others.
    fn note_patch(&mut self, _patch: &Value) {}
}

/// An element as a client reads it.
pub trait KeyedEntity: Serialize {
    /// The id.
    fn id_text(&self) -> &str;

    /// The element after a merge patch (RFC 7396), as the client would write it.
    fn patched(&self, patch: &Value) -> Value {
        merge_patch(to_json(self), patch)
    }
}

/// The JSON form. Elements consist of texts, numbers, lists and maps with text keys, which always have one.
pub fn to_json(element: &(impl Serialize + ?Sized)) -> Value {
    serde_json::to_value(element).unwrap_or_default()
}

/// Reads the body of a PUT to the address of `id`.
///
/// # Errors
///
/// Every fault, with pointers into the text.
pub fn parse_one<T: KeyedDraft>(text: &str, depth: usize, id: &str) -> Result<T, Faults> {
    parse_body(text, depth, |node, place, faults| {
        T::read(node, place, Some(id), faults)
    })
}

/// The elements of a batch that could be read, and what is known about the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftBatch<T> {
    /// The elements without faults, their numbers, and the faults of the others.
    pub parsed: ParsedBatch<T>,
    /// The ids of the elements with faults. Other elements may refer to them.
    pub refused_ids: HashSet<String>,
}

impl<T: KeyedDraft> From<Vec<T>> for DraftBatch<T> {
    fn from(drafts: Vec<T>) -> Self {
        Self {
            parsed: ParsedBatch {
                numbers: (0..drafts.len()).collect(),
                values: drafts,
                faults: Faults::new(),
            },
            refused_ids: HashSet::new(),
        }
    }
}

/// Reads the elements of a batch. Each is a JSON text; pointers begin with the number of the element. Two elements with
/// the same id are a fault.
pub fn parse_batch<T: KeyedDraft>(elements: &[&str], depth: usize) -> DraftBatch<T> {
    let mut first_places: HashMap<String, usize> = HashMap::with_capacity(elements.len());
    let mut refused_ids = HashSet::new();
    let parsed = parse_bodies(elements, depth, |number, node, place, faults| {
        let faults_before = faults.len();
        let draft = T::read(node, place, None, faults);
        let id = node.get("id").and_then(Node::as_str);
        if let Some(first) = id.and_then(|id| first_places.get(id)) {
            let detail = format!("the element /{first} has the same id; send each id once");
            faults.push(place.member("id").fault(detail));
        } else if let Some(id) = id {
            first_places.insert(id.to_owned(), number);
        }
        if faults.len() > faults_before {
            refused_ids.extend(id.map(str::to_owned));
        }
        draft
    });
    DraftBatch { parsed, refused_ids }
}

/// Reads the id of an element: the id in the address, or else the member `id`. A body may repeat the id of the address.
pub fn read_id<T>(form: &mut Form<'_, '_, '_>, address: Option<&str>) -> Option<T>
where
    T: TryFrom<String, Error: Display> + AsRef<str>,
{
    let faults_before = form.faults().len();
    let own: Option<T> = form.value("id");
    let text = own.as_ref().map(AsRef::as_ref).or(address);
    if let Some(Err(error)) = text.map(check_naming)
        && form.faults().len() == faults_before
    {
        form.add_fault("id", format!("an id {error}"));
        return None;
    }
    match (address, own) {
        (Some(address), Some(own)) if own.as_ref() != address => {
            let detail = format!("the address names `{address}`; write the same id here, or leave it out");
            form.add_fault("id", detail);
            None
        }
        (_, Some(own)) => Some(own),
        (Some(address), None) if form.faults().len() == faults_before => {
            match T::try_from(address.to_owned()) {
                Ok(id) => Some(id),
                Err(error) => {
                    let fault = form
                        .place()
                        .fault(format!("the id in the address is not valid: {error}"));
                    form.faults().push(fault);
                    None
                }
            }
        }
        (None, None) if form.faults().len() == faults_before => {
            form.add_fault("id", "each element of a batch needs an id");
            None
        }
        (_, None) => None,
    }
}

/// What a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"created": 12, "updated": 3, "unchanged": 85}))]
pub struct BatchOutcome {
    /// Elements that did not exist before.
    pub created: u64,
    /// Elements that existed and are different now.
    pub updated: u64,
    /// Elements that existed and are the same.
    pub unchanged: u64,
}

/// Why a write is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The request is wrong, with each fault at its place: 400. An unknown team or manager and a cycle are faults.
    #[error("{}", first_detail(.0))]
    Faults(Faults),
    /// The request contradicts stored data, with each fault at its place: 409. An identifier or IRI that belongs to
    /// another element is a conflict.
    #[error("{}", first_detail(.0))]
    Conflicts(Faults),
}

impl Refusal {
    /// Refuses a request that has faults.
    ///
    /// # Errors
    ///
    /// [`Refusal::Faults`] with all of them.
    pub fn if_faulty(faults: Faults) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self::Faults(faults))
        }
    }

    /// The same refusal for a body that is a single element: pointers lose the number of the element.
    pub fn for_single_element(self) -> Self {
        let without_number = |faults: Faults| {
            faults.map(|fault| Fault {
                pointer: fault
                    .pointer
                    .strip_prefix("/0")
                    .map(str::to_owned)
                    .unwrap_or(fault.pointer),
                detail: fault.detail,
            })
        };
        match self {
            Self::Faults(faults) => Self::Faults(without_number(faults)),
            Self::Conflicts(faults) => Self::Conflicts(without_number(faults)),
        }
    }
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

fn first_detail(faults: &Faults) -> String {
    faults
        .listed()
        .first()
        .map_or_else(|| "the request has no faults".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::GroupId;

    #[derive(Debug)]
    struct Draft {
        id: GroupId,
    }

    impl KeyedDraft for Draft {
        fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Faults) -> Option<Self> {
            let mut form = Form::from_node(node, place, "a draft", &["id", "name"], faults)?;
            let id = read_id(&mut form, id);
            let name = form.required_text("name", 9);
            name.and(id).map(|id| Self { id })
        }

        fn id_text(&self) -> &str {
            self.id.as_str()
        }
    }

    fn pointers(faults: Faults) -> Vec<String> {
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn every_bad_element_of_a_batch_is_named() {
        let elements = [
            r#"{"id":"a","name":"A"}"#,
            r#"{"name":"B"}"#,
            "nonsense",
            r#"{"id":"a","name":"C"}"#,
        ];
        let batch = parse_batch::<Draft>(&elements, 8);
        let ids: Vec<&str> = batch.parsed.values.iter().map(Draft::id_text).collect();
        assert_eq!((ids, batch.parsed.numbers), (vec!["a"], vec![0]));
        assert!(batch.refused_ids.contains("a"));
        let faults = batch.parsed.faults;
        assert_eq!(
            faults.listed()[2].detail,
            "the element /0 has the same id; send each id once"
        );
        assert_eq!(pointers(faults), ["/1/id", "/2", "/3/id"]);
        let good = parse_batch::<Draft>(&elements[..1], 8).parsed;
        assert_eq!(good.into_values().unwrap().len(), 1);
    }

    #[test]
    fn body_may_repeat_the_id_of_the_address() {
        let read = |text: &str| parse_one::<Draft>(text, 8, "a");
        assert_eq!(read(r#"{"name":"A"}"#).unwrap().id_text(), "a");
        assert_eq!(read(r#"{"id":"a","name":"A"}"#).unwrap().id_text(), "a");
        assert_eq!(pointers(read(r#"{"id":"b","name":"A"}"#).unwrap_err()), ["/id"]);
        assert_eq!(
            pointers(read(r#"{"id":"b","nam":"A"}"#).unwrap_err()),
            ["/nam", "/id", "/name"]
        );
    }

    #[test]
    fn faults_of_a_single_element_have_no_number() {
        let fault = |pointer: &str| Fault {
            pointer: pointer.to_owned(),
            detail: "no".to_owned(),
        };
        let refusal =
            Refusal::Faults(Faults::from_iter([fault("/0/manager"), fault("/0")])).for_single_element();
        assert_eq!(
            refusal,
            Refusal::Faults(Faults::from_iter([fault("/manager"), fault("")]))
        );
    }
}
