//! The stable codes of the diagnostics, each with an explanation.

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal, $explanation:literal;)*) => {
        /// What kind of mistake a diagnostic is about; its id is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code, in the order of the ids.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The id, such as `P0101`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),* }
            }

            /// A few words that name the mistake.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// What the mistake is and how to mend it.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation),* }
            }
        }
    };
}

impl Code {
    /// The code with the id `id`, in any case: `p0101` finds `P0101`.
    pub fn find(id: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.id().eq_ignore_ascii_case(id.trim()))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

codes! {
    InvalidUtf8 = "P0001", "the source is not UTF-8",
        "A program is UTF-8 text. The message gives the first byte that is not; save the file as UTF-8.";
    BinaryFile = "P0002", "the source is a binary file",
        "The file holds NUL bytes and is not UTF-8, so it is no program. Check the path.";
    SourceTooLarge = "P0003", "the source is too large",
        "A program has a size limit, so that one from outside cannot exhaust the memory. Split it, or read the data from a file with a tool.";
    UnclosedQuote = "P0004", "a quote is not closed on its line",
        "A quote closes on the line where it opens. Close it; write `\\'` for an apostrophe outside quotes; write `\\n` in double quotes for a line end.";
    QuoteInWord = "P0005", "a quote opens in the middle of a word",
        "A quote makes a word of its own. Put a blank before it, quote the whole word, or write `\\'` or `\\\"` for the character. Only the value of `--name=\"…\"` and `@name=\"…\"` may follow its sign at once.";
    OddCharacter = "P0006", "a character that cannot be seen or does not belong here",
        "Zero-width characters, bidirectional controls and other control characters make two words look alike, so keywords and names take none of them, and bare words take no controls. Delete the character, or quote the word if it is data.";
    UnclosedInterpolation = "P0007", "an interpolation is not closed",
        "`${`, in double quotes or at the start of a bare word, opens an expression that ends with `}` on the same line. Close it, or write `\\${` for the characters. A bare word is the expression as a whole; with text around it, it stands in double quotes.";
    InvalidExpression = "P0008", "an expression does not compile",
        "Conditions and `${…}` are CEL expressions, such as `size(files) > 0 && name.startsWith('a')`. Text in them is quoted.";
    ExpressionTooComplex = "P0009", "an expression is too large",
        "Expressions are limited in length, nesting, operators and comprehensions, so that none can exhaust the machine. Bind parts of it with LET.";
    NumberOutOfRange = "P0010", "a number is out of range",
        "Whole numbers reach from -9223372036854775808 to 18446744073709551615. Quote the word to keep it as text.";
    TooManyDiagnostics = "P0011", "there are more diagnostics than are shown",
        "Only the first diagnostics are kept. Mend them and check again.";
    IllTypedExpression = "P0012", "the types of an expression do not go together",
        "The types of its parts are known from literals, from other expressions and from the contracts of tools, and no values of these types can be evaluated. An integer and a float do not add, and a condition is true or false. Convert with int(…), double(…) or string(…), or use another value.";
    UnknownCommand = "P0101", "a line does not start with a command",
        "Every line starts with a command: WORKFLOW, INPUT, CALL, LET, PARALLEL, SEQUENCE, IF, FOR, TRY, TASK, AGENT or RETURN, in any case. To run a tool, write `CALL tool`.";
    UnclosedBlock = "P0102", "a block is not closed",
        "PARALLEL, SEQUENCE, IF, FOR and TRY each need their end word: END_PARALLEL, END_SEQUENCE, END_IF (or ENDIF), END_FOR, END_TRY.";
    StrayEnd = "P0103", "an end word without its block",
        "No open block has this end word. Delete the line, or open the block.";
    MismatchedEnd = "P0104", "an end word of another kind of block",
        "The innermost open block has another end word. Write the one that belongs to it.";
    MisplacedClause = "P0105", "a clause outside of its block",
        "ELIF and ELSE stand directly inside IF, before any ELSE; CATCH stands directly inside TRY.";
    RepeatedClause = "P0106", "a second ELSE or CATCH",
        "An IF has one ELSE, as its last clause, and a TRY has one CATCH.";
    EmptyBlock = "P0107", "a block without steps",
        "PARALLEL and SEQUENCE hold at least one step. Delete the block or fill it.";
    TooDeep = "P0108", "blocks are nested too deeply",
        "Blocks nest to a stated depth, so that no program can exhaust the stack. Call another workflow, or flatten the blocks.";
    MissingWord = "P0109", "a word is missing",
        "The command needs one more word: CALL the name of a tool, WORKFLOW, TASK, AGENT and INPUT a name, IF and ELIF a condition.";
    MalformedLet = "P0110", "a LET that is not complete",
        "LET binds a name: `LET name = CALL tool …` or `LET name = value`, with blanks around the `=`.";
    MalformedFor = "P0111", "a FOR that is not complete",
        "FOR goes over a list: `FOR name IN $list`. `PARALLEL FOR name IN $list --limit 4` gives up the order.";
    SurplusWord = "P0112", "a word too many",
        "The command takes fewer words. Quote text that has blanks in it, write an expression as `${…}` and JSON with blanks in single quotes, or delete the rest.";
    UnknownArgument = "P0113", "an argument that the block does not have",
        "PARALLEL takes `--limit N`, `--fail_fast` and `--any`; PARALLEL FOR takes `--limit N`; the other blocks take none.";
    EmptyOption = "P0114", "an option without a name",
        "`--` is followed by the name of a parameter. Quote it if it is data.";
    MisplacedStatement = "P0115", "a statement in the wrong place",
        "WORKFLOW stands once, at the top; INPUT stands before the first step and outside of blocks.";
    Unreachable = "P0116", "a statement that is never run",
        "RETURN ends the run, so what follows it in the same block never runs.";
    ReturnInParallel = "P0117", "a RETURN inside PARALLEL",
        "The children of PARALLEL have no order, so none of them may end the run. Bind a name and RETURN it after the block.";
    BadArgument = "P0118", "a value that the block or command cannot take",
        "The message says what would be accepted.";
    UnknownTool = "P0201", "a tool that is not in the catalog",
        "CALL names a tool, exactly as the catalog spells it. `praxis tools list` shows them; `--tools DIR` adds more.";
    UnknownParameter = "P0202", "a parameter that the tool does not have",
        "The message lists the tool's parameters.";
    RepeatedArgument = "P0203", "an argument given twice",
        "Each parameter has one value. Positional arguments fill the parameters in their declared order, also those that are given by name.";
    MissingArgument = "P0204", "a required argument is missing",
        "Give it by position or as `--name value`.";
    SurplusArgument = "P0205", "more positional arguments than parameters",
        "Quote text that has blanks in it, or give the argument by name.";
    IllTypedArgument = "P0206", "an argument of the wrong type",
        "The value cannot be read as the declared type of the parameter without loss.";
    SwallowedOption = "P0207", "an option that became text",
        "The last parameter takes the remaining words as text, options among them. Put options before it, or quote the text.";
    UnknownStepOption = "P0301", "an unknown step option",
        "The step options are @id, @timeout, @retries, @cache, @engine, @agent and @after, each as `@name=value`.";
    BadStepOption = "P0302", "a step option with a wrong value",
        "Write @timeout=5s (ms, s, m or h), @retries=3 (0 to 100), @cache=on or @cache=off, and a name for @id, @engine, @agent and @after.";
    RepeatedStepOption = "P0303", "a step option given twice",
        "Each step option is given once; @after takes several ids with commas: `@after=a,b`.";
    RepeatedId = "P0304", "two steps with one id",
        "The `@id` of a step is unique in the program; steps without one are called s1, s2, … by their number.";
    UnknownId = "P0305", "an @after that names no step",
        "`@after` takes ids that stand somewhere in the program as `@id=…`, or the number of a call as s1, s2, ….";
    Cycle = "P0306", "steps that wait for each other in a circle",
        "`@after` must leave an order in which the steps can run. The message names every step of one circle; take one `@after` of it away.";
    Race = "P0307", "two steps without an order write one resource",
        "The children of PARALLEL, and the rounds of PARALLEL FOR, have no order, so the outcome would be chance. Write different resources, or put the steps in a SEQUENCE.";
    UnboundName = "P0401", "a name that is not bound",
        "A name is bound by INPUT, LET, FOR or CATCH on an earlier line of the same or an enclosing block.";
    RepeatedName = "P0402", "a name that is bound twice",
        "A name is bound once, so that it means one thing. Choose another name.";
    PossiblyUnbound = "P0403", "a name that may not be bound",
        "The name is bound on some ways through the program only. Bind it on every way: in each branch of the IF and its ELSE, or in the handler of the TRY too.";
    SiblingName = "P0404", "a name of another child of PARALLEL",
        "The children of PARALLEL have no order, so one cannot use what another binds. Use the name after END_PARALLEL, or put both steps into a SEQUENCE.";
    InvalidName = "P0405", "a word that cannot be a name",
        "A name is a letter or `_`, then letters, digits and `_`, and no word that expressions reserve (such as true, null, in).";
    NotInterpolated = "P0406", "a name in quotes that is not interpolated",
        "In double quotes only `${name}` is replaced; `$name` stands for itself. Write `\\$` to say that it is meant.";
}
