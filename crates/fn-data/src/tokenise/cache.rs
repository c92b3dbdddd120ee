//! Ids of stretches of text that came before.
//!
//! No rule of BERT looks across white space, so a text may be cut there, and what lies between two blanks always gets the same
//! ids. Most stretches of a text are frequent ones: remembering them makes encoding many times faster than the library alone.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;

/// Stretches per generation and thread; with two generations about 20 MB.
const ENTRIES: usize = 1 << 16;
/// Longer stretches, in bytes, hardly come twice.
const LONGEST: usize = 48;

/// Where a text may be cut. Not every white space of Unicode: form feeds, for example, are removed before anything is split.
pub(crate) const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// Which tokenizer a cache belongs to: unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner(u64);

impl Owner {
    pub(super) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

type Known = AHashMap<Box<str>, Box<[u32]>>;

/// What a thread remembers. When `young` is full it becomes `old`, and what is not asked for again is forgotten.
#[derive(Default)]
struct Cache {
    owner: Option<Owner>,
    young: Known,
    old: Known,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// Ids of `text`; `encode` adds those of a stretch without blanks.
pub(super) fn encode(owner: Owner, text: &str, encode: impl Fn(&str, &mut Vec<u32>)) -> Vec<u32> {
    CACHE.with_borrow_mut(|cache| {
        if cache.owner != Some(owner) {
            *cache = Cache { owner: Some(owner), ..Cache::default() };
        }
        let mut ids = Vec::with_capacity(text.len() / 4);
        for stretch in text.split(BLANKS).filter(|s| !s.is_empty()) {
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
