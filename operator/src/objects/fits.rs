//! Does a status fit its schema? Asked before each write of it, and nearly always the answer is yes. So the status is looked
//! at as it is serialised, and nothing is built of it; of the schema only the bounds are kept. What does not fit is for
//! [`super::fit`] to cut.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde::ser::{self, Serialize, Serializer};
use serde_json::Value;

use super::schema::Kind;

/// Does a status of this kind fit?
pub(super) fn fits(kind: Kind, status: &impl Serialize) -> bool {
    static CONFIG: LazyLock<Bounds> =
        LazyLock::new(|| Bounds::of_status(Kind::ChargeStationConfig));
    static STATION: LazyLock<Bounds> = LazyLock::new(|| Bounds::of_status(Kind::ChargeStation));
    static CATALOGUE: LazyLock<Bounds> = LazyLock::new(|| Bounds::of_status(Kind::KeyCatalogue));
    let bounds = match kind {
        Kind::ChargeStationConfig => &CONFIG,
        Kind::ChargeStation => &STATION,
        Kind::KeyCatalogue => &CATALOGUE,
    };
    status.serialize(Look(bounds)).is_ok()
}

/// The bounds of one place in a schema; absent ones bound nothing.
#[derive(Default)]
struct Bounds {
    /// The only texts.
    words: Option<Vec<String>>,
    /// The most characters of a text.
    length: Option<usize>,
    /// The most items of a list.
    count: Option<usize>,
    items: Option<Box<Self>>,
    /// Of each value of a map.
    values: Option<Box<Self>>,
    fields: HashMap<String, Self>,
}

/// Of a place that no schema knows.
static NONE: LazyLock<Bounds> = LazyLock::new(Bounds::default);

impl Bounds {
    fn of_status(kind: Kind) -> Self {
        Self::of(&kind.schema()["properties"]["status"])
    }

    fn of(schema: &Value) -> Self {
        let number = |name: &str| {
            let number = schema.get(name)?.as_u64()?;
            usize::try_from(number).ok()
        };
        let below = |name: &str| Some(Box::new(Self::of(schema.get(name)?)));
        let words = schema.get("enum").and_then(Value::as_array);
        let fields = schema.get("properties").and_then(Value::as_object);
        Self {
            words: words.map(|words| {
                let texts = words.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }),
            length: number("maxLength"),
            count: number("maxItems"),
            items: below("items"),
            values: below("additionalProperties"),
            fields: fields
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Self::of(schema)))
                .collect(),
        }
    }

    fn field(&self, name: &str) -> &Self {
        match &self.values {
            Some(values) => values,
            None => self.fields.get(name).unwrap_or(&NONE),
        }
    }

    fn admit(&self, text: &str) -> Result<(), Excess> {
        let fits = match (&self.words, self.length) {
            (Some(words), _) => words.iter().any(|word| word == text),
            // Bytes are at least as many as characters.
            (None, Some(most)) => text.len() <= most || text.chars().count() <= most,
            (None, None) => true,
        };
        if fits { Ok(()) } else { Err(Excess) }
    }

    fn admit_count(&self, count: usize) -> Result<(), Excess> {
        match self.count {
            Some(most) if count > most => Err(Excess),
            Some(_) | None => Ok(()),
        }
    }
}

/// Something does not fit, or cannot be serialised at all.
#[derive(Debug)]
struct Excess;

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status exceeds the bounds of its schema")
    }
}

impl std::error::Error for Excess {}

impl ser::Error for Excess {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

/// Looks at a value against the bounds of its place.
#[derive(Clone, Copy)]
struct Look<'a>(&'a Bounds);

impl<'a> Look<'a> {
    fn within(self) -> Within<'a> {
        Within {
            bounds: self.0,
            count: 0,
            value: &NONE,
        }
    }
}

/// What has no bounds.
macro_rules! unbounded {
    ($($serialize:ident: $type:ty),*) => {
        $(fn $serialize(self, _value: $type) -> Result<(), Excess> {
            Ok(())
        })*
    };
}

impl<'a> Serializer for Look<'a> {
    type Ok = ();
    type Error = Excess;
    type SerializeSeq = Within<'a>;
    type SerializeTuple = Within<'a>;
    type SerializeTupleStruct = Within<'a>;
    type SerializeTupleVariant = Within<'a>;
    type SerializeMap = Within<'a>;
    type SerializeStruct = Within<'a>;
    type SerializeStructVariant = Within<'a>;

    unbounded!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64, serialize_unit_struct: &'static str
    );

    fn serialize_char(self, value: char) -> Result<(), Excess> {
        self.0.admit(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Excess> {
        self.0.admit(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Excess> {
        self.0.admit_count(value.len())
    }

    fn serialize_none(self) -> Result<(), Excess> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Excess> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Excess> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Excess> {
        self.0.admit(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Excess> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Excess> {
        value.serialize(Self(self.0.field(variant)))
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Within<'a>, Excess> {
        Ok(self.within())
    }

    fn serialize_tuple(self, _length: usize) -> Result<Within<'a>, Excess> {
        Ok(self.within())
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Within<'a>, Excess> {
        Ok(self.within())
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Within<'a>, Excess> {
        Ok(Self(self.0.field(variant)).within())
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Within<'a>, Excess> {
        Ok(self.within())
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Within<'a>, Excess> {
        Ok(self.within())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Within<'a>, Excess> {
        Ok(Self(self.0.field(variant)).within())
    }
}

/// Looks at what a list, a map or an object holds.
struct Within<'a> {
    bounds: &'a Bounds,
    /// Items of a list so far.
    count: usize,
    /// The bounds of the value that comes next in a map.
    value: &'a Bounds,
}

impl Within<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Excess> {
        self.count += 1;
        self.bounds.admit_count(self.count)?;
        value.serialize(Look(self.bounds.items.as_deref().unwrap_or(&NONE)))
    }

    fn field<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Excess> {
        value.serialize(Look(self.bounds.field(name)))
    }
}

impl ser::SerializeSeq for Within<'_> {
    type Ok = ();
    type Error = Excess;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Excess> {
        self.item(value)
    }

    fn end(self) -> Result<(), Excess> {
        Ok(())
    }
}

impl ser::SerializeTuple for Within<'_> {
    type Ok = ();
    type Error = Excess;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Excess> {
        self.item(value)
    }

    fn end(self) -> Result<(), Excess> {
        Ok(())
    }
}

impl ser::SerializeTupleStruct for Within<'_> {
    type Ok = ();
    type Error = Excess;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Excess> {
        self.item(value)
    }

    fn end(self) -> Result<(), Excess> {
        Ok(())
    }
}

impl ser::SerializeTupleVariant for Within<'_> {
    type Ok = ();
    type Error = Excess;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Excess> {
        self.item(value)
    }

    fn end(self) -> Result<(), Excess> {
        Ok(())
    }
}

impl ser::SerializeMap for Within<'_> {
    type Ok = ();
    type Error = Excess;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Excess> {
        self.value = match &self.bounds.values {
            Some(values) => values,
            // The fields of an object that is made as a map.
            None => match serde_json::to_value(key) {
                Ok(Value::String(name)) => self.bounds.field(&name),
                Ok(_) | Err(_) => return Err(Excess),
            },
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Excess> {
        value.serialize(Look(self.value))
    }

    fn end(self) -> Result<(), Excess> {
        Ok(())
    }
}

impl ser::SerializeStruct for Within<'_> {
    type Ok = ();
    type Error = Excess;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Excess> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Excess> {
        Ok(())
    }
}

impl ser::SerializeStructVariant for Within<'_> {
    type Ok = ();
    type Error = Excess;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Excess> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Excess> {
        Ok(())
    }
}
