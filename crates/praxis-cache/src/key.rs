//! Cache keys: what a tool's result depends on, in canonical bytes.

use std::cell::Cell;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde_json::{Map, Number, Value};
use triomphe::ThinArc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::canonical::{self, Scratch};
use crate::{Error, ErrorKind};

/// The layout of the key bytes; a change of it must change this, so that stored keys of another layout never match.
const LAYOUT: u8 = 3;

/// A scratch buffer that grew past this is given back, so that one huge key does not cost memory for ever.
const KEEP_SCRATCH_BYTES: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch::new()) };
}

/// The 128-bit hash of a key's bytes, equal in every process and version: XXH3 of the arguments, seeded by XXH3 of what stands before them.
///
/// It chooses the place in the store and names the entry to people.
/// It is never the proof of a hit: that is the equality of the key's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u128);

impl KeyId {
    /// The id of content that is cached by what it is, such as a program with the catalog that it was checked against.
    ///
    /// Each part stands behind its length, so no part runs into the next.
    /// It is not keyed: whoever may choose the content can, with effort, make two that share an id.
    pub fn of_content(parts: &[&[u8]]) -> Self {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher.digest128())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = ParseIntError;

    /// Reads what `Display` writes: hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// A borrowed key, as [`CacheKeyBuilder::with_key`] lends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRef<'a> {
    id: KeyId,
    bytes: &'a [u8],
}

impl<'a> KeyRef<'a> {
    /// The key whose bytes and hash these are.
    pub(crate) fn of(id: KeyId, bytes: &'a [u8]) -> Self {
        Self { id, bytes }
    }

    /// Takes key bytes that this crate made, for a store that read them back.
    ///
    /// `None` if they are not laid out as a key of this version.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        tool_section(bytes)?;
        let arguments = arguments_section(bytes)?;
        let prefix = &bytes[..bytes.len() - arguments.len()];
        let id = KeyId(xxh3_128_with_seed(arguments, xxh3_64(prefix)));
        Some(Self { id, bytes })
    }

    /// The hash of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Everything that the key holds, in canonical form.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The tool that the key was built for.
    pub fn tool(&self) -> &'a str {
        tool_of(self.bytes)
    }

    /// The tenant that the key was built for, if any.
    pub fn tenant(&self) -> Option<&'a str> {
        let rest = after_section(after_section(self.bytes.get(1..)?)?)?;
        let (&has, rest) = rest.split_first()?;
        let tenant = section_of(rest)?;
        std::str::from_utf8(tenant).ok().filter(|_| has == 1)
    }

    /// The key as people read it: the tool, and its arguments as JSON. It builds them anew.
    pub fn text(&self) -> String {
        let arguments = Value::Object(self.arguments().unwrap_or_default());
        format!("{} {arguments}", self.tool())
    }

    /// The arguments that the key was built from; for people, since it builds them anew.
    pub fn arguments(&self) -> Option<Map<String, Value>> {
        canonical::read_object(arguments_section(self.bytes)?)
    }

    /// An owned copy.
    pub fn to_key(&self) -> CacheKey {
        CacheKey {
            id: self.id,
            bytes: ThinArc::from_header_and_slice((), self.bytes),
        }
    }
}

/// The tool that a key of these bytes was built for.
pub(crate) fn tool_of(bytes: &[u8]) -> &str {
    tool_section(bytes).unwrap_or_default()
}

fn tool_section(bytes: &[u8]) -> Option<&str> {
    let (&layout, rest) = bytes.split_first()?;
    let tool = section_of(rest)?;
    std::str::from_utf8(tool).ok().filter(|_| layout == LAYOUT)
}

fn arguments_section(bytes: &[u8]) -> Option<&[u8]> {
    let rest = after_section(after_section(bytes.get(1..)?)?)?;
    after_section(after_section(rest.get(1..)?)?)
}

fn section_of(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn after_section(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(4 + section_of(bytes)?.len()..)
}

/// Shared, and one word to hold: every entry has them.
pub(crate) type KeyBytes = ThinArc<(), u8>;

/// An owned key; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    id: KeyId,
    bytes: KeyBytes,
}

impl CacheKey {
    /// The key whose bytes and hash these are.
    pub(crate) fn of_shared(bytes: &KeyBytes, id: KeyId) -> Self {
        let bytes = bytes.clone();
        Self { id, bytes }
    }

    pub(crate) fn into_bytes(self) -> KeyBytes {
        self.bytes
    }

    /// The key, borrowed.
    pub fn as_ref(&self) -> KeyRef<'_> {
        KeyRef {
            id: self.id,
            bytes: &self.bytes.slice,
        }
    }

    /// The hash of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The tool that the key was built for.
    pub fn tool(&self) -> &str {
        self.as_ref().tool()
    }
}

impl<'a> From<&'a CacheKey> for KeyRef<'a> {
    fn from(key: &'a CacheKey) -> Self {
        key.as_ref()
    }
}

/// Builds the keys of one tool; make it once and keep it.
///
/// A key holds all that a result depends on apart from resources, which are checked at each hit:
///
/// - the tool's name;
/// - the digest of its contract and of its program (its folder's bytes, or the image's id);
/// - the tenant, for isolation: no tenant and an empty one differ;
/// - the digest of the host variables that are passed to it;
/// - the arguments, in a canonical form of JSON.
///
/// Two keys are equal exactly if all five are.
/// Argument objects are equal whatever the order of their members; names sort by their UTF-8 bytes.
/// `1`, `1.0` and `"1"` differ, and so do `0.0` and `-0.0`, since a program can tell them apart.
/// Integers from `i64::MIN` to `u64::MAX` are exact, floats are equal if their bits are.
/// Text is taken as it is, without Unicode normalisation.
/// If a build turns `serde_json/arbitrary_precision` on, numbers are compared as the text they were written in.
///
/// ```
/// use praxis_cache::CacheKeyBuilder;
/// use serde_json::json;
///
/// let keys = CacheKeyBuilder::new("word_count").contract(b"digest of the contract").tenant("acme");
/// let arguments = json!({"text": "a b c", "limit": 3});
/// let key = keys.key(arguments.as_object().unwrap())?;
/// assert_eq!(key.tool(), "word_count");
/// # Ok::<(), praxis_cache::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CacheKeyBuilder {
    tool: Box<str>,
    contract: Box<[u8]>,
    tenant: Option<Box<str>>,
    variables: Box<[u8]>,
    prefix: Box<[u8]>,
    /// The hash of the prefix, which seeds that of the arguments.
    seed: u64,
}

impl CacheKeyBuilder {
    /// Keys for `tool`, with nothing else in them but the arguments.
    pub fn new(tool: &str) -> Self {
        Self {
            tool: tool.into(),
            contract: Box::default(),
            tenant: None,
            variables: Box::default(),
            prefix: Box::default(),
            seed: 0,
        }
        .framed()
    }

    /// Adds the digest of the tool's contract and program.
    #[must_use]
    pub fn contract(mut self, digest: &[u8]) -> Self {
        self.contract = digest.into();
        self.framed()
    }

    /// Keeps the entries of `tenant` apart from everyone else's.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.into());
        self.framed()
    }

    /// Adds the digest of the host variables that the tool is given.
    #[must_use]
    pub fn variables(mut self, digest: &[u8]) -> Self {
        self.variables = digest.into();
        self.framed()
    }

    /// The tool that the keys are for.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// An argument that is a number, for arguments that are put together in the program.
    ///
    /// `serde_json` itself turns NaN and the infinities into null, in silence.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFinite`](crate::ErrorKind::NotFinite): it is one of those.
    pub fn float(&self, number: f64) -> Result<Value, Error> {
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| Error::new(ErrorKind::NotFinite, &self.tool))
    }

    /// The key for a call with `arguments`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooDeep`](crate::ErrorKind::TooDeep) past [`MAX_DEPTH`](crate::MAX_DEPTH) levels, [`ErrorKind::TooLong`](crate::ErrorKind::TooLong) past [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    pub fn key(&self, arguments: &Map<String, Value>) -> Result<CacheKey, Error> {
        self.with_key(arguments, |key| key.to_key())
    }

    /// Lends the key for a call with `arguments` to `body`, without allocating.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key).
    pub fn with_key<R>(
        &self,
        arguments: &Map<String, Value>,
        body: impl FnOnce(KeyRef<'_>) -> R,
    ) -> Result<R, Error> {
        // Taken rather than borrowed: `body` may build another key. A thread that is going has none to take.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        let result = scratch
            .write(&self.prefix, arguments)
            .map(|bytes| {
                let id = KeyId(xxh3_128_with_seed(&bytes[self.prefix.len()..], self.seed));
                body(KeyRef { id, bytes })
            })
            .map_err(|kind| Error::new(kind, &self.tool));
        if scratch.capacity() <= KEEP_SCRATCH_BYTES {
            let _ = SCRATCH.try_with(|kept| kept.set(scratch));
        }
        result
    }

    /// Writes the sections before the arguments, each behind its length so that none runs into the next.
    fn framed(mut self) -> Self {
        let mut prefix = vec![LAYOUT];
        section(&mut prefix, self.tool.as_bytes());
        section(&mut prefix, &self.contract);
        prefix.push(u8::from(self.tenant.is_some()));
        section(
            &mut prefix,
            self.tenant.as_deref().unwrap_or_default().as_bytes(),
        );
        section(&mut prefix, &self.variables);
        self.seed = xxh3_64(&prefix);
        self.prefix = prefix.into();
        self
    }
}

fn section(out: &mut Vec<u8>, bytes: &[u8]) {
    // A section past 4 GiB would wrap, but the whole prefix is refused long before that.
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}
