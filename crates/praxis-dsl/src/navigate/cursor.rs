use crate::argument::{Argument, Arguments, StepOption};
use crate::keyword::Keyword;
use crate::lexer::lex_line;
use crate::source::Span;
use crate::template::interpolation_end;
use crate::word::{Quote, Word};

/// What may stand at a place of a program, and what is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// What may stand there.
    pub expected: Expected,
    /// The beginning of it that stands before the cursor, which a completion replaces.
    pub span: Span,
}

/// What may stand at a place of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Nothing that is known: a comment, a name to be made up, text.
    Nothing,
    /// The keyword of a line.
    Command,
    /// `IN`, after `FOR name`.
    In,
    /// The name of a tool.
    Tool,
    /// An argument of a call.
    Argument(CallAt),
    /// `@name=`, the value of a step option, which is this one.
    StepValue(&'static str),
    /// An option of the block; after `PARALLEL` alone also `FOR`.
    BlockOption(Keyword),
    /// A value: `$name`, and after `LET name =` also `CALL`.
    Value {
        /// Whether a call may stand there.
        call: bool,
    },
    /// A name after a `$`.
    Name,
    /// A part of an expression: names and functions without `$`.
    Expression,
}

/// A call and where in it the cursor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAt {
    /// The tool.
    pub tool: String,
    /// The parameters that the rest of the line gives by name.
    pub named: Vec<String>,
    /// How many arguments the rest of the line gives by position.
    pub positional: usize,
    /// The step options that the rest of the line gives.
    pub options: Vec<&'static str>,
    /// Whose value the cursor stands in.
    pub value: ValueOf,
}

/// The parameter whose value the cursor stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueOf {
    /// That with this name.
    Named(String),
    /// That with this place among the positional ones, if a value is meant.
    Positional(usize),
    /// None: the word starts with `--` or `@`.
    Option,
}

/// What a word is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The keyword of a line.
    Keyword(Keyword),
    /// The name of a tool in a call.
    Tool(String),
    /// `--name` in a call of the tool.
    Parameter {
        /// The tool.
        tool: String,
        /// The parameter, as it is spelt.
        parameter: String,
    },
    /// `@name` in a call.
    StepOption(&'static str),
}

/// The line that the byte `offset` is in: where it starts, and its words.
fn line_at(source: &str, offset: usize) -> (usize, Vec<Word>) {
    let start = memchr::memrchr(b'\n', &source.as_bytes()[..offset]).map_or(0, |at| at + 1);
    let mark = source[start..].starts_with(crate::source::BOM) && start == 0;
    let start = start + if mark { crate::source::BOM.len() } else { 0 };
    let mut words = Vec::new();
    lex_line(source, start.min(source.len()), &mut words, |_| {});
    (start, words)
}

/// The nearest place at or before `offset` between two characters of `source`.
fn boundary(source: &str, offset: u32) -> usize {
    let mut at = (offset as usize).min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The index of the word that names the tool, if the line is a call or `LET name = CALL`.
fn tool_index(words: &[Word], source: &str) -> Option<usize> {
    let keyword = |index: usize| Keyword::parse(&words.get(index)?.text(source));
    match keyword(0)? {
        Keyword::Call => Some(1),
        Keyword::Let if keyword(3) == Some(Keyword::Call) => Some(4),
        _ => None,
    }
}

/// What the word at the byte `offset` of `source` is, and where it stands.
pub fn target_at(source: &str, offset: u32) -> Option<(Target, Span)> {
    let offset = boundary(source, offset);
    let (_, words) = line_at(source, offset);
    let touched = |span: Span| span.range().contains(&offset) || span.end as usize == offset;
    let index = words.iter().rposition(|word| touched(word.span()))?;
    let word = words[index];
    let tool = tool_index(&words, source);
    if index == 0 || tool.is_some_and(|tool| index + 1 == tool) {
        let keyword = match Keyword::parse(&word.text(source))? {
            Keyword::Parallel
                if words
                    .get(1)
                    .and_then(|next| Keyword::parse(&next.text(source)))
                    == Some(Keyword::For) =>
            {
                Keyword::ParallelFor
            }
            keyword => keyword,
        };
        return Some((Target::Keyword(keyword), word.span()));
    }
    let tool = tool?;
    let name = words.get(tool)?.text(source).into_owned();
    if index == tool {
        return Some((Target::Tool(name), word.span()));
    }
    Arguments::new(source, &words[tool + 1..], None).find_map(|argument| match argument {
        Argument::Named { name: at, .. } => {
            let span = Span {
                start: at.start - 2,
                ..at
            };
            let (tool, parameter) = (name.clone(), at.text(source).to_owned());
            touched(span).then_some((Target::Parameter { tool, parameter }, span))
        }
        Argument::Step(option, word, _) => {
            let start = word.span().start as usize;
            let span = Span::new(start, start + 1 + option.name().len());
            touched(span).then_some((Target::StepOption(option.name()), span))
        }
        _ => None,
    })
}

/// What may stand at the byte `offset` of `source`, by what stands on its line.
pub fn expected_at(source: &str, offset: u32) -> Cursor {
    let offset = boundary(source, offset);
    let (start, line) = line_at(source, offset);
    let start = start.min(offset);
    let before = &source[start..offset];
    let mut words = Vec::new();
    lex_line(before, 0, &mut words, |_| {});
    let here = |length: usize| Span::new(offset - length, offset);
    let nothing = Cursor {
        expected: Expected::Nothing,
        span: here(0),
    };
    let last = words.last().copied();
    let lexed = last.map_or(0, |word| word.span().end as usize);
    if before[lexed..].contains('#') {
        return nothing;
    }
    // A blank after the last word starts another one.
    let current = last.filter(|word| word.span().end as usize == before.len());
    let done = words.len() - usize::from(current.is_some());
    let keyword = |index: usize| Keyword::parse(&words.get(index)?.text(before));
    let first = keyword(0).filter(|_| done > 0);
    let condition = match first {
        Some(Keyword::If | Keyword::Elif) => true,
        Some(Keyword::Else) => done > 1 && keyword(1) == Some(Keyword::If),
        _ => false,
    };
    let open = open_interpolation(before, &words);
    if condition || open.is_some() {
        let inside = open.map_or(0, |at| at + 2);
        return expression(before, inside, offset);
    }
    let raw = current.map_or("", |word| word.span().text(before));
    let quoted = current.is_some_and(|word| !word.is_bare());
    let Some(first) = first else {
        let expected = if done == 0 && !quoted {
            Expected::Command
        } else {
            Expected::Nothing
        };
        return Cursor {
            expected,
            span: here(raw.len()),
        };
    };
    let value = raw
        .split_once('=')
        .filter(|_| raw.starts_with(['-', '@']))
        .map_or(raw, |(_, value)| value);
    if let Some(name) = value.strip_prefix('$').filter(|_| !quoted) {
        let part = |c: char| !unicode_ident::is_xid_continue(c);
        let expected = if name.contains(part) {
            Expected::Nothing
        } else {
            Expected::Name
        };
        return Cursor {
            expected,
            span: here(name.len()),
        };
    }
    if quoted {
        return nothing;
    }
    let tool = tool_index(&words, before);
    let expected = match first {
        Keyword::Call | Keyword::Let if tool == Some(done) => Expected::Tool,
        Keyword::Call | Keyword::Let if tool.is_some_and(|tool| tool < done) => {
            let tool = tool.unwrap_or_default();
            return argument(source, before, &words[tool..], done - tool, &line, offset);
        }
        Keyword::Let if done == 3 => Expected::Value { call: true },
        Keyword::Return if done == 1 => Expected::Value { call: false },
        Keyword::Parallel if done > 1 && keyword(1) == Some(Keyword::For) => match done {
            3 => Expected::In,
            4 => Expected::Value { call: false },
            5.. => Expected::BlockOption(Keyword::ParallelFor),
            _ => Expected::Nothing,
        },
        Keyword::Parallel => Expected::BlockOption(Keyword::Parallel),
        Keyword::For => match done {
            2 => Expected::In,
            3 => Expected::Value { call: false },
            _ => Expected::Nothing,
        },
        _ => Expected::Nothing,
    };
    Cursor {
        expected,
        span: here(raw.len()),
    }
}

/// Where the `${` stands that `before` leaves open.
fn open_interpolation(before: &str, words: &[Word]) -> Option<usize> {
    let bytes = before.as_bytes();
    words.iter().find_map(|word| {
        if word.quote() == Quote::Single || !word.has(Word::DOLLAR) {
            return None;
        }
        let span = word.span();
        let mut at = span.start as usize;
        while let Some(found) = memchr::memchr2(b'\\', b'$', &bytes[at..span.end as usize]) {
            let here = at + found;
            at = here + 1;
            if bytes[here] == b'\\' {
                at = (here + 2).min(span.end as usize);
            } else if bytes.get(here + 1) == Some(&b'{') {
                match interpolation_end(bytes, here) {
                    None => return Some(here),
                    Some(end) => at = (end + 1).min(span.end as usize),
                }
            }
        }
        None
    })
}

/// The part of an expression from the byte `inside` of `before` that the cursor ends.
fn expression(before: &str, inside: usize, offset: usize) -> Cursor {
    let text = &before[inside..];
    let word = text
        .rfind(|c: char| !unicode_ident::is_xid_continue(c))
        .map_or(text, |at| {
            let next = text[at..].chars().next().map_or(1, char::len_utf8);
            &text[at + next..]
        });
    let ahead = text[..text.len() - word.len()].trim_end();
    let literal = text.matches('\'').count() % 2 == 1;
    let digits = word.starts_with(|c: char| c.is_ascii_digit());
    let expected = if literal || digits || ahead.ends_with('.') {
        Expected::Nothing
    } else {
        Expected::Expression
    };
    Cursor {
        expected,
        span: Span::new(offset - word.len(), offset),
    }
}

/// What may stand in a call: `words` of `before` start with the tool, `done` of them are
/// complete; `line` has all words of the line.
fn argument(
    source: &str,
    before: &str,
    words: &[Word],
    done: usize,
    line: &[Word],
    offset: usize,
) -> Cursor {
    let tool = words[0].text(before).into_owned();
    let raw = words.get(done).map_or("", |word| word.span().text(before));
    let mut call = CallAt {
        tool,
        named: Vec::new(),
        positional: 0,
        options: Vec::new(),
        value: ValueOf::Option,
    };
    let mut pending = None;
    for argument in Arguments::new(before, &words[1..done], None) {
        pending = None;
        match argument {
            Argument::Positional(..) | Argument::Rest(..) => call.positional += 1,
            Argument::Step(option, ..) => call.options.push(option.name()),
            Argument::Named { word, name, value } => {
                let name = name.text(before).to_owned();
                if value.is_none() && !word.span().text(before).contains('=') {
                    pending = Some(name.clone());
                }
                call.named.push(name);
            }
        }
    }
    // What follows the cursor is given as well.
    let after = line.partition_point(|word| (word.span().start as usize) < offset);
    for argument in Arguments::new(source, &line[after..], None) {
        match argument {
            Argument::Named { name, .. } => call.named.push(name.text(source).to_owned()),
            Argument::Step(option, ..) => call.options.push(option.name()),
            Argument::Positional(..) | Argument::Rest(..) => {}
        }
    }
    let here = |length: usize| Span::new(offset - length, offset);
    if let Some((name, value)) = raw.split_once('=')
        && raw.starts_with(['-', '@'])
    {
        let step = name.strip_prefix('@').and_then(StepOption::parse);
        let expected = match (step, name.strip_prefix("--")) {
            (Some(option), _) => Expected::StepValue(option.name()),
            (None, Some(name)) => {
                call.value = ValueOf::Named(name.to_owned());
                Expected::Argument(call)
            }
            (None, None) => Expected::Nothing,
        };
        return Cursor {
            expected,
            span: here(value.len()),
        };
    }
    if !raw.starts_with(['-', '@']) {
        call.value = match pending {
            Some(name) => ValueOf::Named(name),
            None => ValueOf::Positional(call.positional),
        };
    }
    Cursor {
        expected: Expected::Argument(call),
        span: here(raw.len()),
    }
}
