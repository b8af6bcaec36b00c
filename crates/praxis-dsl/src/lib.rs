//! The Praxis workflow language: text to syntax tree to checked program, with diagnostics that
//! point at the character. No input or output, and no other part of Praxis is needed.
//!
//! ```
//! use praxis_dsl::{Catalog, ParameterKind, ToolSignature, check, parse};
//!
//! let catalog: Catalog = [
//!     ToolSignature::new("read_file").required("filename", ParameterKind::Text),
//!     ToolSignature::new("word_count").required("text", ParameterKind::Text),
//! ]
//! .into_iter()
//! .collect();
//!
//! let source = "LET text = CALL read_file notes.txt\nCALL word_cuont --text $text\n";
//! let checked = check(&parse(source), &catalog);
//!
//! assert!(checked.program.is_none());
//! let report = checked.diagnostics[0].render("notes.praxis", source, false);
//! assert!(report.starts_with("error[P0201]: unknown tool `word_cuont`"));
//! assert!(report.contains("help: did you mean `word_count`?"));
//! ```
//!
//! [`parse`] is total: every text gives a [`Tree`] and diagnostics. [`check`] binds names,
//! matches arguments with the parameters that a [`ToolCatalog`] declares, compiles conditions
//! and gives a [`checked::CheckedProgram`] when there are no errors.
//! The language is described in `docs/language.md`, the codes in `docs/diagnostics.md`.

pub mod checked;
pub mod json;
pub mod navigate;

mod argument;
#[cfg(feature = "cache")]
mod cache;
mod catalog;
mod check;
mod code;
mod compat;
mod diagnostic;
mod document;
mod expression;
mod fix;
mod format;
mod grammar;
mod keyword;
mod lexer;
mod operand;
mod parser;
mod render;
mod source;
mod steps;
mod suggest;
mod template;
mod tree;
mod value;
mod word;

#[cfg(test)]
mod growth;

#[cfg(feature = "cache")]
pub use cache::{CatalogDigest, CheckCache, Validation};
pub use catalog::{Catalog, NoTools, Parameter, ParameterKind, ToolCatalog, ToolSignature};
pub use check::{Checked, check};
pub use code::Code;
pub use compat::{compat_ast, compat_tokens};
pub use diagnostic::{Diagnostic, Fix, Label, Row, Severity};
pub use document::{Document, EditError, Scope};
pub use expression::{EvaluateError, Expression, ExpressionError};
pub use fix::{Change, Fixed, fix};
pub use format::format;
pub use grammar::textmate_grammar;
pub use keyword::Keyword;
pub use parser::{parse, parse_with};
pub use source::{DecodeError, Limits, LineIndex, Span, decode};
pub use tree::{Clauses, Statement, Statements, Tree};
pub use word::{Quote, Word};
