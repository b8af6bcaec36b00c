//! What the parser asks of `LET`, `FOR` and `CALL` lines, so that each has a sensible tree.

use std::collections::HashSet;

use super::Parser;
use crate::argument::{Argument, Arguments, is_option, recorded_parameters, recorded_rest};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, shown};
use crate::keyword::Keyword;
use crate::source::Span;
use crate::word::{Quote, Word};

impl Parser<'_> {
    pub(super) fn let_header(&mut self, index: usize) {
        let words = self.words_of(index);
        let equals = words.get(2).is_some_and(|word| is_sign(word, self.source));
        if equals && words.len() > 3 {
            // The right-hand side can be a call, whose form is checked like any other.
            if self.keyword_at(self.lines[index].first as usize + 3) == Some(Keyword::Call) {
                self.call(index, 4);
            }
            return;
        }
        let head = words[0].span();
        let diagnostic = match words.get(1) {
            None => Diagnostic::error(Code::MalformedLet, head, "LET has no name")
                .with_help("write `LET name = CALL tool` or `LET name = value`"),
            Some(word) if !equals => {
                let text = word.text(self.source);
                let span = self.line_span(index);
                match text.split_once('=') {
                    Some((name, value)) if !name.is_empty() || !value.is_empty() => {
                        Diagnostic::error(
                            Code::MalformedLet,
                            word.span(),
                            "LET needs blanks around its `=`",
                        )
                        .with_help(format!("write `LET {} = …`", shown(name)))
                        .spaced(word, self.source)
                    }
                    _ if is_sign(word, self.source) => {
                        Diagnostic::error(Code::MalformedLet, span, "LET has no name")
                            .with_help("write `LET name = value`")
                    }
                    _ => {
                        let message = format!("LET {} has no `=`", shown(&text));
                        Diagnostic::error(Code::MalformedLet, span, message)
                            .with_help(format!("write `LET {} = value`", shown(&text)))
                    }
                }
            }
            Some(word) => {
                let name = shown(&word.text(self.source));
                let message = format!("LET {name} has no value");
                Diagnostic::error(Code::MalformedLet, self.line_span(index), message).with_help(
                    format!("write `LET {name} = CALL tool` or `LET {name} = value`"),
                )
            }
        };
        self.sink.push(diagnostic);
        self.lines[index].spoilt = true;
    }

    pub(super) fn for_header(&mut self, index: usize, reported: bool) {
        let head = usize::from(self.lines[index].head);
        let words = &self.words_of(index)[head..];
        let is_in = |word: &Word| {
            word.is_bare() && word.span().text(self.source).eq_ignore_ascii_case("in")
        };
        let message = match words {
            [] => "FOR has no name",
            [first, ..] if is_in(first) && !words.get(1).is_some_and(is_in) => "FOR has no name",
            [_] => "FOR has no IN",
            [_, second, ..] if !is_in(second) => "FOR has no IN after its name",
            [_, _] => "FOR has no list",
            _ => return,
        };
        if reported {
            return;
        }
        let span = self.line_span(index);
        self.lines[index].spoilt = true;
        self.sink.push(
            Diagnostic::error(Code::MalformedFor, span, message)
                .with_help("write `FOR name IN $list`"),
        );
    }

    pub(super) fn call(&mut self, index: usize, head: usize) {
        let source = self.source;
        let words = &self.words_of(index)[head..];
        let Some((tool, words)) = words.split_first() else {
            let span = self.words_of(index)[head - 1].span();
            self.sink.push(
                Diagnostic::error(Code::MissingWord, span, "CALL has no tool")
                    .with_help("write the name of a tool after CALL"),
            );
            self.lines[index].spoilt = true;
            return;
        };
        let repeated = repeated_arguments(source, tool, words);
        self.lines[index].spoilt = !repeated.is_empty();
        for diagnostic in repeated {
            self.sink.push(diagnostic);
        }
    }
}

/// One diagnostic for each argument of a call that was given before.
fn repeated_arguments(source: &str, tool: &Word, words: &[Word]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Without an option nothing can be given twice.
    if !words.iter().any(|word| is_option(word, source)) {
        return found;
    }
    let tool = tool.text(source);
    let recorded = recorded_parameters(&tool);
    let mut seen: Vec<(&str, Span)> = Vec::new();
    let mut index: HashSet<&str> = HashSet::new();
    let mut positions: Vec<(usize, Span)> = Vec::new();
    let repeat = |name: &str, span: Span, first: Span| {
        let message = format!("the argument `{}` is given twice", shown(name));
        Diagnostic::error(Code::RepeatedArgument, span, message)
            .with_label(first, "it is given here")
            .with_help("keep one of the two")
    };
    for argument in Arguments::new(source, words, recorded_rest(&tool)) {
        match argument {
            Argument::Named { word, name, .. } => {
                let text = name.text(source);
                let name_span = match word.split_assignment(source) {
                    Some((name, _)) => name,
                    None => word.span(),
                };
                // A short list is faster than hashing, a long one must not be quadratic.
                let known = if seen.len() < 16 {
                    seen.iter().any(|(name, _)| *name == text)
                } else {
                    if index.is_empty() {
                        index.extend(seen.iter().map(|(name, _)| *name));
                    }
                    !index.insert(text)
                };
                if known {
                    let first = seen.iter().find(|(name, _)| *name == text);
                    found.push(repeat(
                        text,
                        name_span,
                        first.map_or(name_span, |found| found.1),
                    ));
                    if found.len() >= 100 {
                        return found;
                    }
                } else {
                    seen.push((text, name_span));
                }
            }
            Argument::Positional(position, word) => positions.push((position, word.span())),
            Argument::Rest(position, at) => positions.push((position, words[at].span())),
            Argument::Step(..) => {}
        }
    }
    for (name, named) in seen {
        let position = match recorded.iter().position(|parameter| *parameter == name) {
            Some(position) => Some(position),
            None => name
                .strip_prefix("arg")
                .filter(|digits| *digits == "0" || !digits.starts_with(['0', '+']))
                .and_then(|digits| digits.parse().ok())
                .filter(|&position: &usize| position >= recorded.len()),
        };
        if let Some(&(_, span)) = position.and_then(|position| positions.get(position)) {
            let (first, second) = if span < named {
                (span, named)
            } else {
                (named, span)
            };
            found.push(repeat(name, second, first));
        }
    }
    found
}

fn is_sign(word: &Word, source: &str) -> bool {
    word.quote() == Quote::Bare && word.span().text(source) == "="
}
