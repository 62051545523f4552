//! Reading YAML and JSON files of many objects, each with the place that it came from.
//!
//! The text is cut into documents before anything is parsed, so that an error in one document leaves
//! the others alone. The cuts are those of YAML 1.2.2 (9.1): a line that begins, without any
//! indentation, with `---` and then ends or goes on with white space starts a document; a line `...`
//! of the same form ends one. YAML forbids such lines inside every scalar, quoted and block scalars
//! included, so no content is ever taken for a cut; an indented `---` is content. Lines may end in
//! CR LF. Comments and directives before a `---` belong to the document that it starts. Documents
//! without content are counted and left out.
//!
//! Scalars are read as kubectl reads them, which is by YAML 1.1: an unquoted `yes`, `on` or `y` is a
//! boolean and `0644` is octal. Duplicate keys, unknown tags and numbers that JSON lacks (`.nan`) are
//! errors. A document that begins with a brace may be JSON, or several JSON objects one after another.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::Error;

/// Longest document in bytes: what an API server accepts as the body of a request (3 MiB).
pub const DOCUMENT_BYTES_MAX: usize = 3 << 20;

/// Deepest nesting of maps and lists in YAML. Each level takes about 15 kB of stack in an unoptimised
/// build, and threads commonly have 2 MB. JSON may nest as deep as `serde_json` allows, which is 128.
pub const DOCUMENT_DEPTH_MAX: usize = 64;

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Manifest {
    /// Where it was read.
    pub origin: Origin,
    /// The object. It is a JSON object, and nothing else is known about it.
    pub value: Value,
}

/// Where an object was read. Displays as `web.yaml: document 2, line 14`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Origin {
    /// The file, as the caller called it.
    pub file: Arc<str>,
    /// Number of the document in the file, from 1; documents without content count.
    pub document: usize,
    /// Line in the file on which the document's content begins, from 1.
    pub line: usize,
    /// Where in the document: empty, or `items[2]` for an element of a `List`.
    pub item: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: document {}, line {}",
            self.file, self.document, self.line
        )?;
        if !self.item.is_empty() {
            write!(f, ", {}", self.item)?;
        }
        Ok(())
    }
}

/// Reads every object of a text, in order. `file` is what errors call it.
///
/// A `v1` `List` is replaced by its items. What cannot be read becomes an error in its place; its path is
/// the origin, with the line of the error where there is one.
///
/// ```
/// let text = "kind: ConfigMap\n---\nkind: [\n---\nkind: Secret\n";
/// let objects = kubefed_api::manifest::read("web.yaml", text);
/// assert_eq!(objects[0].as_ref().unwrap().value["kind"], "ConfigMap");
/// let error = objects[1].as_ref().unwrap_err();
/// assert!(error.path().starts_with("web.yaml: document 2, line "));
/// assert_eq!(objects[2].as_ref().unwrap().origin.to_string(), "web.yaml: document 3, line 5");
/// ```
pub fn read(file: &str, text: &str) -> Vec<Result<Manifest, Error>> {
    let file: Arc<str> = file.into();
    let mut number = 0;
    let mut out = Vec::new();
    for piece in pieces(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let Some(first_line) = piece.content_line() else {
            number += usize::from(piece.is_started);
            continue;
        };
        let mut origin = Origin {
            file: file.clone(),
            document: number + 1,
            line: first_line,
            item: String::new(),
        };
        match piece.parse() {
            Ok(values) => {
                number += values.len();
                for (line, value) in values {
                    origin.line = line;
                    unpack(origin.clone(), value, &mut out);
                    origin.document += 1;
                }
            }
            Err((line, message)) => {
                number += 1;
                origin.line = line.unwrap_or(first_line);
                out.push(Err(Error::new(origin.to_string(), message)));
            }
        }
    }
    out
}

/// Puts the items of a list in its place, and an error in the place of what is no object.
fn unpack(origin: Origin, mut value: Value, out: &mut Vec<Result<Manifest, Error>>) {
    match &value {
        Value::Null => {}
        Value::Object(_) if is_list(&value) => match value["items"].take() {
            Value::Null => {}
            Value::Array(items) => {
                for (index, item) in items.into_iter().enumerate() {
                    let separator = if origin.item.is_empty() { "" } else { "." };
                    let mut origin = origin.clone();
                    origin.item = format!("{}{separator}items[{index}]", origin.item);
                    unpack(origin, item, out);
                }
            }
            other => {
                let path = format!("{origin}, items");
                out.push(Err(Error::wrong_type(path, "a list", &other)));
            }
        },
        Value::Object(_) => out.push(Ok(Manifest { origin, value })),
        other => out.push(Err(Error::wrong_type(
            origin.to_string(),
            "an object",
            other,
        ))),
    }
}

/// Whether a value is a `List` of the core group; elsewhere the kind may mean anything.
fn is_list(value: &Value) -> bool {
    value["kind"] == "List" && (value["apiVersion"] == "v1" || value["apiVersion"].is_null())
}

/// The text of one document, from after the end of the one before.
struct Piece<'a> {
    text: &'a str,
    /// Line of the file on which the text begins, from 1.
    line: usize,
    /// Whether there is a `---`.
    is_started: bool,
}

/// What a line means to the structure of the stream.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Line {
    Start,
    End,
    /// Nothing, a comment or a directive: what may stand before a `---`.
    Prologue,
    Content,
}

impl Line {
    fn of(line: &str) -> Self {
        let line = line.trim_end_matches(['\n', '\r']);
        let is_marker = |marker| {
            line.strip_prefix(marker)
                .is_some_and(|rest: &str| rest.is_empty() || rest.starts_with([' ', '\t']))
        };
        if is_marker("---") {
            Self::Start
        } else if is_marker("...") {
            Self::End
        } else if line.trim().is_empty() || line.trim_start().starts_with('#') {
            Self::Prologue
        } else {
            Self::Content
        }
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut begin_line) = (0, 1);
    let (mut is_started, mut has_content) = (false, false);
    let mut end = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let kind = Line::of(line);
        // A directive is content unless it stands before the marker of its document.
        let is_directive = line.starts_with('%') && !is_started && !has_content;
        let cuts_before = kind == Line::Start && (is_started || has_content);
        if cuts_before {
            pieces.push(Piece {
                text: &text[begin..end],
                line: begin_line,
                is_started,
            });
            (begin, begin_line, has_content) = (end, index + 1, false);
        }
        end += line.len();
        match kind {
            Line::Start => is_started = true,
            Line::Content => has_content |= !is_directive,
            Line::Prologue => {}
            Line::End => {
                pieces.push(Piece {
                    text: &text[begin..end],
                    line: begin_line,
                    is_started,
                });
                (begin, begin_line) = (end, index + 2);
                (is_started, has_content) = (false, false);
            }
        }
    }
    pieces.push(Piece {
        text: &text[begin..],
        line: begin_line,
        is_started,
    });
    pieces
}

/// The line of an error, if it is known, and what is wrong.
type Failure = (Option<usize>, String);

impl Piece<'_> {
    /// The first line of the file with content of this document; `None` if there is none.
    fn content_line(&self) -> Option<usize> {
        let has_content = |line: &str| match Line::of(line) {
            Line::Content => !line.starts_with('%'),
            Line::Start => Line::of(&line[3..]) == Line::Content,
            Line::Prologue | Line::End => false,
        };
        self.text
            .split_inclusive('\n')
            .position(has_content)
            .map(|index| self.line + index)
    }

    /// The values of the document, each with its line: one, or several if it is JSON.
    fn parse(&self) -> Result<Vec<(usize, Value)>, Failure> {
        if self.text.len() > DOCUMENT_BYTES_MAX {
            let length = self.text.len();
            let message =
                format!("the document has {length} bytes, more than {DOCUMENT_BYTES_MAX}");
            return Err((None, message));
        }
        if let Some(values) = self.parse_json() {
            return Ok(values);
        }
        let line = self.content_line().unwrap_or(self.line);
        parse_yaml(self.text)
            .map(|value| vec![(line, value)])
            .map_err(|(line, message)| (line.map(|line| self.line + line - 1), message))
    }

    /// The values of a stream of JSON; `None` if it is anything else, of which YAML then tells what is
    /// wrong.
    fn parse_json(&self) -> Option<Vec<(usize, Value)>> {
        let begin = self.text.find('{')?;
        let before = &self.text[..begin];
        if before
            .split_inclusive('\n')
            .any(|line| !matches!(Line::of(line), Line::Prologue | Line::Start))
        {
            return None;
        }
        let json = &self.text[begin..];
        let unique = serde_json::Deserializer::from_str(json).into_iter::<UniqueKeys>();
        unique.collect::<Result<Vec<_>, _>>().ok()?;

        let mut stream = serde_json::Deserializer::from_str(json).into_iter::<Value>();
        let mut values = Vec::new();
        let (mut line, mut counted) = (self.line, 0);
        loop {
            let rest = &json[stream.byte_offset()..];
            let space = rest.len() - rest.trim_start().len();
            let offset = begin + stream.byte_offset() + space;
            match stream.next() {
                None => return Some(values),
                Some(value) => {
                    line += self.text[counted..offset].matches('\n').count();
                    counted = offset;
                    values.push((line, value.ok()?));
                }
            }
        }
    }
}

fn parse_yaml(text: &str) -> Result<Value, Failure> {
    use serde_saphyr::{
        DuplicateKeyPolicy, MessageFormatter, NonFiniteFloatPolicy, UserMessageFormatter, budget,
        options,
    };

    let options = options! {
        budget: budget! {
            max_depth: DOCUMENT_DEPTH_MAX,
            flow_nesting_limit: DOCUMENT_DEPTH_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        legacy_octal_numbers: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error
            .location()
            .and_then(|location| usize::try_from(location.line()).ok());
        // The formatter alone leaves out the position, which counts from the start of the document.
        let message = UserMessageFormatter.format_message(error.without_snippet());
        // The words of the scanner, and of the budget.
        if message == "recursion limit exceeded" || message.contains("breached: Depth") {
            return (
                line,
                format!("nested more than {DOCUMENT_DEPTH_MAX} levels deep"),
            );
        }
        (line, message.replace(char::is_control, " "))
    })
}

/// Any JSON in which no object has two members of one name. `serde_json` itself keeps the last.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> DeserializeSeed<'de> for UniqueKeys {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some((name, Self)) = members.next_entry::<String, Self>()? {
            if let Some(name) = seen.replace(name) {
                return Err(A::Error::custom(format_args!("duplicate key {name:?}")));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What `text` contains: `document:line value` for an object, the whole error otherwise.
    fn found(text: &str) -> Vec<String> {
        let shown = |result: Result<Manifest, Error>| match result {
            Ok(Manifest { origin, value }) => {
                format!("{}:{}{} {value}", origin.document, origin.line, origin.item)
            }
            Err(error) => error.to_string(),
        };
        read("f.yaml", text).into_iter().map(shown).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(text), expected, "{text:?}");
    }

    #[test]
    fn documents_are_cut_where_yaml_cuts_them() {
        check("", &[]);
        check("---\n", &[]);
        check("a: 1\n---\nb: 1\n", &[r#"1:1 {"a":1}"#, r#"2:3 {"b":1}"#]);
        check("# c\n---\na: 1\n", &[r#"1:3 {"a":1}"#]);
        check(
            "--- # c\na: 1\n---\tb\n",
            &[
                r#"1:2 {"a":1}"#,
                "f.yaml: document 2, line 3: expected an object, found a string",
            ],
        );
        check(
            "--- {a: 1}\n--- {b: 1}",
            &[r#"1:1 {"a":1}"#, r#"2:2 {"b":1}"#],
        );
        check(
            "%YAML 1.2\n---\na: 1\n...\n%YAML 1.2\n---\nb: 1\n",
            &[r#"1:3 {"a":1}"#, r#"2:7 {"b":1}"#],
        );
        check("a: 1\n...\nb: 1\n", &[r#"1:1 {"a":1}"#, r#"2:3 {"b":1}"#]);
        // A directive stays with its document: here it says what `!k!` means.
        check(
            "%TAG !k! tag:yaml.org,2002:\n---\na: !k!str 5\n---\nb: 5\n",
            &[r#"1:3 {"a":"5"}"#, r#"2:5 {"b":5}"#],
        );
        // Four dashes, or dashes with text, are content.
        check("---a: 1\n", &[r#"1:1 {"---a":1}"#]);
    }

    #[test]
    fn markers_inside_scalars_are_content_if_they_are_indented() {
        check(
            "a: |\n  ---\n  ...\nb: 1\n",
            &[r#"1:1 {"a":"---\n...\n","b":1}"#],
        );
        check("a: 'x\n\n  ---'\n", &[r#"1:1 {"a":"x\n---"}"#]);
        // Without indentation YAML forbids them in any scalar, so the quote stays open.
        let open = found("a: 'q\n---\nb: 1\n");
        assert!(open[0].starts_with("f.yaml: document 1, line "), "{open:?}");
        assert_eq!(open[1], r#"2:3 {"b":1}"#);
    }

    #[test]
    fn documents_without_content_are_counted_and_left_out() {
        check("---\n---\n# c\n---\na: 1\n---\n", &[r#"3:5 {"a":1}"#]);
        check("null\n---\n~\n---\na: 1\n", &[r#"3:5 {"a":1}"#]);
        check("# only\n\n# comments\n", &[]);
    }

    #[test]
    fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
        check(
            "\u{feff}a: 1\r\n---\r\nb: |\r\n  x\r\n...\r\nc: 1\r\n",
            &[r#"1:1 {"a":1}"#, r#"2:3 {"b":"x\n"}"#, r#"3:6 {"c":1}"#],
        );
    }

    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        let text = "a: yes\nb: 'yes'\nc: 0644\nd: 0x1F\ne: 1_000\nf: 2026-11-21\ng: 12:30\nh: ~\ni: 1.5\n1: x\non: y\n";
        let values = read("f.yaml", text);
        let expected = json!({
            "a": true, "b": "yes", "c": 420, "d": 31, "e": 1000, "f": "2026-11-21", "g": "12:30",
            "h": null, "i": 1.5, "1": "x", "on": true
        });
        assert_eq!(values[0].as_ref().unwrap().value, expected);
    }

    #[test]
    fn an_error_names_file_document_and_line_and_leaves_the_others_alone() {
        let cases = [
            ("a: [", "line 3: unclosed bracket '['"),
            (
                "b: 1\na: x: y",
                "line 4: mapping values are not allowed in this context",
            ),
            (
                "a: 1\nb:\n  c: 1\n  c: 2",
                "line 6: duplicate mapping key: c not allowed here",
            ),
            (
                "{\"a\": 1,\n\"a\": 2}",
                "line 4: duplicate mapping key: a not allowed here",
            ),
        ];
        for (document, error) in cases {
            check(
                &format!("x: 1\n---\n{document}\n---\ny: 1\n"),
                &[
                    r#"1:1 {"x":1}"#,
                    &format!("f.yaml: document 2, {error}"),
                    &format!(r#"3:{} {{"y":1}}"#, document.lines().count() + 4),
                ],
            );
        }
        for document in [
            "a: .nan",
            "a: !Foo x",
            "a: *b",
            "a: \u{0}",
            "text",
            "- a",
            "5",
        ] {
            let found = found(&format!("x: 1\n---\n{document}\n"));
            assert!(
                found[1].starts_with("f.yaml: document 2, line 3: "),
                "{found:?}"
            );
        }
    }

    #[test]
    fn json_is_read_alone_in_a_stream_and_among_yaml() {
        check(
            "{\"a\": 1}\n\n{\"b\": \"\\ud83d\\ude00\"}\n---\nc: 1\n",
            &[r#"1:1 {"a":1}"#, r#"2:3 {"b":"😀"}"#, r#"3:5 {"c":1}"#],
        );
        check(
            "---\n# c\n\t{\"a\": [1, 1.5, null, true]}\n",
            &[r#"1:3 {"a":[1,1.5,null,true]}"#],
        );
        // A flow mapping of YAML is no JSON, but fine.
        check("{a: 1}\n", &[r#"1:1 {"a":1}"#]);
    }

    #[test]
    fn a_list_is_replaced_by_its_items() {
        check(
            "apiVersion: v1\nkind: List\nitems:\n- a: 1\n- kind: List\n  items: [{b: 1}, 5]\n---\nkind: List\n---\nkind: List\nitems: {}\n",
            &[
                r#"1:1items[0] {"a":1}"#,
                r#"1:1items[1].items[0] {"b":1}"#,
                "f.yaml: document 1, line 1, items[1].items[1]: expected an object, found a number",
                "f.yaml: document 3, line 10, items: expected a list, found an object",
            ],
        );
        check(
            "apiVersion: a.b/v1\nitems: []\nkind: List\n",
            &[r#"1:1 {"apiVersion":"a.b/v1","items":[],"kind":"List"}"#],
        );
    }

    #[test]
    fn hostile_documents_are_refused_quickly() {
        let nested = |open: &str, close: &str, depth| {
            format!("a: {}1{}", open.repeat(depth), close.repeat(depth))
        };
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..9 {
            let alias = format!("*a{},", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", alias.repeat(9));
        }
        let cases = [
            nested("[", "]", 200),
            nested("{b: ", "}", 200),
            nested("[", "]", 20_000),
            (0..80)
                .map(|level| format!("{}a:\n", " ".repeat(level)))
                .collect(),
            format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000)),
            format!("a: {}", "x".repeat(DOCUMENT_BYTES_MAX)),
            bomb,
        ];
        for (index, text) in cases.iter().enumerate() {
            let [Err(error)] = &read("f.yaml", text)[..] else {
                panic!("{}", &text[..40]);
            };
            let is_deep = error.message() == "nested more than 64 levels deep";
            assert_eq!(is_deep, index < 5, "{error}");
            assert!(
                error.path().starts_with("f.yaml: document 1, line "),
                "{error}"
            );
        }
        let [Ok(_)] = &read("f.yaml", &nested("{b: ", "}", 60))[..] else {
            panic!("sixty levels are fine");
        };
        // As many documents as fit into the limit; counting lines from the top for each takes minutes.
        let count = DOCUMENT_BYTES_MAX / 3;
        let many = read("f.json", &"{}\n".repeat(count));
        assert_eq!(many.len(), count);
        let last = &many.last().unwrap().as_ref().unwrap().origin;
        assert_eq!((last.document, last.line), (count, count));
    }

    proptest! {
        /// Whatever the text, nothing panics, and documents are numbered in order.
        #[test]
        fn any_text_is_read_or_refused(lines in proptest::collection::vec(
            prop_oneof![
                Just("---"), Just("..."), Just("--- # c"), Just("a: 1"), Just("b: |"), Just("  ---"),
                Just("%YAML 1.2"), Just("{\"a\": 1}"), Just("- x"), Just("'"), Just(""), Just("]"),
                Just("\t"), Just("&a [*a]"), Just("# c"),
            ],
            0..12,
        )) {
            let mut before = 0;
            for manifest in read("f", &lines.join("\n")).into_iter().flatten() {
                prop_assert!(manifest.origin.document >= before);
                prop_assert!(manifest.origin.line <= lines.len());
                before = manifest.origin.document;
            }
        }

        /// Objects written as documents of JSON come back, each with its number.
        #[test]
        fn documents_come_back_in_order(numbers in proptest::collection::vec(any::<i64>(), 0..6)) {
            let documents: Vec<_> = numbers.iter().map(|n| json!({"n": n}).to_string()).collect();
            let values = read("f", &documents.join("\n---\n"));
            prop_assert_eq!(values.len(), numbers.len());
            for (index, (manifest, number)) in values.into_iter().zip(&numbers).enumerate() {
                let manifest = manifest.unwrap();
                prop_assert_eq!(manifest.origin.document, index + 1);
                prop_assert_eq!(manifest.value, json!({"n": number}));
            }
        }
    }
}
