//! The JSON form of a program to its text.

use super::{Clause, FormError, Program, Statement, Word};
use crate::check::is_name;
use crate::diagnostic::shown;
use crate::format::is_blank;
use crate::keyword::Keyword;
use crate::lexer::lex_line;
use crate::parser::parse;
use crate::source::Limits;
use crate::word::Word as Written;

impl Program {
    /// The text of the program, in the layout of [`crate::format()`]; the blanks in a condition
    /// stay as they are.
    ///
    /// Parsing it gives the same program: what is data stays data, whatever it holds.
    ///
    /// # Errors
    ///
    /// The first word that cannot be written as it says, a name that cannot be one, a condition
    /// or comment of several lines, blocks without steps or nested too deeply, or a program whose
    /// text is too large.
    pub fn to_source(&self) -> Result<String, FormError> {
        if self.praxis != super::VERSION {
            let message = format!("the version is {}, and 1 is known", self.praxis);
            return Err(FormError::new("/praxis", message));
        }
        let mut writer = Writer::default();
        writer.body("/statements", &self.statements)?;
        let Writer { out, starts, .. } = writer;
        let tree = parse(&out);
        if let Some(found) = tree.diagnostics().iter().find(|found| found.is_error()) {
            let line = tree.line_index().location(&out, found.span.start).line;
            let pointer = starts.get(line as usize - 1).cloned().unwrap_or_default();
            return Err(FormError::new(pointer, found.message.clone()));
        }
        match Self::of(&tree) {
            Ok(again) if again == *self => Ok(out),
            Ok(again) => Err(FormError::new(
                difference(&self.statements, &again.statements),
                "its text would be read as another statement",
            )),
            Err(found) => {
                let line = tree.line_index().location(&out, found[0].span.start).line;
                let pointer = starts.get(line as usize - 1).cloned().unwrap_or_default();
                Err(FormError::new(pointer, found[0].message.clone()))
            }
        }
    }
}

fn difference(left: &[Statement], right: &[Statement]) -> String {
    let same = left
        .iter()
        .zip(right)
        .take_while(|(left, right)| left == right);
    format!("/statements/{}", same.count())
}

#[derive(Default)]
struct Writer {
    out: String,
    /// The pointer of the statement of each line.
    starts: Vec<String>,
    depth: usize,
}

impl Writer {
    fn body(&mut self, pointer: &str, body: &[Statement]) -> Result<(), FormError> {
        if self.depth > Limits::DEFAULT.max_depth {
            let message = format!("blocks nest to {} levels", Limits::DEFAULT.max_depth);
            return Err(FormError::new(pointer, message));
        }
        for (index, statement) in body.iter().enumerate() {
            self.statement(&format!("{pointer}/{index}"), statement)?;
        }
        Ok(())
    }

    fn statement(&mut self, pointer: &str, statement: &Statement) -> Result<(), FormError> {
        let named = |head: Keyword, field, name, words| {
            Line::new(head.as_str())
                .word(field, name)
                .words("words", words)
        };
        match statement {
            Statement::Comment { text } => {
                if text.contains('\n') {
                    let message = "a comment is one line of text";
                    return Err(FormError::new(format!("{pointer}/text"), message));
                }
                let text = text.trim_end_matches(is_blank);
                let blank = if text.is_empty() { "" } else { " " };
                self.push(pointer, &format!("#{blank}{text}"))
            }
            Statement::Workflow { name, words } => {
                self.line(pointer, &named(Keyword::Workflow, "name", name, words))
            }
            Statement::Task { name, words } => {
                self.line(pointer, &named(Keyword::Task, "name", name, words))
            }
            Statement::Agent { name, words } => {
                self.line(pointer, &named(Keyword::Agent, "name", name, words))
            }
            Statement::Input { name, default } => {
                let mut line = Line::new("INPUT").name("name", name);
                if let Some(default) = default {
                    line = line.plain("=").word("default", default);
                }
                self.line(pointer, &line)
            }
            Statement::Call {
                bind,
                tool,
                arguments,
            } => {
                let line = match bind {
                    Some(name) => Line::new("LET").name("bind", name).plain("=").plain("CALL"),
                    None => Line::new("CALL"),
                };
                self.line(
                    pointer,
                    &line.word("tool", tool).words("arguments", arguments),
                )
            }
            Statement::Let { name, value } => self.line(
                pointer,
                &Line::new("LET")
                    .name("name", name)
                    .plain("=")
                    .word("value", value),
            ),
            Statement::Return { value } => {
                let line = Line::new("RETURN");
                self.line(
                    pointer,
                    &match value {
                        Some(value) => line.word("value", value),
                        None => line,
                    },
                )
            }
            Statement::Parallel { words, body } => {
                let line = Line::new("PARALLEL").words("words", words);
                self.steps(pointer, body)?;
                self.block(pointer, &line, body, &[], "END_PARALLEL")
            }
            Statement::Sequence { body } => {
                self.steps(pointer, body)?;
                self.block(pointer, &Line::new("SEQUENCE"), body, &[], "END_SEQUENCE")
            }
            Statement::If {
                condition,
                body,
                clauses,
            } => {
                let line = Line::new("IF").condition(condition);
                self.block(pointer, &line, body, clauses, "ENDIF")
            }
            Statement::For {
                parallel,
                variable,
                items,
                words,
                body,
            } => {
                let head = if *parallel { "PARALLEL FOR" } else { "FOR" };
                let line = Line::new(head)
                    .name("variable", variable)
                    .plain("IN")
                    .word("items", items)
                    .words("words", words);
                self.block(pointer, &line, body, &[], "END_FOR")
            }
            Statement::Try { body, clauses } => {
                self.block(pointer, &Line::new("TRY"), body, clauses, "END_TRY")
            }
        }
    }

    fn steps(&self, pointer: &str, body: &[Statement]) -> Result<(), FormError> {
        let step = |statement: &Statement| !matches!(statement, Statement::Comment { .. });
        if body.iter().any(step) {
            return Ok(());
        }
        let message = "the block has no steps";
        Err(FormError::new(format!("{pointer}/body"), message))
    }

    fn block(
        &mut self,
        pointer: &str,
        line: &Line<'_>,
        body: &[Statement],
        clauses: &[Clause],
        end: &str,
    ) -> Result<(), FormError> {
        self.line(pointer, line)?;
        self.inner(pointer, body)?;
        for (index, clause) in clauses.iter().enumerate() {
            let pointer = format!("{pointer}/clauses/{index}");
            let (line, body) = match clause {
                Clause::Elif { condition, body } => (Line::new("ELIF").condition(condition), body),
                Clause::Else { body } => (Line::new("ELSE"), body),
                Clause::Catch { name, body } => {
                    let line = Line::new("CATCH");
                    let line = match name {
                        Some(name) => line.name("name", name),
                        None => line,
                    };
                    (line, body)
                }
            };
            self.line(&pointer, &line)?;
            self.inner(&pointer, body)?;
        }
        self.push(pointer, end)
    }

    fn inner(&mut self, pointer: &str, body: &[Statement]) -> Result<(), FormError> {
        self.depth += 1;
        self.body(&format!("{pointer}/body"), body)?;
        self.depth -= 1;
        Ok(())
    }

    fn line(&mut self, pointer: &str, line: &Line<'_>) -> Result<(), FormError> {
        let text = line
            .to_text()
            .map_err(|(field, message)| FormError::new(format!("{pointer}/{field}"), message))?;
        self.push(pointer, &text)
    }

    fn push(&mut self, pointer: &str, text: &str) -> Result<(), FormError> {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
        self.out.push_str(text);
        self.out.push('\n');
        self.starts.push(pointer.to_owned());
        if self.out.len() > Limits::DEFAULT.max_source_bytes {
            let most = Limits::DEFAULT.max_source_bytes;
            let message = format!("the program has more than {most} bytes of text");
            return Err(FormError::new(pointer, message));
        }
        Ok(())
    }
}

/// A line as parts, each with the field that it comes from.
struct Line<'p> {
    head: &'static str,
    parts: Vec<(String, Part<'p>)>,
}

enum Part<'p> {
    Plain(&'static str),
    Name(&'p str),
    Word(&'p Word),
    Condition(&'p str),
}

impl<'p> Line<'p> {
    fn new(head: &'static str) -> Self {
        let parts = Vec::new();
        Self { head, parts }
    }

    fn part(mut self, field: impl Into<String>, part: Part<'p>) -> Self {
        self.parts.push((field.into(), part));
        self
    }

    fn plain(self, text: &'static str) -> Self {
        self.part("", Part::Plain(text))
    }

    fn name(self, field: &str, name: &'p str) -> Self {
        self.part(field, Part::Name(name))
    }

    fn word(self, field: &str, word: &'p Word) -> Self {
        self.part(field, Part::Word(word))
    }

    fn words(mut self, field: &str, words: &'p [Word]) -> Self {
        for (index, word) in words.iter().enumerate() {
            self = self.part(format!("{field}/{index}"), Part::Word(word));
        }
        self
    }

    fn condition(self, condition: &'p str) -> Self {
        self.part("condition", Part::Condition(condition))
    }

    /// The text of the line.
    ///
    /// # Errors
    ///
    /// The field that cannot be written, and why.
    fn to_text(&self) -> Result<String, (String, String)> {
        let mut text = self.head.to_owned();
        // Where each part starts.
        let mut starts = Vec::with_capacity(self.parts.len());
        for (field, part) in &self.parts {
            text.push(' ');
            starts.push(text.len());
            match part {
                Part::Plain(plain) => text.push_str(plain),
                Part::Name(name) if is_name(name) => text.push_str(name),
                Part::Name(name) => {
                    let message = format!("`{}` cannot be a name", shown(name));
                    return Err((field.clone(), message));
                }
                Part::Word(word) => match word.to_text() {
                    Ok(word) => text.push_str(&word),
                    Err(message) => return Err((field.clone(), message)),
                },
                Part::Condition(condition) => text.push_str(condition),
            }
        }
        let mut words = Vec::new();
        let mut closed = true;
        let end = lex_line(&text, 0, &mut words, |_| closed = false);
        let words = &words[self.head.split(' ').count()..];
        if let Some((field, Part::Condition(condition))) = self.parts.first() {
            let whole = |first: &Written, last: &Written| {
                first.span().to(last.span()).text(&text) == *condition
            };
            let whole = match (words.first(), words.last()) {
                (Some(first), Some(last)) => closed && end == text.len() && whole(first, last),
                _ => false,
            };
            if !whole {
                let message = "a condition is one line, without blanks around it and with its \
                               quotes closed, and `#` in it stands in quotes";
                return Err((field.clone(), message.to_owned()));
            }
            return Ok(text);
        }
        for (index, start) in starts.iter().enumerate() {
            // Each part is one word alone; together they are, unless one ends in a backslash.
            if words.get(index).map(|word| word.span().start as usize) != Some(*start) {
                let (field, _) = &self.parts[index.saturating_sub(1)];
                let message = "its last backslash would join it with the next word; write it as \
                               `text`";
                return Err((field.clone(), message.to_owned()));
            }
        }
        Ok(text)
    }
}
