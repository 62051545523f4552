use std::fmt::{self, Write as _};

/// Rows of cells below column titles, aligned by two spaces as kubectl does.
///
/// Displays as plain lines. An empty cell shows as `-`, so that columns can be counted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    columns: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
    key_columns: usize,
}

/// A text and what it means.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// What a text means to its reader; on a terminal, a colour.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// As it should be: green.
    Good,
    /// On its way: yellow.
    Moving,
    /// Not as it should be: red.
    Bad,
    /// A title: bold.
    Title,
}

impl Tone {
    /// Good, or on its way, or neither, which is bad.
    pub fn of(is_well: bool, is_moving: bool) -> Self {
        match (is_well, is_moving) {
            (true, _) => Self::Good,
            (false, true) => Self::Moving,
            (false, false) => Self::Bad,
        }
    }

    /// The parameter of the SGR sequence (ECMA-48, 8.3.117).
    fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Good => Some(32),
            Self::Moving => Some(33),
            Self::Bad => Some(31),
            Self::Title => Some(1),
        }
    }
}

impl Cell {
    /// A text with a tone. Control characters are replaced by `\u{fffd}`.
    pub fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: printable(text.as_ref()),
            tone,
        }
    }

    /// Sets what the text means.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// The text as it is shown.
    pub fn text(&self) -> &str {
        if self.text.is_empty() {
            "-"
        } else {
            &self.text
        }
    }

    fn width(&self) -> usize {
        self.text().chars().count()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Table {
    /// A table without rows. The first column alone tells rows apart.
    pub fn new<T: AsRef<str>>(columns: impl IntoIterator<Item = T>) -> Self {
        Self {
            columns: columns
                .into_iter()
                .map(|title| Cell::new(title, Tone::Title))
                .collect(),
            rows: Vec::new(),
            key_columns: 1,
        }
    }

    /// Sets how many columns from the left tell rows apart.
    #[must_use]
    pub fn keyed_by(mut self, columns: usize) -> Self {
        self.key_columns = columns;
        self
    }

    /// Adds a row.
    #[must_use]
    pub fn row(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.rows.push(cells.into_iter().collect());
        self
    }

    pub(crate) fn titles(&self) -> &[Cell] {
        &self.columns
    }

    pub(crate) fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    pub(crate) fn key<'a>(&self, row: &'a [Cell]) -> &'a [Cell] {
        &row[..self.key_columns.min(row.len())]
    }

    /// The width of every column, at least that in `least`.
    pub(crate) fn widths(&self, least: &[usize]) -> Vec<usize> {
        let mut widths = least.to_vec();
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths(&[]);
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            writeln!(f, "{}", line(row, &widths, usize::MAX, false))?;
        }
        Ok(())
    }
}

/// One line of at most so many characters, coloured or plain.
pub(crate) fn line(row: &[Cell], widths: &[usize], columns: usize, colours: bool) -> String {
    let mut text = String::new();
    let mut room = columns;
    for (index, cell) in row.iter().enumerate() {
        let is_last = index + 1 == row.len();
        let shown: String = cell.text().chars().take(room).collect();
        let length = shown.chars().count();
        room -= length;
        match cell.tone.code().filter(|_| colours) {
            // Writing to a String does not fail.
            Some(code) => drop(write!(text, "\x1b[{code}m{shown}\x1b[0m")),
            None => text.push_str(&shown),
        }
        if !is_last {
            let width = widths.get(index).copied().unwrap_or_default();
            let gap = (width.saturating_sub(length) + 2).min(room);
            text.extend(std::iter::repeat_n(' ', gap));
            room -= gap;
        }
    }
    text
}

/// The text without anything that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(table: &Table, expected: Expect) {
        expected.assert_eq(&table.to_string());
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = Table::new(["NAME", "READY", "WHY"])
            .row(["a-long-name".into(), "2/2".into(), "".into()])
            .row(["b".into(), "".into(), "all is well".into()]);
        check(
            &table,
            expect![[r#"
                NAME         READY  WHY
                a-long-name  2/2    -
                b            -      all is well
            "#]],
        );
    }

    #[test]
    fn control_characters_cannot_steer_the_terminal() {
        let table = Table::new(["NAME"]).row([Cell::from("a\x1b[2Jb\nc")]);
        check(&table, expect!["NAME\na\u{fffd}[2Jb\u{fffd}c\n"]);
    }

    #[test]
    fn a_row_may_have_any_number_of_cells() {
        let table = Table::new(["A", "B"]).row([]).row(["1".into()]).row([
            "1".into(),
            "2".into(),
            "3".into(),
        ]);
        check(&table, expect!["A  B\n\n1\n1  2  3\n"]);
    }

    #[test]
    fn colours_take_no_room_and_are_closed_where_a_line_is_cut() {
        let row = [Cell::new("good", Tone::Good), Cell::new("bad", Tone::Bad)];
        let shown = |columns| line(&row, &[4, 3], columns, true);
        assert_eq!(shown(80), "\x1b[32mgood\x1b[0m  \x1b[31mbad\x1b[0m");
        assert_eq!(shown(7), "\x1b[32mgood\x1b[0m  \x1b[31mb\x1b[0m");
        assert_eq!(shown(2), "\x1b[32mgo\x1b[0m\x1b[31m\x1b[0m");
    }
}
