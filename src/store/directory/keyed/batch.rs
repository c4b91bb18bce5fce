//! Writing a batch: all of its elements, or none with the faults of all.

use std::collections::HashSet;

use crate::base::fault::{Fault, Faults};
use crate::base::keyed::{DraftBatch, KeyedDraft as _, Refusal};

use crate::store::db::ledger::OrgTx;

use super::plan::write_drafts;
use super::{Change, Collection, WriteError};

/// How often a batch is checked again without the elements that were refused. One check finds the faults of one kind, and
/// there are three kinds: unknown references, cycles and conflicts. A check finds one cycle.
const MOST_CHECKS: usize = 8;

/// Creates or replaces the elements of a batch. Returns what became of each.
///
/// If an element is refused, the others are checked too. The transaction must not be committed then.
///
/// # Errors
///
/// A refusal with the faults of all elements. It is [`Refusal::Conflicts`] if all of them are conflicts.
pub(super) async fn write_batch<C: Collection>(
    tx: &mut OrgTx,
    batch: DraftBatch<C::Draft>,
) -> Result<Vec<Change>, WriteError> {
    let DraftBatch {
        parsed,
        mut refused_ids,
    } = batch;
    let (mut drafts, mut numbers) = (parsed.values, parsed.numbers);
    let (mut faults, mut conflicts) = (parsed.faults, Faults::new());
    for _ in 0..MOST_CHECKS {
        let refusal = match write_drafts::<C>(tx, &drafts, &refused_ids).await {
            Ok(changes) if faults.is_empty() && conflicts.is_empty() => return Ok(changes),
            Ok(_) => break,
            Err(WriteError::Refused(refusal)) => refusal,
            Err(error @ WriteError::Store(_)) => return Err(error),
        };
        let found = match refusal {
            Refusal::Faults(found) => found,
            // The rows of this check are in the transaction already, and the next check would find them.
            Refusal::Conflicts(found) => {
                conflicts.append(found.map(|fault| fault.renumbered(&numbers)));
                break;
            }
        };
        let refused: HashSet<usize> = found.iter().filter_map(Fault::element_number).collect();
        faults.append(found.map(|fault| fault.renumbered(&numbers)));
        // A further check would find faults that are not listed any more.
        if refused.is_empty() || faults.more() > 0 {
            break;
        }
        let (mut rest, mut rest_numbers) = (Vec::new(), Vec::new());
        for (index, (draft, number)) in drafts.into_iter().zip(numbers).enumerate() {
            if refused.contains(&index) {
                refused_ids.insert(draft.id_text().to_owned());
            } else {
                rest.push(draft);
                rest_numbers.push(number);
            }
        }
        (drafts, numbers) = (rest, rest_numbers);
    }
    if faults.is_empty() {
        conflicts.sort_by_element();
        return Err(Refusal::Conflicts(conflicts).into());
    }
    faults.append(conflicts);
    faults.sort_by_element();
    Err(Refusal::Faults(faults).into())
}
