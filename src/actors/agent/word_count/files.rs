//! The three steps on files: split, count, merge. Blocking; memory is bounded by a chunk and by
//! the longest word, whatever the file's length.
//!
//! A file of counts has one line `COUNT<TAB>WORD` a word, in the order of the words' bytes, so
//! that any number of them is merged by reading each once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};

use super::words::{Top, chunk_length, count, is_separator};
use crate::persistence::artifacts::{ArtifactError, ArtifactRef, ArtifactWriter, Artifacts};

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;
/// The longest result that travels as text; a longer one is an artifact.
const MAX_TEXT: usize = 64 * 1024;

/// Why a step ended without a result.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// It was told to stop.
    #[error("cancelled")]
    Cancelled,
    /// A file could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A file could not be read to its end.
    #[error("reading: {0}")]
    Io(#[from] std::io::Error),
    /// A file of counts holds something else.
    #[error("artifact '{0}' is no file of counts")]
    NoCounts(String),
    /// The names of this step's files would be no names.
    #[error(transparent)]
    Name(#[from] crate::persistence::artifacts::InvalidArtifactName),
}

/// What the result of a merge is.
#[derive(Debug, PartialEq)]
pub(super) enum Lines {
    /// Short and UTF-8.
    Text(String),
    /// Anything else.
    Stored(ArtifactRef),
}

/// Where a step's files go, and whether it should go on.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) artifacts: &'a Artifacts,
    /// `OWNER/TASK`: the same for every attempt of a task, so that a later one writes the same
    /// names with the same bytes.
    pub(super) prefix: &'a str,
    pub(super) cancelled: &'a dyn Fn() -> bool,
}

impl Desk<'_> {
    fn create(&self, suffix: &str) -> Result<ArtifactWriter, StepError> {
        let name = format!("{}.{suffix}", self.prefix).parse()?;
        Ok(self.artifacts.create(name)?)
    }

    fn go_on(&self) -> Result<(), StepError> {
        if (self.cancelled)() {
            Err(StepError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Cuts a file into chunks that end on a separator (or with the file).
pub(super) fn split(desk: Desk<'_>, file: &ArtifactRef) -> Result<Vec<ArtifactRef>, StepError> {
    let mut input = BufReader::with_capacity(BUFFER, desk.artifacts.read(file)?);
    let length = chunk_length(file.bytes);
    let mut chunks = Vec::new();
    while !input.fill_buf()?.is_empty() {
        let mut chunk = desk.create(&format!("chunk-{:05}", chunks.len()))?;
        copy_chunk(desk, &mut input, &mut chunk, length)?;
        chunks.push(chunk.finish()?);
    }
    Ok(chunks)
}

/// Copies at least `length` bytes, and on to the next separator.
fn copy_chunk(
    desk: Desk<'_>,
    input: &mut BufReader<File>,
    chunk: &mut ArtifactWriter,
    length: u64,
) -> Result<(), StepError> {
    loop {
        desk.go_on()?;
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        let missing = length.saturating_sub(chunk.bytes() + 1);
        let from = usize::try_from(missing)
            .unwrap_or(usize::MAX)
            .min(available.len());
        let end = available[from..]
            .iter()
            .position(|byte| is_separator(*byte));
        let used = end.map_or(available.len(), |end| from + end + 1);
        chunk.append(&available[..used])?;
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Counts the words of a chunk.
pub(super) fn count_chunk(desk: Desk<'_>, chunk: &ArtifactRef) -> Result<ArtifactRef, StepError> {
    let mut input = desk.artifacts.read(chunk)?;
    let mut text = Vec::with_capacity(usize::try_from(chunk.bytes).unwrap_or(0));
    loop {
        desk.go_on()?;
        if (&mut input).take(BUFFER as u64).read_to_end(&mut text)? == 0 {
            break;
        }
    }
    let mut counts = desk.create("counts")?;
    for (word, times) in count(&text) {
        counts.append(format!("{times}\t").as_bytes())?;
        counts.append(word)?;
        counts.append(b"\n")?;
    }
    desk.go_on()?;
    Ok(counts.finish()?)
}

/// Sums files of counts; gives the most frequent words as lines.
pub(super) fn merge(desk: Desk<'_>, counts: &[ArtifactRef]) -> Result<Lines, StepError> {
    let mut top = Top::default();
    let mut sources = counts
        .iter()
        .map(|counts| Source::open(desk.artifacts, counts))
        .collect::<Result<Vec<_>, _>>()?;
    let mut heads = BinaryHeap::new();
    for (index, source) in sources.iter_mut().enumerate() {
        heads.extend(
            source
                .next()?
                .map(|(word, times)| Reverse((word, index, times))),
        );
    }
    let mut sum: Option<(Vec<u8>, u64)> = None;
    let mut seen = 0_u32;
    while let Some(Reverse((word, index, times))) = heads.pop() {
        seen = seen.wrapping_add(1);
        if seen.is_multiple_of(4096) {
            desk.go_on()?;
        }
        if let Some((word, times)) = sources[index].next()? {
            heads.push(Reverse((word, index, times)));
        }
        match &mut sum {
            Some((same, total)) if *same == word => *total += times,
            _ => {
                if let Some((done, total)) = sum.replace((word, times)) {
                    top.offer(&done, total);
                }
            }
        }
    }
    if let Some((done, total)) = sum {
        top.offer(&done, total);
    }
    desk.go_on()?;
    to_lines(desk, top.lines())
}

fn to_lines(desk: Desk<'_>, lines: Vec<u8>) -> Result<Lines, StepError> {
    let lines = match String::from_utf8(lines) {
        Ok(text) if text.len() <= MAX_TEXT => return Ok(Lines::Text(text)),
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    };
    let mut file = desk.create("top")?;
    file.write_all(&lines)?;
    Ok(Lines::Stored(file.finish()?))
}

/// One file of counts, read word by word.
struct Source {
    name: String,
    input: BufReader<File>,
}

impl Source {
    fn open(artifacts: &Artifacts, counts: &ArtifactRef) -> Result<Self, StepError> {
        Ok(Self {
            name: counts.name.to_string(),
            input: BufReader::with_capacity(BUFFER, artifacts.read(counts)?),
        })
    }

    fn next(&mut self) -> Result<Option<(Vec<u8>, u64)>, StepError> {
        let mut line = Vec::new();
        if self.input.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.take_apart(line).map(Some)
    }

    fn take_apart(&self, mut line: Vec<u8>) -> Result<(Vec<u8>, u64), StepError> {
        let wrong = || StepError::NoCounts(self.name.clone());
        if line.pop() != Some(b'\n') {
            return Err(wrong());
        }
        let tab = line
            .iter()
            .position(|byte| *byte == b'\t')
            .ok_or_else(wrong)?;
        let word = line.split_off(tab + 1);
        line.pop();
        let times = std::str::from_utf8(&line)
            .ok()
            .and_then(|text| text.parse().ok());
        Ok((word, times.ok_or_else(wrong)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn store(dir: &std::path::Path, text: &[u8]) -> (Artifacts, ArtifactRef) {
        let artifacts = Artifacts::open(dir).unwrap();
        let mut file = artifacts.create("uploads/text".parse().unwrap()).unwrap();
        file.append(text).unwrap();
        let file = file.finish().unwrap();
        (artifacts, file)
    }

    fn desk<'a>(artifacts: &'a Artifacts, prefix: &'a str) -> Desk<'a> {
        Desk {
            artifacts,
            prefix,
            cancelled: &|| false,
        }
    }

    fn bytes_of(artifacts: &Artifacts, file: &ArtifactRef) -> Vec<u8> {
        let mut bytes = Vec::new();
        artifacts
            .read(file)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    /// The whole workflow; also checks that the chunks are the file, cut after separators.
    fn run(text: &[u8]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let (artifacts, file) = store(dir.path(), text);
        let chunks = split(desk(&artifacts, "wfl_1/tsk_1"), &file).unwrap();
        let pieces: Vec<_> = chunks
            .iter()
            .map(|chunk| bytes_of(&artifacts, chunk))
            .collect();
        assert_eq!(pieces.concat(), text);
        let others = pieces.split_last().map_or(&[][..], |(_, others)| others);
        let cut = |piece: &Vec<u8>| piece.last().is_some_and(|byte| is_separator(*byte));
        assert!(others.iter().all(cut));
        let counts: Vec<_> = (0..)
            .zip(&chunks)
            .map(|(i, chunk)| {
                count_chunk(desk(&artifacts, &format!("wfl_1/tsk_{i}")), chunk).unwrap()
            })
            .collect();
        match merge(desk(&artifacts, "wfl_1/tsk_m"), &counts).unwrap() {
            Lines::Text(text) => text.into_bytes(),
            Lines::Stored(file) => bytes_of(&artifacts, &file),
        }
    }

    /// The obvious way.
    fn naive(text: &[u8]) -> Vec<u8> {
        let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
        for word in text.split(|byte| b" \t\n\x0b\x0c\r".contains(byte)) {
            *counts.entry(word).or_default() += 1;
        }
        counts.remove(&b""[..]);
        let mut all: Vec<_> = counts.into_iter().collect();
        all.sort_by_key(|(_, times)| Reverse(*times));
        let lines = all.into_iter().take(20);
        lines
            .flat_map(|(word, times)| [times.to_string().as_bytes(), b"\t", word, b"\n"].concat())
            .collect()
    }

    #[test]
    fn an_empty_file_has_no_words_and_no_lines() {
        assert_eq!(run(b""), b"");
        assert_eq!(run(b" \n"), b"");
    }

    #[test]
    fn one_enormous_word_is_one_word() {
        let word = vec![b'x'; 300_000];
        assert_eq!(run(&word), naive(&word));
    }

    #[test]
    fn words_that_are_no_utf8_travel_as_they_are() {
        assert_eq!(run(b"\xff a \xff"), b"2\t\xff\n1\ta\n");
    }

    #[test]
    fn a_step_that_is_cancelled_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (artifacts, file) = store(dir.path(), b"a b c");
        let cancelled = Desk {
            cancelled: &|| true,
            ..desk(&artifacts, "wfl_1/t")
        };
        assert!(matches!(split(cancelled, &file), Err(StepError::Cancelled)));
        assert!(matches!(
            count_chunk(cancelled, &file),
            Err(StepError::Cancelled)
        ));
        let left = std::fs::read_dir(artifacts.root().join("wfl_1"))
            .unwrap()
            .count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_file_that_holds_no_counts_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["x\ty\n", "1 y\n", "1\ty"] {
            let (artifacts, file) = store(dir.path(), text.as_bytes());
            let error = merge(desk(&artifacts, "wfl_1/t"), &[file]).unwrap_err();
            assert_eq!(
                error.to_string(),
                "artifact 'uploads/text' is no file of counts"
            );
        }
    }

    #[test]
    fn running_a_step_again_writes_the_same_names_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let (artifacts, file) = store(dir.path(), &b"a b ".repeat(2000));
        let first = split(desk(&artifacts, "wfl_1/t"), &file).unwrap();
        assert_eq!(split(desk(&artifacts, "wfl_1/t"), &file).unwrap(), first);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn the_workflow_counts_as_one_would_by_hand(
            pieces in prop::collection::vec(
                prop_oneof![
                    4 => prop::collection::vec(prop::sample::select(&b"ab\xff"[..]), 1..4),
                    4 => prop::collection::vec(prop::sample::select(&b" \t\n\x0b\x0c\r"[..]), 1..3),
                    1 => prop::collection::vec(any::<u8>(), 1..2000),
                ],
                0..1500,
            )
        ) {
            let text = pieces.concat();
            prop_assert_eq!(run(&text), naive(&text));
        }
    }
}
