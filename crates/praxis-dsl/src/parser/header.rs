//! What the parser asks of `LET`, `FOR` and `CALL` lines, so that each has a sensible tree.

use super::Parser;
use crate::argument::{Argument, Arguments, Seen, is_option, recorded_parameters, recorded_rest};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, shown};
use crate::keyword::Keyword;
use crate::source::Span;
use crate::steps;
use crate::tree::Line;
use crate::word::Word;

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
        let Line { first, last, .. } = self.lines[index];
        let words = &self.words[first as usize + head..last as usize];
        let Some((&tool, words)) = words.split_first() else {
            let span = self.words_of(index)[head - 1].span();
            self.sink.push(
                Diagnostic::error(Code::MissingWord, span, "CALL has no tool")
                    .with_help("write the name of a tool after CALL"),
            );
            self.lines[index].spoilt = true;
            return;
        };
        if !may_repeat(source, &tool, words) {
            return;
        }
        let mut given = std::mem::take(&mut self.given);
        let repeated = given.repeated(source, &tool, words);
        self.given = given;
        self.lines[index].spoilt = !repeated.is_empty();
        for diagnostic in repeated {
            self.sink.push(diagnostic);
        }
    }
}

/// The arguments of a call; kept from one to the next for their room.
#[derive(Default)]
pub(super) struct Given<'s> {
    named: Seen<'s>,
    /// The positional arguments.
    positions: Vec<Span>,
}

impl<'s> Given<'s> {
    /// One diagnostic for each argument of a call that was given before.
    fn repeated(&mut self, source: &'s str, tool: &Word, words: &[Word]) -> Vec<Diagnostic> {
        const MOST: usize = 100;
        let mut found = Vec::new();
        let tool = tool.text(source);
        self.named.clear();
        self.positions.clear();
        for argument in Arguments::new(source, words, recorded_rest(&tool)) {
            match argument {
                Argument::Named { word, name, .. } => {
                    let text = name.text(source);
                    let span = match word.split_assignment(source) {
                        Some((name, _)) => name,
                        None => word.span(),
                    };
                    if let Some(first) = self.named.insert(text, span) {
                        found.push(repeated(text, span, first));
                        if found.len() >= MOST {
                            return found;
                        }
                    }
                }
                Argument::Positional(_, word) => self.positions.push(word.span()),
                Argument::Rest(_, at) => self.positions.push(words[at].span()),
                Argument::Step(..) => {}
            }
        }
        let recorded = recorded_parameters(&tool);
        for (name, named) in self.named.iter() {
            let position = match recorded.iter().position(|parameter| *parameter == name) {
                Some(position) => Some(position),
                None => name
                    .strip_prefix("arg")
                    .filter(|digits| *digits == "0" || !digits.starts_with(['0', '+']))
                    .and_then(|digits| digits.parse().ok())
                    .filter(|&position: &usize| position >= recorded.len()),
            };
            if let Some(&span) = position.and_then(|position| self.positions.get(position)) {
                let (first, second) = if span < named {
                    (span, named)
                } else {
                    (named, span)
                };
                found.push(repeated(name, second, first));
            }
        }
        found
    }
}

fn repeated(name: &str, span: Span, first: Span) -> Diagnostic {
    let message = format!("the argument `{}` is given twice", shown(name));
    Diagnostic::error(Code::RepeatedArgument, span, message)
        .with_label(first, "it is given here")
        .with_help("keep one of the two")
}

/// Whether an argument can be there twice, by what is cheap to see: two options that start with
/// the same letter, or one beside the positional argument of that name.
fn may_repeat(source: &str, tool: &Word, words: &[Word]) -> bool {
    steps::add(words.len());
    let bytes = source.as_bytes();
    let mut letters = 0_u64;
    let mut repeats = false;
    let mut positions = 0;
    // Whether the word belongs to the option before it.
    let mut is_value = false;
    for word in words {
        if !is_option(word) {
            positions += usize::from(!is_value);
            is_value = false;
            continue;
        }
        let name = bytes.get(word.span().range()).unwrap_or_default();
        let letter = match name.get(2) {
            None | Some(b'=') => 0,
            Some(letter) => letter % 64,
        };
        repeats |= letters & (1 << letter) != 0;
        letters |= 1 << letter;
        steps::add(name.len());
        is_value = !name.contains(&b'=');
    }
    if letters == 0 {
        return false;
    }
    // `--arg0` names a positional argument of any tool.
    if repeats || letters & (1 << (b'a' % 64)) != 0 {
        return true;
    }
    let recorded = recorded_parameters(&tool.text(source));
    let mut given = recorded.iter().take(positions);
    given.any(|parameter| letters & (1 << (parameter.as_bytes()[0] % 64)) != 0)
}

fn is_sign(word: &Word, source: &str) -> bool {
    word.plain(source) == Some(b"=")
}
