//! The values of one column that are not encoded yet.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_schema::{DataType, Field, TimeUnit};
use chrono::{Datelike as _, NaiveDate};

use crate::export::cell::Value;
use crate::export::columns::ValueType;
use crate::store::StoreError;

/// The time zone of all times.
const UTC: &str = "UTC";
/// The days from 0001-01-01, which is day 1 of the common era, to 1970-01-01.
const DAYS_BEFORE_1970: i32 = 719_163;

/// The values of a column.
pub(super) enum ColumnBuilder {
    Text(StringBuilder),
    List(ListBuilder<StringBuilder>),
    Day(Date32Builder),
    Time(TimestampMicrosecondBuilder),
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Decimal(Float64Builder),
}

impl ColumnBuilder {
    /// An empty column with values of this type.
    pub(super) fn new(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Text => Self::Text(StringBuilder::new()),
            ValueType::List => Self::List(ListBuilder::new(StringBuilder::new())),
            ValueType::Day => Self::Day(Date32Builder::new()),
            ValueType::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
            ValueType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ValueType::Integer => Self::Integer(Int64Builder::new()),
            ValueType::Decimal => Self::Decimal(Float64Builder::new()),
        }
    }

    /// The type of the column in the file.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Utf8,
            Self::List(_) => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            Self::Day(_) => DataType::Date32,
            Self::Time(_) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::Boolean(_) => DataType::Boolean,
            Self::Integer(_) => DataType::Int64,
            Self::Decimal(_) => DataType::Float64,
        }
    }

    /// Appends a value. A value of another type than the column's is a fault of the table of columns.
    pub(super) fn append(&mut self, value: &Value) -> Result<(), StoreError> {
        match (self, value) {
            (Self::Text(column), Value::Text(text)) => column.append_value(text),
            (Self::List(column), Value::List(texts)) => column.append_value(texts.iter().map(Some)),
            (Self::Day(column), Value::Integer(day)) => column.append_option(i32::try_from(*day).ok()),
            (Self::Time(column), Value::Time(at)) => column.append_value(at.micros()),
            (Self::Boolean(column), Value::Boolean(value)) => column.append_value(*value),
            (Self::Integer(column), Value::Integer(number)) => column.append_value(*number),
            (Self::Decimal(column), Value::Decimal(number)) => column.append_value(*number),
            (column, Value::Empty) => column.append_null(),
            _ => return Err(StoreError::Invariant("a cell has another type than its column")),
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match self {
            Self::Text(column) => column.append_null(),
            Self::List(column) => column.append_null(),
            Self::Day(column) => column.append_null(),
            Self::Time(column) => column.append_null(),
            Self::Boolean(column) => column.append_null(),
            Self::Integer(column) => column.append_null(),
            Self::Decimal(column) => column.append_null(),
        }
    }

    /// Takes all values out of the column.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(column) => ArrayBuilder::finish(column),
            Self::List(column) => ArrayBuilder::finish(column),
            Self::Day(column) => ArrayBuilder::finish(column),
            Self::Time(column) => ArrayBuilder::finish(column),
            Self::Boolean(column) => ArrayBuilder::finish(column),
            Self::Integer(column) => ArrayBuilder::finish(column),
            Self::Decimal(column) => ArrayBuilder::finish(column),
        }
    }
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
        let mut column = ColumnBuilder::new(ValueType::Integer);
        assert!(column.append(&Value::Integer(1)).is_ok());
        assert!(column.append(&Value::Empty).is_ok());
        assert!(column.append(&Value::Text("1".into())).is_err());
        assert_eq!(column.finish().len(), 2);
        assert_eq!(column.finish().len(), 0);
    }
}
