/// Declares a string type of the API that has known values and keeps unknown ones.
///
/// The schemas of these kinds constrain nothing, so any text can be stored. A closed enum would fail
/// to decode it and one odd object would break a whole list or watch; here it becomes `Other`, and
/// validation reports it. The default is the empty text, which is what a missing field means.
macro_rules! open_enum {
    (
        $(#[$attribute:meta])*
        $name:ident { $($(#[$value_attribute:meta])* $value:ident = $text:literal),+ $(,)? }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$value_attribute])* $value,)+
            /// Any other text, kept as it is; empty where the field is missing.
            Other(String),
        }

        impl $name {
            /// The known values as they are written, in the order in which errors list them.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The value as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$value => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::from("")
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$value,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$value,)+
                    _ => Self::Other(text),
                }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                match value {
                    $name::Other(text) => text,
                    known => known.as_str().to_owned(),
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    };
}

pub(crate) use open_enum;

#[cfg(test)]
mod tests {
    open_enum! {
        /// A test subject.
        Colour { Red = "Red", Green = "Green" }
    }

    #[test]
    fn an_unknown_value_survives_a_round_trip_and_compares_case_sensitively() {
        let cases = [
            ("Red", Colour::Red),
            ("red", Colour::Other("red".into())),
            ("", Colour::default()),
        ];
        for (text, expected) in cases {
            let json = serde_json::Value::from(text);
            let colour: Colour = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(colour, expected);
            assert_eq!(serde_json::to_value(&colour).unwrap(), json);
            assert_eq!(colour.to_string(), text);
        }
        assert_eq!(Colour::KNOWN, ["Red", "Green"]);
    }
}
