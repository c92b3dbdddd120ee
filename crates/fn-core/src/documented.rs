//! The documentation of a configuration's keys: the doc comments of its fields, readable at run time.
//!
//! A struct that is declared inside of [`documented!`](crate::documented!) is the struct that stands there, and its doc
//! comments are [`Documented::KEYS`] as well: what a key means is written once, for rustdoc, for a commented configuration
//! file and for a command's help.
//!
//! ```
//! use fn_core::documented::Documented;
//! fn_core::documented! {
//!     /// How long.
//!     #[derive(Debug, Clone)]
//!     pub struct Length {
//!         /// Optimiser steps.
//!         ///
//!         /// 1,000,000 in ELECTRA-small.
//!         pub steps: u64,
//!     }
//! }
//! assert_eq!(Length { steps: 3 }.steps, 3);
//! assert_eq!(Length::KEYS[0].name, "steps");
//! assert_eq!(Length::KEYS[0].paragraphs().collect::<Vec<_>>(), ["Optimiser steps.", "1,000,000 in ELECTRA-small."]);
//! ```

/// One key of a configuration, or one of the values that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDoc {
    /// Name of the field or of the variant.
    pub name: &'static str,
    /// Its doc comment, each line with its end.
    pub doc: &'static str,
}

impl KeyDoc {
    /// The paragraphs of the doc comment, each as one line.
    pub fn paragraphs(&self) -> impl Iterator<Item = String> + use<> {
        let paragraphs = self.doc.split("\n\n");
        paragraphs
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|text| !text.is_empty())
    }
}

/// A type of a configuration whose fields or variants are documented; [`documented!`](crate::documented!) implements it.
pub trait Documented {
    /// Its fields or variants, in their order.
    const KEYS: &'static [KeyDoc];
}

/// Declares a struct with public fields, or an enum, and implements [`Documented`] for it.
#[macro_export]
macro_rules! documented {
    ($(#[$($meta:tt)*])* pub enum $name:ident {
        $($(#[$($attribute:tt)*])* $variant:ident $(($content:ty))?),* $(,)?
    }) => {
        $(#[$($meta)*])*
        pub enum $name {
            $($(#[$($attribute)*])* $variant $(($content))?,)*
        }

        impl $crate::documented::Documented for $name {
            const KEYS: &'static [$crate::documented::KeyDoc] = &[$($crate::documented::KeyDoc {
                name: stringify!($variant),
                doc: $crate::doc_comment!($(#[$($attribute)*])*),
            }),*];
        }
    };
    ($(#[$($meta:tt)*])* pub struct $name:ident {
        $($(#[$($attribute:tt)*])* pub $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$($meta)*])*
        pub struct $name {
            $($(#[$($attribute)*])* pub $field: $type,)*
        }

        impl $crate::documented::Documented for $name {
            const KEYS: &'static [$crate::documented::KeyDoc] = &[$($crate::documented::KeyDoc {
                name: stringify!($field),
                doc: $crate::doc_comment!($(#[$($attribute)*])*),
            }),*];
        }
    };
}

/// The doc comment among attributes.
#[doc(hidden)]
#[macro_export]
macro_rules! doc_comment {
    () => { "" };
    (#[doc = $line:literal] $($rest:tt)*) => { concat!($line, "\n", $crate::doc_comment!($($rest)*)) };
    (#[$($other:tt)*] $($rest:tt)*) => { $crate::doc_comment!($($rest)*) };
}
