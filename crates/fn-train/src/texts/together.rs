//! Prepares a text on several ranks: each tokenises some of the input files, the first one packs all of them.

use std::path::{Path, PathBuf};

use fn_core::files::hex;
use fn_data::DataError;
use fn_data::shard::{Begun, PrepareConfig, PreparedData, Progress, begin, tokenise_part};
use fn_data::source::{Sources, StopFlag};
use fn_data::tokenise::TextTokenizer;
use sha2::{Digest, Sha256};

use super::{Text, prepare_config};
use crate::collective::{
    Agreement, Collective, CollectiveError, Meeting, Patience, agree, gather, meet, tell,
};
use crate::config::RunConfig;
use crate::error::TrainError;
use crate::machine::this_program;

/// Texts may take hours.
const fn endless(what: &'static str) -> Meeting {
    Meeting { what, patience: Patience::Endless }
}

impl Text<'_> {
    /// [`prepare`](Text::prepare) by all `ranks` together, which see the same files: the same data set as one process makes. What was made
    /// is returned to the first rank alone.
    ///
    /// # Errors
    /// As `prepare`, on the rank where it happens; the others get [`CollectiveError::Failed`]. Ranks that see other input files.
    pub fn prepare_together(
        &self,
        ranks: &dyn Collective,
        run: &RunConfig,
        tokenizer: &TextTokenizer,
        progress: &mut dyn FnMut(&Progress),
        stop: &StopFlag,
    ) -> Result<Option<PreparedData>, TrainError> {
        if ranks.world() == 1 || self.shards.is_some() {
            let prepared = self.prepare(run, tokenizer, progress, stop)?;
            return Ok(Some(prepared).filter(|_| ranks.is_first()));
        }
        let config = prepare_config(run, self.paths);
        let files = Sources::open(&config.sources, &config.options)?.files().to_vec();
        let sizes = files.iter().map(|file| size(file)).collect::<Result<Vec<u64>, DataError>>()?;
        let PrepareConfig { options, packing, length, seed, cache, .. } = &config;
        let read = (&options.json_field, &options.parquet_column, options.on_bad_line);
        let same = [
            Agreement::new("the program", this_program()),
            Agreement::new(
                "how text is read, packed and kept",
                format!("{:?}", (read, packing, length, seed, cache)),
            ),
            Agreement::new("the names and sizes of the input files", listed(&files, &sizes)),
            Agreement::new("the tokenizer", tokenizer.sha256()),
        ];
        agree(ranks, endless("its list of input files"), &same)?;

        let begun = ranks.is_first().then(|| begin(&config, tokenizer, stop)).transpose()?;
        let (ready, claimed) = match begun {
            Some(Begun::Ready(prepared)) => (Some(prepared), None),
            Some(Begun::Claimed(claimed)) => (None, Some(claimed)),
            None => (None, None),
        };
        let folder = claimed.as_ref().map(|claimed| claimed.scratch().display().to_string());
        let folder = tell(ranks, endless("the folder of the shards"), &folder.unwrap_or_default())?;
        if folder.is_empty() {
            return Ok(ready);
        }

        let mine = tokenise_mine(ranks, &config, tokenizer, &files, &sizes, Path::new(&folder), stop);
        let said = mine.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let said = gather(ranks, endless("its part of the input files"), said.as_bytes())?;
        if let Some(failed) = said.iter().position(|message| !message.is_empty()) {
            if let Some(claimed) = claimed {
                claimed.give_up();
            }
            mine?;
            let message = String::from_utf8_lossy(&said[failed]).into_owned();
            return Err(CollectiveError::Failed { other: failed, what: "preparing text", message }.into());
        }
        let prepared = claimed
            .map(|claimed| claimed.assemble(&config, tokenizer, files.len(), progress, stop))
            .transpose()?;
        meet(ranks, endless("the shards"))?;
        Ok(prepared)
    }
}

/// Tokenises the files of this rank.
fn tokenise_mine(
    ranks: &dyn Collective,
    config: &PrepareConfig,
    tokenizer: &TextTokenizer,
    files: &[PathBuf],
    sizes: &[u64],
    folder: &Path,
    stop: &StopFlag,
) -> Result<(), DataError> {
    let owners = share_out(sizes, ranks.world());
    for (part, file) in files.iter().enumerate() {
        // Standard input comes to the first rank alone.
        let owner = if is_input(file) { 0 } else { owners[part] };
        if owner == ranks.rank() {
            tokenise_part(config, tokenizer, file, part, folder, stop)?;
        }
    }
    Ok(())
}

fn is_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn size(file: &Path) -> Result<u64, DataError> {
    match std::fs::metadata(file) {
        _ if is_input(file) => Ok(0),
        Ok(found) => Ok(found.len()),
        Err(source) => Err(DataError::Io { path: file.to_owned(), action: "inspect", source }),
    }
}

/// A checksum of names and sizes.
fn listed(files: &[PathBuf], sizes: &[u64]) -> String {
    let lines: Vec<String> =
        files.iter().zip(sizes).map(|(file, size)| format!("{} {size}", file.display())).collect();
    format!("{} files, {}", files.len(), hex(&Sha256::digest(lines.join("\n"))))
}

/// The rank of each file: the largest files first, each to the rank that has the fewest bytes so far.
fn share_out(sizes: &[u64], world: usize) -> Vec<usize> {
    let mut largest_first: Vec<usize> = (0..sizes.len()).collect();
    largest_first.sort_by_key(|&file| std::cmp::Reverse(sizes[file]));
    let (mut owners, mut bytes) = (vec![0; sizes.len()], vec![0u64; world.max(1)]);
    for file in largest_first {
        let least = (0..bytes.len()).min_by_key(|&rank| bytes[rank]).unwrap_or(0);
        owners[file] = least;
        bytes[least] += sizes[file].max(1);
    }
    owners
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use fn_data::tokenise::SPECIAL_TOKENS;

    use super::*;
    use crate::collective::Threads;

    fn tokenizer() -> TextTokenizer {
        let words = (0..50).map(|i| format!("w{i}"));
        let pieces = SPECIAL_TOKENS.iter().map(|special| (*special).to_owned()).chain(words);
        TextTokenizer::from_vocab(pieces.collect(), true).unwrap()
    }

    /// Five files of different lengths, the last of which is bad JSON if `bad`.
    fn run(dir: &Path, bad: bool) -> RunConfig {
        let input = dir.join("in");
        std::fs::create_dir_all(&input).unwrap();
        for file in 0..5u32 {
            let line = |i: u32| match i % 7 {
                6 => "\n".to_owned(),
                _ => format!("w{} w{} w{}\n", i % 50, i * file % 50, i * 3 % 50),
            };
            let text: String = (0..200 + 300 * (file % 3)).map(line).collect();
            std::fs::write(input.join(format!("{file}.txt")), text).unwrap();
        }
        if bad {
            std::fs::write(input.join("9.jsonl"), "{\"text\": 3}\n").unwrap();
        }
        let mut run = RunConfig::default();
        run.data.train = vec![input];
        run.data.length = 32;
        run.data.cache = Some(dir.join("cache"));
        run
    }

    fn together(run: &RunConfig, world: usize) -> Vec<Result<Option<PreparedData>, TrainError>> {
        let one = |ranks: Threads| {
            let text = &super::super::training(run)[0];
            text.prepare_together(&ranks, run, &tokenizer(), &mut |_| (), &StopFlag::default())
        };
        std::thread::scope(|scope| {
            let ranks = Threads::new(world, Duration::from_secs(60));
            let running: Vec<_> = ranks.into_iter().map(|ranks| scope.spawn(move || one(ranks))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// The files of a folder.
    fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
        let read = |entry: std::fs::DirEntry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        };
        std::fs::read_dir(dir).unwrap().map(|entry| read(entry.unwrap())).collect()
    }

    #[test]
    fn any_number_of_ranks_prepares_the_same_bytes() {
        let mut expected = None;
        for world in [1, 2, 3, 8] {
            let dir = tempfile::tempdir().unwrap();
            let run = run(dir.path(), false);
            let mut found: Vec<_> = together(&run, world).into_iter().map(Result::unwrap).collect();
            let first = found.remove(0).unwrap();
            assert!(found.iter().all(Option::is_none) && !first.reused);
            let bytes = files(&first.dir);
            assert_eq!(*expected.get_or_insert(bytes.clone()), bytes, "{world} ranks");
            assert!(together(&run, world).remove(0).unwrap().unwrap().reused);
        }
    }

    #[test]
    fn a_file_that_one_rank_cannot_read_ends_all_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let errors: Vec<String> =
            together(&run(dir.path(), true), 3).into_iter().map(|one| one.unwrap_err().to_string()).collect();
        assert!(errors.iter().all(|error| error.contains("9.jsonl: line 1")), "{errors:?}");
        assert_eq!(
            errors.iter().filter(|error| error.contains("failed in preparing text")).count(),
            2,
            "{errors:?}"
        );
        assert_eq!(std::fs::read_dir(dir.path().join("cache")).unwrap().count(), 0);
    }

    #[test]
    fn files_are_shared_out_by_size() {
        assert_eq!(share_out(&[1, 10, 4, 5, 0, 0], 2), [1, 0, 1, 1, 0, 1]);
        assert_eq!(share_out(&[], 3), [0; 0]);
        assert_eq!(share_out(&[7, 7], 4), [0, 1]);
    }
}
