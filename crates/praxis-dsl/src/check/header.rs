//! The lines that bind and name: `WORKFLOW`, `INPUT`, `LET`, `TASK`, `AGENT`.

use serde_json::Value;

use super::Checker;
use super::block::Place;
use super::operand::{doubt, is_dynamic};
use super::text::odd_character;
use crate::checked::{Input, NodeKind, Operand};
use crate::code::Code;
use crate::compat::pairs;
use crate::diagnostic::{Diagnostic, shown};
use crate::expression::Expression;
use crate::expression::kinds::Type;
use crate::keyword::Keyword;
use crate::template::interpolation_end;
use crate::tree::Statement;
use crate::value::{json, value_of};
use crate::word::{Quote, Word};

impl<'t> Checker<'t> {
    pub(super) fn workflow(&mut self, statement: Statement<'t>, place: &Place) -> Option<NodeKind> {
        let head = statement.head_span();
        if let Some(first) = self.workflow {
            self.report(
                Diagnostic::error(Code::MisplacedStatement, head, "a second WORKFLOW")
                    .with_label(first, "the first is here")
                    .with_help("a program is one workflow; put the other into a file of its own"),
            );
            return None;
        }
        self.workflow = Some(head);
        if place.nested {
            self.report(
                Diagnostic::error(
                    Code::MisplacedStatement,
                    head,
                    "WORKFLOW stands inside a block",
                )
                .with_help("put it on the first line"),
            );
            return None;
        }
        if self.started {
            self.report(
                Diagnostic::warning(
                    Code::MisplacedStatement,
                    head,
                    "WORKFLOW is not the first line",
                )
                .with_help("put it before the steps"),
            );
        }
        let name = self.named(statement)?;
        for (key, value) in self.pairs(statement) {
            if self.metadata.contains_key(&key) {
                let message = format!("`{}` is given twice", shown(&key));
                self.report(
                    Diagnostic::error(Code::RepeatedArgument, statement.line_span(), message)
                        .with_help("keep one of the two"),
                );
            }
            self.metadata.insert(key, value);
        }
        self.name = Some(name);
        None
    }

    pub(super) fn task(&mut self, statement: Statement<'t>) -> Option<String> {
        let name = self.named(statement)?;
        // They are kept for tools that read the tree; a run has no use for them.
        self.pairs(statement);
        Some(name)
    }

    pub(super) fn agent(&mut self, statement: Statement<'t>) -> Option<String> {
        let name = self.named(statement)?;
        self.surplus_words(&statement.arguments()[1..], "AGENT takes one name");
        Some(name)
    }

    /// The first word after the keyword.
    fn named(&mut self, statement: Statement<'t>) -> Option<String> {
        if statement.is_spoilt() {
            return None;
        }
        let keyword = statement.keyword().map_or("", Keyword::as_str);
        for (index, word) in statement.arguments().iter().enumerate() {
            if let Some(diagnostic) = doubt(word, self.source, index == 0) {
                self.report(diagnostic);
                return None;
            }
        }
        match statement.arguments().first() {
            Some(word) if !word.text(self.source).is_empty() => {
                Some(word.text(self.source).into_owned())
            }
            _ => {
                let message = format!("{keyword} has no name");
                self.report(
                    Diagnostic::error(Code::MissingWord, statement.head_span(), message)
                        .with_help(format!("write `{keyword} name`")),
                );
                None
            }
        }
    }

    fn pairs(&mut self, statement: Statement<'t>) -> Vec<(String, Value)> {
        let keyword = statement.keyword().map_or("", Keyword::as_str);
        let words = statement.arguments();
        let mut values: Vec<(String, Value)> = Vec::new();
        for (key, value) in pairs(self.source, words) {
            match value {
                Some(word) => values.push((key, value_of(&word, self.source))),
                None => {
                    let last = &words[words.len() - 1..];
                    self.surplus_words(
                        last,
                        &format!("{keyword} takes a name and pairs: `--{key} value`"),
                    );
                }
            }
        }
        values
    }

    pub(super) fn input(&mut self, statement: Statement<'t>, place: &Place) -> Option<NodeKind> {
        let words = statement.arguments();
        let head = statement.head_span();
        if let Some(name) = words.first().filter(|_| statement.is_spoilt()) {
            self.bind_silently(name.text(self.source).into_owned(), name.span());
            return None;
        }
        let Some(name_word) = words.first() else {
            self.report(
                Diagnostic::error(Code::MissingWord, head, "INPUT has no name")
                    .with_help("write `INPUT name` or `INPUT name = value`"),
            );
            return None;
        };
        let name = name_word.text(self.source).into_owned();
        let sign = words
            .get(1)
            .map(|word| word.is_bare() && word.raw(self.source) == "=");
        if sign.is_none()
            && let Some((plain, value)) = name.split_once('=')
        {
            self.report(
                Diagnostic::error(
                    Code::BadArgument,
                    name_word.span(),
                    "INPUT needs blanks around its `=`",
                )
                .with_help(format!("write `INPUT {} = {}`", shown(plain), shown(value)))
                .spaced(name_word, self.source),
            );
            self.bind_silently(plain.to_owned(), name_word.span());
            return None;
        }
        if place.nested || self.started {
            let message = format!("INPUT {} stands after the first step", shown(&name));
            self.report(
                Diagnostic::error(Code::MisplacedStatement, head, message)
                    .with_help("put the inputs before the first step, outside of blocks"),
            );
        }
        // The caller may give a value of any type.
        self.bind(&name, name_word, Type::ANY);
        let default = match (sign, &words[1..]) {
            (None, _) => None,
            (Some(true), [_, word]) => self.known(word),
            (Some(true), [sign]) => {
                self.report(
                    Diagnostic::error(
                        Code::MissingWord,
                        sign.span(),
                        "INPUT has no value after `=`",
                    )
                    .with_help("write `INPUT name = value`, or `INPUT name` if it must be given"),
                );
                None
            }
            (Some(true), [_, _, rest @ ..]) => {
                self.surplus_words(rest, "INPUT takes one value; quote text with blanks in it");
                None
            }
            (Some(false), rest) => {
                self.surplus_words(rest, "write `INPUT name = value`");
                None
            }
            (Some(true), []) => None,
        };
        let location = self.location(head);
        self.inputs.push(Input {
            location,
            name,
            default,
        });
        None
    }

    /// A word whose value has to be known before the run.
    fn known(&mut self, word: &Word) -> Option<Value> {
        if let Some(diagnostic) = doubt(word, self.source, false) {
            self.report(diagnostic);
            return None;
        }
        if is_dynamic(word, self.source) {
            let message = format!(
                "`{}` is not known before the run",
                shown(word.raw(self.source))
            );
            self.report(
                Diagnostic::error(Code::BadArgument, word.span(), message)
                    .with_help("an input's value is text, a number, a JSON array or object"),
            );
            return None;
        }
        match self.operand(word) {
            Operand::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// `LET name = …`. The name is bound whatever is wrong with its value.
    pub(super) fn assignment(
        &mut self,
        statement: Statement<'t>,
        place: &Place,
    ) -> Option<NodeKind> {
        let words = statement.arguments();
        let name_word = words.first()?;
        let name = name_word.text(self.source).into_owned();
        let value = words.get(2..).unwrap_or_default();
        let calls = value.first().is_some_and(|word| {
            word.quote() == Quote::Bare
                && Keyword::parse(word.raw(self.source)) == Some(Keyword::Call)
        });
        let sign = words
            .get(1)
            .is_some_and(|word| word.raw(self.source) == "=");
        if !sign || value.is_empty() {
            let plain = name.split('=').next().unwrap_or_default();
            self.bind_silently(plain.to_owned(), name_word.span());
            return None;
        }
        if calls {
            let call = self.call(
                &value[1..],
                Some(name.clone()),
                place,
                statement.is_spoilt(),
            );
            let tool = call.as_ref().and_then(|call| self.catalog.tool(&call.tool));
            let value = tool.map_or(Type::ANY, |tool| Type::declared(tool.output));
            self.bind(&name, name_word, value);
            return call.map(NodeKind::Call);
        }
        let reported = self.sink.count();
        let operand = if statement.is_spoilt() {
            None
        } else {
            self.single(value, "LET")
        };
        // What was meant is not known where something is wrong.
        let sound = operand.as_ref().filter(|_| self.sink.count() == reported);
        let value = sound.map_or(Type::ANY, |operand| self.type_of(operand));
        self.bind(&name, name_word, value);
        Some(NodeKind::Let {
            name,
            value: operand?,
        })
    }

    /// The value of a `LET` or `RETURN`, which is one word.
    pub(super) fn single(&mut self, words: &'t [Word], keyword: &str) -> Option<Operand> {
        let unquoted = self.unquoted(words);
        if let Some(diagnostic) = words
            .iter()
            .find_map(|word| odd_character(word, self.source, false))
            .or(unquoted)
            .or_else(|| {
                words
                    .iter()
                    .find_map(|word| doubt(word, self.source, false))
            })
        {
            self.report(diagnostic);
            return None;
        }
        match words {
            [word] => Some(self.operand(word)),
            [first, rest @ ..] => {
                let tool = first.text(self.source);
                let help = if self.catalog.tool(&tool).is_some() && keyword == "LET" {
                    format!("to run the tool write `CALL {}`", shown(&tool))
                } else {
                    format!("{keyword} takes one value; quote text with blanks in it")
                };
                self.surplus_words(rest, &help);
                None
            }
            [] => None,
        }
    }

    /// What is wrong with several words that are meant as one expression or as one JSON value.
    fn unquoted(&self, words: &[Word]) -> Option<Diagnostic> {
        let [first, second, ..] = words else {
            return None;
        };
        let last = words.last()?;
        let span = first.span().to(last.span());
        let raw = span.text(self.source);
        let rest = second.span().to(last.span());
        let surplus = |what: &str, replacement: String| {
            let message = format!("`{}` is too much", shown(rest.text(self.source)));
            Diagnostic::error(Code::SurplusWord, rest, message)
                .with_help(format!("{what}: `{}`", shown(&replacement)))
                .with_fix(span, replacement)
        };
        if json(raw).is_some() && !raw.contains(['\'', '\\']) {
            return Some(surplus(
                "JSON with blanks or quotes in it stands in single quotes",
                format!("'{raw}'"),
            ));
        }
        let expression = format!("${{{raw}}}");
        let closes = interpolation_end(expression.as_bytes(), 0) == Some(expression.len() - 1);
        (closes && Expression::compile(raw).is_ok())
            .then(|| surplus("an expression stands in `${` and `}`", expression))
    }
}
