//! The stable codes of the diagnostics, each with an explanation and an example.

use crate::suggest::nearest;

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal, $explanation:literal, $example:expr;)*) => {
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

            /// A program with the mistake, and the same without it; none where only a large program
            /// shows it. A byte that is no text is written `\xe9`.
            pub const fn examples(self) -> Option<(&'static str, &'static str)> {
                match self { $(Self::$name => $example),* }
            }
        }
    };
}

impl Code {
    /// The code whose id is nearest to `id`, if one is near enough to be meant.
    pub fn nearest(id: &str) -> Option<Self> {
        let meant = nearest(id.trim(), Self::ALL.iter().map(|code| code.id()))?;
        Self::find(meant.word)
    }

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
        "A program is UTF-8 text. The message gives the first byte that is not; save the file as UTF-8.",
        Some(("CALL word_count --text caf\\xe9",
            "CALL word_count --text café"));
    BinaryFile = "P0002", "the source is a binary file",
        "The file holds NUL bytes and is not UTF-8, so it is no program. Check the path.",
        Some(("\\x7fELF\\x00\\xff",
            "CALL word_count --text hello"));
    SourceTooLarge = "P0003", "the source is too large",
        "A program has a size limit, so that one from outside cannot exhaust the memory. Split it, or read the data from a file with a tool.",
        None;
    UnclosedQuote = "P0004", "a quote is not closed on its line",
        "A quote closes on the line where it opens. Close it; write `\\'` for an apostrophe outside quotes; write `\\n` in double quotes for a line end.",
        Some(("CALL word_count --text don't",
            "CALL word_count --text \"don't\""));
    QuoteInWord = "P0005", "a quote opens in the middle of a word",
        "A quote makes a word of its own. Put a blank before it, quote the whole word, or write `\\'` or `\\\"` for the character. Only the value of `--name=\"…\"` and `@name=\"…\"` may follow its sign at once.",
        Some(("CALL read_file notes\"1\".txt",
            "CALL read_file 'notes\"1\".txt'"));
    OddCharacter = "P0006", "a character that cannot be seen or does not belong here",
        "Zero-width characters, bidirectional controls and other control characters make two words look alike, so keywords and names take none of them, and bare words take no controls. Delete the character, or quote the word if it is data.",
        Some(("CALL read\u{200b}_file notes.txt",
            "CALL read_file notes.txt"));
    UnclosedInterpolation = "P0007", "an interpolation is not closed, or not quoted",
        "`${`, in double quotes or at the start of a bare word, opens an expression that ends with `}` on the same line. Close it, or write `\\${` for the characters. A bare word is the expression as a whole; with text before or behind it, it stands in double quotes.",
        Some(("INPUT name\nCALL word_count \"hello ${name\"",
            "INPUT name\nCALL word_count \"hello ${name}\""));
    InvalidExpression = "P0008", "an expression does not compile",
        "Conditions and `${…}` are CEL expressions, such as `size(files) > 0 && name.startsWith('a')`. Text in them is quoted.",
        Some(("INPUT count = 3\nIF count = 3\n  CALL read_file notes.txt\nENDIF",
            "INPUT count = 3\nIF count == 3\n  CALL read_file notes.txt\nENDIF"));
    ExpressionTooComplex = "P0009", "an expression is too large",
        "Expressions are limited in length, nesting, operators and comprehensions, so that none can exhaust the machine. Bind parts of it with LET.",
        Some(("INPUT rows\nRETURN ${rows.map(a, rows.map(b, rows.map(c, a)))}",
            "INPUT rows\nLET inner = ${rows.map(b, rows.map(c, c))}\nRETURN ${rows.map(a, inner)}"));
    NumberOutOfRange = "P0010", "a number is out of range",
        "Whole numbers reach from -9223372036854775808 to 18446744073709551615. Quote the word to keep it as text.",
        Some(("LET id = 99999999999999999999",
            "LET id = \"99999999999999999999\""));
    TooManyDiagnostics = "P0011", "there are more diagnostics than are shown",
        "Only the first diagnostics are kept. Mend them and check again.",
        None;
    IllTypedExpression = "P0012", "the types of an expression do not go together",
        "The types of its parts are known from literals, from other expressions and from the contracts of tools, and no values of these types can be evaluated. An integer and a float do not add, and a condition is true or false. Convert with int(…), double(…) or string(…), or use another value.",
        Some(("LET count = 3\nRETURN ${\"count: \" + count}",
            "LET count = 3\nRETURN ${\"count: \" + string(count)}"));
    UnknownCommand = "P0101", "a line does not start with a command",
        "Every line starts with a command: WORKFLOW, INPUT, CALL, LET, PARALLEL, SEQUENCE, IF, FOR, TRY, TASK, AGENT or RETURN, in any case. To run a tool, write `CALL tool`.",
        Some(("CAL read_file notes.txt",
            "CALL read_file notes.txt"));
    UnclosedBlock = "P0102", "a block is not closed",
        "PARALLEL, SEQUENCE, IF, FOR and TRY each need their end word: END_PARALLEL, END_SEQUENCE, END_IF (or ENDIF), END_FOR, END_TRY.",
        Some(("PARALLEL\n  CALL read_file a.txt\n  CALL read_file b.txt",
            "PARALLEL\n  CALL read_file a.txt\n  CALL read_file b.txt\nEND_PARALLEL"));
    StrayEnd = "P0103", "an end word without its block",
        "No open block has this end word. Delete the line, or open the block.",
        Some(("CALL read_file notes.txt\nENDIF",
            "INPUT wanted\nIF wanted\n  CALL read_file notes.txt\nENDIF"));
    MismatchedEnd = "P0104", "an end word of another kind of block",
        "The innermost open block has another end word. Write the one that belongs to it.",
        Some(("PARALLEL\n  CALL read_file a.txt\nEND_FOR",
            "PARALLEL\n  CALL read_file a.txt\nEND_PARALLEL"));
    MisplacedClause = "P0105", "a clause outside of its block",
        "ELIF and ELSE stand directly inside IF, before any ELSE; CATCH stands directly inside TRY.",
        Some(("SEQUENCE\n  CALL read_file a.txt\nELSE\n  CALL read_file b.txt\nEND_SEQUENCE",
            "INPUT first\nIF first\n  CALL read_file a.txt\nELSE\n  CALL read_file b.txt\nENDIF"));
    RepeatedClause = "P0106", "a second ELSE or CATCH",
        "An IF has one ELSE, as its last clause, and a TRY has one CATCH.",
        Some(("INPUT n\nIF n == 1\n  CALL read_file a.txt\nELSE\n  CALL read_file b.txt\nELSE\n  CALL read_file c.txt\nENDIF",
            "INPUT n\nIF n == 1\n  CALL read_file a.txt\nELIF n == 2\n  CALL read_file b.txt\nELSE\n  CALL read_file c.txt\nENDIF"));
    EmptyBlock = "P0107", "a block without steps",
        "PARALLEL and SEQUENCE hold at least one step. Delete the block or fill it.",
        Some(("PARALLEL\nEND_PARALLEL",
            "PARALLEL\n  CALL read_file a.txt\nEND_PARALLEL"));
    TooDeep = "P0108", "blocks are nested too deeply",
        "Blocks nest to a stated depth, so that no program can exhaust the stack. Call another workflow, or flatten the blocks.",
        None;
    MissingWord = "P0109", "a word is missing",
        "The command needs one more word: CALL the name of a tool, WORKFLOW, TASK, AGENT and INPUT a name, IF and ELIF a condition.",
        Some(("LET text = CALL",
            "LET text = CALL read_file notes.txt"));
    MalformedLet = "P0110", "a LET that is not complete",
        "LET binds a name: `LET name = CALL tool …` or `LET name = value`, with blanks around the `=`.",
        Some(("LET text=\"hello\"",
            "LET text = \"hello\""));
    MalformedFor = "P0111", "a FOR that is not complete",
        "FOR goes over a list: `FOR name IN $list`. `PARALLEL FOR name IN $list --limit 4` gives up the order.",
        Some(("INPUT names\nFOR name $names\n  CALL read_file $name\nEND_FOR",
            "INPUT names\nFOR name IN $names\n  CALL read_file $name\nEND_FOR"));
    SurplusWord = "P0112", "a word too many",
        "The command takes fewer words. Quote text that has blanks in it, write an expression as `${…}` and JSON with blanks in single quotes, or delete the rest.",
        Some(("LET title = my report",
            "LET title = \"my report\""));
    UnknownArgument = "P0113", "an argument that the block does not have",
        "PARALLEL takes `--limit N`, `--fail_fast` and `--any`; PARALLEL FOR takes `--limit N`; the other blocks take none.",
        Some(("PARALLEL --max 2\n  CALL read_file a.txt\nEND_PARALLEL",
            "PARALLEL --limit 2\n  CALL read_file a.txt\nEND_PARALLEL"));
    EmptyOption = "P0114", "an option without a name",
        "`--` is followed by the name of a parameter. Quote it if it is data.",
        Some(("CALL word_count -- text",
            "CALL word_count --text text"));
    MisplacedStatement = "P0115", "a statement in the wrong place",
        "WORKFLOW stands once, at the top; INPUT stands before the first step and outside of blocks.",
        Some(("CALL read_file notes.txt\nINPUT name",
            "INPUT name\nCALL read_file notes.txt"));
    Unreachable = "P0116", "a statement that is never run",
        "RETURN ends the run, so what follows it in the same block never runs.",
        Some(("RETURN \"done\"\nCALL read_file notes.txt",
            "CALL read_file notes.txt\nRETURN \"done\""));
    ReturnInParallel = "P0117", "a RETURN inside PARALLEL",
        "The children of PARALLEL have no order, so none of them may end the run. Bind a name and RETURN it after the block.",
        Some(("PARALLEL\n  RETURN 1\nEND_PARALLEL",
            "PARALLEL\n  LET text = CALL read_file a.txt\nEND_PARALLEL\nRETURN $text"));
    BadArgument = "P0118", "a value that the block or command cannot take",
        "The message says what would be accepted.",
        Some(("PARALLEL --limit none\n  CALL read_file a.txt\nEND_PARALLEL",
            "PARALLEL --limit 4\n  CALL read_file a.txt\nEND_PARALLEL"));
    UnknownTool = "P0201", "a tool that is not in the catalog",
        "CALL names a tool, exactly as the catalog spells it. `praxis tools list` shows them; `--tools DIR` adds more.",
        Some(("CALL raed_file notes.txt",
            "CALL read_file notes.txt"));
    UnknownParameter = "P0202", "a parameter that the tool does not have",
        "The message lists the tool's parameters.",
        Some(("CALL word_count --txt hello",
            "CALL word_count --text hello"));
    RepeatedArgument = "P0203", "an argument given twice",
        "Each parameter has one value. Positional arguments fill the parameters in their declared order, also those that are given by name.",
        Some(("CALL read_file a.txt --filename b.txt",
            "CALL read_file --filename b.txt"));
    MissingArgument = "P0204", "a required argument is missing",
        "Give it by position or as `--name value`.",
        Some(("CALL copy_file a.txt",
            "CALL copy_file a.txt b.txt"));
    SurplusArgument = "P0205", "more positional arguments than parameters",
        "Quote text that has blanks in it, or give the argument by name.",
        Some(("CALL copy_file my notes.txt old.txt",
            "CALL copy_file \"my notes.txt\" old.txt"));
    IllTypedArgument = "P0206", "an argument of the wrong type",
        "The value cannot be read as the declared type of the parameter without loss.",
        Some(("CALL list_files --recursive often",
            "CALL list_files --recursive true"));
    SwallowedOption = "P0207", "an option that became text",
        "The last parameter takes the remaining words as text, options among them. Put options before it, or quote the text.",
        Some(("CALL write_file out.txt all done --append true",
            "CALL write_file out.txt \"all done --append true\""));
    UnknownStepOption = "P0301", "an unknown step option",
        "The step options are @id, @timeout, @retries, @cache, @engine, @agent and @after, each as `@name=value`.",
        Some(("CALL read_file notes.txt @timout=5s",
            "CALL read_file notes.txt @timeout=5s"));
    BadStepOption = "P0302", "a step option with a wrong value",
        "Write @timeout=5s (ms, s, m or h), @retries=3 (0 to 100), @cache=on or @cache=off, and a name for @id, @engine, @agent and @after.",
        Some(("CALL read_file notes.txt @timeout=soon",
            "CALL read_file notes.txt @timeout=5s"));
    RepeatedStepOption = "P0303", "a step option given twice",
        "Each step option is given once; @after takes several ids with commas: `@after=a,b`.",
        Some(("CALL read_file notes.txt @retries=1 @retries=2",
            "CALL read_file notes.txt @retries=2"));
    RepeatedId = "P0304", "two steps with one id",
        "The `@id` of a step is unique in the program; steps without one are called s1, s2, … by their number.",
        Some(("CALL read_file a.txt @id=read\nCALL read_file b.txt @id=read",
            "CALL read_file a.txt @id=read_a\nCALL read_file b.txt @id=read_b"));
    UnknownId = "P0305", "an @after that names no step",
        "`@after` takes ids that stand somewhere in the program as `@id=…`, or the number of a call as s1, s2, ….",
        Some(("CALL read_file a.txt @id=first\nCALL read_file b.txt @after=frist",
            "CALL read_file a.txt @id=first\nCALL read_file b.txt @after=first"));
    Cycle = "P0306", "steps that wait for each other in a circle",
        "`@after` must leave an order in which the steps can run. The message names every step of one circle; take one `@after` of it away.",
        Some(("CALL read_file a.txt @id=a @after=b\nCALL read_file b.txt @id=b @after=a",
            "CALL read_file a.txt @id=a\nCALL read_file b.txt @id=b @after=a"));
    Race = "P0307", "two steps without an order write one resource",
        "The children of PARALLEL, and the rounds of PARALLEL FOR, have no order, so the outcome would be chance. Write different resources, or put the steps in a SEQUENCE.",
        Some(("PARALLEL\n  CALL write_file out.txt one\n  CALL write_file out.txt two\nEND_PARALLEL",
            "PARALLEL\n  CALL write_file one.txt one\n  CALL write_file two.txt two\nEND_PARALLEL"));
    UnboundName = "P0401", "a name that is not bound",
        "A name is bound by INPUT, LET, FOR or CATCH on an earlier line of the same or an enclosing block.",
        Some(("RETURN $text",
            "LET text = CALL read_file notes.txt\nRETURN $text"));
    RepeatedName = "P0402", "a name that is bound twice",
        "A name is bound once, so that it means one thing. Choose another name.",
        Some(("LET text = CALL read_file a.txt\nLET text = CALL read_file b.txt",
            "LET first = CALL read_file a.txt\nLET second = CALL read_file b.txt"));
    PossiblyUnbound = "P0403", "a name that may not be bound",
        "The name is bound on some ways through the program only. Bind it on every way: in each branch of the IF and its ELSE, or in the handler of the TRY too.",
        Some(("INPUT long\nIF long\n  LET text = CALL read_file long.txt\nENDIF\nRETURN $text",
            "INPUT long\nIF long\n  LET text = CALL read_file long.txt\nELSE\n  LET text = CALL read_file short.txt\nENDIF\nRETURN $text"));
    SiblingName = "P0404", "a name of another child of PARALLEL",
        "The children of PARALLEL have no order, so one cannot use what another binds. Use the name after END_PARALLEL, or put both steps into a SEQUENCE.",
        Some(("PARALLEL\n  LET text = CALL read_file a.txt\n  LET count = CALL word_count $text\nEND_PARALLEL",
            "PARALLEL\n  SEQUENCE\n    LET text = CALL read_file a.txt\n    LET count = CALL word_count $text\n  END_SEQUENCE\nEND_PARALLEL"));
    InvalidName = "P0405", "a word that cannot be a name",
        "A name is a letter or `_`, then letters, digits and `_`, and no word that expressions reserve (such as true, null, in).",
        Some(("LET 2nd = \"b.txt\"",
            "LET second = \"b.txt\""));
    NotInterpolated = "P0406", "a name in quotes that is not interpolated",
        "In double quotes only `${name}` is replaced; `$name` stands for itself, as it does in the middle of a bare word. Write `\\$` to say that it is meant.",
        Some(("INPUT name\nCALL word_count \"hello $name\"",
            "INPUT name\nCALL word_count \"hello ${name}\""));
}
