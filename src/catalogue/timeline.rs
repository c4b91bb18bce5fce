//! How the demands of a content are set from some time on (`docs/specification.md#demands-over-time`).
//!
//! The demands are stored as a list of snapshots, each with the time from which it counts. Demands may be set for a time
//! in the past. Each field then counts until the next snapshot that changed this field; snapshots that changed other
//! fields do not end it. A first value that is set without a time counts from [`ALWAYS`] on.

use crate::base::clock::Timestamp;

use super::demands::{DemandHistory, Demands};

/// Times and the demands that begin then, in order of time. No time occurs twice.
pub type Snapshots = Vec<(Timestamp, Demands)>;

/// The time from which a value counts that covers the whole past.
pub const ALWAYS: Timestamp = Timestamp::from_micros(i64::MIN);

/// Sets `demands` from `effective_from` on, or else from `now` on. Returns the new snapshots.
///
/// Without `effective_from`, the first value of a field also covers the past: nothing is known about an earlier time.
pub fn set_demands(
    snapshots: Snapshots,
    effective_from: Option<Timestamp>,
    now: Timestamp,
    demands: &Demands,
) -> Snapshots {
    let from = effective_from.unwrap_or(now);
    if history(&snapshots).at(from) == *demands {
        return snapshots;
    }
    let snapshots = match effective_from {
        Some(_) => snapshots,
        None => set_first_values(snapshots, now, demands),
    };
    set_from(snapshots, from, demands.clone())
}

/// Sets the fields that have had no value up to `now`, from [`ALWAYS`] on.
fn set_first_values(snapshots: Snapshots, now: Timestamp, demands: &Demands) -> Snapshots {
    let until_now = snapshots.partition_point(|(at, _)| *at <= now);
    let mut first = match snapshots.first() {
        Some((ALWAYS, demands)) => demands.clone(),
        _ => Demands::default(),
    };
    let earlier = snapshots.get(..until_now).unwrap_or_default();
    let never_set = |is_set: fn(&Demands) -> bool| !earlier.iter().any(|(_, demands)| is_set(demands));
    if never_set(|demands| demands.pass_mark.is_some()) {
        first.pass_mark = demands.pass_mark;
    }
    if never_set(|demands| demands.time_limit.is_some()) {
        first.time_limit.clone_from(&demands.time_limit);
    }
    if never_set(|demands| demands.expires_after.is_some()) {
        first.expires_after.clone_from(&demands.expires_after);
    }
    if never_set(|demands| demands.certificate.is_some()) {
        first.certificate.clone_from(&demands.certificate);
    }
    set_from(snapshots, ALWAYS, first)
}

/// Sets `demands` from `from` on, each field until its next change. Returns the new snapshots.
fn set_from(mut snapshots: Snapshots, from: Timestamp, demands: Demands) -> Snapshots {
    let place = snapshots.partition_point(|(at, _)| *at < from);
    let before = match place.checked_sub(1).and_then(|index| snapshots.get(index)) {
        Some((_, demands)) => demands.clone(),
        None => Demands::default(),
    };
    let replaced = match snapshots.get(place) {
        Some((at, old)) if *at == from => old.clone(),
        _ => {
            snapshots.insert(place, (from, before.clone()));
            before
        }
    };
    let (_, rest) = snapshots.split_at_mut(place);
    carry_forward(
        rest,
        |demands| &mut demands.pass_mark,
        &replaced.pass_mark,
        &demands.pass_mark,
    );
    carry_forward(
        rest,
        |demands| &mut demands.time_limit,
        &replaced.time_limit,
        &demands.time_limit,
    );
    carry_forward(
        rest,
        |demands| &mut demands.expires_after,
        &replaced.expires_after,
        &demands.expires_after,
    );
    carry_forward(
        rest,
        |demands| &mut demands.certificate,
        &replaced.certificate,
        &demands.certificate,
    );
    // A snapshot that equals the one before it is not needed.
    let mut last = Demands::default();
    snapshots.retain(|(_, demands)| std::mem::replace(&mut last, demands.clone()) != *demands);
    snapshots
}

/// Sets one field of the first snapshot and of those after it, until the snapshot that changed this field.
fn carry_forward<T: PartialEq + Clone>(
    snapshots: &mut [(Timestamp, Demands)],
    field: impl Fn(&mut Demands) -> &mut Option<T>,
    old: &Option<T>,
    new: &Option<T>,
) {
    for (_, demands) in snapshots {
        let field = field(demands);
        if field != old {
            return;
        }
        field.clone_from(new);
    }
}

/// The history of each field.
pub fn history(snapshots: &[(Timestamp, Demands)]) -> DemandHistory {
    let mut history = DemandHistory::default();
    for (from, demands) in snapshots {
        history.set(*from, demands.clone());
    }
    history
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::demands::History;
    use crate::record::Duration;

    fn at(time: i64) -> Timestamp {
        Timestamp::from_micros(time)
    }

    fn limit(seconds: u8) -> Duration {
        Duration::parse(&format!("PT{seconds}S")).unwrap()
    }

    fn demands(mark: Option<u8>, seconds: Option<u8>) -> Demands {
        Demands {
            pass_mark: mark.map(f64::from),
            time_limit: seconds.map(limit),
            ..Demands::default()
        }
    }

    #[test]
    fn change_in_the_past_counts_until_the_next_change_of_the_field() {
        let snapshots = set_from(Vec::new(), at(10), demands(Some(50), None));
        let snapshots = set_from(snapshots, at(20), demands(Some(50), Some(9)));
        let snapshots = set_from(snapshots, at(30), demands(Some(80), Some(9)));
        let snapshots = set_from(snapshots, at(15), demands(Some(60), None));
        let marks: Vec<_> = snapshots
            .iter()
            .map(|(from, demands)| (from.micros(), demands.pass_mark))
            .collect();
        assert_eq!(
            marks,
            [
                (10, Some(50.0)),
                (15, Some(60.0)),
                (20, Some(60.0)),
                (30, Some(80.0))
            ]
        );
        assert_eq!(history(&snapshots).at(at(9)), Demands::default());
        assert_eq!(history(&snapshots).at(at(17)).time_limit, None);
    }

    #[test]
    fn first_value_without_a_time_covers_the_past() {
        let snapshots = set_demands(Vec::new(), None, at(10), &demands(Some(50), None));
        assert_eq!(snapshots, [(ALWAYS, demands(Some(50), None))]);
        // The limit is set for the first time, the mark is not.
        let snapshots = set_demands(snapshots, None, at(20), &demands(Some(80), Some(9)));
        assert_eq!(
            snapshots,
            [
                (ALWAYS, demands(Some(50), Some(9))),
                (at(20), demands(Some(80), Some(9)))
            ]
        );
        let removed = set_demands(snapshots, None, at(30), &demands(None, None));
        let again = set_demands(removed, None, at(40), &demands(Some(90), None));
        assert_eq!(history(&again).at(at(35)), demands(None, None));
    }

    #[test]
    fn first_value_with_a_time_counts_from_then_on_only() {
        let snapshots = set_demands(Vec::new(), Some(at(10)), at(50), &demands(Some(50), None));
        assert_eq!(snapshots, [(at(10), demands(Some(50), None))]);
        assert_eq!(history(&snapshots).at(at(9)), Demands::default());
        // Also if another demand covers the past.
        let snapshots = set_demands(Vec::new(), None, at(10), &demands(Some(50), None));
        let snapshots = set_demands(snapshots, Some(at(20)), at(50), &demands(Some(50), Some(9)));
        assert_eq!(history(&snapshots).at(at(19)), demands(Some(50), None));
        assert_eq!(history(&snapshots).at(at(20)), demands(Some(50), Some(9)));
    }

    #[test]
    fn first_value_covers_the_past_although_a_later_one_is_planned() {
        let planned = set_demands(Vec::new(), Some(at(90)), at(10), &demands(Some(80), None));
        let snapshots = set_demands(planned, None, at(20), &demands(Some(50), None));
        assert_eq!(
            snapshots,
            [
                (ALWAYS, demands(Some(50), None)),
                (at(90), demands(Some(80), None))
            ]
        );
    }

    #[test]
    fn setting_the_present_demands_changes_nothing() {
        let snapshots = set_from(Vec::new(), at(10), demands(Some(50), None));
        assert_eq!(
            set_from(snapshots.clone(), at(20), demands(Some(50), None)),
            snapshots
        );
        assert!(set_from(Vec::new(), at(10), Demands::default()).is_empty());
    }

    #[test]
    fn setting_the_same_time_again_replaces() {
        let snapshots = set_from(Vec::new(), at(10), demands(Some(50), Some(1)));
        assert_eq!(
            set_from(snapshots, at(10), demands(None, Some(2))),
            [(at(10), demands(None, Some(2)))]
        );
    }

    proptest! {
        /// The model has a list of changes for one field only.
        #[test]
        fn changes_of_one_field_do_not_end_another(
            changes in prop::collection::vec((0i64..12, 1u8..4, 1u8..4), 1..10),
            moment in 0i64..12,
        ) {
            let mut snapshots = Vec::new();
            let mut marks: Vec<(i64, Option<u8>)> = Vec::new();
            for (from, mark, seconds) in changes {
                snapshots = set_from(snapshots, at(from), demands(Some(mark), Some(seconds)));
                let before = marks.iter().rev().find(|(other, _)| *other < from).and_then(|(_, mark)| *mark);
                marks.retain(|(other, _)| *other != from);
                if before != Some(mark) {
                    marks.push((from, Some(mark)));
                    marks.sort_unstable();
                }
                // A change to the value before it is not a change.
                let mut last = None;
                marks.retain(|(_, mark)| std::mem::replace(&mut last, *mark) != *mark);
            }
            let model: History<u8> = marks.into_iter().map(|(from, mark)| (at(from), mark)).collect();
            let found = history(&snapshots).at(at(moment)).pass_mark;
            prop_assert_eq!(found, model.at(at(moment)).map(|mark| f64::from(*mark)));
        }
    }
}
