//! The numbers, times and flags of one column.

use chrono::{Datelike as _, NaiveDate};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{BoolType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::file::writer::SerializedColumnWriter;

use crate::export::ExportError;
use crate::export::cell::Value;
use crate::store::StoreError;

/// The days from 0001-01-01, which is day 1 of the common era, to 1970-01-01.
const DAYS_BEFORE_1970: i32 = 719_163;

/// The cells of a column in a row group.
pub(super) struct PlainColumn {
    /// Whether each cell has a value (1) or is empty (0).
    levels: Vec<i16>,
    values: Values,
}

/// The values of the cells that are not empty.
pub(super) enum Values {
    /// Days since 1970-01-01.
    Day(Vec<i32>),
    /// Microseconds since 1970-01-01.
    Time(Vec<i64>),
    Boolean(Vec<bool>),
    Integer(Vec<i64>),
    Decimal(Vec<f64>),
}

impl PlainColumn {
    /// An empty column of values like these.
    pub(super) fn new(values: Values) -> Self {
        Self {
            levels: Vec::new(),
            values,
        }
    }

    /// Appends a cell. A value of another type than the column's is a fault of the table of columns.
    pub(super) fn append(&mut self, value: &Value) -> Result<(), StoreError> {
        match (&mut self.values, value) {
            (_, Value::Empty) => {
                self.levels.push(0);
                return Ok(());
            }
            (Values::Day(days), Value::Integer(day)) => match i32::try_from(*day) {
                Ok(day) => days.push(day),
                Err(_) => return self.append(&Value::Empty),
            },
            (Values::Time(times), Value::Time(at)) => times.push(at.micros()),
            (Values::Boolean(flags), Value::Boolean(flag)) => flags.push(*flag),
            (Values::Integer(numbers), Value::Integer(number)) => numbers.push(*number),
            (Values::Decimal(numbers), Value::Decimal(number)) => numbers.push(*number),
            _ => return Err(StoreError::Invariant("a cell has another type than its column")),
        }
        self.levels.push(1);
        Ok(())
    }

    /// Takes all cells, and writes them.
    pub(super) fn write(&mut self, mut writer: SerializedColumnWriter<'_>) -> Result<(), ExportError> {
        let levels = &mut self.levels;
        match &mut self.values {
            Values::Day(days) => write_batch::<Int32Type>(writer.typed(), days, levels)?,
            Values::Time(numbers) | Values::Integer(numbers) => {
                write_batch::<Int64Type>(writer.typed(), numbers, levels)?;
            }
            Values::Boolean(flags) => write_batch::<BoolType>(writer.typed(), flags, levels)?,
            Values::Decimal(numbers) => write_batch::<DoubleType>(writer.typed(), numbers, levels)?,
        }
        writer.close()?;
        Ok(())
    }
}

fn write_batch<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: &mut Vec<T::T>,
    levels: &mut Vec<i16>,
) -> Result<(), ExportError> {
    writer.write_batch(values, Some(levels), None)?;
    values.clear();
    levels.clear();
    Ok(())
}

/// The days since 1970-01-01 of a date `YYYY-MM-DD`. A text that is no date has none.
pub(super) fn parse_day(text: &str) -> Option<i32> {
    let day: NaiveDate = text.parse().ok()?;
    Some(day.num_days_from_ce() - DAYS_BEFORE_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        for (text, days) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2021-04-01", Some(18_718)),
            ("soon", None),
        ] {
            assert_eq!(parse_day(text), days, "{text}");
        }
    }

    #[test]
    fn value_of_another_type_is_refused() {
        let mut column = PlainColumn::new(Values::Integer(Vec::new()));
        assert!(column.append(&Value::Integer(1)).is_ok());
        assert!(column.append(&Value::Empty).is_ok());
        assert!(column.append(&Value::Text("1".into())).is_err());
        assert_eq!(column.levels, [1, 0]);
    }
}
