//! Which stored content a draft is about: the one with its id, or else the one with its IRI.
//!
//! A draft adopts a content that is not registered and that has its IRI (`docs/specification.md#contents`).

use std::collections::{HashMap, HashSet};

use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults};
use crate::base::keyed::{KeyedDraft as _, Refusal};
use crate::catalogue::ContentDraft;

use crate::store::db::database::Sql;
use crate::store::db::digest;
use crate::store::db::ledger::OrgTx;
use crate::store::directory::keyed::{Collection as _, Existing, Matched, WriteError, load};

use super::{AccountHomePage, Contents};

/// Matches every draft with the stored content that it is about.
pub(super) async fn match_drafts<'d>(
    tx: &mut OrgTx,
    drafts: &'d [ContentDraft],
    home_page: &AccountHomePage,
    now: Timestamp,
) -> Result<Vec<Matched<'d, Contents>>, WriteError> {
    let iris: Vec<String> = drafts.iter().map(|draft| home_page.iri(draft)).collect();
    let ids = drafts.iter().map(|draft| digest(draft.id_text()));
    let named: HashSet<Vec<u8>> = ids.chain(iris.iter().map(|iri| digest(iri))).collect();
    let named: Vec<Vec<u8>> = named.into_iter().collect();
    let select = Sql::new(&format!(
        "{} AND (c.id_digest IN LIST($2) OR c.digest IN LIST($2))",
        Contents::select()
    ));
    let org = tx.org;
    let existing = load::<Contents>(tx, org, now, select.with(org).with(named)).await?;
    let mut places = Places::new(existing);
    let mut matched = Vec::with_capacity(drafts.len());
    let mut conflicts = Faults::new();
    for (index, (draft, iri)) in drafts.iter().zip(iris).enumerate() {
        match places.take(draft, iri) {
            Ok(existing) => matched.push(Matched::new(tx, draft, existing)),
            Err(detail) => conflicts.push(Fault {
                pointer: format!("/{index}/iri"),
                detail,
            }),
        }
    }
    if conflicts.is_empty() {
        Ok(matched)
    } else {
        Err(Refusal::Conflicts(conflicts).into())
    }
}

/// The IRIs that the drafts name, with the content that has each.
struct Places {
    by_id: HashMap<String, usize>,
    by_iri: HashMap<String, usize>,
    places: Vec<Place>,
}

/// One IRI.
struct Place {
    /// The id of the content that has the IRI.
    owner: String,
    /// Whether a client chose this id, so that no other draft can have the IRI.
    registered: bool,
    /// The stored content, until a draft takes it.
    existing: Option<Existing<Contents>>,
}

impl Places {
    fn new(contents: Vec<Existing<Contents>>) -> Self {
        let mut places = Self {
            by_id: HashMap::new(),
            by_iri: HashMap::new(),
            places: Vec::with_capacity(contents.len()),
        };
        for existing in contents {
            let content = &existing.stored.content;
            places.by_id.insert(content.id.clone(), places.places.len());
            places.by_iri.insert(content.iri.clone(), places.places.len());
            places.places.push(Place {
                owner: content.id.clone(),
                registered: content.registered,
                existing: Some(existing),
            });
        }
        places
    }

    /// The stored content that the draft is about; `None` if it is new. `iri` is the draft's IRI, or its default.
    ///
    /// # Errors
    ///
    /// The detail of the conflict.
    fn take(&mut self, draft: &ContentDraft, iri: String) -> Result<Option<Existing<Contents>>, String> {
        // A content loses its id when another draft of the batch adopts it.
        let own = self.by_id.get(draft.id_text()).copied();
        let own = own.filter(|index| {
            self.places
                .get(*index)
                .is_some_and(|place| place.existing.is_some())
        });
        let index = own.or_else(|| self.by_iri.get(&iri).copied());
        let Some(place) = index.and_then(|index| self.places.get_mut(index)) else {
            self.by_iri.insert(iri, self.places.len());
            self.places.push(Place {
                owner: draft.id.to_string(),
                registered: true,
                existing: None,
            });
            return Ok(None);
        };
        let stored_iri = place
            .existing
            .as_ref()
            .map(|existing| &existing.stored.content.iri);
        if let Some(stored_iri) = stored_iri.filter(|_| own.is_some())
            && draft.iri.as_ref().is_some_and(|iri| iri.as_str() != stored_iri)
        {
            return Err(format!(
                "the IRI of a content cannot change; the IRI of this one is {stored_iri}"
            ));
        }
        if place.registered && place.owner != draft.id_text() {
            return Err(format!("the content `{}` has the IRI {iri} already", place.owner));
        }
        let Some(existing) = place.existing.take() else {
            return Err(format!(
                "the content `{}` of this batch has the IRI {iri}",
                place.owner
            ));
        };
        place.owner = draft.id.to_string();
        place.registered = true;
        Ok(Some(existing))
    }
}
