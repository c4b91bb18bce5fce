//! Trees of managers and of teams: a cycle is refused with the cycle named (product text, section 5).

use std::collections::{HashMap, HashSet};

/// The first cycle that one of `from` stands on or leads to, from a node on it round to the same node, by
/// `above`: each node's manager or parent.
pub fn first_cycle(above: &HashMap<i64, i64>, from: impl IntoIterator<Item = i64>) -> Option<Vec<i64>> {
    let mut harmless: HashSet<i64> = HashSet::new();
    for start in from {
        let mut path = Vec::new();
        let mut places: HashMap<i64, usize> = HashMap::new();
        let mut node = start;
        loop {
            if harmless.contains(&node) {
                break;
            }
            if let Some(place) = places.get(&node) {
                let mut cycle = path.split_off(*place);
                cycle.push(node);
                return Some(cycle);
            }
            places.insert(node, path.len());
            path.push(node);
            match above.get(&node) {
                Some(next) => node = *next,
                None => break,
            }
        }
        harmless.extend(path);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cycle_is_named_from_end_to_end() {
        let above = HashMap::from([(1, 2), (2, 3), (3, 2), (4, 4), (5, 6)]);
        assert_eq!(first_cycle(&above, [1]), Some(vec![2, 3, 2]));
        assert_eq!(first_cycle(&above, [4]), Some(vec![4, 4]));
        assert_eq!(first_cycle(&above, [5, 6]), None);
    }

    #[test]
    fn a_long_chain_is_walked_once() {
        let above: HashMap<i64, i64> = (0..100_000).map(|node| (node, node + 1)).collect();
        assert_eq!(first_cycle(&above, 0..100_000), None);
    }

    proptest! {
        /// The judge takes as many steps as there are nodes: who still stands somewhere went round.
        #[test]
        fn a_cycle_is_found_where_there_is_one(edges in prop::collection::hash_map(0i64..12, 0i64..12, 0..12)) {
            let goes_round = |start: i64| {
                let mut node = Some(start);
                for _ in 0..13 {
                    node = node.and_then(|node| edges.get(&node).copied());
                }
                node.is_some()
            };
            let found = first_cycle(&edges, 0..12);
            prop_assert_eq!(found.is_some(), (0..12).any(goes_round));
            if let Some(cycle) = found {
                prop_assert_eq!(cycle.first(), cycle.last());
                for pair in cycle.windows(2) {
                    prop_assert_eq!(edges.get(&pair[0]), Some(&pair[1]));
                }
            }
        }
    }
}
