//! Loops: their variable, their list and what a failing item does.

use serde_json::Value;

use super::Checker;
use super::block::{BlockOptions, Place};
use super::operand::doubt;
use crate::checked::{For, NodeKind, OnError, Operand};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, shown};
use crate::expression::kinds::{Kinds, Type};
use crate::keyword::Keyword;
use crate::source::Span;
use crate::suggest::nearest;
use crate::tree::Statement;
use crate::word::Word;

/// What the first line of a loop says.
pub(super) struct LoopHeader {
    variable: Option<String>,
    items: Option<Operand>,
    limit: Option<usize>,
    on_error: OnError,
}

impl<'t> Checker<'t> {
    pub(super) fn each(&mut self, statement: Statement<'t>, mut place: Place) -> Option<NodeKind> {
        let parallel = statement.keyword() == Some(Keyword::ParallelFor);
        if parallel {
            place.parallel.get_or_insert(statement.head_span());
        }
        let mark = self.scope.mark();
        let header = self.loop_header(statement);
        let (body, _) = self.block(statement.children(), place);
        for (name, mut entry) in self.scope.take(mark) {
            if Some(&name) != header.variable.as_ref() {
                if header.on_error == OnError::Continue {
                    entry.value = entry.value.or(Type::NULL);
                }
                entry.value = entry.value.list();
                self.scope.put(name, entry);
            }
        }
        self.end(statement);
        Some(NodeKind::For(For {
            variable: header.variable?,
            items: header.items?,
            parallel,
            limit: header.limit,
            on_error: header.on_error,
            body,
        }))
    }

    /// The words of a loop's first line; its variable is bound.
    pub(super) fn loop_header(&mut self, statement: Statement<'t>) -> LoopHeader {
        let words = statement.arguments();
        let mut items = None;
        let mut item = Type::ANY;
        let mut options = BlockOptions::default();
        let mut on_error = OnError::default();
        let mut spoilt = statement.is_spoilt();
        if !spoilt
            && let Some(diagnostic) = words
                .iter()
                .skip(2)
                .find_map(|word| doubt(word, self.source, false))
        {
            self.report(diagnostic);
            spoilt = true;
        }
        if !spoilt && let Some(word) = words.get(2) {
            items = self.items(word);
            item = self.item_of(items.as_ref(), word);
            let (on_errors, rest): (Vec<Word>, Vec<Word>) = words[3..]
                .iter()
                .partition(|word| word.is_bare() && word.span().text(self.source).starts_with('@'));
            on_error = self.on_error(&on_errors);
            if statement.keyword() == Some(Keyword::ParallelFor) {
                options = self.block_options(statement, &rest, false);
            } else if let (Some(first), Some(last)) = (rest.first(), rest.last()) {
                let span = first.span().to(last.span());
                let message = format!("`{}` is too much", shown(span.text(self.source)));
                self.report(
                    Diagnostic::error(Code::SurplusWord, span, message)
                        .with_help("FOR takes @on_error, and PARALLEL FOR also --limit; quote a list that has blanks"),
                );
            }
        }
        let variable = words.first().map(|word| {
            let name = word.text(self.source).into_owned();
            self.bind(&name, word, item);
            name
        });
        LoopHeader {
            variable,
            items,
            limit: options.limit,
            on_error,
        }
    }

    /// The words with `@` on the line of a `FOR`.
    fn on_error(&mut self, words: &[Word]) -> OnError {
        const NAME: &str = "@on_error";
        let mut found = None;
        for word in words {
            let text = word.span().text(self.source);
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let diagnostic = if name != NAME {
                let message = format!("unknown option `{}` of FOR", shown(name));
                let diagnostic = Diagnostic::error(Code::UnknownStepOption, word.span(), message);
                Some(match nearest(name, [NAME]) {
                    Some(meant) => {
                        let start = word.span().start as usize;
                        let place = Span::new(start, start + name.len());
                        diagnostic.meaning(place, "", meant)
                    }
                    None => diagnostic.with_help("FOR takes @on_error=stop or @on_error=continue"),
                })
            } else if found.is_some() {
                let message = format!("the option `{NAME}` is given twice");
                Some(
                    Diagnostic::error(Code::RepeatedStepOption, word.span(), message)
                        .with_help("keep one of the two"),
                )
            } else {
                found = match value {
                    "stop" => Some(OnError::Stop),
                    "continue" => Some(OnError::Continue),
                    _ => None,
                };
                found.is_none().then(|| {
                    let message = format!("`{}` is not a value of `{NAME}`", shown(value));
                    Diagnostic::error(Code::BadStepOption, word.span(), message)
                        .with_help("it takes stop, which is the default, or continue")
                })
            };
            if let Some(diagnostic) = diagnostic {
                self.report(diagnostic);
            }
        }
        found.unwrap_or_default()
    }

    fn items(&mut self, word: &Word) -> Option<Operand> {
        let items = self.operand(word);
        match &items {
            Operand::Literal(Value::Array(_)) | Operand::Reference(_) | Operand::Expression(_) => {
                Some(items)
            }
            Operand::Literal(Value::Null) if word.has(Word::DOLLAR) => None,
            _ => {
                let text = word.text(self.source);
                let message = format!("`{}` is no list", shown(&text));
                let mut diagnostic = Diagnostic::error(Code::BadArgument, word.span(), message)
                    .with_help("FOR goes over `$name`, `${expression}` or a JSON array");
                if self.scope.find(&text).is_some() {
                    diagnostic = diagnostic
                        .with_help(format!("did you mean `${text}`?"))
                        .with_fix(word.span(), format!("${text}"));
                }
                self.report(diagnostic);
                None
            }
        }
    }

    /// What a loop over `items` binds in each round; reports what is certainly no list.
    fn item_of(&mut self, items: Option<&Operand>, word: &Word) -> Type {
        let Some(items) = items else {
            return Type::ANY;
        };
        let list = self.type_of(items);
        if !list.kinds.meets(Kinds::LIST) {
            let message = format!("FOR goes over a list, and this is {}", list.kinds);
            self.report(
                Diagnostic::error(Code::IllTypedExpression, word.span(), message)
                    .with_help("name a list, or a part of the value that is one"),
            );
            return Type::ANY;
        }
        list.item()
    }
}
