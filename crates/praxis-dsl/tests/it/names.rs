//! Which names are bound where.

use crate::found;

#[track_caller]
fn check(source: &str, expected: &str) {
    assert_eq!(found(source), expected, "{source}");
}

#[test]
fn unbound_and_repeated() {
    check("CALL probe $x", "P0401 $x");
    check("CALL probe $x\nCALL probe $x", "P0401 $x");
    check("CALL say \"${x}\"", "P0401 x");
    check("CALL say \"${size(x.y)}\"", "P0401 x");
    check("IF $x == 1\nENDIF", "P0401 x");
    check("CALL probe $x\nLET x = 1", "P0401 $x");
    check("LET x = $x", "P0401 $x");
    check("LET x = 1\nLET x = 2", "P0402 x");
    check("INPUT x\nLET x = 2", "P0402 x");
    check("LET x = 1\nFOR x IN [1]\nEND_FOR", "P0402 x");
    check(
        "FOR x IN [1]\nEND_FOR\nFOR x IN [2]\nCALL probe $x\nEND_FOR",
        "",
    );
    check("FOR x IN [1]\nEND_FOR\nCALL probe $x", "P0401 $x");
    check("LET 1x = 1", "P0405 1x");
    check("LET true = 1", "P0405 true");
    check(
        "LET имя_1 = 1\nCALL probe $имя_1\nCALL say \"${имя_1}\"",
        "",
    );
    check("LET xs = [1]\nCALL probe ${xs.map(x,x+1)}", "");
    check("LET xs = [1]\nCALL say \"${xs.map(x, x + y)}\"", "P0401 y");
    check("LET x = 1\nCALL say '$x' '${x}'", "");
    check("LET x = 1\nCALL say \"$x\"", "P0406 $x");
    check("LET x = 1\nCALL say $x/a", "P0406 $x");
    check("LET x = 1\nCALL say \"\\$x\" \"$y\" $5", "");
}

#[test]
fn branches() {
    check("IF true\nLET x = 1\nENDIF\nCALL probe $x", "P0403 $x");
    check("IF true\nLET x = 1\nELSE\nENDIF\nCALL probe $x", "P0403 $x");
    check(
        "IF true\nLET x = 1\nELSE\nLET x = 2\nENDIF\nCALL probe $x",
        "",
    );
    check(
        "IF true\nLET x = 1\nELIF false\nLET x = 2\nELSE\nLET x = 3\nENDIF\nCALL probe $x",
        "",
    );
    check(
        "IF true\nLET x = 1\nELIF false\nELSE\nLET x = 3\nENDIF\nCALL probe $x",
        "P0403 $x",
    );
    check("IF true\nLET x = 1\nELSE\nRETURN\nENDIF\nCALL probe $x", "");
    check("IF true\nLET x = 1\nENDIF\nLET x = 2", "P0402 x");
    check(
        "IF true\nIF true\nLET x = 1\nENDIF\nELSE\nLET x = 2\nENDIF\nCALL probe $x",
        "P0403 $x",
    );
}

#[test]
fn loops_and_handlers() {
    check("FOR i IN [1]\nLET x = $i\nEND_FOR\nCALL probe $x", "");
    check(
        "PARALLEL FOR i IN [1] --limit 2\nLET x = $i\nLET y = $x\nEND_FOR\nCALL probe $y",
        "",
    );
    check(
        "TRY\nLET x = 1\nCATCH e\nCALL probe $e\nEND_TRY\nCALL probe $x",
        "P0403 $x",
    );
    check(
        "TRY\nLET x = 1\nCATCH\nLET x = 2\nEND_TRY\nCALL probe $x",
        "",
    );
    check("TRY\nLET x = 1\nCATCH\nRETURN\nEND_TRY\nCALL probe $x", "");
    check("TRY\nLET x = 1\nCATCH\nCALL probe $x\nEND_TRY", "P0401 $x");
    check(
        "TRY\nCALL ping\nCATCH e\nEND_TRY\nCALL probe $e",
        "P0401 $e",
    );
}

#[test]
fn parallel_children() {
    let siblings = "PARALLEL\nLET x = CALL ping\nCALL probe $x\nEND_PARALLEL";
    check(siblings, "P0404 $x");
    check(
        "PARALLEL\nLET x = CALL ping\nLET y = CALL ping\nEND_PARALLEL\nCALL probe $x\nCALL probe $y",
        "",
    );
    check(
        "PARALLEL\nLET x = CALL ping\nLET x = CALL ping\nEND_PARALLEL",
        "P0402 x",
    );
    check(
        "PARALLEL\nSEQUENCE\nLET x = CALL ping\nCALL probe $x\nEND_SEQUENCE\nCALL ping\nEND_PARALLEL",
        "",
    );
    check(
        "PARALLEL --any\nLET x = CALL ping\nCALL ping\nEND_PARALLEL\nCALL probe $x",
        "P0403 $x",
    );
}
