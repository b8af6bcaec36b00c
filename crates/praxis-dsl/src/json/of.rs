//! The tree of a program to its JSON form.

use super::{Clause, Program, Statement, VERSION, Word};
use crate::check::doubt;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::keyword::Keyword;
use crate::source::Span;
use crate::tree::{Line, LineKind, Tree};
use crate::word::Word as Written;

impl Program {
    /// The JSON form of a program whose form is right.
    ///
    /// Comments keep their line; where they stood behind a statement they come before it.
    ///
    /// # Errors
    ///
    /// What is wrong with the form of the program or of a line: what [`crate::parse`] reports,
    /// and lines that only [`crate::check()`] would.
    pub fn of(tree: &Tree) -> Result<Self, Vec<Diagnostic>> {
        if tree.has_errors() {
            return Err(tree.diagnostics.clone());
        }
        let mut building = Building {
            tree,
            statements: Vec::new(),
            open: Vec::new(),
        };
        for (line, place) in tree.source_lines() {
            let comment = tree.comment(line, place);
            if let Some(comment) = comment.strip_prefix('#') {
                let text = comment.strip_prefix(' ').unwrap_or(comment).to_owned();
                building.add(Statement::Comment { text });
            }
            if let Some(line) = line {
                building.line(line).map_err(|found| vec![found])?;
            }
        }
        Ok(Self {
            praxis: VERSION,
            statements: building.statements,
        })
    }
}

struct Building<'t> {
    tree: &'t Tree,
    statements: Vec<Statement>,
    /// The blocks that are not closed yet, the innermost last.
    open: Vec<Statement>,
}

impl Building<'_> {
    fn add(&mut self, statement: Statement) {
        let body = self.open.last_mut().and_then(body);
        body.unwrap_or(&mut self.statements).push(statement);
    }

    fn line(&mut self, line: &Line) -> Result<(), Diagnostic> {
        let words = self.tree.words_of(line);
        let place = words[0].span().to(words[words.len() - 1].span());
        let LineKind::Keyword(keyword) = line.kind else {
            let message = "the line does not start with a command";
            return Err(Diagnostic::error(
                Code::UnknownCommand,
                words[0].span(),
                message,
            ));
        };
        let arguments = &words[usize::from(line.head)..];
        if keyword.is_end() {
            self.none(arguments)?;
            if let Some(block) = self.open.pop() {
                self.add(block);
            }
            return Ok(());
        }
        let body = Vec::new();
        if keyword.is_clause() {
            let clause = match keyword {
                Keyword::Elif => Clause::Elif {
                    condition: self.condition(arguments, place)?,
                    body,
                },
                Keyword::Else => {
                    self.none(arguments)?;
                    Clause::Else { body }
                }
                _ => {
                    let (name, rest) = match arguments {
                        [] => (None, arguments),
                        [name, rest @ ..] => (Some(self.name(name)?), rest),
                    };
                    self.none(rest)?;
                    Clause::Catch { name, body }
                }
            };
            if let Some(Statement::If { clauses, .. } | Statement::Try { clauses, .. }) =
                self.open.last_mut()
            {
                clauses.push(clause);
            }
            return Ok(());
        }
        let statement = match keyword {
            Keyword::Workflow => {
                let (name, words) = self.named(arguments, place)?;
                Statement::Workflow { name, words }
            }
            Keyword::Task => {
                let (name, words) = self.named(arguments, place)?;
                Statement::Task { name, words }
            }
            Keyword::Agent => {
                let (name, words) = self.named(arguments, place)?;
                Statement::Agent { name, words }
            }
            Keyword::Input => {
                let (name, default) = match arguments {
                    [name] => (name, None),
                    [name, sign, default] if self.is_sign(sign) => (name, Some(default)),
                    _ => return Err(malformed(place, "INPUT name = value")),
                };
                Statement::Input {
                    name: self.name(name)?,
                    default: default.map(|word| self.word(word)).transpose()?,
                }
            }
            Keyword::Call => {
                let (tool, arguments) = self.named(arguments, place)?;
                Statement::Call {
                    bind: None,
                    tool,
                    arguments,
                }
            }
            Keyword::Let => match arguments {
                [name, sign, call, rest @ ..]
                    if self.is_sign(sign) && self.tree.is_keyword_at(line, 3) =>
                {
                    debug_assert!(call.is_bare(), "a quoted CALL is a value");
                    let (tool, arguments) = self.named(rest, place)?;
                    Statement::Call {
                        bind: Some(self.name(name)?),
                        tool,
                        arguments,
                    }
                }
                [name, sign, value] if self.is_sign(sign) => Statement::Let {
                    name: self.name(name)?,
                    value: self.word(value)?,
                },
                _ => return Err(malformed(place, "LET name = value")),
            },
            Keyword::Return => {
                let value = match arguments {
                    [] => None,
                    [value] => Some(self.word(value)?),
                    _ => return Err(malformed(place, "RETURN value")),
                };
                Statement::Return { value }
            }
            Keyword::Parallel => Statement::Parallel {
                words: self.words(arguments)?,
                body,
            },
            Keyword::Sequence => {
                self.none(arguments)?;
                Statement::Sequence { body }
            }
            Keyword::If => Statement::If {
                condition: self.condition(arguments, place)?,
                body,
                clauses: Vec::new(),
            },
            Keyword::For | Keyword::ParallelFor => match arguments {
                [variable, _, items, words @ ..] => Statement::For {
                    parallel: keyword == Keyword::ParallelFor,
                    variable: self.name(variable)?,
                    items: self.word(items)?,
                    words: self.words(words)?,
                    body,
                },
                _ => return Err(malformed(place, "FOR name IN $list")),
            },
            Keyword::Try => {
                self.none(arguments)?;
                Statement::Try {
                    body,
                    clauses: Vec::new(),
                }
            }
            // Clauses and end words are done.
            _ => return Ok(()),
        };
        if keyword.end().is_some() {
            self.open.push(statement);
        } else {
            self.add(statement);
        }
        Ok(())
    }

    fn is_sign(&self, word: &Written) -> bool {
        word.is_bare() && word.span().text(&self.tree.source) == "="
    }

    fn name(&self, word: &Written) -> Result<String, Diagnostic> {
        let source = self.tree.source();
        let name = word.span().text(source);
        match doubt(word, source, true).or_else(|| crate::check::check_name(name, word.span())) {
            Some(found) => Err(found),
            None => Ok(name.to_owned()),
        }
    }

    fn named(&self, words: &[Written], place: Span) -> Result<(Word, Vec<Word>), Diagnostic> {
        match words {
            [name, rest @ ..] => Ok((self.word(name)?, self.words(rest)?)),
            [] => {
                let message = "the line has no name";
                Err(Diagnostic::error(Code::MissingWord, place, message))
            }
        }
    }

    fn words(&self, words: &[Written]) -> Result<Vec<Word>, Diagnostic> {
        words.iter().map(|word| self.word(word)).collect()
    }

    fn word(&self, word: &Written) -> Result<Word, Diagnostic> {
        let source = self.tree.source();
        if let Some(found) = doubt(word, source, false) {
            return Err(found);
        }
        Word::of(word, source).ok_or_else(|| {
            let message = "a `${` in this word has no `}`";
            Diagnostic::error(Code::UnclosedInterpolation, word.span(), message)
                .with_help("close it, or write `\\${` for the characters")
        })
    }

    fn condition(&self, words: &[Written], place: Span) -> Result<String, Diagnostic> {
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            let message = "the line has no condition";
            return Err(Diagnostic::error(Code::MissingWord, place, message));
        };
        Ok(first
            .span()
            .to(last.span())
            .text(self.tree.source())
            .to_owned())
    }

    fn none(&self, words: &[Written]) -> Result<(), Diagnostic> {
        match (words.first(), words.last()) {
            (Some(first), Some(last)) => {
                let span = first.span().to(last.span());
                let message = "the line takes no more words";
                Err(Diagnostic::error(Code::SurplusWord, span, message))
            }
            _ => Ok(()),
        }
    }
}

/// Where the next statement of an open block goes.
fn body(block: &mut Statement) -> Option<&mut Vec<Statement>> {
    match block {
        Statement::If { body, clauses, .. } | Statement::Try { body, clauses } => {
            Some(match clauses.last_mut() {
                None => body,
                Some(
                    Clause::Elif { body, .. } | Clause::Else { body } | Clause::Catch { body, .. },
                ) => body,
            })
        }
        Statement::Parallel { body, .. }
        | Statement::Sequence { body }
        | Statement::For { body, .. } => Some(body),
        _ => None,
    }
}

fn malformed(place: Span, form: &str) -> Diagnostic {
    Diagnostic::error(
        Code::SurplusWord,
        place,
        format!("the line is not `{form}`"),
    )
    .with_help("quote text that has blanks in it")
}
