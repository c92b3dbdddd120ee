//! Cache of the ids of words.
//!
//! Rules that never apply across a blank, such as BERT's, give each part between two blanks (a *stretch*) the same ids wherever it
//! stands. Most stretches are frequent, so caching their ids makes encoding many times faster than the library alone.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;

/// Entries per generation and thread; with two generations about 20 MB.
const ENTRIES: usize = 1 << 16;
/// Maximum length of an entry in bytes: longer ones rarely occur twice.
const LONGEST: usize = 48;

/// Characters at which a text is split. Not all white space of Unicode: form feeds, for example, are removed by the
/// normalisation before text is split.
pub(crate) const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// Identifies the tokenizer of a cache; unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner(u64);

impl Owner {
    pub(super) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

type Known = AHashMap<Box<str>, Box<[u32]>>;

/// The cache of a thread, with two generations: when `young` is full it becomes `old`, and the previous `old` is dropped.
/// Entries of `old` that are used move to `young`.
#[derive(Default)]
struct Cache {
    owner: Option<Owner>,
    young: Known,
    old: Known,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// Ids of the stretches of a text of `bytes` bytes; `encode` appends those of a stretch that is not cached.
pub(super) fn encode<'a>(
    owner: Owner,
    stretches: impl Iterator<Item = &'a str>,
    bytes: usize,
    encode: impl Fn(&str, &mut Vec<u32>),
) -> Vec<u32> {
    CACHE.with_borrow_mut(|cache| {
        if cache.owner != Some(owner) {
            *cache = Cache { owner: Some(owner), ..Cache::default() };
        }
        let mut ids = Vec::with_capacity(bytes / 4);
        for stretch in stretches {
            if stretch.len() > LONGEST {
                encode(stretch, &mut ids);
            } else {
                cache.add(stretch, &mut ids, &encode);
            }
        }
        ids
    })
}

impl Cache {
    fn add(&mut self, stretch: &str, ids: &mut Vec<u32>, encode: &impl Fn(&str, &mut Vec<u32>)) {
        if let Some(known) = self.young.get(stretch) {
            ids.extend_from_slice(known);
            return;
        }
        let (stretch, known) = self.old.remove_entry(stretch).unwrap_or_else(|| {
            let mut new = Vec::new();
            encode(stretch, &mut new);
            (stretch.into(), new.into())
        });
        ids.extend_from_slice(&known);
        if self.young.len() == ENTRIES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stretch, known);
    }
}
