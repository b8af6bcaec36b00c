//! Calls: arguments against the contract of the tool.

use serde_json::Value;

use super::Checker;
use super::block::Place;
use super::coerce::{Unfit, coerce, fits};
use super::operand::doubt;
use crate::argument::{Argument, Arguments, Seen, StepOption, is_option, rest_words};
use crate::catalog::{Parameter, ParameterKind, ToolSignature};
use crate::checked::{Call, Operand, Piece, StepOptions};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, shown};
use crate::source::Span;
use crate::suggest::nearest;
use crate::word::Word;

/// The arguments of a call as they are collected.
struct Given<'s> {
    arguments: Vec<(String, Operand)>,
    seen: Seen<'s>,
}

impl<'t> Checker<'t> {
    /// A call, whose words after `CALL` are `words`.
    pub(super) fn call(
        &mut self,
        words: &'t [Word],
        bind: Option<String>,
        place: &Place,
        spoilt: bool,
    ) -> Option<Call> {
        self.calls += 1;
        self.effects.calls += 1;
        let number = self.calls;
        let (tool_word, words) = words.split_first()?;
        if spoilt || !self.sound(tool_word, words) {
            return None;
        }
        let source = self.source;
        let name = tool_word.text(source);
        let catalog = self.catalog;
        let signature = catalog.tool(&name);
        let Some(signature) = signature else {
            self.unknown_tool(&name, tool_word.span());
            // Its arguments cannot be checked, but the names in them can be, and the
            // options of the step, which other steps may refer to.
            self.arguments(tool_word.span(), None, words, number);
            return None;
        };
        let (arguments, options, id, agent) =
            self.arguments(tool_word.span(), Some(signature), words, number);
        Some(Call {
            id: id.unwrap_or_else(|| format!("s{number}")),
            tool: signature.name.clone(),
            arguments,
            bind,
            label: place.label.clone(),
            agent: agent.or_else(|| place.agent.clone()),
            options,
        })
    }

    /// Whether the words have no characters and quotes that make them doubtful.
    fn sound(&mut self, tool: &Word, words: &[Word]) -> bool {
        let odd = doubt(tool, self.source, true).or_else(|| {
            words
                .iter()
                .find_map(|word| doubt(word, self.source, is_option(word)))
        });
        match odd {
            None => true,
            Some(diagnostic) => {
                self.report(diagnostic);
                false
            }
        }
    }

    fn unknown_tool(&mut self, name: &str, span: Span) {
        let catalog = self.catalog;
        let message = format!("unknown tool `{}`", shown(name));
        let mut diagnostic = Diagnostic::error(Code::UnknownTool, span, message);
        let meant = self
            .may_suggest(self.line)
            .then(|| nearest(name, catalog.names()))
            .flatten();
        diagnostic = match meant {
            Some(meant) => diagnostic.meaning(span, "", meant),
            None => {
                diagnostic.with_help("`praxis tools list` shows the tools; `--tools DIR` adds more")
            }
        };
        self.report(diagnostic);
    }

    #[expect(
        clippy::type_complexity,
        reason = "the parts of one call, for one caller"
    )]
    fn arguments(
        &mut self,
        head: Span,
        signature: Option<&'t ToolSignature>,
        words: &'t [Word],
        number: usize,
    ) -> (
        Vec<(String, Operand)>,
        StepOptions,
        Option<String>,
        Option<String>,
    ) {
        let source = self.source;
        let parameters = signature.map_or(&[][..], |tool| tool.parameters.as_slice());
        let rest_at = parameters.iter().position(|parameter| parameter.rest);
        let mut given = Given {
            arguments: Vec::new(),
            seen: Seen::default(),
        };
        let mut steps: Vec<(StepOption, Word, Word)> = Vec::new();
        let mut surplus: Option<Span> = None;
        let mut unsound = false;
        for argument in Arguments::new(source, words, rest_at) {
            match argument {
                Argument::Step(option, word, value) => steps.push((option, word, value)),
                Argument::Positional(position, word) => {
                    if !self.no_step_option(&word) {
                        unsound = true;
                        continue;
                    }
                    let Some(tool) = signature else {
                        self.dynamic(&word);
                        continue;
                    };
                    match tool.parameters.get(position) {
                        Some(parameter) => {
                            if self.first_time(&mut given, &parameter.name, word.span())
                                && let Some(value) = self.value(tool, parameter, &word, word.span())
                            {
                                given.arguments.push((parameter.name.clone(), value));
                            }
                        }
                        None if tool.open => {
                            let value = self.operand(&word);
                            given.arguments.push((format!("arg{position}"), value));
                        }
                        None => {
                            surplus =
                                Some(surplus.map_or(word.span(), |span| span.to(word.span())));
                        }
                    }
                }
                Argument::Named { word, name, value } => {
                    unsound |= !self.named_argument(&mut given, signature, word, name, value);
                }
                Argument::Rest(position, from) => {
                    if let Some((tool, parameter)) =
                        signature.and_then(|tool| Some((tool, tool.parameters.get(position)?)))
                    {
                        self.rest(&mut given, tool, parameter, words, from);
                    }
                }
            }
        }
        if let (Some(span), Some(tool)) = (surplus, signature) {
            self.surplus(tool, span);
        }
        if let Some(tool) = signature.filter(|_| !unsound) {
            self.missing(head, tool, &mut given);
        }
        let (options, id, agent) = self.step_options(&steps, number);
        (given.arguments, options, id, agent)
    }

    fn named_argument(
        &mut self,
        given: &mut Given<'t>,
        signature: Option<&'t ToolSignature>,
        word: Word,
        name: Span,
        value: Option<Word>,
    ) -> bool {
        let source = self.source;
        let text = name.text(source);
        if text.is_empty() {
            self.report(
                Diagnostic::error(Code::EmptyOption, word.span(), "`--` has no name after it")
                    .with_help("write `--name value`, or quote it as '--' if it is data"),
            );
            return false;
        }
        let option_span = Span {
            start: name.start - 2,
            ..name
        };
        let Some(tool) = signature else {
            if let Some(word) = value {
                self.dynamic(&word);
            }
            return true;
        };
        let Some(parameter) = tool
            .parameters
            .iter()
            .find(|parameter| parameter.name == text)
        else {
            if !tool.open {
                self.unknown_parameter(tool, text, option_span);
                return false;
            }
            if self.first_time(given, text, option_span) {
                let value = match value {
                    Some(word) => self.operand(&word),
                    None => Operand::Literal(Value::Bool(true)),
                };
                given.arguments.push((text.to_owned(), value));
            }
            return true;
        };
        if !self.first_time(given, text, option_span) {
            return true;
        }
        let value = match value {
            Some(word) => self.value(tool, parameter, &word, word.span()),
            None if matches!(parameter.kind, ParameterKind::Boolean | ParameterKind::Any) => {
                Some(Operand::Literal(Value::Bool(true)))
            }
            None => {
                let wanted = parameter.kind.as_str();
                let message = format!("`--{text}` of {} has no value", shown(&tool.name));
                self.report(
                    Diagnostic::error(Code::IllTypedArgument, option_span, message)
                        .with_help(format!("it takes {wanted}: `--{text} value`")),
                );
                None
            }
        };
        if let Some(value) = value {
            given.arguments.push((text.to_owned(), value));
        }
        true
    }

    /// Reports an argument that was given before; else notes it.
    fn first_time(&mut self, given: &mut Given<'t>, name: &'t str, span: Span) -> bool {
        if let Some(first) = given.seen.insert(name, span) {
            let message = format!("the argument `{}` is given twice", shown(name));
            self.report(
                Diagnostic::error(Code::RepeatedArgument, span, message)
                    .with_label(first, "it is given here")
                    .with_help("keep one of the two"),
            );
            return false;
        }
        true
    }

    /// The operand of `word` for `parameter`, or none when it does not fit.
    fn value(
        &mut self,
        tool: &ToolSignature,
        parameter: &Parameter,
        word: &Word,
        span: Span,
    ) -> Option<Operand> {
        if let Some(operand) = self.dynamic(word) {
            return Some(operand);
        }
        let text = word.text(self.source);
        let value = match coerce(parameter.kind, &text, word.quote()) {
            Ok(value) => value,
            Err(Unfit::OutOfRange) => {
                self.out_of_range(&text, span);
                return None;
            }
            Err(Unfit::Kind) => {
                let wanted = parameter.kind.as_str();
                let message = format!("`{}` is not {wanted}", shown(&text));
                self.report(
                    Diagnostic::error(Code::IllTypedArgument, span, message).with_help(format!(
                        "the parameter `{}` of {} takes {wanted}",
                        shown(&parameter.name),
                        shown(&tool.name),
                    )),
                );
                return None;
            }
        };
        debug_assert!(
            fits(parameter.kind, &value),
            "coercion gives the declared type"
        );
        self.choice(tool, parameter, &value, span)
            .then_some(Operand::Literal(value))
    }

    fn choice(
        &mut self,
        tool: &ToolSignature,
        parameter: &Parameter,
        value: &Value,
        span: Span,
    ) -> bool {
        let Some(choices) = parameter
            .choices
            .as_ref()
            .filter(|choices| !choices.contains(value))
        else {
            return true;
        };
        let listed: Vec<_> = choices.iter().map(plain).collect();
        let text = plain(value);
        let message = format!(
            "`{}` is not a value of `{}`",
            shown(&text),
            shown(&parameter.name)
        );
        let mut diagnostic = Diagnostic::error(Code::IllTypedArgument, span, message);
        diagnostic = match nearest(&text, listed.iter().map(String::as_str)) {
            Some(meant) => diagnostic.meaning(span, "", meant),
            None => diagnostic.with_help(format!(
                "{} takes {} there",
                shown(&tool.name),
                listed.join(", ")
            )),
        };
        self.report(diagnostic);
        false
    }

    fn rest(
        &mut self,
        given: &mut Given<'t>,
        tool: &'t ToolSignature,
        parameter: &'t Parameter,
        words: &'t [Word],
        from: usize,
    ) {
        let source = self.source;
        let rest: Vec<&Word> = rest_words(source, words, from).collect();
        let Some((first, others)) = rest.split_first() else {
            return;
        };
        if !self.first_time(given, &parameter.name, first.span()) {
            return;
        }
        if rest.iter().any(|word| !self.no_misspelt_option(word)) {
            return;
        }
        if let Some(option) = others.iter().find(|word| is_option(word)) {
            let text = shown(option.span().text(source));
            let message = format!("`{text}` became part of the text `{}`", parameter.name);
            self.report(
                Diagnostic::warning(Code::SwallowedOption, option.span(), message)
                    .with_help("put options before the text, or quote the text"),
            );
        }
        let value = if others.is_empty() {
            self.value(tool, parameter, first, first.span())
        } else {
            Some(self.joined(&rest))
        };
        if let Some(value) = value {
            given.arguments.push((parameter.name.clone(), value));
        }
    }

    /// Several words as one text, joined by a blank.
    pub(super) fn joined(&mut self, words: &[&Word]) -> Operand {
        let mut pieces = Vec::new();
        let mut text = String::new();
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                text.push(' ');
            }
            match self.dynamic(word) {
                None => text.push_str(&word.text(self.source)),
                Some(operand) => {
                    let inner = match operand {
                        Operand::Template(inner) => inner,
                        other => vec![Piece::Value(other)],
                    };
                    for piece in inner {
                        match piece {
                            Piece::Text(more) => text.push_str(&more),
                            Piece::Value(_) => {
                                if !text.is_empty() {
                                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                                }
                                pieces.push(piece);
                            }
                        }
                    }
                }
            }
        }
        if pieces.is_empty() {
            return Operand::Literal(Value::String(text));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Operand::Template(pieces)
    }

    fn unknown_parameter(&mut self, tool: &ToolSignature, text: &str, option: Span) {
        let names = tool
            .parameters
            .iter()
            .map(|parameter| parameter.name.as_str());
        let message = format!("{} has no parameter `{}`", shown(&tool.name), shown(text));
        let diagnostic = Diagnostic::error(Code::UnknownParameter, option, message);
        let diagnostic = match nearest(text, names) {
            Some(meant) => diagnostic.meaning(option, "--", meant),
            None => diagnostic.with_help(usage(tool)),
        };
        self.report(diagnostic);
    }

    fn surplus(&mut self, tool: &ToolSignature, span: Span) {
        let count = tool.parameters.len();
        let takes = match count {
            0 => "no arguments".to_owned(),
            1 => "1 argument".to_owned(),
            count => format!("{count} arguments"),
        };
        let message = format!(
            "`{}` is too much: {} takes {takes}",
            shown(span.text(self.source)),
            shown(&tool.name)
        );
        let help = match count {
            0 => "take it away, or declare a parameter in the tool's contract".to_owned(),
            _ => format!("quote text that has blanks in it; {}", usage(tool)),
        };
        self.report(Diagnostic::error(Code::SurplusArgument, span, message).with_help(help));
    }

    fn missing(&mut self, head: Span, tool: &ToolSignature, given: &mut Given<'_>) {
        let missing: Vec<String> = tool
            .parameters
            .iter()
            .filter(|parameter| {
                parameter.required
                    && parameter.default.is_none()
                    && given.seen.find(&parameter.name).is_none()
            })
            .map(|parameter| format!("`{}`", shown(&parameter.name)))
            .collect();
        if missing.is_empty() {
            return;
        }
        let message = format!("{} misses {}", shown(&tool.name), missing.join(", "));
        self.report(Diagnostic::error(Code::MissingArgument, head, message).with_help(usage(tool)));
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The parameters of a tool for a help text.
fn usage(tool: &ToolSignature) -> String {
    let parameters: Vec<String> = tool
        .parameters
        .iter()
        .map(|parameter| {
            let name = shown(&parameter.name);
            if parameter.required && parameter.default.is_none() {
                format!("--{name}")
            } else {
                format!("[--{name}]")
            }
        })
        .collect();
    if parameters.is_empty() {
        return format!("{} has no parameters", shown(&tool.name));
    }
    format!("{} takes {}", shown(&tool.name), parameters.join(" "))
}
