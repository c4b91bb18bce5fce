//! Codes for values that many rows share.

use std::hash::{BuildHasher as _, Hash, RandomState};

use hashbrown::HashTable;

/// Gives each different value a code: 0, 1, 2 and so on. A value keeps its code.
#[derive(Debug)]
pub(crate) struct Dictionary<T> {
    values: Vec<T>,
    codes: HashTable<u32>,
    hasher: RandomState,
}

impl<T> Default for Dictionary<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            codes: HashTable::new(),
            hasher: RandomState::new(),
        }
    }
}

impl<T: Hash + Eq> Dictionary<T> {
    /// The code of a value, which gets the next code if it is new. There are at most as many values as rows, and fewer
    /// rows than codes.
    pub(crate) fn encode(&mut self, value: T) -> u32 {
        let hash = self.hasher.hash_one(&value);
        let Self {
            values,
            codes,
            hasher,
        } = self;
        let is_equal = |code: &u32| values.get(*code as usize) == Some(&value);
        if let Some(code) = codes.find(hash, is_equal) {
            return *code;
        }
        let code = u32::try_from(values.len()).unwrap_or(u32::MAX);
        values.push(value);
        let rehash = |code: &u32| {
            values
                .get(*code as usize)
                .map_or(0, |value| hasher.hash_one(value))
        };
        codes.insert_unique(hash, code, rehash);
        code
    }
}

impl<T> Dictionary<T> {
    /// The values in the order of their codes.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The memory in bytes, without what the values own.
    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T>() + self.codes.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::Dictionary;

    #[test]
    fn equal_values_have_one_code() {
        let mut dictionary = Dictionary::default();
        for round in 0..2 {
            for value in 0..1_000_u64 {
                assert_eq!(dictionary.encode(value * 7), value as u32, "round {round}");
            }
        }
        assert_eq!(dictionary.len(), 1_000);
        assert_eq!(dictionary.values()[10], 70);
    }
}
