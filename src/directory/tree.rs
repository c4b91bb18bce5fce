//! Cycles in the trees of managers and of teams (`docs/specification.md#teams`).

use std::collections::{HashMap, HashSet};

/// The first cycle that is reached from one of the nodes `from`. Its first and its last node are the same.
///
/// `above` maps each node to the node above it: the manager of a user, the parent of a team.
pub fn first_cycle(above: &HashMap<i64, i64>, from: impl IntoIterator<Item = i64>) -> Option<Vec<i64>> {
    let mut without_cycle: HashSet<i64> = HashSet::new();
    for start in from {
        let mut path = Vec::new();
        let mut places: HashMap<i64, usize> = HashMap::new();
        let mut node = start;
        loop {
            if without_cycle.contains(&node) {
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
        without_cycle.extend(path);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cycle_begins_and_ends_with_the_same_node() {
        let above = HashMap::from([(1, 2), (2, 3), (3, 2), (4, 4), (5, 6)]);
        assert_eq!(first_cycle(&above, [1]), Some(vec![2, 3, 2]));
        assert_eq!(first_cycle(&above, [4]), Some(vec![4, 4]));
        assert_eq!(first_cycle(&above, [5, 6]), None);
    }

    #[test]
    fn long_chain_without_cycle_is_fast() {
        let above: HashMap<i64, i64> = (0..100_000).map(|node| (node, node + 1)).collect();
        assert_eq!(first_cycle(&above, 0..100_000), None);
    }

    proptest! {
        /// A walk of more steps than the tree has nodes is in a cycle.
        #[test]
        fn cycle_is_found_if_one_exists(edges in prop::collection::hash_map(0i64..12, 0i64..12, 0..12)) {
            let is_cyclic = |start: i64| {
                let mut node = Some(start);
                for _ in 0..13 {
                    node = node.and_then(|node| edges.get(&node).copied());
                }
                node.is_some()
            };
            let found = first_cycle(&edges, 0..12);
            prop_assert_eq!(found.is_some(), (0..12).any(is_cyclic));
            if let Some(cycle) = found {
                prop_assert_eq!(cycle.first(), cycle.last());
                for pair in cycle.windows(2) {
                    prop_assert_eq!(edges.get(&pair[0]), Some(&pair[1]));
                }
            }
        }
    }
}
