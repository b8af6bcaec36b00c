//! Tools over text.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::stop_words::is_stop_word;
use super::{BuiltinConfig, Tools, count};
use crate::{Effects, Error, Invocation, Parameter, ParameterKind, ToolContract};

pub(super) fn register(tools: &mut Tools<'_>) -> Result<(), Error> {
    let text = || Parameter::text("text").rest().describe("the text");
    let number = |name: &str, default: i64, what: &str| {
        Parameter::new(name, ParameterKind::Integer)
            .or(default)
            .describe(what)
    };
    tools.blocking(
        ToolContract::new("word_count")
            .describe("How many words, lines, characters and bytes a text has.")
            .parameter(text())
            .effects(Effects::pure().total()),
        word_count,
    )?;
    tools.blocking(
        ToolContract::new("keyword_extract")
            .describe("The most frequent words of a text, with their counts; English stop words left out.")
            .parameter(text())
            .parameter(number("limit", 10, "how many words, at most 1000"))
            .parameter(number("min_length", 3, "the fewest characters of a word"))
            .effects(Effects::pure()),
        keyword_extract,
    )?;
    tools.blocking(
        ToolContract::new("text_summarize")
            .describe(
                "The sentences of a text that hold most of its frequent words, in their order.",
            )
            .parameter(text())
            .parameter(number("sentences", 3, "how many sentences, at most 100"))
            .effects(Effects::pure()),
        text_summarize,
    )
}

fn word_count(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let text = call.text("text")?;
    Ok(json!({
        "words": text.split_whitespace().count(),
        "lines": text.lines().count(),
        "characters": text.chars().count(),
        "bytes": text.len(),
    }))
}

fn keyword_extract(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let limit = count(&call, "limit", 0..=1000)?;
    let shortest = count(&call, "min_length", 0..=1000)?;
    let counts = frequencies(call.text("text")?);
    let mut counts: Vec<(String, usize)> = counts
        .into_iter()
        .filter(|(word, _)| word.chars().count() >= shortest)
        .collect();
    counts.sort_unstable_by(|(left, few), (right, many)| many.cmp(few).then(left.cmp(right)));
    counts.truncate(limit);
    let keywords = counts
        .into_iter()
        .map(|(word, count)| json!({"word": word, "count": count}));
    Ok(keywords.collect())
}

/// Chooses sentences by the mean frequency of their words, as Luhn did ("The automatic creation of
/// literature abstracts", 1958).
fn text_summarize(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let wanted = count(&call, "sentences", 1..=100)?;
    let text = call.text("text")?;
    let counts = frequencies(text);
    let sentences = sentences(text);
    let mut ranked: Vec<(usize, usize)> = sentences
        .iter()
        .enumerate()
        .map(|(index, sentence)| {
            let scores = words(sentence).map(|word| counts.get(&word).copied().unwrap_or(0));
            let (sum, number) =
                scores.fold((0, 0), |(sum, number), score| (sum + score, number + 1));
            // In thousandths, so that ranking needs no order of floats.
            (sum * 1000 / number.max(1), index)
        })
        .collect();
    ranked.sort_unstable_by_key(|(score, index)| (Reverse(*score), *index));
    let mut chosen: Vec<usize> = ranked
        .into_iter()
        .take(wanted)
        .map(|(_, index)| index)
        .collect();
    chosen.sort_unstable();
    let chosen: Vec<String> = chosen
        .into_iter()
        .map(|index| {
            sentences[index]
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    Ok(chosen.join(" ").into())
}

/// The words of a text in lower case: letters and digits, with hyphens and apostrophes inside.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| {
        !character.is_alphanumeric() && !matches!(character, '-' | '\'' | '’' | '_')
    })
    .map(|word| word.trim_matches(|character: char| !character.is_alphanumeric()))
    .filter(|word| word.chars().any(char::is_alphabetic))
    .map(str::to_lowercase)
}

fn frequencies(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in words(text).filter(|word| !is_stop_word(word)) {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// Cuts after `.`, `!` or `?` before a blank, and at empty lines.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        let Some((next, following)) = characters.peek().copied() else {
            break;
        };
        let ends = matches!(character, '.' | '!' | '?') && following.is_whitespace();
        let paragraph = character == '\n' && following == '\n';
        if ends || paragraph {
            found.push(&text[start..index + character.len_utf8()]);
            start = next;
        }
    }
    found.push(&text[start..]);
    found.retain(|sentence| words(sentence).next().is_some());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_before_a_blank() {
        let check = |text: &str, expect: &[&str]| {
            let found = sentences(text);
            let found: Vec<&str> = found.iter().map(|sentence| sentence.trim()).collect();
            assert_eq!(found, expect, "{text:?}");
        };
        check("", &[]);
        check("One. Two!  Three", &["One.", "Two!", "Three"]);
        check("Version 1.2 is out. ", &["Version 1.2 is out."]);
        check("Title\n\nText.", &["Title", "Text."]);
        check("Ä… Ö. Ü", &["Ä… Ö.", "Ü"]);
    }

    #[test]
    fn words_keep_what_joins_them() {
        let found: Vec<String> = words("Don't 42 stop-gap, -x- 3D: snake_case").collect();
        assert_eq!(found, ["don't", "stop-gap", "x", "3d", "snake_case"]);
    }
}
