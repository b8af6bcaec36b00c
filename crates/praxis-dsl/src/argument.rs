//! The words after `CALL tool`, sorted into positional, named and step options.

use std::collections::HashMap;

use crate::source::Span;
use crate::steps;
use crate::word::Word;

/// The options of a step, which start with `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum StepOption {
    Id,
    Timeout,
    Retries,
    Cache,
    Engine,
    Agent,
    After,
}

impl StepOption {
    pub(crate) const NAMES: [&'static str; 7] = [
        "id", "timeout", "retries", "cache", "engine", "agent", "after",
    ];

    /// The option with the name `name`, without its `@`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "timeout" => Self::Timeout,
            "retries" => Self::Retries,
            "cache" => Self::Cache,
            "engine" => Self::Engine,
            "agent" => Self::Agent,
            "after" => Self::After,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// The step option that `word` is, with its value.
pub(crate) fn step_option(word: &Word, source: &str) -> Option<(StepOption, Word)> {
    // The first byte tells nearly all words from options without a closer look.
    if !word.is_bare() || source.as_bytes().get(word.span().start as usize) != Some(&b'@') {
        return None;
    }
    let (name, value) = word.split_assignment(source)?;
    let option = StepOption::parse(&name.text(source)[1..])?;
    Some((option, value))
}

/// Whether `word` is a bare word that starts with `--`.
pub(crate) fn is_option(word: &Word) -> bool {
    word.has(Word::OPTION)
}

/// An argument of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Argument {
    /// The positional argument with that index.
    Positional(usize, Word),
    /// `--name value`, `--name=value`, or `--name` alone, which is `true`.
    Named {
        /// The word that starts with `--`.
        word: Word,
        /// Where the name stands, without the dashes.
        name: Span,
        /// The value; none for a flag.
        value: Option<Word>,
    },
    /// `@name=value`.
    Step(StepOption, Word, Word),
    /// The positional argument with that index takes this word and the rest of the line but
    /// for the step options; the second number is the index of the word.
    Rest(usize, usize),
}

/// Sorts the words after the name of the tool.
#[derive(Debug, Clone)]
pub(crate) struct Arguments<'t> {
    source: &'t str,
    words: &'t [Word],
    at: usize,
    position: usize,
    rest_at: Option<usize>,
    in_rest: bool,
}

impl<'t> Arguments<'t> {
    /// `rest_at` is the index of the positional parameter that takes the remaining words.
    pub(crate) fn new(source: &'t str, words: &'t [Word], rest_at: Option<usize>) -> Self {
        Self {
            source,
            words,
            at: 0,
            position: 0,
            rest_at,
            in_rest: false,
        }
    }
}

impl Iterator for Arguments<'_> {
    type Item = Argument;

    fn next(&mut self) -> Option<Argument> {
        loop {
            let word = *self.words.get(self.at)?;
            steps::add(1);
            let here = self.at;
            self.at += 1;
            if is_option(&word) && !self.in_rest {
                return Some(self.named(word));
            }
            if let Some((option, value)) = step_option(&word, self.source) {
                return Some(Argument::Step(option, word, value));
            }
            if self.in_rest {
                continue;
            }
            let position = self.position;
            self.position += 1;
            if Some(position) == self.rest_at {
                self.in_rest = true;
                return Some(Argument::Rest(position, here));
            }
            return Some(Argument::Positional(position, word));
        }
    }
}

impl Arguments<'_> {
    fn named(&mut self, word: Word) -> Argument {
        if let Some((name, value)) = word.split_assignment(self.source) {
            let name = Span {
                start: name.start + 2,
                ..name
            };
            return Argument::Named {
                word,
                name,
                value: Some(value),
            };
        }
        let name = Span {
            start: word.span().start + 2,
            ..word.span()
        };
        let value = self
            .words
            .get(self.at)
            .copied()
            .filter(|next| !is_option(next) && step_option(next, self.source).is_none());
        self.at += usize::from(value.is_some());
        Argument::Named { word, name, value }
    }
}

/// Names, each with the place where it came first.
#[derive(Debug, Default)]
pub(crate) struct Seen<'s> {
    list: Vec<(&'s str, Span)>,
    index: HashMap<&'s str, Span>,
}

impl<'s> Seen<'s> {
    /// A list up to here is faster than hashing; a longer one would take quadratic time.
    const SHORT: usize = 16;

    /// Where `name` came before; else it is noted.
    pub(crate) fn insert(&mut self, name: &'s str, span: Span) -> Option<Span> {
        let first = self.find(name);
        if first.is_none() {
            self.list.push((name, span));
            if !self.index.is_empty() {
                self.index.insert(name, span);
            }
        }
        first
    }

    pub(crate) fn find(&mut self, name: &str) -> Option<Span> {
        if self.list.len() <= Self::SHORT {
            steps::add(self.list.len());
            let found = self.list.iter().find(|(other, _)| *other == name);
            return found.map(|(_, span)| *span);
        }
        if self.index.is_empty() {
            steps::add(self.list.len());
            self.index.extend(self.list.iter().copied());
        }
        self.index.get(name).copied()
    }

    /// The names in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'s str, Span)> {
        self.list.iter().copied()
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.index.clear();
    }
}

/// The words of a [`Argument::Rest`] that starts at `from`.
pub(crate) fn rest_words<'t>(
    source: &'t str,
    words: &'t [Word],
    from: usize,
) -> impl Iterator<Item = &'t Word> + Clone {
    steps::add(words.len() - from);
    words[from..]
        .iter()
        .filter(move |word| step_option(word, source).is_none())
}

/// The parameters of the file tools that the recorded scanner knows, in their order.
pub(crate) fn recorded_parameters(tool: &str) -> &'static [&'static str] {
    match tool {
        "read_file" => &["filename", "encoding"],
        "write_file" => &["filename", "content"],
        "delete_file" => &["filename"],
        "list_files" | "list_directory" => &["directory", "pattern", "recursive"],
        "create_directory" => &["directory", "recursive"],
        "move_file" | "copy_file" => &["source", "destination"],
        "search_files" => &["pattern", "directory", "recursive"],
        _ => &[],
    }
}

/// The positional parameter of a recorded tool that takes the remaining words.
pub(crate) fn recorded_rest(tool: &str) -> Option<usize> {
    (tool == "write_file").then_some(1)
}
