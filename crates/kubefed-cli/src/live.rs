use std::io::{self, ErrorKind, Stdout, Write};

use crate::table::{Cell, Table, line, printable};
use crate::{Terminal, Tone};

/// Shows a table that changes.
///
/// On a terminal the table stays below everything that is [said](Self::say) and is redrawn in place;
/// rows that do not fit are counted. Elsewhere nothing is printed while things move, so that the same
/// run gives the same text; once they [rest](Self::rest), the lines that changed are printed.
///
/// Who reads the output may stop reading, and the caller's work goes on: after a failed write nothing
/// more is written, and [`LiveView::finish`] tells why, unless it was a closed pipe.
#[derive(Debug)]
pub struct LiveView<W: Write> {
    out: W,
    terminal: Terminal,
    /// Lines of the terminal that the next drawing replaces.
    drawn: Vec<String>,
    /// What was printed last for each row, where nothing can be redrawn.
    printed: Option<Table>,
    widths: Vec<usize>,
    failure: Option<io::Error>,
}

impl LiveView<Stdout> {
    /// A view on the standard output.
    pub fn stdout() -> Self {
        Self::new(io::stdout(), Terminal::stdout())
    }
}

impl<W: Write> LiveView<W> {
    /// A view on any output.
    pub fn new(out: W, terminal: Terminal) -> Self {
        Self {
            out,
            terminal,
            drawn: Vec::new(),
            printed: None,
            widths: Vec::new(),
            failure: None,
        }
    }

    /// Shows how things are while they move, and in a last line what is going on.
    pub fn draw(&mut self, table: &Table, progress: &str) {
        if !self.terminal.is_live() {
            return;
        }
        let rows = self.terminal.rows().saturating_sub(1);
        let mut lines = self.lines(table, rows);
        let progress = Cell::new(progress, Tone::Moving);
        lines.push(line(&[progress], &[], self.terminal.columns(), true));
        self.redraw(lines);
    }

    /// Shows how things are once they rest.
    pub fn rest(&mut self, table: &Table) {
        if self.terminal.is_live() {
            let lines = self.lines(table, self.terminal.rows());
            self.redraw(lines);
            return;
        }
        let lines = self.changed_lines(table);
        self.printed = Some(table.clone());
        self.print(&lines);
    }

    /// Says something for good, above the table.
    pub fn say(&mut self, text: &str) {
        let lines: Vec<_> = text.lines().map(printable).collect();
        self.print(&lines);
    }

    /// Says something for good and leaves the table that was shown last above it.
    pub fn conclude(&mut self, text: &str) {
        self.drawn.clear();
        self.say(text);
    }

    /// Ends the view.
    ///
    /// # Errors
    ///
    /// The output could not be written to; a pipe that its reader closed is no error.
    pub fn finish(self) -> io::Result<()> {
        match self.failure {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// The lines of a table that fits into so many rows.
    fn lines(&mut self, table: &Table, rows: usize) -> Vec<String> {
        self.widths = table.widths(&self.widths);
        let shown = |row: &Vec<Cell>| line(row, &self.widths, self.terminal.columns(), true);
        let mut lines = vec![line(
            table.titles(),
            &self.widths,
            self.terminal.columns(),
            true,
        )];
        lines.extend(table.rows().iter().map(shown));
        if lines.len() > rows.max(2) {
            let hidden = lines.len() + 1 - rows.max(2);
            lines.truncate(rows.max(2) - 1);
            lines.push(format!("... {hidden} more rows"));
        }
        lines
    }

    /// The titles at first, and then the rows that are new, changed or no longer there.
    fn changed_lines(&mut self, table: &Table) -> Vec<String> {
        self.widths = table.widths(&self.widths);
        let shown = |row: &[Cell]| line(row, &self.widths, usize::MAX, false);
        let Some(before) = &self.printed else {
            return std::iter::once(table.titles())
                .chain(table.rows().iter().map(Vec::as_slice))
                .map(shown)
                .collect();
        };
        let changed = table
            .rows()
            .iter()
            .filter(|row| !before.rows().contains(row));
        let is_gone = |row: &&Vec<Cell>| {
            let key = before.key(row);
            !table.rows().iter().any(|present| table.key(present) == key)
        };
        let gone = before.rows().iter().filter(is_gone).map(|row| {
            let mut cells = before.key(row).to_vec();
            cells.push("no longer federated".into());
            shown(&cells)
        });
        changed.map(|row| shown(row)).chain(gone).collect()
    }

    /// Draws lines that the next drawing replaces. What is there already is left alone, so that nothing
    /// flickers.
    fn redraw(&mut self, lines: Vec<String>) {
        if self.drawn != lines {
            self.print(&lines);
            self.drawn = lines;
        }
    }

    /// Writes lines over those that were drawn last.
    fn print(&mut self, lines: &[String]) {
        let mut text = String::new();
        if !self.drawn.is_empty() {
            text = format!("\x1b[{}F\x1b[J", self.drawn.len());
            self.drawn.clear();
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        if self.failure.is_none() {
            let written = self.out.write_all(text.as_bytes());
            self.failure = written.and_then(|()| self.out.flush()).err();
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Draws twice, rests, says something, and rests again with another table.
    #[track_caller]
    fn check(terminal: Terminal, expected: Expect) {
        let table = |rows: &[[&str; 3]]| {
            let empty = Table::new(["OBJECT", "CLUSTER", "STATE"]).keyed_by(2);
            rows.iter().fold(empty, |table, row| {
                table.row(row.iter().map(|&text| Cell::from(text)))
            })
        };
        let mut out = Vec::new();
        let mut view = LiveView::new(&mut out, terminal);
        let first = table(&[["web", "east", "Pending"], ["web", "west", "Ok"]]);
        view.draw(&first, "1 waiting");
        view.rest(&first);
        view.say("a step\nin two lines");
        let second = table(&[["web", "east", "Ok"], ["api", "east", "Ok"]]);
        view.rest(&second);
        view.rest(&second);
        view.conclude("done");
        let text = String::from_utf8(out).unwrap();
        expected.assert_eq(&text.replace('\x1b', "ESC"));
    }

    #[test]
    fn a_pipe_gets_the_lines_that_changed() {
        check(
            Terminal::plain(),
            expect![[r#"
                OBJECT  CLUSTER  STATE
                web     east     Pending
                web     west     Ok
                a step
                in two lines
                web     east     Ok
                api     east     Ok
                web     west     no longer federated
                done
            "#]],
        );
    }

    #[test]
    fn a_terminal_is_redrawn_below_what_was_said() {
        check(
            Terminal::sized(80, 24),
            expect![[r#"
                ESC[1mOBJECTESC[0m  ESC[1mCLUSTERESC[0m  ESC[1mSTATEESC[0m
                web     east     Pending
                web     west     Ok
                ESC[33m1 waitingESC[0m
                ESC[4FESC[JESC[1mOBJECTESC[0m  ESC[1mCLUSTERESC[0m  ESC[1mSTATEESC[0m
                web     east     Pending
                web     west     Ok
                ESC[3FESC[Ja step
                in two lines
                ESC[1mOBJECTESC[0m  ESC[1mCLUSTERESC[0m  ESC[1mSTATEESC[0m
                web     east     Ok
                api     east     Ok
                done
            "#]],
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_and_counted() {
        check(
            Terminal::sized(12, 4),
            expect![[r#"
                ESC[1mOBJECTESC[0m  ESC[1mCLUSESC[0mESC[1mESC[0m
                ... 2 more rows
                ESC[33m1 waitingESC[0m
                ESC[3FESC[JESC[1mOBJECTESC[0m  ESC[1mCLUSESC[0mESC[1mESC[0m
                web     east
                web     west
                ESC[3FESC[Ja step
                in two lines
                ESC[1mOBJECTESC[0m  ESC[1mCLUSESC[0mESC[1mESC[0m
                web     east
                api     east
                done
            "#]],
        );
    }

    #[test]
    fn a_closed_pipe_ends_the_output_and_a_full_disk_is_told() {
        struct Broken(ErrorKind);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let finished = |kind| {
            let mut view = LiveView::new(Broken(kind), Terminal::plain());
            view.say("one");
            view.say("two");
            view.finish().map_err(|error| error.kind())
        };
        assert_eq!(finished(ErrorKind::BrokenPipe), Ok(()));
        assert_eq!(
            finished(ErrorKind::StorageFull),
            Err(ErrorKind::StorageFull)
        );
    }
}
