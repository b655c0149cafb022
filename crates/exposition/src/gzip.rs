//! One gzip member out of blocks that were deflated on their own.
//!
//! Several members break curl and wget, so the blocks of a page are raw deflate streams, each ended by a
//! full flush (byte-aligned, no reference beyond it), that can be strung together in any order between
//! one header and one trailer. The trailer wants the CRC of the whole text, which follows from the CRCs
//! of the blocks: over GF(2), appending n bytes multiplies a CRC by x^(8n) modulo the polynomial
//! (zlib's `crc32_combine_gen`). That factor is kept with the block, which makes combining two dozen
//! operations instead of a walk over the text.

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

/// What a member begins with: deflate, no name, no time, fastest level, unknown system.
pub(crate) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// The CRC's polynomial, lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// `x^0` in that order of bits.
const ONE: u32 = 1 << 31;

/// A text, deflated on its own.
#[derive(Clone, Debug)]
pub(crate) struct Deflated {
    pub(crate) bytes: Bytes,
    crc: u32,
    /// `x^(8 * length of the text)`.
    shift: u32,
    length: usize,
}

/// Deflates blocks; keeps its tables from one to the next.
pub(crate) struct Deflater {
    stream: Compress,
    out: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self { stream: Compress::new(Compression::fast(), false), out: Vec::with_capacity(32 * 1024) }
    }
}

impl Deflater {
    /// Deflates `text` up to a full flush.
    pub(crate) fn deflate(&mut self, text: &[u8]) -> Deflated {
        self.out.clear();
        let start = self.stream.total_in();
        loop {
            self.out.reserve(16 * 1024);
            #[expect(clippy::cast_possible_truncation, reason = "below the length of the text")]
            let done = (self.stream.total_in() - start) as usize;
            let status = self.stream.compress_vec(&text[done..], &mut self.out, FlushCompress::Full);
            // A flush is complete when there is room left behind it.
            match status {
                Ok(Status::Ok | Status::BufError) if self.out.len() == self.out.capacity() => {}
                _ => break,
            }
        }
        Deflated {
            bytes: Bytes::copy_from_slice(&self.out),
            crc: crc32fast::hash(text),
            shift: power_of_x(8 * text.len() as u64),
            length: text.len(),
        }
    }
}

/// The running sum of the trailer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trailer {
    crc: u32,
    length: usize,
}

impl Trailer {
    /// Counts a block that was appended.
    pub(crate) fn push(&mut self, block: &Deflated) {
        self.crc = multiply(self.crc, block.shift) ^ block.crc;
        self.length += block.length;
    }

    /// An empty last block, the CRC, and the length modulo 2^32.
    pub(crate) fn bytes(self) -> [u8; 10] {
        let [a, b, c, d] = self.crc.to_le_bytes();
        #[expect(clippy::cast_possible_truncation, reason = "the format wants it modulo 2^32")]
        let [e, f, g, h] = (self.length as u32).to_le_bytes();
        [3, 0, a, b, c, d, e, f, g, h]
    }
}

/// The product of two polynomials, modulo the CRC's.
fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = ONE;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ POLYNOMIAL };
        bit >>= 1;
    }
    product
}

/// `x^exponent`, modulo the CRC's polynomial.
fn power_of_x(mut exponent: u64) -> u32 {
    let (mut power, mut square) = (ONE, ONE >> 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = multiply(power, square);
        }
        square = multiply(square, square);
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn member(blocks: &[Deflated]) -> Vec<u8> {
        let (mut out, mut trailer) = (HEADER.to_vec(), Trailer::default());
        for block in blocks {
            out.extend_from_slice(&block.bytes);
            trailer.push(block);
        }
        out.extend_from_slice(&trailer.bytes());
        out
    }

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        // Reads one member only, and checks CRC and length.
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn no_block_at_all_is_an_empty_text() {
        assert_eq!(inflate(&member(&[])), b"");
    }

    proptest! {
        #[test]
        fn blocks_in_any_order_are_one_member(
            texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..6),
        ) {
            let mut deflater = Deflater::default();
            let mut blocks: Vec<_> = texts.iter().map(|text| deflater.deflate(text)).collect();
            prop_assert_eq!(inflate(&member(&blocks)), texts.concat());
            blocks.reverse();
            let reversed: Vec<u8> = texts.iter().rev().flatten().copied().collect();
            prop_assert_eq!(inflate(&member(&blocks)), reversed);
        }
    }

    #[test]
    fn a_block_larger_than_the_buffer_is_whole() {
        // Incompressible: a small generator of noise.
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        })
        .take(300_000)
        .collect();
        let block = Deflater::default().deflate(&noise);
        assert_eq!(inflate(&member(&[block])), noise);
    }
}
