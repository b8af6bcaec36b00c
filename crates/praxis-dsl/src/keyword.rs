//! The words that start a line, and how their blocks close.

use crate::suggest::{Nearest, nearest};

/// The first word of a line, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Keyword {
    /// `WORKFLOW name`
    Workflow,
    /// `INPUT name = default`
    Input,
    /// `CALL tool …`
    Call,
    /// `LET name = …`
    Let,
    /// `PARALLEL`
    Parallel,
    /// `SEQUENCE`
    Sequence,
    /// `IF condition`
    If,
    /// `ELIF condition`, or `ELSE IF condition`
    Elif,
    /// `ELSE`
    Else,
    /// `FOR name IN items`
    For,
    /// `PARALLEL FOR name IN items`
    ParallelFor,
    /// `TRY`
    Try,
    /// `CATCH name`
    Catch,
    /// `TASK label`
    Task,
    /// `AGENT name`
    Agent,
    /// `RETURN value`
    Return,
    /// `END_PARALLEL`
    EndParallel,
    /// `END_SEQUENCE`
    EndSequence,
    /// `END_IF` or `ENDIF`
    EndIf,
    /// `END_FOR`
    EndFor,
    /// `END_TRY`
    EndTry,
}

/// The spellings that people are offered, each with its keyword.
pub(crate) const SPELLINGS: &[(&str, Keyword)] = &[
    ("WORKFLOW", Keyword::Workflow),
    ("INPUT", Keyword::Input),
    ("CALL", Keyword::Call),
    ("LET", Keyword::Let),
    ("PARALLEL", Keyword::Parallel),
    ("SEQUENCE", Keyword::Sequence),
    ("IF", Keyword::If),
    ("ELIF", Keyword::Elif),
    ("ELSE", Keyword::Else),
    ("FOR", Keyword::For),
    ("TRY", Keyword::Try),
    ("CATCH", Keyword::Catch),
    ("TASK", Keyword::Task),
    ("AGENT", Keyword::Agent),
    ("RETURN", Keyword::Return),
    ("END_PARALLEL", Keyword::EndParallel),
    ("END_SEQUENCE", Keyword::EndSequence),
    ("END_IF", Keyword::EndIf),
    ("ENDIF", Keyword::EndIf),
    ("END_FOR", Keyword::EndFor),
    ("END_TRY", Keyword::EndTry),
];

impl Keyword {
    /// The keyword that `word` spells.
    pub fn parse(word: &str) -> Option<Self> {
        Self::of_bytes(word.as_bytes())
    }

    /// The keyword that the text `word` spells.
    pub(crate) fn of_bytes(word: &[u8]) -> Option<Self> {
        const LONGEST: usize = "END_PARALLEL".len();
        let mut upper = [0_u8; LONGEST];
        let upper = upper.get_mut(..word.len())?;
        for (upper, byte) in upper.iter_mut().zip(word) {
            *upper = byte.to_ascii_uppercase();
        }
        Some(match &*upper {
            b"CALL" => Self::Call,
            b"LET" => Self::Let,
            b"WORKFLOW" => Self::Workflow,
            b"INPUT" => Self::Input,
            b"PARALLEL" => Self::Parallel,
            b"SEQUENCE" => Self::Sequence,
            b"IF" => Self::If,
            b"ELIF" => Self::Elif,
            b"ELSE" => Self::Else,
            b"FOR" => Self::For,
            b"TRY" => Self::Try,
            b"CATCH" => Self::Catch,
            b"TASK" => Self::Task,
            b"AGENT" => Self::Agent,
            b"RETURN" => Self::Return,
            b"END_PARALLEL" | b"ENDPARALLEL" => Self::EndParallel,
            b"END_SEQUENCE" | b"ENDSEQUENCE" => Self::EndSequence,
            b"END_IF" | b"ENDIF" => Self::EndIf,
            b"END_FOR" | b"ENDFOR" => Self::EndFor,
            b"END_TRY" | b"ENDTRY" => Self::EndTry,
            _ => return None,
        })
    }

    /// The spelling that documentation uses.
    pub fn as_str(self) -> &'static str {
        if self == Self::ParallelFor {
            return "PARALLEL FOR";
        }
        SPELLINGS
            .iter()
            .find(|(_, keyword)| *keyword == self)
            .map_or("", |(spelling, _)| spelling)
    }

    /// The end word of the block that the keyword opens.
    pub fn end(self) -> Option<Self> {
        Some(match self {
            Self::Parallel => Self::EndParallel,
            Self::Sequence => Self::EndSequence,
            Self::If => Self::EndIf,
            Self::For | Self::ParallelFor => Self::EndFor,
            Self::Try => Self::EndTry,
            _ => return None,
        })
    }

    /// Whether it closes a block.
    pub fn is_end(self) -> bool {
        matches!(
            self,
            Self::EndParallel | Self::EndSequence | Self::EndIf | Self::EndFor | Self::EndTry
        )
    }

    /// Whether it continues a block: `ELIF`, `ELSE` or `CATCH`.
    pub fn is_clause(self) -> bool {
        matches!(self, Self::Elif | Self::Else | Self::Catch)
    }
}

fn nearest_spelling(word: &str) -> Option<Nearest<'static>> {
    nearest(word, SPELLINGS.iter().map(|(spelling, _)| *spelling))
}

/// Whether no other spelling is as near to `word`.
pub(crate) fn is_clearly_meant(word: &str) -> bool {
    nearest_spelling(word).is_some_and(|nearest| nearest.clear)
}

/// The spelling nearest to `word`, if it is near enough to be meant.
pub(crate) fn nearest_keyword(word: &str) -> Option<(&'static str, Keyword)> {
    if word.len() > 24 {
        return None;
    }
    let spelling = nearest_spelling(word)?.word;
    let keyword = Keyword::parse(spelling)?;
    Some((spelling, keyword))
}
