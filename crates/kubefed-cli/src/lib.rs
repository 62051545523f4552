//! What talks to a person: tables, and a view that redraws itself on a terminal.
//!
//! In the order data meets them: a [`Terminal`] says what may be written, a [`Cell`] is a text with a
//! [`Tone`], a [`Table`] aligns rows of cells, and a [`LiveView`] shows a table that changes.
//!
//! Colours and redrawing happen on a terminal only, and not where `NO_COLOR` is set; everything else
//! gets plain lines that scripts can read. Whatever is shown may come from a stranger's object, so
//! control characters are replaced and cannot steer the terminal.
//!
//! [`read_manifests`] reads what a person names on a command line, and a [`PrivateFile`] hands over
//! what others must not read, such as a kubeconfig.
//!
//! What it does not do: it talks to no cluster, parses no arguments and never ends
//! the program. Widths are counted in characters; those that take two columns are not told apart.
//!
//! ```
//! use kubefed_cli::{Cell, LiveView, Table, Terminal, Tone};
//!
//! let table = |state: Cell| {
//!     Table::new(["OBJECT", "CLUSTER", "STATE"]).keyed_by(2)
//!         .row(["Deployment shop/web".into(), "east".into(), Cell::from("Propagated")])
//!         .row(["Deployment shop/web".into(), "west".into(), state])
//! };
//! let mut out = Vec::new();
//! let mut view = LiveView::new(&mut out, Terminal::plain());
//! view.rest(&table(Cell::new("ClusterNotReady", Tone::Bad)));
//! view.say("west is back");
//! view.rest(&table("Propagated".into()));
//! view.finish()?;
//! assert_eq!(String::from_utf8_lossy(&out), "\
//! OBJECT               CLUSTER  STATE
//! Deployment shop/web  east     Propagated
//! Deployment shop/web  west     ClusterNotReady
//! west is back
//! Deployment shop/web  west     Propagated
//! ");
//! # Ok::<(), std::io::Error>(())
//! ```

mod exit;
mod live;
mod manifests;
mod private;
mod table;
mod terminal;

pub use exit::exit_code;
pub use kubefed_api;
pub use live::LiveView;
pub use manifests::read_manifests;
pub use private::PrivateFile;
pub use table::{Cell, Table, Tone};
pub use terminal::Terminal;
