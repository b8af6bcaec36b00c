//! What an editor asks of a program: what a name stands for, what may stand at a place.
//!
//! ```
//! use praxis_dsl::navigate::{Names, visible_names};
//! use praxis_dsl::{Catalog, ToolSignature, parse};
//!
//! let catalog: Catalog = [ToolSignature::new("now")].into_iter().collect();
//! let source = "LET time = CALL now\nIF size(time) > 0\n  RETURN $time\nENDIF\n";
//! let tree = parse(source);
//! let names = Names::of(&tree, &catalog);
//!
//! let used = names.at(source.find("time)").unwrap() as u32).unwrap();
//! assert_eq!(names.definitions(used)[0].text(source), "time");
//! assert_eq!(names.same(used).len(), 3);
//! assert_eq!(visible_names(&tree, &catalog, 20)[0].0, "time");
//! ```
//!
//! Names are resolved by the checker itself, so both agree in every program, with errors or not.

mod cursor;
mod names;

pub use cursor::{CallAt, Cursor, Expected, Target, ValueOf, expected_at, target_at};
pub use names::{Names, Occurrence, visible_names};
