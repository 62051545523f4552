use std::io::IsTerminal;

/// What may be written to an output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terminal {
    size: Option<Size>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Size {
    columns: usize,
    rows: usize,
}

impl Terminal {
    /// A file or a pipe: plain lines of any width, nothing is redrawn.
    pub const fn plain() -> Self {
        Self { size: None }
    }

    /// A terminal of this size, with colours and redrawing.
    pub const fn sized(columns: usize, rows: usize) -> Self {
        Self {
            size: Some(Size { columns, rows }),
        }
    }

    /// What the standard output is. It is plain if it is no terminal, if the environment variable
    /// `NO_COLOR` is set and not empty, or if `TERM` is `dumb`.
    pub fn stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// What the standard error is, by the same rules.
    pub fn stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    fn of(output: &impl IsTerminal) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = set("TERM").is_some_and(|term| term == "dumb");
        if !output.is_terminal() || set("NO_COLOR").is_some() || is_dumb {
            return Self::plain();
        }
        // Where the size cannot be asked for, the smallest usual one.
        terminal_size::terminal_size().map_or(Self::sized(80, 24), |(width, height)| {
            Self::sized(usize::from(width.0), usize::from(height.0))
        })
    }

    /// Whether lines can be redrawn and coloured.
    pub const fn is_live(&self) -> bool {
        self.size.is_some()
    }

    /// Columns of a line; without limit where nothing is redrawn.
    pub(crate) fn columns(&self) -> usize {
        self.size.map_or(usize::MAX, |size| size.columns)
    }

    /// Rows that can be redrawn: the cursor cannot go back to what has scrolled out of sight.
    pub(crate) fn rows(&self) -> usize {
        self.size
            .map_or(usize::MAX, |size| size.rows.saturating_sub(1))
    }
}
