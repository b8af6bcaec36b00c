//! The bodies of the fuzz targets, on their seeds and on mutations of them.

#[expect(unreachable_pub, reason = "the fuzz targets use them too")]
#[path = "../../../../fuzz/bodies/dsl.rs"]
pub mod bodies;

use std::fs;
use std::path::Path;

use crate::writer::Random;

/// How many inputs are made from the seeds for each target.
const MUTATIONS: usize = 150;

fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("the seeds are in the repository")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| fs::read(path).expect("a seed can be read");
    paths.iter().map(read).collect()
}

/// One of `seeds` with some bytes changed, taken away, doubled or replaced by those of another.
fn mutation(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const BYTES: &[u8] = b"\0\n\r\t \"'\\$#{}[]()=@-,.aE0\x1e\x7f\x80\xc3\xe2\xff";
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(4) {
            0 => bytes.insert(at, *random.pick(BYTES)),
            1 => {
                bytes.drain(at..end);
            }
            2 => {
                let doubled = bytes[at..end].to_vec();
                bytes.splice(at..at, doubled);
            }
            _ => {
                let other = random.pick(seeds);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(40)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn the_bodies_hold_on_the_seeds_and_their_mutations() {
    let mut random = Random(17);
    for (name, body) in bodies::TARGETS {
        let folder = match *name {
            "document" | "json" => name,
            _ => "dsl",
        };
        let seeds = seeds(folder);
        assert!(seeds.len() >= 8, "{name} has {} seeds", seeds.len());
        for seed in &seeds {
            body(seed);
        }
        for _ in 0..MUTATIONS {
            body(&mutation(&mut random, &seeds));
        }
    }
}
