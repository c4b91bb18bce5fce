//! The cells of persons, contents and verbs as numbers, which are small: an export keeps those of many persons.

use std::mem;

use super::column::parse_day;
use super::groups::{ENTRY_BYTES, GroupColumn};
use super::texts::TextTable;
use crate::export::cell::Value;
use crate::export::rendered::Cells;
use crate::store::StoreError;

/// What a rendered cell is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// The number of a text in this table, or the index of a list of such numbers.
    Coded(usize),
    /// The number of a day.
    Day,
    /// The index of a value.
    Plain,
}

/// The code of an empty cell. The code of any other cell is its number plus one.
pub(super) const EMPTY: u32 = 0;
/// The number of the day 1970-01-01. Days before it have smaller numbers; no calendar date is as far away.
const FIRST_OF_1970: i32 = 1 << 30;

/// What the codes of cells refer to.
#[derive(Default)]
pub(super) struct Tables {
    /// The texts of each coded column.
    pub(super) texts: Vec<TextTable>,
    /// The lists of the numbers of texts.
    lists: Vec<Box<[u32]>>,
    /// The bytes of `lists`.
    list_bytes: usize,
    values: Vec<Value>,
}

impl Tables {
    /// The approximate memory.
    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.texts.iter().map(TextTable::bytes).sum();
        texts + self.list_bytes + mem::size_of_val(self.values.as_slice())
    }

    pub(super) fn clear(&mut self) {
        for table in &mut self.texts {
            *table = TextTable::default();
        }
        self.lists = Vec::new();
        self.list_bytes = 0;
        self.values = Vec::new();
    }

    /// The code of a value.
    fn code(&mut self, kind: Kind, value: Value) -> u32 {
        let number = match (kind, value) {
            (_, Value::Empty) => return EMPTY,
            (Kind::Coded(table), value) => match (self.texts.get_mut(table), value) {
                (Some(table), Value::Text(text)) => table.number(&text),
                (Some(table), Value::List(texts)) => {
                    let numbers = table.numbers(&texts);
                    self.list_bytes += mem::size_of_val::<[u32]>(&numbers) + mem::size_of_val(&numbers);
                    add(&mut self.lists, numbers)
                }
                _ => return EMPTY,
            },
            (Kind::Day, Value::Text(text)) => match parse_day(&text) {
                Some(day) => (day + FIRST_OF_1970).cast_unsigned(),
                None => return EMPTY,
            },
            (_, value) => add(&mut self.values, value),
        };
        number + 1
    }

    /// Appends the cells with the codes of these slots to a column of the row group. A slot without a code is empty.
    pub(super) fn fill_column(
        &self,
        column: &mut GroupColumn,
        kind: Kind,
        codes: &[u32],
        slots: impl Iterator<Item = u32>,
    ) -> Result<(), StoreError> {
        let codes = slots.map(|slot| codes.get(slot as usize).copied().unwrap_or(EMPTY));
        match column {
            GroupColumn::Texts(column, Some(_)) if column.is_list() => {
                for code in codes {
                    match code.checked_sub(1) {
                        Some(list) => {
                            let texts = self.lists.get(list as usize);
                            column.append_list(texts.map_or(&[], |texts| texts));
                        }
                        None => column.append_empty(),
                    }
                }
            }
            GroupColumn::Texts(column, Some(_)) => codes.for_each(|code| column.append_code(code)),
            GroupColumn::Plain(column) => {
                for code in codes {
                    match (kind, code.checked_sub(1)) {
                        (_, None) => column.append(&Value::Empty)?,
                        (Kind::Day, Some(day)) => {
                            let day = day.cast_signed() - FIRST_OF_1970;
                            column.append(&Value::Integer(day.into()))?;
                        }
                        (_, Some(value)) => {
                            let value = self.values.get(value as usize);
                            column.append(value.unwrap_or(&Value::Empty))?;
                        }
                    }
                }
            }
            GroupColumn::Texts(_, None) => {
                return Err(StoreError::Invariant("an id is a cell of the row"));
            }
        }
        Ok(())
    }
}

/// Adds an element and returns its index.
fn add<T>(list: &mut Vec<T>, element: T) -> u32 {
    list.push(element);
    list.len() as u32 - 1 // fewer than bytes of memory
}

/// The codes of the cells of many persons, contents or verbs, column by column.
#[derive(Default)]
pub(super) struct Codes {
    columns: Vec<Vec<u32>>,
    /// The bytes that the lists of each slot need in a row group.
    list_bytes: Vec<usize>,
}

impl Codes {
    /// Begins the next slot. [`Codes::add`] follows for each column.
    pub(super) fn begin_slot(&mut self) {
        self.list_bytes.push(0);
    }

    /// Adds the cell of the last slot in this column.
    pub(super) fn add(&mut self, column: usize, tables: &mut Tables, kind: Kind, value: Value) {
        if let (Value::List(texts), Some(bytes)) = (&value, self.list_bytes.last_mut()) {
            *bytes += texts.len() * ENTRY_BYTES;
        }
        if column >= self.columns.len() {
            self.columns.resize_with(column + 1, Vec::new);
        }
        self.columns[column].push(tables.code(kind, value));
    }

    /// The codes of a column, by their slots.
    pub(super) fn column(&self, column: usize) -> &[u32] {
        self.columns.get(column).map_or(&[], |codes| codes)
    }

    /// The code of a cell.
    pub(super) fn code(&self, column: usize, slot: u32) -> u32 {
        self.column(column).get(slot as usize).copied().unwrap_or(EMPTY)
    }

    /// The bytes that the lists of a slot need in a row group.
    pub(super) fn list_bytes(&self, slot: u32) -> usize {
        self.list_bytes.get(slot as usize).copied().unwrap_or(0)
    }
}

impl Cells for Codes {
    fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(Vec::capacity).sum::<usize>();
        columns * size_of::<u32>() + self.list_bytes.capacity() * size_of::<usize>()
    }
}
