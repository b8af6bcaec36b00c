//! Words as operands: what is known, what refers to names, what is a template.

use serde_json::Value;

use super::memory::MOST_SUGGESTIONS;
use super::repair::repaired;
use super::scope::{Perhaps, State};
use super::text::{glued, is_name, odd_character};
use super::{Checker, Handler};
use crate::checked::{Operand, Piece, Reference, Segment};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, shown};
use crate::expression::kinds::{Kinds, Mistake, Type};
use crate::expression::{Expression, occurrences};
use crate::source::Span;
use crate::steps;
use crate::suggest::{Nearest, nearest};
use crate::template::{Part, expression_source, interpolation_end, parts, unescape};
use crate::value::{Typed, type_of};
use crate::word::{Quote, Word};

impl Checker<'_> {
    /// The operand of a word by its own look.
    pub(super) fn operand(&mut self, word: &Word) -> Operand {
        if let Some(operand) = self.dynamic(word) {
            return operand;
        }
        let text = word.text(self.source);
        match type_of(&text, word.quote()) {
            Typed::Value(value) => Operand::Literal(value),
            Typed::Text => Operand::Literal(Value::String(text.into_owned())),
            Typed::OutOfRange => {
                self.out_of_range(&text, word.span());
                Operand::Literal(Value::Null)
            }
        }
    }

    pub(super) fn out_of_range(&mut self, text: &str, span: Span) {
        let message = format!("the number {} is out of range", shown(text));
        self.report(
            Diagnostic::error(Code::NumberOutOfRange, span, message)
                .with_help("quote it to keep it as text"),
        );
    }

    /// The operand of a word that the run has to look into; none for a word that is known.
    pub(super) fn dynamic(&mut self, word: &Word) -> Option<Operand> {
        if !word.has(Word::DOLLAR) {
            return None;
        }
        match word.quote() {
            Quote::Single => None,
            Quote::Double => self.template(word),
            Quote::Bare => self.bare_dynamic(word),
        }
    }

    fn bare_dynamic(&mut self, word: &Word) -> Option<Operand> {
        let raw = word.span().text(self.source);
        let start = word.span().start as usize;
        if raw.starts_with("${") {
            if interpolation_end(raw.as_bytes(), 0) == Some(raw.len() - 1) {
                let inside = Span::new(start + 2, start + raw.len() - 1);
                return Some(self.interpolation(inside));
            }
            self.report(unclosed_bare(word, raw));
            return Some(Operand::Literal(Value::Null));
        }
        if let Some(reference) = raw.strip_prefix('$').and_then(parse_reference) {
            self.use_name(
                &reference.name,
                Span::new(start, start + 1 + reference.name.len()),
            );
            self.check_way(&reference, word.span());
            return Some(Operand::Reference(reference));
        }
        if let Some(open) = opened_inside(raw) {
            self.report(inside_bare(word, raw, open));
            return Some(Operand::Literal(Value::Null));
        }
        self.warn_not_interpolated(raw, start, Some(word));
        None
    }

    /// The template of a text in double quotes; none when nothing in it is replaced.
    fn template(&mut self, word: &Word) -> Option<Operand> {
        let raw = word.raw(self.source);
        let start = word.content().start as usize;
        let mut pieces: Vec<Piece> = Vec::new();
        let mut dynamic = false;
        for part in parts(raw) {
            match part {
                Part::Text(span) => {
                    self.warn_not_interpolated(span.text(raw), start + span.start as usize, None);
                    let mut text = String::new();
                    unescape(span.text(raw), &mut text);
                    pieces.push(Piece::Text(text));
                }
                Part::Expression(span) => {
                    dynamic = true;
                    let inside = Span::new(start + span.start as usize, start + span.end as usize);
                    pieces.push(Piece::Value(self.interpolation(inside)));
                }
                Part::Unclosed(span) => {
                    dynamic = true;
                    let at = start + span.start as usize;
                    self.report(
                        Diagnostic::error(
                            Code::UnclosedInterpolation,
                            Span::new(at, at + 2),
                            "this `${` has no `}`",
                        )
                        .with_help("close it, or write `\\${` for the characters"),
                    );
                }
            }
        }
        dynamic.then_some(Operand::Template(pieces))
    }

    /// What stands between `${` and `}`.
    fn interpolation(&mut self, inside: Span) -> Operand {
        let raw = inside.text(self.source);
        let trimmed = raw.trim();
        let plain = trimmed.strip_prefix('$').unwrap_or(trimmed);
        // A name with a way into it needs no expression, and its errors say more.
        if let Some(reference) = parse_reference(plain) {
            let start = inside.start as usize + (plain.as_ptr() as usize - raw.as_ptr() as usize);
            self.use_name(
                &reference.name,
                Span::new(start, start + reference.name.len()),
            );
            self.check_way(&reference, Span::new(start, start + plain.len()));
            return Operand::Reference(reference);
        }
        match self.expression(&expression_source(raw), inside) {
            Some(expression) => Operand::Expression(expression),
            None => Operand::Literal(Value::Null),
        }
    }

    /// Compiles an expression that stands at `span` and uses its names.
    pub(super) fn expression(&mut self, source: &str, span: Span) -> Option<Expression> {
        match Expression::compile(source) {
            Ok(expression) => {
                let raw = span.text(self.source);
                let places = occurrences(raw);
                for name in expression.names() {
                    let mut places = places.iter().filter(|place| place.text(raw) == name);
                    let place = |at: &Span| Span {
                        start: span.start + at.start,
                        end: span.start + at.end,
                    };
                    self.use_name(name, places.next().map_or(span, place));
                    for at in places {
                        self.scope.note_use(name, place(at));
                    }
                }
                if let Err(Mistake(message)) = expression.kinds(&|name| self.value_of(name)) {
                    self.ill_typed(span, message);
                }
                Some(expression)
            }
            Err(error) => {
                let raw = span.text(self.source);
                let code = if error.too_complex {
                    Code::ExpressionTooComplex
                } else {
                    Code::InvalidExpression
                };
                let fixed = repaired(raw);
                let at = error.offset.and_then(|offset| self.character(span, offset));
                let mut diagnostic = Diagnostic::error(code, at.unwrap_or(span), error.message);
                diagnostic =
                    match code {
                        Code::ExpressionTooComplex => diagnostic
                            .with_help("bind parts of it with LET, or let a tool do the work"),
                        _ if fixed.is_some() => {
                            diagnostic.with_help("expressions have `==`, `!=`, `&&`, `||` and `!`")
                        }
                        _ if raw.contains("${") => diagnostic.with_help(
                            "names stand for themselves in an expression, without `${` and `}`",
                        ),
                        _ => diagnostic
                            .with_help("this is a CEL expression, such as `size(files) > 0`"),
                    };
                if let Some(fixed) = fixed {
                    diagnostic = diagnostic.with_fix(span, fixed);
                }
                self.report(diagnostic);
                None
            }
        }
    }

    /// What is known of the value of `name` here.
    fn value_of(&self, name: &str) -> Type {
        let entry = self.scope.find(name);
        let bound = entry.filter(|entry| entry.state == State::Bound && !entry.sibling);
        bound
            .filter(|_| !self.tree.unbalanced)
            .map_or(Type::ANY, |entry| entry.value.clone())
    }

    /// What is known of the value of `operand`; anything where it is wrong.
    pub(super) fn type_of(&self, operand: &Operand) -> Type {
        match operand {
            Operand::Literal(value) => Type::of(value),
            Operand::Template(_) => Type::TEXT,
            Operand::Reference(reference) => self.way(reference).unwrap_or(Type::ANY),
            Operand::Expression(expression) => expression
                .kinds(&|name| self.value_of(name))
                .map_or(Type::ANY, Type::bound),
        }
    }

    /// The type at the end of the way into a value.
    fn way(&self, reference: &Reference) -> Result<Type, Mistake> {
        let mut value = self.value_of(&reference.name);
        let mut way = format!("${}", reference.name);
        for segment in &reference.path {
            let (kind, part) = match segment {
                Segment::Key(key) => (Kinds::MAP, format!(".{key}")),
                Segment::Index(index) => (Kinds::LIST, format!("[{index}]")),
            };
            if !value.kinds.meets(kind) {
                let kinds = value.kinds;
                return Err(Mistake(format!(
                    "`{way}` is {kinds}, so it has no `{part}`"
                )));
            }
            value = value.item();
            way.push_str(&part);
        }
        Ok(value)
    }

    fn check_way(&mut self, reference: &Reference, span: Span) {
        if let Err(Mistake(message)) = self.way(reference) {
            self.ill_typed(span, message);
        }
    }

    fn ill_typed(&mut self, span: Span, message: String) {
        let raw = span.text(self.source);
        let blanks = raw.len() - raw.trim_start().len();
        let start = span.start as usize + blanks;
        let span = Span::new(start, start + raw.trim().len());
        self.report(
            Diagnostic::error(Code::IllTypedExpression, span, message)
                .with_help("convert with int(…), double(…) or string(…), or use another value"),
        );
    }

    /// The span of the character `offset` bytes into `span`, or of its last one.
    fn character(&self, span: Span, offset: usize) -> Option<Span> {
        let text = span.text(self.source).trim_end();
        let (at, character) = text
            .char_indices()
            .take_while(|&(at, _)| at <= offset)
            .last()?;
        let start = span.start as usize + at;
        Some(Span::new(start, start + character.len_utf8()))
    }

    /// The name in scope that was meant. Only the first unbound names are compared with all
    /// others, so that a program full of them stays cheap.
    fn nearest_name(&self, name: &str) -> Option<Nearest<'_>> {
        if self.reported_names.len() >= MOST_SUGGESTIONS {
            return None;
        }
        nearest(name, self.scope.usable())
    }

    /// Reports `name` unless it is bound here; one that is not is reported once.
    pub(super) fn use_name(&mut self, name: &str, span: Span) {
        self.scope.note_use(name, span);
        // Where a block is left open, where names are bound is a guess.
        if self.tree.unbalanced && self.binding(name).is_some() {
            return;
        }
        let found = self.scope.find(name);
        let diagnostic = match found {
            Some(entry) if entry.sibling => {
                let message = format!("`{name}` is bound by another child of the PARALLEL");
                Diagnostic::error(Code::SiblingName, span, message)
                    .with_label(entry.span, "it is bound here, in no order with this")
                    .with_help("put both steps into a SEQUENCE, or use it after END_PARALLEL")
            }
            Some(entry) => match entry.state {
                State::Bound => return,
                State::Perhaps(why, block) => {
                    let (way, help) = match why {
                        Perhaps::Branch => (
                            "in some branches of an IF only",
                            "bind it in every branch, with an ELSE",
                        ),
                        Perhaps::Try => (
                            "only when the TRY does not fail",
                            "bind it in the CATCH too, or use it inside the TRY",
                        ),
                        Perhaps::Any => (
                            "by one child of a PARALLEL --any, perhaps another",
                            "only the first child that succeeds binds its names",
                        ),
                    };
                    Diagnostic::error(
                        Code::PossiblyUnbound,
                        span,
                        format!("`{name}` may not be bound: it is bound {way}"),
                    )
                    .with_label(block, "this block")
                    .with_help(help)
                }
            },
            None => {
                let message = format!("`{name}` is not bound");
                let diagnostic = Diagnostic::error(Code::UnboundName, span, message);
                if let Some(tried) = self.tried(name) {
                    diagnostic
                        .with_label(tried, "the TRY binds it, and it has failed here")
                        .with_help("bind it before the TRY")
                } else if let Some(meant) = self.nearest_name(name) {
                    // The span may have a `$` before the name, or be that of an expression.
                    if span.text(self.source).ends_with(name) {
                        let start = span.end as usize - name.len();
                        diagnostic.meaning(Span::new(start, span.end as usize), "", meant)
                    } else {
                        diagnostic.with_help(format!("did you mean `{}`?", meant.word))
                    }
                } else if let Some(line) = self.binding(name) {
                    let bound = self.tree.bound_word(line).map_or(span, Word::span);
                    let later = line > self.line || (line == self.line && bound > span);
                    let help = if later {
                        "bind it before it is used"
                    } else {
                        "it is bound inside a block that has ended, or that this is not in"
                    };
                    diagnostic
                        .with_label(bound, "it is bound here")
                        .with_help(help)
                } else {
                    diagnostic.with_help(format!(
                        "bind it with `LET {name} = …` or `INPUT {name}` on a line above"
                    ))
                }
            }
        };
        self.effects.unbound.push(name.to_owned());
        if self.reported_names.insert(name.to_owned()) {
            self.report(diagnostic);
        }
    }

    /// Where a `TRY` that has failed here binds `name`.
    fn tried(&self, name: &str) -> Option<Span> {
        let mut handler = self.handler;
        while let Some(Handler { outer, tried }) = handler.map(|at| &self.handlers[at]) {
            steps::add(1);
            if let Some(&span) = tried.get(name) {
                return Some(span);
            }
            handler = *outer;
        }
        None
    }

    /// Warns when `$name` of a bound name stands where only `${name}` is replaced: in double quotes, or
    /// in a bare word, which has to be quoted too.
    fn warn_not_interpolated(&mut self, raw: &str, start: usize, bare: Option<&Word>) {
        let mut at = 0;
        let mut found_names: Vec<(usize, String)> = Vec::new();
        steps::add(raw.len());
        while let Some(found) = memchr::memchr2(b'$', b'\\', &raw.as_bytes()[at..]) {
            let here = at + found;
            if raw.as_bytes()[here] == b'\\' {
                at = (here + 2).min(raw.len());
                continue;
            }
            at = here + 1;
            let name: String = raw[at..]
                .chars()
                .take_while(|&c| unicode_ident::is_xid_continue(c))
                .collect();
            steps::add(name.len());
            let bound = self.scope.find(&name).is_some_and(|entry| !entry.sibling);
            if is_name(&name) && bound {
                found_names.push((here, name));
            }
        }
        // A bare word is mended as a whole, once.
        let mut whole = bare
            .filter(|_| !raw.contains(['"', '\\']))
            .map(|word| (word.span(), quoted(raw, &found_names)));
        for (here, name) in found_names {
            let span = Span::new(start + here, start + here + 1 + name.len());
            let message = format!("`${name}` stands for itself here");
            let diagnostic = Diagnostic::warning(Code::NotInterpolated, span, message).with_help(
                format!("write `${{{name}}}` in double quotes for its value"),
            );
            self.report(match (bare, whole.take()) {
                (None, _) => diagnostic.with_fix(span, format!("${{{name}}}")),
                (Some(_), Some((word, text))) => diagnostic.with_fix(word, text),
                (Some(_), None) => diagnostic,
            });
        }
    }
}

/// A bare word in double quotes, with the names at these places interpolated.
fn quoted(raw: &str, names: &[(usize, String)]) -> String {
    let mut text = String::from("\"");
    let mut at = 0;
    for (here, name) in names {
        text.push_str(&raw[at..*here]);
        text.push_str(&format!("${{{name}}}"));
        at = here + 1 + name.len();
    }
    text.push_str(&raw[at..]);
    text.push('"');
    text
}

/// Where a `${` opens in a bare word, unless a backslash stands before it.
fn opened_inside(raw: &str) -> Option<usize> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    steps::add(raw.len());
    while let Some(found) = memchr::memchr2(b'$', b'\\', &bytes[at..]) {
        let here = at + found;
        match bytes.get(here + 1) {
            Some(b'{') if bytes[here] == b'$' => return Some(here),
            _ if bytes[here] == b'\\' => at = (here + 2).min(raw.len()),
            _ => at = here + 1,
        }
    }
    None
}

/// What is wrong with a bare word that has a `${` behind its start.
fn inside_bare(word: &Word, raw: &str, open: usize) -> Diagnostic {
    let start = word.span().start as usize + open;
    let message = "this `${` stands inside of a bare word, where nothing is replaced";
    let span = Span::new(start, start + 2);
    let diagnostic = Diagnostic::error(Code::UnclosedInterpolation, span, message)
        .with_help("put the whole word into double quotes, or write `\\${` for the characters");
    if interpolation_end(raw.as_bytes(), open).is_none() || raw.contains(['"', '\\']) {
        return diagnostic;
    }
    diagnostic.with_fix(word.span(), format!("\"{raw}\""))
}

/// What is wrong with a bare word that starts with `${` and is no expression as a whole.
fn unclosed_bare(word: &Word, raw: &str) -> Diagnostic {
    if interpolation_end(raw.as_bytes(), 0).is_none() {
        let open = Span {
            end: word.span().start + 2,
            ..word.span()
        };
        return Diagnostic::error(
            Code::UnclosedInterpolation,
            open,
            "this `${` has no `}` on its line",
        )
        .with_help("close it, or write `\\${` for the characters");
    }
    let message = format!("text follows the `}}` of `{}`", shown(raw));
    let diagnostic = Diagnostic::error(Code::UnclosedInterpolation, word.span(), message)
        .with_help("put the whole word into double quotes");
    if raw.contains(['"', '\\']) {
        return diagnostic;
    }
    diagnostic.with_fix(word.span(), format!("\"{raw}\""))
}

/// What makes `word` doubtful as a whole, so that the rest of its line is not looked at.
pub(crate) fn doubt(word: &Word, source: &str, is_name: bool) -> Option<Diagnostic> {
    odd_character(word, source, is_name)
        .or_else(|| glued(word, source))
        .or_else(|| {
            let raw = word.span().text(source);
            let open = word.is_bare() && raw.starts_with("${");
            (open && interpolation_end(raw.as_bytes(), 0) != Some(raw.len() - 1))
                .then(|| unclosed_bare(word, raw))
        })
}

/// Whether the value of `word` is only known to the run.
pub(super) fn is_dynamic(word: &Word, source: &str) -> bool {
    if !word.has(Word::DOLLAR) {
        return false;
    }
    let raw = word.raw(source);
    match word.quote() {
        Quote::Single => false,
        Quote::Double => parts(raw).iter().any(|part| !matches!(part, Part::Text(_))),
        Quote::Bare => {
            raw.starts_with("${") || raw.strip_prefix('$').and_then(parse_reference).is_some()
        }
    }
}

/// `name`, then any of `.key` and `[index]`, as a whole.
pub(crate) fn parse_reference(text: &str) -> Option<Reference> {
    steps::add(text.len());
    let end = text
        .find(|c: char| !unicode_ident::is_xid_continue(c))
        .unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    if !is_name(name) {
        return None;
    }
    let mut path = Vec::new();
    while !rest.is_empty() {
        if let Some(key) = rest.strip_prefix('.') {
            let end = key
                .find(|c: char| !unicode_ident::is_xid_continue(c))
                .unwrap_or(key.len());
            if end == 0 {
                return None;
            }
            path.push(Segment::Key(key[..end].to_owned()));
            rest = &key[end..];
        } else {
            let inside = rest.strip_prefix('[')?;
            let end = inside.find(']')?;
            let digits = &inside[..end];
            let plain = digits.strip_prefix('-').unwrap_or(digits);
            if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            path.push(Segment::Index(digits.parse().ok()?));
            rest = &inside[end + 1..];
        }
    }
    Some(Reference {
        name: name.to_owned(),
        path,
    })
}
