//! The options of a step: `@id`, `@timeout`, `@retries`, `@cache`, `@engine`, `@agent`, `@after`.

use std::collections::HashSet;
use std::time::Duration;

use super::memory::MOST_SUGGESTIONS;
use super::{Checker, Id};
use crate::argument::StepOption;
use crate::checked::StepOptions;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, shown};
use crate::source::Span;
use crate::steps;
use crate::suggest::nearest;
use crate::word::Word;

/// How often a step may be tried again.
const MAX_RETRIES: u32 = 100;

impl Checker<'_> {
    /// Whether `word` is no failed attempt at a step option; one that is is reported.
    pub(super) fn no_step_option(&mut self, word: &Word) -> bool {
        let source = self.source;
        let raw = word.span().text(source);
        if !word.is_bare() || !raw.starts_with('@') {
            return true;
        }
        let Some((name, _)) = word.split_assignment(source) else {
            let Some(option) = StepOption::parse(&raw[1..]) else {
                return true;
            };
            let name = option.name();
            let message = format!("the step option `@{name}` has no value");
            self.report(
                Diagnostic::error(Code::BadStepOption, word.span(), message)
                    .with_help(format!("write `@{name}=value`, or quote it if it is data")),
            );
            return false;
        };
        let text = &name.text(source)[1..];
        let message = format!("unknown step option `@{}`", shown(text));
        let diagnostic = Diagnostic::error(Code::UnknownStepOption, name, message);
        self.report(match nearest(text, StepOption::NAMES) {
            Some(meant) => diagnostic.meaning(name, "@", meant),
            None => diagnostic.with_help(format!(
                "the options are @{}; quote the word if it is data",
                StepOption::NAMES.join(", @")
            )),
        });
        false
    }

    /// The same for a word of a text, which may start with `@` unless it is nearly an option.
    pub(super) fn no_misspelt_option(&mut self, word: &Word) -> bool {
        let source = self.source;
        let near = word.is_bare()
            && word.span().text(source).starts_with('@')
            && word.split_assignment(source).is_some_and(|(name, _)| {
                nearest(&name.text(source)[1..], StepOption::NAMES).is_some()
            });
        !near || self.no_step_option(word)
    }

    /// The options of the call with the number `number`, its `@id` and its `@agent`.
    pub(super) fn step_options(
        &mut self,
        given: &[(StepOption, Word, Word)],
        number: usize,
    ) -> (StepOptions, Option<String>, Option<String>) {
        let mut options = StepOptions::default();
        let mut id = None;
        let mut agent = None;
        let mut seen: Vec<(StepOption, Span)> = Vec::new();
        for (option, word, value) in given {
            let name = option.name();
            if let Some(&(_, first)) = seen.iter().find(|(other, _)| other == option) {
                let message = format!("the step option `@{name}` is given twice");
                self.report(
                    Diagnostic::error(Code::RepeatedStepOption, word.span(), message)
                        .with_label(first, "it is given here")
                        .with_help("keep one of the two"),
                );
                continue;
            }
            seen.push((*option, word.span()));
            let text = value.text(self.source).into_owned();
            let accepted = match option {
                StepOption::Id => self.step_id(&text, value.span(), number, &mut id),
                StepOption::Timeout => {
                    options.timeout = duration(&text);
                    options.timeout.is_some()
                }
                StepOption::Retries => {
                    options.retries = text.parse().ok().filter(|&count| count <= MAX_RETRIES);
                    options.retries.is_some()
                }
                StepOption::Cache => {
                    options.cache = match text.to_ascii_lowercase().as_str() {
                        "on" | "true" => Some(true),
                        "off" | "false" => Some(false),
                        _ => None,
                    };
                    options.cache.is_some()
                }
                StepOption::Engine => {
                    options.engine = plain(&text);
                    options.engine.is_some()
                }
                StepOption::Agent => {
                    agent = plain(&text);
                    agent.is_some()
                }
                StepOption::After => self.after(&text, value, &mut options.after),
            };
            if !accepted {
                self.bad_option(*option, &text, word.span());
            }
        }
        (options, id, agent)
    }

    fn step_id(&mut self, text: &str, span: Span, number: usize, id: &mut Option<String>) -> bool {
        let plain = !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if !plain {
            return false;
        }
        *id = Some(text.to_owned());
        // The ids of the steps without one are taken too.
        let taken = automatic(text)
            .filter(|&other| other != number)
            .map(|_| span);
        let first = self.ids.get(text).filter(|id| id.line != self.line);
        let first = first.map(|id| id.span).or(taken);
        self.effects.id = Some((text.to_owned(), span));
        if let Some(first) = first {
            let mut diagnostic = Diagnostic::error(
                Code::RepeatedId,
                span,
                format!("the id `{}` is taken", shown(text)),
            )
            .with_help("choose another id; s1, s2, … are those of the calls by their number");
            if first != span {
                diagnostic = diagnostic.with_label(first, "it is given here");
            }
            self.report(diagnostic);
        } else if !self.ids.contains_key(text) {
            let line = self.line;
            self.ids.to_mut().insert(text.to_owned(), Id { span, line });
        }
        true
    }

    fn after(&mut self, text: &str, value: &Word, after: &mut Vec<String>) -> bool {
        let span = value.span();
        let exact = value.is_bare() && text.len() == (span.end - span.start) as usize;
        let mut offset = span.start as usize;
        if text.split(',').any(|id| id.trim().is_empty()) {
            return false;
        }
        let mut known = HashSet::new();
        for id in text.split(',') {
            let place = if exact {
                Span::new(offset, offset + id.len())
            } else {
                span
            };
            offset += id.len() + 1;
            let id = id.trim();
            steps::add(id.len());
            if known.insert(id) {
                after.push(id.to_owned());
                self.awaited.push((id.to_owned(), place, self.line));
            }
        }
        true
    }

    fn bad_option(&mut self, option: StepOption, text: &str, span: Span) {
        let name = option.name();
        let wanted = match option {
            StepOption::Id => "letters, digits, `_`, `-` and `.`",
            StepOption::Timeout => "a time above zero such as 500ms, 5s, 2m or 1h",
            StepOption::Retries => "a whole number from 0 to 100",
            StepOption::Cache => "on or off",
            StepOption::Engine => "the name of an engine",
            StepOption::Agent => "the name of an agent",
            StepOption::After => "ids with commas between them",
        };
        let message = format!("`{}` is not a value of `@{name}`", shown(text));
        self.report(
            Diagnostic::error(Code::BadStepOption, span, message)
                .with_help(format!("it takes {wanted}")),
        );
    }

    /// Whether what the line `line` names may be compared with all that it could mean. That is
    /// bounded, so that a program full of unknown names stays cheap.
    pub(super) fn may_suggest(&mut self, line: usize) -> bool {
        self.suggestions += 1;
        if line == self.line {
            self.effects.suggestions += 1;
        } else if let Some(notes) = &mut self.notes {
            notes.suggested(line);
        }
        self.suggestions <= MOST_SUGGESTIONS
    }

    /// Reports each `@after` that names no step of the program.
    pub(super) fn check_awaited(&mut self) {
        for (id, span, line) in std::mem::take(&mut self.awaited) {
            let numbered = automatic(&id).is_some_and(|number| number <= self.calls);
            if numbered || self.ids.contains_key(&id) {
                continue;
            }
            let message = format!("no step has the id `{}`", shown(&id));
            let diagnostic = Diagnostic::error(Code::UnknownId, span, message);
            let near = self.may_suggest(line);
            let meant = near
                .then(|| nearest(&id, self.ids.keys().map(String::as_str)))
                .flatten();
            let diagnostic = match meant {
                Some(meant) => diagnostic.meaning(span, "", meant),
                None => diagnostic.with_help(format!(
                    "give the step that it waits for `@id={}`",
                    shown(&id)
                )),
            };
            self.report(diagnostic);
        }
    }
}

/// The number in an id such as `s12`.
fn automatic(id: &str) -> Option<usize> {
    let digits = id.strip_prefix('s')?;
    let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

fn plain(text: &str) -> Option<String> {
    let dynamic = text.starts_with('$');
    (!text.trim().is_empty() && !dynamic).then(|| text.to_owned())
}

/// `500ms`, `5s`, `2m`, `1.5h`; a plain number counts seconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    if number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    let duration = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
    (!duration.is_zero()).then_some(duration)
}
