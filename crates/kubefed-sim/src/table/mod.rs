//! Table answers (`as=Table`), from which kubectl prints lists.
//!
//! Columns and cells are those of a real server: for built-in kinds the columns it publishes, for
//! custom kinds `additionalPrinterColumns`. Columns of a priority above 0 are shown by `-o wide`.

mod cells;
mod json_path;
mod pods;
mod seldom;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::builtin;
use json_path::JsonPath;

/// The columns of a kind.
pub struct Columns {
    resource: String,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
    /// `None` for a cell of a built-in kind, which has code of its own.
    path: Option<JsonPath>,
}

/// `includeObject`: what each row carries beside its cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Only cells.
    None,
    /// The object's metadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl Columns {
    /// The columns of a built-in kind by group, version and plural, such as `apps/v1/deployments`.
    #[must_use]
    pub fn of_built_in(resource: &str) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let column = |column: &Value| Column {
            name: text(&column[0]),
            kind: text(&column[1]),
            format: text(&column[2]),
            description: String::new(),
            priority: column[3].as_i64().unwrap_or_default(),
            path: None,
        };
        let columns = builtin::COLUMNS
            .get(resource)?
            .as_array()?
            .iter()
            .map(column)
            .collect();
        Some(Self {
            resource: resource.to_owned(),
            columns,
        })
    }

    /// The columns of a custom kind: the name, then what the version of the CRD says, or else the age.
    #[must_use]
    pub fn of_custom_resource(additional_printer_columns: Option<&Value>) -> Self {
        let name = Column {
            name: "Name".to_owned(),
            kind: "string".to_owned(),
            format: "name".to_owned(),
            description: String::new(),
            priority: 0,
            path: JsonPath::parse(".metadata.name").ok(),
        };
        let age =
            json!([{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]);
        let declared = additional_printer_columns
            .filter(|columns| columns.as_array().is_some_and(|c| !c.is_empty()));
        let declared = declared.unwrap_or(&age).as_array().into_iter().flatten();
        let column = |column: &Value| {
            let text = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
            Column {
                name: text("name"),
                kind: text("type"),
                format: text("format"),
                description: text("description"),
                priority: column["priority"].as_i64().unwrap_or_default(),
                path: JsonPath::parse(&text("jsonPath")).ok(),
            }
        };
        let columns = std::iter::once(name).chain(declared.map(column)).collect();
        Self {
            resource: String::new(),
            columns,
        }
    }

    /// The answer for some objects. `list` is the metadata of the list, or null for a single object.
    #[must_use]
    pub fn table(
        &self,
        list: &Value,
        objects: &[Value],
        include: Include,
        now: Timestamp,
    ) -> Value {
        let definitions: Vec<_> = self
            .columns
            .iter()
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.kind,
                    "format": column.format,
                    "description": column.description,
                    "priority": column.priority,
                })
            })
            .collect();
        let rows: Vec<_> = objects
            .iter()
            .map(|object| self.row(object, include, now))
            .collect();
        let metadata = match (list, objects) {
            (Value::Null, [one]) => json!({"resourceVersion": one["metadata"]["resourceVersion"]}),
            (Value::Null, _) => json!({}),
            (list, _) => list.clone(),
        };
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": definitions,
            "rows": rows,
        })
    }

    fn row(&self, object: &Value, include: Include, now: Timestamp) -> Value {
        let cells: Vec<_> = self
            .columns
            .iter()
            .map(|column| self.cell(column, object, now))
            .collect();
        let mut row = Map::new();
        row.insert("cells".to_owned(), Value::Array(cells));
        let conditions = match object["status"]["phase"].as_str() {
            Some("Succeeded") => ("Succeeded", "The pod has completed successfully."),
            Some("Failed") => ("Failed", "The pod failed."),
            _ => ("", ""),
        };
        if self.resource == "v1/pods" && !conditions.0.is_empty() {
            let (reason, message) = conditions;
            let condition = json!({"type": "Completed", "status": "True", "reason": reason, "message": message});
            row.insert("conditions".to_owned(), json!([condition]));
        }
        match include {
            Include::None => {}
            Include::Metadata => {
                let partial = json!({
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": object["metadata"],
                });
                row.insert("object".to_owned(), partial);
            }
            Include::Object => {
                row.insert("object".to_owned(), object.clone());
            }
        }
        Value::Object(row)
    }

    fn cell(&self, column: &Column, object: &Value, now: Timestamp) -> Value {
        match &column.path {
            Some(path) => custom_cell(path, &column.kind, object, now),
            None => cells::cell(&self.resource, &column.name, object, now),
        }
    }
}

fn custom_cell(path: &JsonPath, kind: &str, object: &Value, now: Timestamp) -> Value {
    let Some(&value) = path.find(object).first() else {
        return Value::Null;
    };
    let float = value.as_f64();
    match kind {
        "string" => json!(plain(value)),
        "integer" if value.is_i64() || value.is_u64() => value.clone(),
        "integer" => float.map_or(Value::Null, |float| json!(float.trunc() as i64)),
        "number" if value.is_number() => value.clone(),
        "boolean" => value.as_bool().map_or(Value::Null, Value::Bool),
        "date" => match value.as_str().map(str::parse::<Timestamp>) {
            Some(Ok(time)) => json!(age(time, now)),
            Some(Err(_)) => json!("<invalid>"),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}

/// A value as text: strings as they are, everything else as JSON.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The time since then, in the two most telling units.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |whole: i64, unit: &str, rest: i64, rest_unit: &str| match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{rest_unit}"),
    };
    match () {
        // A little skew between clocks is no error.
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(days, "d", hours % 24, "h"),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn ages_have_two_units_where_one_says_too_little() {
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (86_400 * 730, "2y"),
            (86_400 * 731, "2y1d"),
            (86_400 * 365 * 8, "8y"),
        ];
        let then = time("2000-01-01T00:00:00Z");
        for (seconds, expected) in cases {
            let now = Timestamp::from_second(then.as_second() + seconds).expect("in range");
            assert_eq!(age(then, now), expected, "{seconds} s");
        }
    }

    #[test]
    fn custom_columns_are_typed() {
        let columns = json!([
            {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
            {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
            {"name": "On", "type": "boolean", "jsonPath": ".spec.on", "priority": 1},
            {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            {"name": "Missing", "type": "string", "jsonPath": ".spec.missing"},
            {"name": "Labels", "type": "string", "jsonPath": ".metadata.labels"},
        ]);
        let object = json!({
            "metadata": {"name": "a", "creationTimestamp": "2020-01-01T00:00:00Z", "labels": {"x": "y"}},
            "spec": {"replicas": 3, "on": true},
            "status": {"conditions": [{"type": "Other", "status": "No"}, {"type": "Ready", "status": "Yes"}]},
        });
        let columns = Columns::of_custom_resource(Some(&columns));
        let table = columns.table(
            &Value::Null,
            &[object],
            Include::None,
            time("2020-01-01T01:00:00Z"),
        );
        let expected = json!(["a", 3, "Yes", true, "60m", null, "{\"x\":\"y\"}"]);
        assert_eq!(table["rows"][0]["cells"], expected);
        assert_eq!(table["columnDefinitions"][3]["priority"], 1);
    }

    #[test]
    fn without_columns_a_custom_kind_shows_its_age() {
        let columns = Columns::of_custom_resource(None);
        let object =
            json!({"metadata": {"name": "a", "creationTimestamp": "2020-01-01T00:00:00Z"}});
        let table = columns.table(
            &Value::Null,
            &[object],
            Include::Metadata,
            time("2020-01-01T00:00:05Z"),
        );
        assert_eq!(table["rows"][0]["cells"], json!(["a", "5s"]));
        assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "a");
    }

    #[test]
    fn every_column_of_a_built_in_kind_has_a_cell_for_an_empty_object() {
        for resource in builtin::COLUMNS.keys() {
            let columns = Columns::of_built_in(resource).expect("columns");
            let object = json!({"metadata": {"name": "a"}});
            let table = columns.table(&json!({}), &[object], Include::None, Timestamp::UNIX_EPOCH);
            let cells = table["rows"][0]["cells"].as_array().expect("cells");
            assert_eq!(cells.len(), columns.columns.len(), "{resource}");
            assert!(
                !cells.contains(&json!("<no cell>")),
                "{resource}: {cells:?}"
            );
        }
    }
}
