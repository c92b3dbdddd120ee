//! Values of a row, the same for all file formats.

use std::fmt;

use parquet::record::Field;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::quoted;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
    List(Vec<Cell>),
    /// A value of a type that no column of a task may have.
    Other,
}

impl Cell {
    /// Description of the value, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "missing".to_owned(),
            Self::Text(text) => quoted(text),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::List(cells) => format!("a list of {} values", cells.len()),
            Self::Other => "neither text nor a number".to_owned(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::List(cells) => cells.iter().map(|c| 8 + c.bytes()).sum(),
            _ => 8,
        }
    }

    pub(super) fn from_field(field: &Field) -> Self {
        match field {
            Field::Null => Self::Null,
            Field::Bool(b) => Self::Int((*b).into()),
            Field::Byte(n) => Self::Int((*n).into()),
            Field::Short(n) => Self::Int((*n).into()),
            Field::Int(n) => Self::Int((*n).into()),
            Field::Long(n) => Self::Int(*n),
            Field::UByte(n) => Self::Int((*n).into()),
            Field::UShort(n) => Self::Int((*n).into()),
            Field::UInt(n) => Self::Int((*n).into()),
            Field::ULong(n) => i64::try_from(*n).map_or(Self::Other, Self::Int),
            Field::Float(x) => Self::Float((*x).into()),
            Field::Double(x) => Self::Float(*x),
            Field::Str(text) => Self::Text(text.clone()),
            Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Other,
            },
            Field::ListInternal(list) => Self::List(list.elements().iter().map(Self::from_field).collect()),
            _ => Self::Other,
        }
    }
}

/// Deserialises a [`Cell`]; nested lists become [`Cell::Other`].
#[derive(Clone, Copy)]
struct CellSeed {
    lists: bool,
}

impl<'de> DeserializeSeed<'de> for CellSeed {
    type Value = Cell;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CellSeed {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
        Ok(i64::try_from(number).map_or(Cell::Other, Cell::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
        Ok(Cell::Float(number))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Cell, E> {
        Ok(Cell::Int(yes.into()))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Cell, A::Error> {
        if !self.lists {
            while access.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Cell::Other);
        }
        let mut cells = Vec::new();
        while let Some(cell) = access.next_element_seed(CellSeed { lists: false })? {
            cells.push(cell);
        }
        Ok(Cell::List(cells))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Cell, A::Error> {
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }
}

/// Deserialises the named fields of an object and skips all others.
struct FieldsSeed<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = Vec<Cell>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Cell>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = Vec<Cell>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Vec<Cell>, A::Error> {
        let mut cells = vec![Cell::Null; self.0.len()];
        while let Some(key) = access.next_key::<String>()? {
            match self.0.iter().position(|name| *name == key) {
                Some(column) => cells[column] = access.next_value_seed(CellSeed { lists: true })?,
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(cells)
    }
}

/// The values of these fields of an object; null for missing ones.
pub(super) fn fields(line: &str, names: &[String]) -> Result<Vec<Cell>, String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let cells = FieldsSeed(names).deserialize(&mut json).map_err(|e| e.to_string())?;
    json.end().map_err(|e| e.to_string())?;
    Ok(cells)
}

/// The field names of an object.
pub(super) fn names(line: &str) -> Result<Vec<String>, String> {
    let object: std::collections::BTreeMap<String, IgnoredAny> =
        serde_json::from_str(line).map_err(|e| e.to_string())?;
    Ok(object.into_keys().collect())
}
