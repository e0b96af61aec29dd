//! Prose that no compressor has seen: words of a made-up language, each as rare as Zipf says, never the same text twice.
//!
//! It is as hard to compress as English: zstd at level 1 makes 66 KB of it 2.37 times smaller, and 2.34 times of English
//! paragraphs of 1 KB from 152 documents (`/usr/share/doc` and crates' readmes), shuffled; 2.60 times of whole documents.
//!
//! Never reads a file.

use flowmeter_model::IdSource;

/// Words of the language.
const WORDS: usize = 20_000;

/// Makes texts up.
pub(crate) struct Prose {
    words: Vec<String>,
    /// How often words up to each occur, out of the last.
    weights: Vec<u64>,
    dice: IdSource,
}

impl Prose {
    /// Prose that follows from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = IdSource::from_seed(seed);
        let syllables = [
            "ba", "con", "di", "er", "fo", "gra", "hi", "in", "jo", "ka", "lu", "men", "no", "or", "pre",
            "qui", "re", "sta", "ti", "un", "ver", "wo", "xe", "ya", "zen", "tion", "al", "ing", "ed", "ous",
        ];
        let mut words: Vec<String> = Vec::with_capacity(WORDS);
        for place in 0..WORDS {
            // Common words are short.
            let count = 1 + (place + 1).ilog2() as usize / 4 + (dice.next_u64() % 2) as usize;
            words.push(
                (0..count)
                    .map(|_| syllables[dice.next_u64() as usize % syllables.len()])
                    .collect(),
            );
        }
        let mut sum = 0;
        let weights = (0..WORDS as u64)
            .map(|place| {
                sum += 1_000_000_000 / (place + 3);
                sum
            })
            .collect();
        Self { words, weights, dice }
    }

    /// The word that is the so-many-th in frequency, from 0.
    pub(crate) fn word(&self, place: usize) -> &str {
        self.words.get(place).map_or("", String::as_str)
    }

    /// The next random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.dice.next_u64()
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.dice.next_u64() % limit
    }

    /// A text of about so many bytes.
    pub(crate) fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 32);
        self.write_text(bytes, &mut text);
        text
    }

    /// Lets a text go on until it has about so many bytes.
    pub(crate) fn write_text(&mut self, bytes: usize, text: &mut String) {
        let total = self.weights.last().copied().unwrap_or(1);
        let mut in_sentence = 0;
        while text.len() < bytes {
            let at = self.dice.next_u64() % total;
            let place = self.weights.partition_point(|weight| *weight <= at);
            text.push_str(&self.words[place]);
            in_sentence += 1;
            let ends = in_sentence > 5 && self.dice.next_u64().is_multiple_of(9);
            text.push_str(if ends { ". " } else { " " });
            if ends {
                in_sentence = 0;
            }
            if self.dice.next_u64().is_multiple_of(25) {
                text.push_str(&format!("{} ", self.dice.next_u64() % 10_000));
            }
        }
    }
}
